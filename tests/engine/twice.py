"""Helpers: the same program run uncompiled and compiled, compared bit for bit."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import monograph as mg


def plain(value: Any) -> Any:
    """Tensors as arrays, in any nesting, for comparison."""
    if isinstance(value, mg.Tensor):
        return np.array(value.detach().numpy())
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    return value


def assert_same(a: Any, b: Any) -> None:
    """Equal structure and equal bits."""
    if isinstance(a, np.ndarray):
        assert a.dtype == b.dtype and a.shape == b.shape
        assert a.tobytes() == b.tobytes(), f"{a}\n{b}"
    elif isinstance(a, dict):
        assert list(a) == list(b)
        for k in a:
            assert_same(a[k], b[k])
    elif isinstance(a, list):
        assert len(a) == len(b)
        for x, y in zip(a, b, strict=True):
            assert_same(x, y)
    else:
        assert a == b and type(a) is type(b)


def both(
    make: Callable[[], tuple[Callable[..., Any], Callable[[], Any]]],
    calls: Sequence[tuple[Any, ...]],
    between: Callable[[Any, int], None] | None = None,
) -> Any:
    """Runs `make()`'s function over `calls`, uncompiled and compiled; results and states after every call must be equal.

    `make` returns (function, state): fresh objects each time. `between(function's owner, i)` runs after call i. Returns the compiled
    function.
    """
    histories = []
    for compiled in (False, True):
        mg.manual_seed(7)
        function, state = make()
        f = mg.compile(function) if compiled else function
        history = []
        for i, args in enumerate(calls):
            result = f(*[mg.tensor(a) if isinstance(a, np.ndarray) else a for a in args])
            history.append((plain(result), plain(state())))
            if between is not None:
                between(state, i)
        histories.append(history)
    for (r0, s0), (r1, s1) in zip(*histories, strict=True):
        assert_same(r0, r1)
        assert_same(s0, s1)
    return f


def floats(*shape: int, seed: int = 0) -> np.ndarray:
    """Reproducible normal numbers."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def replays(f: Any) -> int:
    """How many calls of a compiled function were replays; why others were not is printed for the failed test."""
    print(f.engine.captures, "captures;", f.engine.uncompiled_calls, "uncompiled calls;", f.engine.reasons)
    return sum(e.replays for s in f.engine.signatures.values() for e in s.entries)
