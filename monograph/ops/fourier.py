"""Fourier transforms: complex to complex along several dimensions, and between real and half-complex values along one.

All are linear, so each one's gradient is its adjoint: the transform in the other direction with the same scale. Half-complex values
stand for both k and n - k, except the first (and, of an even length, the last): `doubled` says how often the others count, so that the
adjoint of a real transform is again one of these ops. NumPy's transforms are the meaning; float32 stays in single precision.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from monograph.core.attrs import Attrs, Size, attrs
from monograph.core.dtype import dtype as DType
from monograph.core.errors import DTypeError, ShapeError
from monograph.core.shape import Shape
from monograph.graph.op import Family, OpDef, Sample, define
from monograph.ops.samples import draw

SCALES = ("none", "root", "size")  # the result divided by 1, by the square root of the number of points, by that number


@attrs
class FftAttrs(Attrs):
    """Dimensions, the sign of the exponent (forward: minus) and the scale, one of SCALES."""

    dims: tuple[int, ...]
    forward: bool = True
    scale: str = "none"


@attrs
class RealFftAttrs(Attrs):
    """One dimension, its length in real values, sign and scale; bins that count twice are multiplied by 2 ** doubled (-1, 0 or 1)."""

    dim: int
    length: Size
    forward: bool = True
    scale: str = "none"
    doubled: int = 0


def _factor(scale: str, points: int) -> float:
    if scale == "none" or not points:
        return 1.0
    return 1.0 / points if scale == "size" else 1.0 / math.sqrt(points)


def _scaled(x: np.ndarray, scale: str, points: int) -> np.ndarray:
    return x if scale == "none" else x * x.real.dtype.type(_factor(scale, points))


def _check(name: str, x: Any, kind: str, dims: tuple[int, ...]) -> None:
    if x.dtype.kind != kind or x.dtype.itemsize < (4 if kind == "f" else 8):
        wanted = "complex64 or complex128" if kind == "c" else "float32 or float64"
        raise DTypeError(f"{name} takes {wanted}, got {x.dtype.name}: cast the input first")
    rank = len(x.shape)
    if any(not 0 <= d < rank for d in dims):
        raise ShapeError(f"{name}: dims {dims} do not exist in shape {tuple(x.shape)}")


# ---- complex to complex ----


def _c2c_type(a: FftAttrs, x: Any) -> tuple[Shape, DType]:
    _check("fft_c2c", x, "c", a.dims)
    return x.shape, x.dtype


def _c2c(a: FftAttrs, x: np.ndarray) -> np.ndarray:
    if not x.size or not a.dims:
        return x.copy()
    transform: Any = np.fft.fftn if a.forward else np.fft.ifftn
    norm = {("none", True): "backward", ("none", False): "forward", ("size", True): "forward", ("size", False): "backward"}
    with np.errstate(all="ignore"):
        return transform(x, axes=a.dims, norm=norm.get((a.scale, a.forward), "ortho")).astype(x.dtype, copy=False)


def _complex(shape: tuple[int, ...], dtype: Any = np.complex128) -> np.ndarray:
    return (draw(shape) + 1j * draw(shape, seed=1)).astype(dtype)


def _c2c_samples() -> Iterable[Sample]:
    for shape, dims in (((5,), (0,)), ((2, 3), (0, 1)), ((2, 4, 3), (0, 2)), ((0, 3), (1,)), ((2, 0), (0,))):
        for forward in (True, False):
            for scale in SCALES:
                yield Sample((_complex(shape),), FftAttrs(dims, forward, scale))
    yield Sample((_complex((2, 6), np.complex64),), FftAttrs((1,)), grad_inputs=(), tolerance=1e-4)
    yield Sample((np.array([np.nan, 1.0, np.inf], np.complex128),), FftAttrs((0,)), grad_inputs=())
    yield Sample((draw((3,)),), FftAttrs((0,)), error=DTypeError, match="complex64 or complex128")
    yield Sample((_complex((3,)),), FftAttrs((1,)), error=ShapeError, match="do not exist")


fft_c2c: OpDef = define(
    "fft_c2c",
    family=Family.CONTRACTION,
    attrs=FftAttrs,
    infer=_c2c_type,
    reference=_c2c,
    vjp=lambda g, y, a, x: [fft_c2c(g, dims=a.dims, forward=not a.forward, scale=a.scale)],
    samples=_c2c_samples,
    doc="The discrete Fourier transform of complex values along some dimensions.",
)


# ---- real to half-complex ----


def _weigh(x: np.ndarray, a: RealFftAttrs) -> np.ndarray:
    """`x` with the bins that stand for two of them multiplied."""
    if not a.doubled:
        return x
    x = x.copy()
    inner = [slice(None)] * x.ndim
    inner[a.dim] = slice(1, (a.length + 1) // 2)
    x[tuple(inner)] *= x.real.dtype.type(2.0**a.doubled)
    return x


def _r2c_type(a: RealFftAttrs, x: Any) -> tuple[Shape, DType]:
    _check("fft_r2c", x, "f", (a.dim,))
    shape = tuple(x.shape)
    return (*shape[: a.dim], a.length // 2 + 1, *shape[a.dim + 1 :]), x.dtype.to_complex()


def _r2c(a: RealFftAttrs, x: np.ndarray) -> np.ndarray:
    made = np.complex64 if x.dtype == np.float32 else np.complex128
    if not x.size:
        return np.zeros((*x.shape[: a.dim], a.length // 2 + 1, *x.shape[a.dim + 1 :]), made)
    with np.errstate(all="ignore"):
        y = np.fft.rfft(x, axis=a.dim).astype(made, copy=False)
        y = y if a.forward else np.conj(y)
        return _weigh(_scaled(y, a.scale, a.length), a)


def _c2r_type(a: RealFftAttrs, x: Any) -> tuple[Shape, DType]:
    _check("fft_c2r", x, "c", (a.dim,))
    shape = tuple(x.shape)
    if shape[a.dim] != a.length // 2 + 1:
        raise ShapeError(f"fft_c2r: {a.length} real values have {a.length // 2 + 1} bins, got {shape[a.dim]} along dim {a.dim} of {shape}")
    return (*shape[: a.dim], a.length, *shape[a.dim + 1 :]), x.dtype.to_real()


def _c2r(a: RealFftAttrs, x: np.ndarray) -> np.ndarray:
    made = np.float32 if x.dtype == np.complex64 else np.float64
    if not x.size:
        return np.zeros((*x.shape[: a.dim], a.length, *x.shape[a.dim + 1 :]), made)
    with np.errstate(all="ignore"):
        x = _weigh(np.conj(x) if a.forward else x, a)
        y = np.fft.irfft(x, a.length, axis=a.dim, norm="forward").astype(made, copy=False)
        return _scaled(y, a.scale, a.length)


def _real_cases() -> Iterable[tuple[tuple[int, ...], int]]:
    yield from (((6,), 0), ((5,), 0), ((1,), 0), ((2, 4), 1), ((3, 2), 0), ((2, 5, 2), 1), ((0, 4), 1))


def _r2c_samples() -> Iterable[Sample]:
    for shape, dim in _real_cases():
        for forward, scale, doubled in ((True, "none", 0), (False, "root", 1), (True, "size", -1)):
            yield Sample((draw(shape),), RealFftAttrs(dim, shape[dim], forward, scale, doubled))
    yield Sample((draw((2, 6), dtype=np.float32),), RealFftAttrs(1, 6), grad_inputs=(), tolerance=1e-4)
    yield Sample((np.ones(3, np.float16),), RealFftAttrs(0, 3), error=DTypeError, match="float32 or float64")
    yield Sample((np.ones(3),), RealFftAttrs(1, 3), error=ShapeError, match="do not exist")


def _c2r_samples() -> Iterable[Sample]:
    for shape, dim in _real_cases():
        bins = (*shape[:dim], shape[dim] // 2 + 1, *shape[dim + 1 :])
        for forward, scale, doubled in ((False, "none", 0), (True, "root", -1), (False, "size", 1)):
            yield Sample((_complex(bins),), RealFftAttrs(dim, shape[dim], forward, scale, doubled))
    yield Sample((_complex((2, 4), np.complex64),), RealFftAttrs(1, 6, False), grad_inputs=(), tolerance=1e-4)
    yield Sample((draw((4,)),), RealFftAttrs(0, 6), error=DTypeError, match="complex64 or complex128")
    yield Sample((_complex((4,)),), RealFftAttrs(0, 5), error=ShapeError, match="have 3 bins, got 4")


fft_r2c: OpDef = define(
    "fft_r2c",
    family=Family.CONTRACTION,
    attrs=RealFftAttrs,
    infer=_r2c_type,
    reference=_r2c,
    vjp=lambda g, y, a, x: [fft_c2r(g, dim=a.dim, length=a.length, forward=not a.forward, scale=a.scale, doubled=a.doubled - 1)],
    samples=_r2c_samples,
    doc="The first half (n // 2 + 1 bins) of the transform of real values along one dimension.",
)

fft_c2r: OpDef = define(
    "fft_c2r",
    family=Family.CONTRACTION,
    attrs=RealFftAttrs,
    infer=_c2r_type,
    reference=_c2r,
    vjp=lambda g, y, a, x: [fft_r2c(g, dim=a.dim, length=a.length, forward=not a.forward, scale=a.scale, doubled=a.doubled + 1)],
    samples=_c2r_samples,
    doc="Real values from the first half of their transform; the imaginary parts of bins that count once are ignored, as in torch.",
)
