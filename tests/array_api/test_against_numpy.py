"""The same calls through NumPy's main namespace, which follows the standard, and through ours: values, dtypes and shapes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from monograph import array_api as xp

# What a call may use: n is the namespace, the rest are arrays of that namespace.
VALUES: dict[str, np.ndarray] = {
    "v": np.array([3.0, -1.5, 0.0, 2.25, -0.0], np.float64),
    "w": np.array([0.5, 2.0, -1.0, 0.25, 4.0], np.float64),
    "odd": np.array([np.nan, np.inf, -np.inf, 1.0, -0.0], np.float64),
    "unit": np.array([0.25, -0.5, 0.75, 0.0, 1.0], np.float64),
    "f": np.arange(24, dtype=np.float32).reshape(2, 3, 4) / 7,
    "i": np.array([[5, -3, 7], [0, 2, -3]], np.int64),
    "small": np.array([[1, 2, 3], [4, 5, 6]], np.int8),
    "u": np.array([200, 100, 3], np.uint8),
    "b": np.array([[True, False, True], [False, False, True]]),
    "zero": np.array(7, np.int64),
    "none": np.zeros((0, 3), np.float32),
    "m": np.array([[4.0, 1.0, 0.5], [1.0, 3.0, 0.25], [0.5, 0.25, 2.0]], np.float64),
    "ms": np.stack([np.array([[2.0, 1.0], [1.0, 3.0]]), np.array([[1.0, 0.5], [0.5, 2.0]])]),
    "at": np.array([2, 0, 1], np.int64),
    "c": np.array([1 + 2j, -0.5j, 3 + 0j], np.complex128),
}

CALLS = """
n.abs(v); n.acos(unit); n.acosh(n.abs(w)+1); n.asin(unit); n.asinh(v); n.atan(odd); n.atanh(unit); n.ceil(v); n.floor(v); n.trunc(v); n.round(v)
n.cos(v); n.cosh(v); n.exp(odd); n.expm1(odd); n.log(n.abs(w)); n.log1p(n.abs(v)); n.log2(n.abs(w)); n.log10(n.abs(w)); n.sin(v); n.sinh(v)
n.sqrt(n.abs(v)); n.square(i); n.tan(v); n.tanh(odd); n.sign(odd); n.sign(i); n.signbit(odd); n.isfinite(odd); n.isinf(odd); n.isnan(odd)
n.negative(i); n.positive(v); n.reciprocal(w); n.bitwise_invert(i); n.bitwise_invert(b); n.logical_not(b); n.ceil(i); n.abs(i)
n.conj(c); n.real(c); n.imag(c); n.abs(c); n.exp(c); n.sqrt(c); n.square(c); n.real(v); n.multiply(c, c); n.isnan(c); n.equal(c, c)
n.add(v, w); n.subtract(i, small); n.multiply(small, zero); n.divide(v, w); n.floor_divide(i, 2); n.floor_divide(v, w); n.remainder(v, w); n.remainder(i, 4)
n.pow(n.abs(w), v); n.pow(i, 3); n.pow(v, 2); n.atan2(odd, w); n.hypot(v, w); n.copysign(v, odd); n.logaddexp(v, w); n.nextafter(v, w)
n.maximum(odd, w); n.minimum(odd, w); n.maximum(i, 1); n.clip(v, -1, 2); n.clip(i, 0, 3); n.clip(v, None, 1.0); n.clip(v, w-1, w+1); n.clip(v)
n.equal(v, w); n.not_equal(i, small); n.less(small, zero); n.less_equal(v, 0); n.greater(v, w); n.greater_equal(i, 2); n.logical_and(b, b[0]); n.logical_xor(b, True)
n.logical_or(b, b[::-1, :]); n.bitwise_and(i, 6); n.bitwise_or(i, small); n.bitwise_xor(b, b[0]); n.bitwise_left_shift(small, 2); n.bitwise_right_shift(i, 1)
n.arange(5); n.arange(2, 9, 3); n.arange(5, 0, -2); n.arange(0); n.arange(3, 1); n.arange(-1, 0.0, -1).dtype == n.arange(1.0).dtype; n.linspace(0, 1, 5, dtype=n.float64); n.linspace(0, 3, 3, endpoint=False, dtype=n.float32)
n.eye(3, k=1, dtype=n.int32); n.eye(2, 4, k=-1, dtype=n.float32); n.full((2, 2), 7); n.full(3, True); n.full_like(i, 2); n.zeros_like(small); n.ones_like(b); n.zeros((0, 2), dtype=n.int8)
n.ones(3, dtype=n.float32); n.tril(f, k=1); n.triu(f, k=-1); n.meshgrid(v, w); n.meshgrid(at, u, indexing='ij'); n.asarray([[1, 2], [3, 4]]); n.asarray(True); n.asarray(3)
n.asarray([1.5, 2], dtype=n.float32); n.empty((2, 0), dtype=n.int16); n.asarray(i, dtype=n.float64); n.asarray(v, copy=True)
n.broadcast_to(at, (2, 3)); n.broadcast_arrays(i, at); n.concat([i, small]); n.concat([i, i], axis=None); n.concat([f, f], axis=-1); n.expand_dims(i, axis=1); n.expand_dims(f, axis=(0, -1))
n.flip(i); n.flip(f, axis=(0, 2)); n.moveaxis(f, 0, -1); n.moveaxis(f, (0, 1), (1, 2)); n.permute_dims(f, (2, 0, 1)); n.repeat(i, 2); n.repeat(i, 2, axis=1); n.repeat(at, at); n.reshape(f, (6, -1))
n.reshape(i, (3, 2), copy=True); n.roll(i, 1); n.roll(f, (1, 2), axis=(0, 2)); n.squeeze(f[:1, ...], axis=0); n.stack([i, i], axis=1); n.tile(i, (2, 1, 2)); n.tile(f, (2,)); n.unstack(f, axis=1)
n.take(f, at, axis=1); n.take(v, at); n.take_along_axis(i, n.argsort(i, axis=1), axis=1); n.take(f, -at - 1, axis=2)
n.argmax(i); n.argmax(f, axis=1); n.argmin(i, axis=0, keepdims=True); n.argmax(odd); n.count_nonzero(b, axis=1); n.count_nonzero(i); n.nonzero(b); n.nonzero(v)
n.searchsorted(n.sort(v), w); n.searchsorted(n.sort(v), w, side='right'); n.searchsorted(v, w, sorter=n.argsort(v)); n.where(b, i, small); n.where(b, i, 0); n.where(v > 0, 1.0, v)
n.sort(i); n.sort(f, axis=0, descending=False); n.argsort(i, axis=0); n.sort(odd); n.sort(n.unique_values(i)); n.unique_counts(i); n.unique_inverse(i); n.unique_all(i); n.sort(n.unique_values(odd)); n.isin(i, at); n.isin(i, at, invert=True)
n.sum(i); n.sum(small, axis=0); n.sum(u); n.sum(f, axis=(0, 2)); n.sum(none, axis=0); n.sum(b); n.prod(small, axis=1); n.prod(f, axis=(0, 1)); n.prod(u); n.max(odd); n.max(i, axis=1, keepdims=True); n.min(f, axis=(1, 2))
n.mean(f); n.mean(f, axis=(0, 1), keepdims=True); n.std(f, axis=1); n.std(v, correction=1.0); n.var(f, axis=(0, 2), correction=2.0); n.var(v); n.all(b, axis=1); n.any(b, axis=0, keepdims=True); n.all(none); n.any(f, axis=(0, 1))
n.sum(f, axis=()); n.all(i, axis=()); n.max(i, axis=()); n.sum(small, dtype=n.int16); n.cumulative_sum(small, axis=1); n.cumulative_sum(v, include_initial=True); n.cumulative_prod(i, axis=0); n.cumulative_prod(u)
n.diff(i); n.diff(f, axis=1, n=2); n.diff(v, prepend=w[:1]); n.diff(v, append=w[:2])
n.matmul(m, m); n.matmul(ms, ms[0, ...]); n.matmul(m, m[0, ...]); n.matmul(i, i.T); n.matrix_transpose(f); n.tensordot(f, f, axes=((0, 1), (0, 1))); n.tensordot(m, m, axes=1); n.tensordot(v, w, axes=0); n.vecdot(v, w); n.vecdot(f, f, axis=1); n.vecdot(c, c)
n.linalg.cholesky(m); n.linalg.cholesky(m, upper=True); n.linalg.cross(m, m[::-1, :]); n.linalg.det(ms); n.linalg.diagonal(f, offset=1); n.linalg.eigh(m)[0]; n.linalg.eigvalsh(ms); n.linalg.inv(ms); n.linalg.matrix_norm(ms)
n.linalg.matrix_norm(m, ord='nuc'); n.linalg.matrix_norm(m, ord=1, keepdims=True); n.linalg.matrix_norm(m, ord=-2); n.linalg.matrix_power(m, 3); n.linalg.matrix_power(ms, -1); n.linalg.matrix_rank(ms); n.linalg.outer(v, w); n.linalg.pinv(m[:, :2])
n.abs(n.linalg.qr(m)[1]); n.linalg.qr(m[:, :2], mode='complete')[0].shape; n.linalg.slogdet(ms); n.linalg.solve(m, m[0, ...]); n.linalg.solve(ms, m[:2, :]); n.linalg.svdvals(m); n.linalg.svd(m)[1]; n.linalg.trace(f, offset=1); n.linalg.trace(small)
n.linalg.vector_norm(f); n.linalg.vector_norm(f, axis=(0, 2), ord=1); n.linalg.vector_norm(v, ord=n.inf, keepdims=True); n.linalg.vector_norm(m, axis=0, ord=3)
n.fft.fft(v); n.fft.ifft(c, n=5); n.fft.rfft(v, norm='ortho'); n.fft.irfft(c); n.fft.fftn(m, axes=(0, 1)); n.fft.rfftn(f, axes=(1, 2)); n.fft.hfft(c); n.fft.ihfft(v); n.fft.fftshift(v); n.fft.ifftshift(m, axes=1); n.astype(n.fft.fftfreq(5, d=0.5), n.float32)
n.astype(v, n.int32); n.astype(i, n.bool); n.can_cast(n.int8, n.int16); n.can_cast(n.int64, n.int8); n.isdtype(n.int8, 'integral'); n.isdtype(n.float32, ('bool', 'numeric')); n.isdtype(n.complex64, 'real floating')
n.finfo(n.float32).bits; n.iinfo(n.int16).max; n.broadcast_shapes((2, 1), (3,)); i[::-1, :]; f[..., ::-2]; f[1, ::-1, None, 1:3]; v[::-1]; v[3:0:-2]; i[b]; f[:, 0]; v[0:0:-1]
v + w; i + small; small * zero; zero - small; 2 - i; 1.5 / w; i // 2; v % w; 7 % i[0, :1]; w ** 2; 2 ** small; i & 6; i | small; 1 ^ i; small << 1; i >> 1; -v; abs(i); ~b; v < w; i == small; 0 <= v; m @ m; +i
"""  # noqa: E501 - a table of calls


def calls() -> list[str]:
    return [call.strip() for line in CALLS.strip().splitlines() for call in line.split("; ")]


def evaluated(call: str, namespace: Any, make: Callable[[np.ndarray], Any]) -> Any:
    scope = {name: make(array.copy()) for name, array in VALUES.items()}
    return eval(call, {"n": namespace, **scope})


def of_numpy(call: str) -> Any:
    with np.errstate(all="ignore"):
        if "descending" in call:
            call = call.replace(", descending=False", "")
        return evaluated(call, np, lambda array: array)


def same(ours: Any, theirs: Any, call: str) -> None:
    if isinstance(theirs, tuple | list) and not isinstance(ours, xp.Array):
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            same(a, b, call)
    elif isinstance(theirs, np.ndarray | np.generic) and isinstance(ours, xp.Array):
        assert tuple(ours.shape) == theirs.shape
        assert ours.dtype.name == theirs.dtype.name, f"{call}: {ours.dtype} where NumPy has {theirs.dtype}"
        tolerance = 1e-5 if theirs.dtype in (np.float32, np.complex64) else 1e-10
        np.testing.assert_allclose(np.asarray(ours), theirs, rtol=tolerance, atol=tolerance)
    else:
        assert ours == theirs


@pytest.mark.parametrize("call", calls())
def test_call(call: str) -> None:
    same(evaluated(call, xp, xp.asarray), of_numpy(call), call)
