"""One side of a comparison: the cases of a script, run with whatever `import torch` gives, and their results written to a file.

A script imports this module, marks functions with `@case` and ends with `main()`. `run.py` runs it twice: with PyTorch, and with monograph
under torch's name. Nothing in a script says which of the two it is.
"""

from __future__ import annotations

import json
import math
import sys
import time
import traceback
import warnings
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
import torch

CASES: dict[str, Callable[[], dict[str, Any]]] = {}
KNOWN: dict[str, str] = {}  # cases that are expected to differ, and why
STEPS = 20


def case(function: Callable[..., dict[str, Any]] | None = None, *, name: str = "", known: str = "") -> Any:
    """Registers a function of no arguments that returns the numbers to compare: a dict of tensors, arrays, numbers, strings, lists.

    Names that begin with "loss" are compared to 1e-3, all others to 1e-4, relative to the largest magnitude among the numbers of that name.
    `known` says why a case is expected to differ; a case that then agrees is reported.
    """

    def enter(made: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
        label = name or made.__name__
        if label in CASES:
            raise ValueError(f"two cases have the name {label!r}")
        CASES[label] = made
        if known:
            KNOWN[label] = known
        return made

    return enter if function is None else enter(function)


def generator(*key: Any) -> np.random.Generator:
    """A generator of NumPy's for a key of strings and numbers, the same in every process."""
    return np.random.default_rng(zlib.crc32(repr(key).encode()))


def normal(*shape: int, seed: Any = 0, scale: float = 1.0) -> torch.Tensor:
    """A float32 tensor of normal numbers, the same on both sides."""
    return torch.from_numpy((generator("normal", seed).standard_normal(shape) * scale).astype(np.float32))


def uniform(*shape: int, seed: Any = 0, low: float = 0.0, high: float = 1.0) -> torch.Tensor:
    """A float32 tensor of uniform numbers, the same on both sides."""
    return torch.from_numpy(generator("uniform", seed).uniform(low, high, shape).astype(np.float32))


def integers(*shape: int, high: int, low: int = 0, seed: Any = 0) -> torch.Tensor:
    """An int64 tensor of numbers in [low, high), the same on both sides."""
    return torch.from_numpy(generator("integers", seed).integers(low, high, shape))


def filled(model: Any, seed: Any = 0) -> Any:
    """The model with numbers that depend on the names and shapes of its parameters only, at the scale of usual initialisations.

    Running statistics are filled too; other buffers hold constants of the architecture and stay, as do single numbers that scale
    something. Dropout of every kind is switched off: the two sides draw other random numbers.
    """
    for module in model.modules():
        if "drop" in type(module).__name__.lower():
            for name in ("p", "drop_prob"):
                if isinstance(getattr(module, name, None), float):
                    setattr(module, name, 0.0)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.is_floating_point() and (parameter.numel() > 1 or name.endswith(("weight", "bias"))):
                parameter.copy_(torch.from_numpy(_weights(name, tuple(parameter.shape), seed)).to(parameter.dtype))
        for name, buffer in model.named_buffers():
            if name.endswith(("running_mean", "running_var")):
                drawn = generator("buffer", name, seed).uniform(0.5, 1.5, tuple(buffer.shape)) - (0.0 if name.endswith("var") else 1.0)
                buffer.copy_(torch.from_numpy(drawn.astype(np.float32)).to(buffer.dtype))
    return model


def _weights(name: str, shape: tuple[int, ...], seed: Any) -> np.ndarray:
    drawn = generator("weights", name, shape, seed).standard_normal(shape)
    if len(shape) > 1:
        drawn = drawn / math.sqrt(max(1, math.prod(shape[1:])))
    elif name.endswith("bias"):
        drawn = drawn * 0.1
    else:  # scales of norms and layers: about one
        drawn = 1 + drawn * 0.1
    return drawn.astype(np.float32)


def trained(step: Callable[[int], Any], steps: int = STEPS) -> list[float]:
    """The losses of some steps: `step(i)` does everything that belongs to one, and returns the loss."""
    return [float(step(i)) for i in range(steps)]


def supervised(
    model: Any,
    x: Any,
    y: Any,
    *,
    loss: Callable[[Any, Any], Any] | None = None,
    optimizer: Any = None,
    steps: int = STEPS,
    lr: float = 1e-3,
) -> list[float]:
    """The losses of training on one batch, by AdamW unless an optimiser is given."""
    loss = loss or torch.nn.functional.cross_entropy
    optimizer = optimizer or torch.optim.AdamW(model.parameters(), lr=lr)
    model.train()

    def step(_: int) -> Any:
        optimizer.zero_grad()
        value = loss(model(x), y)
        value.backward()
        optimizer.step()
        return value.item()

    return trained(step, steps)


def array(value: Any) -> np.ndarray:
    """What a case returned under a name, as NumPy's."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        if value.dtype in (torch.bfloat16, torch.float16):
            value = value.float()
        return np.array(value.resolve_conj().numpy() if value.is_complex() else value.numpy())
    if isinstance(value, (list, tuple)) and any(isinstance(item, (torch.Tensor, list, tuple, np.ndarray)) for item in value):
        return np.concatenate([np.ravel(array(item)) for item in value]) if value else np.zeros(0)
    return np.asarray(value)


def flat(results: dict[str, Any]) -> Iterator[tuple[str, np.ndarray]]:
    """The results by name; a dict within is spelled out."""
    for name, value in results.items():
        if isinstance(value, dict):
            yield from ((f"{name}.{below}", found) for below, found in flat(value))
        elif value is not None:
            yield name, array(value)


def main(arguments: Iterable[str] | None = None) -> None:
    """Runs the script's cases, or those whose names contain one of the words given, and writes the results: `script.py OUT [WORD ...]`."""
    out, *words = sys.argv[1:] if arguments is None else arguments
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    numbers: dict[str, np.ndarray] = {}
    report: dict[str, Any] = {"cases": {}, "known": KNOWN, "torch": str(torch.__version__)}
    for name, function in CASES.items():
        if words and not any(word in name for word in words):
            continue
        torch.manual_seed(0)
        np.random.seed(0)
        start = time.perf_counter()
        error = ""
        try:
            numbers.update({f"{name}/{key}": value for key, value in flat(function())})
        except Exception as problem:  # the other side decides whether this is a difference
            error = f"{type(problem).__name__}: {problem}"
            report.setdefault("tracebacks", {})[name] = traceback.format_exc()
        report["cases"][name] = {"error": error, "seconds": time.perf_counter() - start}
    np.savez(out, report=np.array(json.dumps(report)), **numbers)
