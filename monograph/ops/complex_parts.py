"""Complex numbers and their parts: conj, angle, sgn; and the bits of values under another dtype, which is also how parts are seen.

Gradients are torch's: dL/da + i dL/db for x = a + ib. An op whose derivative exists in the complex sense says so (Trait.HOLOMORPHIC);
the ops here have none, and their rules hold for complex numbers as they stand. A real input never sees an imaginary part: what made it
complex was a `cast`, whose gradient is a cast back.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from monograph.core.attrs import Attrs, attrs
from monograph.core.dtype import bool_, complex64, complex128, float32, float64, int16, int32, int64, uint8
from monograph.core.dtype import dtype as DType
from monograph.core.errors import AutogradError, DTypeError, ShapeError
from monograph.core.shape import Shape
from monograph.graph.node import Node
from monograph.graph.op import Family, OpDef, Sample, Trait, define
from monograph.ops.broadcasting import refuse, unary
from monograph.ops.compare import eq
from monograph.ops.elementwise import abs as absolute
from monograph.ops.elementwise import as_dtype, where
from monograph.ops.reference_math import plain
from monograph.ops.samples import draw, draw_complex
from monograph.ops.source import constant, zeros_like
from monograph.ops.views import reshape

ELEMENTWISE, POINTWISE = Family.ELEMENTWISE, [Trait.POINTWISE]


def _complex_samples() -> Iterable[Sample]:
    for shape in ((2, 3), (), (0, 3)):
        yield Sample((draw_complex(shape),))
    yield Sample((draw_complex((3, 2)).T.astype(np.complex64),), grad_inputs=())
    yield Sample((np.array([0j, -1, 1j, complex(np.nan, 1), complex(np.inf, -1), complex(0.0, -0.0)]),), grad_inputs=())
    yield Sample((np.array([1]),), error=DTypeError, match="got int64")


conj: OpDef = define(
    "conj", family=ELEMENTWISE, infer=unary("conj", "c"), reference=plain(np.conj), vjp=lambda g, y, a, x: [conj(g)],
    unview=lambda a, base, new: conj(new), samples=_complex_samples, traits=[Trait.POINTWISE, Trait.VIEW], doc="a - ib of a + ib.",
)  # fmt: skip


def _sgn(x: np.ndarray) -> np.ndarray:
    size = np.abs(x)
    return np.where(size == 0, 0, x / np.where(size == 0, 1, size))


def _sgn_slope(g: Node, y: Node, a: Any, x: Node) -> list[Node]:
    """What of g points across y, over the size of x."""
    size = absolute(x)
    zero = constant(0, size.dtype)
    along = as_dtype(as_dtype(conj(y) * g, size.dtype), x.dtype)
    across = (g - y * along) / as_dtype(where(eq(size, zero), constant(1, size.dtype), size), x.dtype)
    return [where(eq(size, zero), constant(0, x.dtype), across)]


sgn = define(
    "sgn", family=ELEMENTWISE, infer=unary("sgn", "c"), reference=plain(_sgn), vjp=_sgn_slope, samples=_complex_samples, traits=POINTWISE,
    doc="x / |x|, 0 of 0.",
)  # fmt: skip


def _angle_type(a: Any, x: Any) -> tuple[Shape, DType]:
    if x.dtype.kind not in "fc":
        raise refuse("angle", x.dtype, "fc")
    return x.shape, x.dtype.to_real()


def _angle(a: Any, x: np.ndarray) -> np.ndarray:
    if x.dtype.kind == "c":
        return np.asarray(np.angle(x))
    wide = x.astype(np.float64)
    return np.where(np.isnan(wide), wide, np.where(wide < 0, math.pi, 0.0)).astype(x.dtype)


def _angle_slope(g: Node, y: Node, a: Any, x: Node) -> list[Node]:
    if x.dtype.kind != "c":
        return [zeros_like(x)]
    size = absolute(x)
    zero = constant(0, size.dtype)
    turn = as_dtype(g / where(eq(size, zero), constant(1, size.dtype), size * size), x.dtype) * constant(1j, x.dtype)
    return [where(eq(size, zero), constant(0, x.dtype), turn * x)]


def _angle_samples() -> Iterable[Sample]:
    yield from _complex_samples()
    yield Sample((np.array([1.5, -2.0, 0.0, -0.0, np.nan, -np.inf]),), grad_inputs=())
    yield Sample((draw((2, 3)),))


angle = define(
    "angle", family=ELEMENTWISE, infer=_angle_type, reference=_angle, vjp=_angle_slope, samples=_angle_samples, traits=POINTWISE,
    doc="The angle to the positive real numbers, in radians: 0 or pi of real numbers.",
)  # fmt: skip


# ---- bits under another dtype ----


@attrs
class BitcastAttrs(Attrs):
    """The dtype that the bits are read as."""

    dtype: DType


def _bitcast_type(a: BitcastAttrs, x: Any) -> tuple[Shape, DType]:
    shape, old, new = x.shape, x.dtype.itemsize, a.dtype.itemsize
    if old == new:
        return shape, a.dtype
    if not shape:
        raise ShapeError(
            f"self.dim() cannot be 0 to view {x.dtype.name} as {a.dtype.name} (different element sizes); add a dimension, x.reshape(1)"
        )
    if old > new:
        return (*shape[:-1], shape[-1] * (old // new)), a.dtype
    ratio = new // old
    if shape[-1] % ratio:
        raise ShapeError(
            f"self.size(-1) must be divisible by {ratio} to view {x.dtype.name} as {a.dtype.name} (different element sizes), but got "
            f"{shape[-1]}"
        )
    return (*shape[:-1], shape[-1] // ratio), a.dtype


def _bitcast(a: BitcastAttrs, x: np.ndarray) -> np.ndarray:
    to = np.dtype(np.uint8) if a.dtype is bool_ else a.dtype.np  # NumPy shifts no bits, but a bool that is neither 0 nor 1 is none
    adjacent = x.ndim and (x.shape[-1] <= 1 or x.strides[-1] == x.itemsize)
    seen = (x if adjacent or x.itemsize == to.itemsize else np.ascontiguousarray(x)).view(to)
    return seen.view(np.bool_) if a.dtype is bool_ else seen


def _bitcast_vjp(g: Node, y: Node, a: BitcastAttrs, x: Node) -> list[Node]:
    if x.dtype.to_real() is not y.dtype.to_real():
        raise AutogradError(f"view({a.dtype.name}) of {x.dtype.name} has no gradient: it reads bits, not numbers; use .to({a.dtype.name})")
    return [bitcast(g, dtype=x.dtype)]


def pairs(x: Node) -> Node:
    """Complex numbers as pairs of real ones, in a last dimension of size 2 more."""
    return bitcast(reshape(x, shape=(*x.shape, 1)), dtype=x.dtype.to_real())


def unpaired(x: Node, dtype: DType) -> Node:
    """Pairs of real numbers as complex ones."""
    return reshape(bitcast(x, dtype=dtype), shape=x.shape[:-1])


def _bitcast_samples() -> Iterable[Sample]:
    yield Sample((draw_complex((2, 3)),), BitcastAttrs(float64))
    yield Sample((draw((3, 4)),), BitcastAttrs(complex128))
    yield Sample((draw_complex((4,)).astype(np.complex64),), BitcastAttrs(float32), grad_inputs=())
    yield Sample((draw((2, 0)),), BitcastAttrs(complex128))
    yield Sample((draw((2, 3)),), BitcastAttrs(float64))
    for x, to in (
        (draw((2, 3), dtype=np.float32), int32), (draw((3, 4), dtype=np.float32).T, uint8), (np.arange(8, dtype=np.uint8), int64),
        (np.array([[1, -2], [3, 4]], np.int32), int16), (np.asarray(7, np.int32), float32), (np.array([True, False]), uint8),
        (np.array([1, 0, 1], np.uint8), bool_), (draw((4, 2), dtype=np.float32), complex64),
    ):  # fmt: skip
        yield Sample((x,), BitcastAttrs(to), grad_inputs=())
    yield Sample((np.asarray(1.5),), BitcastAttrs(float32), error=ShapeError, match="cannot be 0 to view float64 as float32")
    yield Sample((np.ones(3, np.float32),), BitcastAttrs(float64), error=ShapeError, match="must be divisible by 2")


bitcast: OpDef = define(
    "bitcast", family=Family.MOVEMENT, attrs=BitcastAttrs, infer=_bitcast_type, reference=_bitcast, vjp=_bitcast_vjp,
    unview=lambda a, base, new: bitcast(new, dtype=base.dtype), traits=[Trait.VIEW], samples=_bitcast_samples,
    doc="The same memory as another dtype; elements of another size change the last dimension. A complex number is two real ones.",
)  # fmt: skip
