"""Random numbers that need rejection: gamma, Poisson, binomial, von Mises. Computed by the host, with NumPy's generator on our counter.

NumPy's Philox takes the seed as its key and the generator's offset as the upper half of its counter, so draws overlap nothing, and are the
same on any number of threads. Half types are drawn in float64 and rounded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from monograph.core.dtype import dtype as DType
from monograph.core.dtype import float16, int64
from monograph.core.errors import DTypeError, ShapeError
from monograph.core.shape import Shape
from monograph.graph.op import Family, NotDifferentiable, OpDef, Sample, define
from monograph.ops.broadcasting import FLOATING, fixed, mismatch, refuse
from monograph.ops.source import zeros_like
from monograph.ops.special import gamma_sample_slope

RANDOM = Family.RANDOM
MASK = (1 << 64) - 1
LARGEST_RATE = 9.0e18  # what NumPy's Poisson takes


def _infer(name: str, parameters: int) -> Callable[..., tuple[Shape, DType]]:
    """Floating parameters of one type and shape, then key and offset."""

    def infer(a: Any, *nodes: Any) -> tuple[Shape, DType]:
        *given, key, offset = nodes
        first = given[0]
        if len(given) != parameters or first.dtype.kind not in FLOATING:
            raise refuse(name, first.dtype, FLOATING)
        for x in given[1:]:
            if x.dtype is not first.dtype:
                raise mismatch(name, *given)
            if x.shape != first.shape:
                shapes = ", ".join(str(list(p.shape)) for p in given)
                raise ShapeError(f"{name} takes parameters of one shape, got {shapes}: expand them first")
        if key.shape != () or offset.shape != () or key.dtype is not int64 or offset.dtype is not int64:
            got = f"{key.dtype.name}{list(key.shape)} and {offset.dtype.name}{list(offset.shape)}"
            raise ShapeError(f"{name} takes key and offset as 0-d int64, got {got}")
        return first.shape, first.dtype

    return infer


def _drawing(draw: Callable[..., Any]) -> Callable[..., Any]:
    """A reference from `draw(generator, *parameters)`; where a parameter is NaN the result is NaN."""

    def reference(a: Any, *inputs: Any) -> Any:
        *given, key, offset = inputs
        stream = np.random.Philox(key=int(key) & MASK, counter=(int(offset) & MASK) << 128)
        wide = [np.asarray(x, np.float64) for x in given]
        lost = np.any([np.isnan(x) for x in wide], axis=0)
        made = draw(np.random.Generator(stream), *[np.where(lost, 0.5, x) for x in wide])
        with np.errstate(all="ignore"):
            return np.where(lost, np.nan, made).astype(given[0].dtype)

    return reference


def _samples(name: str, *parameters: np.ndarray) -> Callable[[], Iterable[Sample]]:
    def make() -> Iterable[Sample]:
        state = np.asarray(7), np.asarray(3)
        for d in (np.float64, np.float32, float16.np):
            yield Sample((*[p.astype(d) for p in parameters], *state), grad_inputs=())
        yield Sample((*[np.zeros((0, 2)) for _ in parameters], np.asarray(-1), np.asarray(2**40)), grad_inputs=())
        yield Sample((*[np.asarray(np.nan) for _ in parameters], *state), grad_inputs=())
        yield Sample((*[np.ones(2, np.int64) for _ in parameters], *state), error=DTypeError, match=f"{name} expects floating-point")
        yield Sample((*parameters, np.ones(2, np.int64), np.asarray(0)), error=ShapeError, match="0-d int64")

    return make


def _gamma(g: np.random.Generator, alpha: np.ndarray) -> np.ndarray:
    """Never 0: the logarithm of a sample is finite (torch does the same)."""
    return np.maximum(g.standard_gamma(np.maximum(alpha, 0)), np.finfo(np.float32).tiny)


def _gamma_slopes(g: Any, y: Any, a: Any, alpha: Any, key: Any, offset: Any) -> list[Any]:
    return [None if fixed(alpha) else g * gamma_sample_slope(alpha, y), None, None]


RATES = np.array([[0.3, 1.0, 2.5], [40.0, 0.0, 7.0]])

random_gamma: OpDef = define(
    "random_gamma",
    family=RANDOM,
    infer=_infer("random_gamma", 1),
    reference=_drawing(_gamma),
    vjp=_gamma_slopes,
    samples=_samples("random_gamma", np.array([[0.3, 1.0, 2.5], [40.0, 0.01, 7.0]])),
    doc="Samples of the gamma distribution of rate 1, differentiable in the concentration (implicitly: Figurnov, Mohamed, Mnih 2018).",
)

random_poisson = define(
    "random_poisson",
    family=RANDOM,
    infer=_infer("random_poisson", 1),
    reference=_drawing(lambda g, rate: g.poisson(np.clip(rate, 0, LARGEST_RATE))),
    vjp=lambda g, y, a, rate, key, offset: [zeros_like(rate), None, None],
    samples=_samples("random_poisson", RATES),
    doc="Samples of the Poisson distribution.",
)

random_binomial = define(
    "random_binomial",
    family=RANDOM,
    infer=_infer("random_binomial", 2),
    reference=_drawing(lambda g, count, p: g.binomial(np.maximum(count, 0).astype(np.int64), np.clip(p, 0, 1))),
    vjp=lambda g, y, a, count, p, key, offset: [zeros_like(count), zeros_like(p), None, None],
    samples=_samples("random_binomial", np.array([[3.0, 10.0, 0.0], [100.0, 1.0, 7.0]]), np.array([[0.3, 0.9, 0.5], [0.01, 0.0, 1.0]])),
    doc="How many of `count` trials succeed, each with probability p.",
)

random_von_mises = define(
    "random_von_mises",
    family=RANDOM,
    infer=_infer("random_von_mises", 1),
    reference=_drawing(lambda g, kappa: g.vonmises(0.0, np.maximum(kappa, 0))),
    vjp=NotDifferentiable("samples of the von Mises distribution are found by rejection"),
    samples=_samples("random_von_mises", RATES),
    doc="Angles around 0 of the von Mises distribution of concentration kappa.",
)

__all__ = ["random_binomial", "random_gamma", "random_poisson", "random_von_mises"]
