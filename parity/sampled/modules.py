"""`python -m parity.sampled.modules`: every nn module of PyTorch's own list, built, run and differentiated in both frameworks.

PyTorch's ModuleInfo says how to construct a module and how to call it. Ours is built with the same arguments and loads the same weights;
compared are state_dict's keys, shapes and dtypes, the text, train and eval mode: outputs (value, dtype, shape), buffers afterwards, and the
gradients of inputs and parameters.
"""

from __future__ import annotations

import argparse
import collections
import re
from collections.abc import Iterator
from typing import Any

import torch
from torch.testing._internal.common_modules import module_db

import monograph as mg
from parity.sampled.checks import leaves
from parity.sampled.outcomes import Raised, attempt, disagreement, plain
from parity.sampled.twins import to_ours

DTYPES = ("float32", "float64")
RANDOM = ("Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "FeatureAlphaDropout", "RReLU", "FractionalMaxPool2d",
          "FractionalMaxPool3d")  # fmt: skip
KNOWN: dict[str, str] = {}  # "module what" (a regular expression, full match): why it differs


def _ours(cls: type) -> Any:
    for path in ("nn", "nn.modules", "nn.attention"):
        root: Any = mg
        for part in path.split("."):
            root = getattr(root, part, None)
        if hasattr(root, cls.__name__):
            return getattr(root, cls.__name__)
    return None


def _converted(value: Any, made: dict[int, Any] | None = None) -> Any:
    """Arguments of constructors may be modules and functions too; a tensor that is given twice has one twin."""
    made = {} if made is None else made
    if isinstance(value, torch.nn.Module):
        return _twin_of(value)
    if isinstance(value, (list, tuple)):
        return type(value)(_converted(item, made) for item in value)
    if isinstance(value, dict):
        return {k: _converted(v, made) for k, v in value.items()}
    if isinstance(value, torch.Tensor):
        return made.setdefault(id(value), to_ours(value))
    return to_ours(value)


def _twin_of(module: torch.nn.Module) -> Any:
    made = _ours(type(module))
    if isinstance(module, (torch.nn.TransformerEncoderLayer, torch.nn.TransformerDecoderLayer)):
        attention, dropout = module.self_attn, module.dropout.p
        return made(
            attention.embed_dim, attention.num_heads, module.linear1.out_features, dropout, _converted(module.activation),
            module.norm1.eps, attention.batch_first, module.norm_first, module.linear1.bias is not None,
        )  # fmt: skip
    constants = {k: getattr(module, k) for k in getattr(module, "__constants__", ()) if hasattr(module, k)}
    return made(**{k: v for k, v in constants.items() if k in made.__init__.__code__.co_varnames})


def _state(module: Any) -> dict[str, Any]:
    return {key: None if "Uninitialized" in type(value).__name__ else plain(value) for key, value in module.state_dict().items()}


