"""What is fuzzed: every public function of `mg` and its namespaces, every Tensor method, every layer, every optimiser."""

from __future__ import annotations

import inspect
import random
import re
from functools import lru_cache
from typing import Any

import monograph as mg
from tests.fuzz.arguments import Arguments, arguments_text

# Not called: they change the state of the process that later calls are judged by, leave the process, or answer nothing about tensors.
APART = re.compile(
    r"^(set_|use_|seed|manual_seed|default_|compile|export|save|load|from_file|hub|as_torch|install|function$|Tensor$|is_grad|get_|inference_mode|no_grad|enable_grad"
    r"|_|import_|typename|explain|evaluate|share_memory|pin_memory|cuda|cpu_|xpu|register|backward|requires_grad|init_|fork|wait|vmap|cond|while_loop|random_split"
    r"|register_hook|storage|untyped|data_ptr|element_size|module_load|iinfo|finfo|to_dlpack|from_dlpack|frombuffer|from_numpy|resize_|empty|new_empty|map_|apply_|map2_"
    r"|thread_safe|initial_seed|profiler|autocast|utils|set$|handle_|has_torch|check_|assert_|unify|sym_|stft|istft|retain_grad|numpy|tolist|put_object|record_|item)"
)


@lru_cache(1)
def names() -> tuple[str, ...]:
    """Dotted names as they are written in a call."""
    found = []
    for room in ("mg", "F", "mg.linalg", "mg.special", "mg.fft"):
        space: Any = {"mg": mg, "F": mg.nn.functional}.get(room) or getattr(mg, room.removeprefix("mg."))
        for name in sorted(set(dir(space))):
            thing = getattr(space, name)
            if not APART.match(name) and callable(thing) and not inspect.isclass(thing) and not inspect.ismodule(thing):
                found.append(f"{room}.{name}")
    found += [f"Tensor.{n}" for n in sorted(dir(mg.Tensor)) if not APART.match(n) and callable(getattr(mg.Tensor, n))]
    found += [f"Tensor.__{n}__" for n in "getitem setitem add rsub matmul pow iadd mod rshift and floordiv lt eq neg invert".split()]
    for name in sorted(dir(mg.nn)):
        kind = getattr(mg.nn, name)
        if inspect.isclass(kind) and issubclass(kind, mg.nn.Module) and not re.search("Parallel|Container|^Lazy|Scripted", name):
            found.append(f"nn.{name}")
    for name in sorted(dir(mg.optim)):
        kind = getattr(mg.optim, name)
        if inspect.isclass(kind) and issubclass(kind, mg.optim.Optimizer) and name not in ("Optimizer", "LBFGS"):
            found.append(f"mg.optim.{name}")
    return tuple(dict.fromkeys(found))


def resolve(name: str) -> Any:
    """The thing that a dotted name of `names` means."""
    head, *rest = name.split(".")
    thing: Any = {"mg": mg, "F": mg.nn.functional, "nn": mg.nn, "Tensor": mg.Tensor}[head]
    for part in rest:
        thing = getattr(thing, part)
    return thing


def call_text(name: str, seed: int) -> str:
    """A call of `name`, the same for the same seed."""
    draw = Arguments(random.Random(f"{name} {seed}"))
    thing = resolve(name)
    if name.startswith("Tensor."):
        method = name.removeprefix("Tensor.")
        if method in ("__getitem__", "__setitem__"):
            mixed = lambda: f"({draw.dims()}, {draw.index()}, None)"  # noqa: E731 - one kind of index among others
            index = draw.rng.choice((draw.dims, draw.index, lambda: draw.tensor("bool"), draw.wild, mixed))()
            value = f", {draw.rng.choice((draw.tensor, draw.number, draw.wild))()}" if method == "__setitem__" else ""
            return f"{draw.tensor()}.{method}({index}{value})"
        return f"{draw.tensor()}.{method}({arguments_text(thing, draw, skip=1)})"
    if name.startswith("nn."):
        made = f"{name}({arguments_text(thing, draw, required_only=0.85)})"
        return f"{made}({', '.join(draw.tensor() for _ in range(draw.rng.choice((1, 1, 1, 2, 3))))})"
    if name.startswith("mg.optim."):
        return f"step({name}, {draw.tensor()}, {arguments_text(thing, draw, skip=1, required_only=0.8)})"
    return f"{name}({arguments_text(thing, draw)})"
