"""Random numbers from a counter: every element is a pure function of (key, offset, its position). `philox_reference.py` says which.

Key (the seed) and offset (how far the generator has come) are 0-d int64 inputs of the graph: no hidden state, so a replayed program draws
what its inputs say, on any number of threads, fused or not. `blocks_used` there says how far a draw moves the offset.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from math import prod
from typing import Any

import numpy as np

from monograph.core.attrs import Attrs, Size, attrs
from monograph.core.dtype import dtype as DType
from monograph.core.dtype import float16, float32, float64, int64
from monograph.core.errors import ArgumentError, DTypeError, ShapeError
from monograph.core.shape import Shape
from monograph.graph.node import Node
from monograph.graph.op import Family, NotDifferentiable, OpDef, Sample, define
from monograph.ops import philox_reference
from monograph.ops.compare import ge
from monograph.ops.elementwise import cast, mul
from monograph.ops.norm import must_float
from monograph.ops.precision import narrow, widen
from monograph.ops.source import constant, zeros_like

RANDOM = Family.RANDOM
DRAWN = NotDifferentiable("random numbers depend on no value but the generator's state")


@attrs
class DrawAttrs(Attrs):
    """The type of what is drawn."""

    shape: Shape
    dtype: DType


@attrs
class IntegersAttrs(Attrs):
    """Whole numbers of [low, high)."""

    shape: Shape
    low: int
    high: int
    dtype: DType = int64


@attrs
class PermutationAttrs(Attrs):
    """The numbers 0 ... n - 1."""

    n: Size


@attrs
class DropoutAttrs(Attrs):
    """The probability of an element to become zero."""

    p: float = 0.5


def _check_state(name: str, key: Any, offset: Any) -> None:
    if key.shape != () or offset.shape != () or key.dtype is not int64 or offset.dtype is not int64:
        raise ShapeError(
            f"{name} takes key and offset as 0-d int64, got {key.dtype.name}{list(key.shape)} and {offset.dtype.name}{list(offset.shape)}"
        )


def _floats(name: str) -> Callable[..., tuple[Shape, DType]]:
    def infer(a: DrawAttrs, key: Any, offset: Any) -> tuple[Shape, DType]:
        if a.dtype.kind != "f":
            raise DTypeError(f"{name} draws floating-point numbers, not {a.dtype.name}; use randint for whole numbers")
        _check_state(name, key, offset)
        return a.shape, a.dtype

    return infer


def _state(key: int = 7, offset: int = 3) -> tuple[np.ndarray, np.ndarray]:
    return np.asarray(key), np.asarray(offset)


def _float_samples() -> Iterable[Sample]:
    for d in (float32, float64, float16):
        yield Sample(_state(), DrawAttrs((3, 5), d))
    yield Sample(_state(2**62, 2**40), DrawAttrs((), float32))
    yield Sample(_state(-1, 0), DrawAttrs((0, 2), float32))
    yield Sample(_state(), DrawAttrs((2,), int64), error=DTypeError, match="draws floating-point numbers, not int64")
    yield Sample((np.ones(2, np.int64), np.asarray(0)), DrawAttrs((2,), float32), error=ShapeError, match="0-d int64")


random_uniform = define(
    "random_uniform", family=RANDOM, attrs=DrawAttrs, infer=_floats("random_uniform"), vjp=DRAWN, samples=_float_samples,
    reference=lambda a, key, offset: philox_reference.uniform(int(key), int(offset), prod(a.shape), a.dtype.name).reshape(a.shape),
    doc="Numbers of [0, 1), all equally likely.",
)  # fmt: skip

random_normal = define(
    "random_normal", family=RANDOM, attrs=DrawAttrs, infer=_floats("random_normal"), vjp=DRAWN, samples=_float_samples,
    reference=lambda a, key, offset: philox_reference.normal(int(key), int(offset), prod(a.shape), a.dtype.name).reshape(a.shape),
    doc="Numbers of the standard normal distribution.",
)  # fmt: skip


def _integers_type(a: IntegersAttrs, key: Any, offset: Any) -> tuple[Shape, DType]:
    _check_state("random_int", key, offset)
    if a.low >= a.high:
        raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got from={a.low} >= to={a.high}")
    return a.shape, a.dtype


random_int = define(
    "random_int", family=RANDOM, attrs=IntegersAttrs, infer=_integers_type, vjp=DRAWN,
    reference=lambda a, key,
    offset: philox_reference.integers(int(key), int(offset), prod(a.shape), a.low, a.high).reshape(a.shape).astype(a.dtype.np),
    samples=lambda: [
        Sample(_state(), IntegersAttrs((4, 3), 0, 10)), Sample(_state(), IntegersAttrs((5,), -3, 4, float32)),
        Sample(_state(), IntegersAttrs((0,), 0, 1)),
        Sample(_state(), IntegersAttrs((3,), -(2**63), 2**63 - 1)),
        Sample(_state(), IntegersAttrs((3,), 5, 5), error=RuntimeError, match="less than 'to', but got from=5 >= to=5"),
    ], doc="Whole numbers of [low, high), all equally likely.",
)  # fmt: skip


def _bernoulli_type(a: Attrs, p: Any, key: Any, offset: Any) -> tuple[Shape, DType]:
    _check_state("bernoulli", key, offset)
    return p.shape, must_float("bernoulli", p)


def _bernoulli(a: Attrs, p: np.ndarray, key: np.ndarray, offset: np.ndarray) -> np.ndarray:
    chances: Any = p.astype(np.float64 if p.dtype == np.float64 else np.float32).reshape(-1)
    return philox_reference.bernoulli(int(key), int(offset), p.size, chances).reshape(p.shape).astype(p.dtype)


bernoulli = define(
    "bernoulli", family=RANDOM, infer=_bernoulli_type, reference=_bernoulli, vjp=lambda g, y, a, p, key,
    offset: [zeros_like(p), None, None],
    samples=lambda: [
        Sample((np.linspace(0, 1, 12).reshape(3, 4), *_state()), grad_inputs=()), Sample((np.asarray(0.5, np.float32), *_state())),
        Sample((np.ones((0, 2)), *_state())), Sample((np.linspace(0, 1, 6).astype(np.float16), *_state()), grad_inputs=()),
        Sample((np.ones(3, np.int64), *_state()), error=DTypeError, match="floating-point"),
    ], doc="1 with each element's probability, else 0. A draw does not vary smoothly: its gradient is zero.",
)  # fmt: skip


def _permutation_type(a: PermutationAttrs, key: Any, offset: Any) -> tuple[Shape, DType]:
    _check_state("random_permutation", key, offset)
    if a.n < 0:
        raise RuntimeError(f"n must be non-negative, got {a.n}")
    return (a.n,), int64


random_permutation = define(
    "random_permutation", family=RANDOM, attrs=PermutationAttrs, infer=_permutation_type, vjp=DRAWN,
    reference=lambda a, key,
    offset: np.argsort(philox_reference.uniform(int(key), int(offset), a.n, "float64"), kind="stable").astype(np.int64),
    samples=lambda: [
        Sample(_state(), PermutationAttrs(7)), Sample(_state(), PermutationAttrs(0)),
        Sample(_state(), PermutationAttrs(-1), error=RuntimeError, match="n must be non-negative"),
    ], doc="0 ... n - 1 in random order: the order that sorts n float64 uniforms.",
)  # fmt: skip


# ---------------------------------------------------------------- dropout


def _dropout_type(a: DropoutAttrs, x: Any, key: Any, offset: Any) -> tuple[Shape, DType]:
    if not 0.0 <= a.p <= 1.0:
        raise ArgumentError(f"dropout probability has to be between 0 and 1, but got {a.p}")
    _check_state("dropout", key, offset)
    return x.shape, must_float("dropout", x)


def _kept(a: DropoutAttrs, x: Node, key: Node, offset: Node) -> Node:
    """1 / (1 - p) where an element stays, 0 where it goes: never saved, drawn again by whoever needs it."""
    stays = ge(random_uniform(key, offset, shape=x.shape, dtype=float32), constant(a.p, float32))
    return cast(stays, dtype=x.dtype) * (0.0 if a.p == 1 else 1 / (1 - a.p))


def _dropout(a: DropoutAttrs, x: Node, key: Node, offset: Node) -> Node:
    wide = widen(x)
    return narrow(mul(wide, _kept(a, wide, key, offset)), x.dtype)


def _dropout_reference(a: DropoutAttrs, x: np.ndarray, key: np.ndarray, offset: np.ndarray) -> np.ndarray:
    stays = philox_reference.uniform(int(key), int(offset), x.size).reshape(x.shape) >= np.float32(a.p)
    with np.errstate(invalid="ignore"):
        return (x.astype(np.float64) * stays * (0.0 if a.p == 1 else 1 / (1 - a.p))).astype(x.dtype)


def _dropout_samples() -> Iterable[Sample]:
    x = np.random.default_rng(27).standard_normal((4, 5))
    for p in (0.0, 0.3, 0.5, 1.0):
        yield Sample((x, *_state()), DropoutAttrs(p))
    yield Sample((x.astype(np.float16), *_state()), DropoutAttrs(0.4), grad_inputs=(), tolerance=1e-2)
    yield Sample((np.zeros((0, 3)), *_state()), DropoutAttrs())
    yield Sample((x, *_state()), DropoutAttrs(1.5), error=ValueError, match="dropout probability has to be between 0 and 1, but got 1.5")
    yield Sample((np.ones(3, bool), *_state()), DropoutAttrs(), error=DTypeError, match="floating-point")


dropout: OpDef = define(
    "dropout", family=RANDOM, attrs=DropoutAttrs, infer=_dropout_type, decompose=_dropout, reference=_dropout_reference,
    samples=_dropout_samples,
    vjp=lambda g, y, a, x, key, offset: [dropout(g, key, offset, p=a.p), None, None],
    doc="Elements become 0 with probability p, the others grow by 1 / (1 - p). The gradient is masked by the same numbers, drawn again.",
)  # fmt: skip