class Comparison:
    """One way to build and call a module."""

    def __init__(self, info: Any, sample: Any, dtype: str) -> None:
        self.info, self.sample, self.dtype = info, sample, dtype
        self.random = info.module_cls.__name__ in RANDOM

    def run(self) -> Iterator[tuple[str, str]]:
        args, kwargs = self.sample.constructor_input.args, dict(self.sample.constructor_input.kwargs)
        kind = {"dtype": getattr(torch, self.dtype)} if "dtype" in self.info.module_cls.__init__.__code__.co_varnames else {}
        theirs, built = attempt(lambda: self.info.module_cls(*args, **kwargs, **kind))
        made = _ours(self.info.module_cls)
        if made is None:
            yield "constructor", "absent"
            return
        mine, got = attempt(lambda: made(*_converted(args), **_converted(kwargs), **to_ours(kind)))
        if isinstance(built, Raised) or isinstance(got, Raised):
            yield "constructor", disagreement(built, got)
            return
        if not kind:
            theirs, mine = theirs.to(getattr(torch, self.dtype)), mine.to(getattr(mg, self.dtype))
        yield "repr", "" if repr(theirs) == repr(mine) else f"torch {theirs!r}; monograph {mine!r}"
        expected, have = _state(theirs), _state(mine)
        shapes = [{k: v and (v.dtype, v.shape) for k, v in state.items()} for state in (expected, have)]
        yield "state", "" if shapes[0] == shapes[1] and list(expected) == list(have) else f"torch {shapes[0]}; monograph {shapes[1]}"
        self.lazy = None in expected.values()
        loaded = None if self.lazy else attempt(lambda: mine.load_state_dict({k: to_ours(v) for k, v in theirs.state_dict().items()}))[1]
        if isinstance(loaded, Raised):
            yield "state", f"raises: {loaded}"
            return
        if self.sample.forward_input is None:
            return
        for training in (True, False):
            yield from self._called(theirs.train(training), mine.train(training), "train" if training else "eval")

    def _called(self, theirs: Any, mine: Any, mode: str) -> Iterator[tuple[str, str]]:
        args, kwargs = self.sample.forward_input.args, dict(self.sample.forward_input.kwargs)
        my_args, my_kwargs = _converted(args), _converted(kwargs)
        values = not self.lazy and (not self.random or mode == "eval")
        result, expected = attempt(lambda: theirs(*args, **kwargs))
        my_result, got = attempt(lambda: mine(*my_args, **my_kwargs))
        found = disagreement(expected, got, None, values)
        yield mode, found
        if found or isinstance(expected, Raised):
            return
        yield mode + " buffers", disagreement(tuple(map(plain, theirs.buffers())), tuple(map(plain, mine.buffers())), None, values)
        if not values or self.dtype != "float64":
            return
        inputs, my_inputs = leaves((args, kwargs)), leaves((my_args, my_kwargs))
        inputs, my_inputs = inputs + list(theirs.parameters()), my_inputs + list(mine.parameters())
        _, wanted = attempt(lambda: _gradients(torch, result, inputs))
        if wanted is None or isinstance(wanted, Raised):
            return
        _, have = attempt(lambda: _gradients(mg, my_result, my_inputs))
        yield mode + " gradients", disagreement(wanted, have, (1e-6, 1e-6))


def _gradients(frame: Any, result: Any, inputs: list[Any]) -> Any:
    outputs = [y for y in _flat(result) if y.requires_grad]
    if not outputs or not inputs:
        return None
    total = sum((y * y).sum() * (i + 1) for i, y in enumerate(outputs))
    found = frame.autograd.grad(total, inputs, allow_unused=True)
    return tuple(frame.zeros_like(x) if g is None else g for g, x in zip(found, inputs, strict=True))


def _flat(tree: Any) -> list[Any]:
    if isinstance(tree, (torch.Tensor, mg.Tensor)):
        return [tree]
    return [y for item in tree for y in _flat(item)] if isinstance(tree, (tuple, list)) else []


def results(only: str = "", dtypes: tuple[str, ...] = DTYPES) -> Iterator[tuple[str, str, str, str]]:
    """(module, dtype, what, verdict); an empty verdict agrees."""
    for info in module_db:
        if not re.search(only, info.name):
            continue
        for dtype in dtypes:
            if getattr(torch, dtype) not in info.dtypes:
                continue
            for training in (True, False) if info.train_and_eval_differ else (True,):
                torch.manual_seed(0)
                made = info.module_inputs_func(info, device="cpu", dtype=getattr(torch, dtype), requires_grad=True, training=training)
                for sample in made:
                    torch.manual_seed(0)
                    for what, verdict in Comparison(info, sample, dtype).run():
                        yield info.name, dtype, what, verdict


def known(name: str, what: str) -> bool:
    return any(re.fullmatch(pattern, f"{name} {what}") for pattern in KNOWN)


def main() -> None:
    parser = argparse.ArgumentParser(prog="parity.sampled.modules", description=__doc__)
    parser.add_argument("--only", default="", help="regular expression: modules whose name it matches (search)")
    parser.add_argument("--dtypes", default=",".join(DTYPES))
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    count: collections.Counter[str] = collections.Counter()
    seen: set[tuple[str, str]] = set()
    for name, dtype, what, verdict in results(options.only, tuple(options.dtypes.split(","))):
        kind = "agree" if not verdict else "known" if known(name, what) else "wrong"
        count[kind] += 1
        if kind == "wrong" and (options.verbose or (name, what) not in seen):
            print(f"{name} {dtype} {what}: {verdict[:400]}", flush=True)
            seen.add((name, what))
    total = sum(count.values())
    print(f"{100 * count['agree'] / max(1, total):.2f} % of {total} agree; {count['known']} known, {count['wrong']} wrong")


if __name__ == "__main__":
    main()
