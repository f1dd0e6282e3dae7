"""Maps of vectors and matrices: to the simplex, to triangular and definite matrices, several maps side by side."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from monograph.core.dtype import finfo
from monograph.distributions import constraints
from monograph.distributions.parameters import softplus
from monograph.distributions.tensors import mt
from monograph.distributions.transforms import Transform


class SoftmaxTransform(Transform):
    """y = softmax(x): onto the simplex, but not one to one."""

    domain, codomain = constraints.real_vector, constraints.simplex

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SoftmaxTransform)

    __hash__ = object.__hash__

    def _call(self, x: Any) -> Any:
        return x.softmax(-1)

    def _undo(self, y: Any) -> Any:
        return y.log()

    def forward_shape(self, shape: Any) -> Any:
        if len(shape) < 1:
            raise ValueError("Too few dimensions on input")
        return shape

    inverse_shape = forward_shape


class StickBreakingTransform(Transform):
    """From n numbers to n + 1 probabilities, each a share of what the ones before have left."""

    domain, codomain, bijective = constraints.real_vector, constraints.simplex, True

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StickBreakingTransform)

    __hash__ = object.__hash__

    def _offset(self, n: int, like: Any) -> Any:
        return mt.arange(n, 0, -1, dtype=like.dtype).log()

    def _call(self, x: Any) -> Any:
        z = (x - self._offset(x.shape[-1], x)).sigmoid()
        z = z.clamp(min=finfo(x.dtype).tiny, max=1.0 - finfo(x.dtype).eps)
        left = (1 - z).cumprod(-1)
        one = mt.ones((*x.shape[:-1], 1), dtype=x.dtype)
        return mt.cat([z, one], -1) * mt.cat([one, left], -1)

    def _undo(self, y: Any) -> Any:
        shares = y[..., :-1]
        left = 1 - shares.cumsum(-1)
        left = left.clamp(min=finfo(y.dtype).tiny)
        return shares.log() - left.log() + self._offset(shares.shape[-1], y)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        moved = x - self._offset(x.shape[-1], x)
        return (-moved - softplus(-moved) + y[..., :-1].log()).sum(-1)

    def forward_shape(self, shape: Any) -> Any:
        return (*shape[:-1], shape[-1] + 1)

    def inverse_shape(self, shape: Any) -> Any:
        return (*shape[:-1], shape[-1] - 1)


def _with_diagonal(strict: Any, diagonal: Any) -> Any:
    n = diagonal.shape[-1]
    return strict + mt.eye(n, dtype=diagonal.dtype) * diagonal.unsqueeze(-1)


class LowerCholeskyTransform(Transform):
    """From square matrices to lower triangles with a positive diagonal (exp of the given one)."""

    domain, codomain = constraints.independent(constraints.real, 2), constraints.lower_cholesky

    def __eq__(self, other: object) -> bool:
        return isinstance(other, LowerCholeskyTransform)

    __hash__ = object.__hash__

    def _call(self, x: Any) -> Any:
        return _with_diagonal(x.tril(-1), x.diagonal(dim1=-2, dim2=-1).exp())

    def _undo(self, y: Any) -> Any:
        return _with_diagonal(y.tril(-1), y.diagonal(dim1=-2, dim2=-1).log())


class PositiveDefiniteTransform(Transform):
    """L L^T of a LowerCholeskyTransform."""

    domain, codomain = constraints.independent(constraints.real, 2), constraints.positive_definite

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PositiveDefiniteTransform)

    __hash__ = object.__hash__

    def _call(self, x: Any) -> Any:
        lower = LowerCholeskyTransform()(x)
        return lower @ lower.mT

    def _undo(self, y: Any) -> Any:
        return LowerCholeskyTransform().inv(y.cholesky())


def vec_to_tril(x: Any, diagonal: int = -1) -> Any:
    """A lower triangle from the vector of its elements below `diagonal`, row by row."""
    count = x.shape[-1]
    # n (n + 1) / 2 elements fill a triangle of n rows, which `diagonal` moves
    n = round((math.sqrt(8 * count + 1) - 1) / 2)
    if n * (n + 1) // 2 != count:
        raise ValueError(
            f"The size of last dimension is {count} which cannot be expressed as the lower triangular part of a square D x D matrix."
        )
    size = n - diagonal
    rows = [
        mt.cat([x[..., i * (i + 1) // 2 : (i + 1) * (i + 2) // 2], mt.zeros((*x.shape[:-1], size - i - 1), dtype=x.dtype)], -1)
        for i in range(n)
    ]
    blank = [mt.zeros((*x.shape[:-1], size), dtype=x.dtype) for _ in range(size - n)]
    return mt.stack([*blank, *rows], -2)


def tril_to_vec(x: Any, diagonal: int = -1) -> Any:
    """The elements of matrices on and below `diagonal`, row by row."""
    n = x.shape[-1]
    parts = [x[..., i, : max(0, i + diagonal + 1)] for i in range(n)]
    return mt.cat([p for p in parts if p.shape[-1]] or [x[..., 0, :0]], -1)


class CorrCholeskyTransform(Transform):
    """From n (n - 1) / 2 numbers to the Cholesky factor of a correlation matrix of n rows (Lewandowski, Kurowicka, Joe 2009)."""

    domain, codomain, bijective = constraints.real_vector, constraints.corr_cholesky, True

    def _call(self, x: Any) -> Any:
        eps = finfo(x.dtype).eps
        r = vec_to_tril(x.tanh().clamp(min=-1 + eps, max=1 - eps))
        left = (1 - r * r).sqrt().cumprod(-1)
        r = r + mt.eye(r.shape[-1], dtype=r.dtype)
        one = mt.ones((*left.shape[:-1], 1), dtype=left.dtype)
        return r * mt.cat([one, left[..., :-1]], -1)

    def _undo(self, y: Any) -> Any:
        left = 1 - (y * y).cumsum(-1)
        before = mt.cat([mt.ones((*y.shape[:-1], 1), dtype=y.dtype), left[..., :-1]], -1)
        ratio = tril_to_vec(y) / tril_to_vec(before).sqrt()
        return (ratio.log1p() - (-ratio).log1p()) / 2

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        left = 1 - (y * y).cumsum(-1)
        stick = tril_to_vec(left, -2).log().sum(-1) / 2
        slope = -2 * (x + softplus(-2 * x) - math.log(2.0)).sum(-1)
        return stick + slope

    def forward_shape(self, shape: Any) -> Any:
        count = shape[-1]
        n = round((0.25 + 2 * count) ** 0.5 + 0.5)
        if n * (n - 1) // 2 != count:
            raise ValueError("Input is not a flattened lower-diagonal number")
        return (*shape[:-1], n, n)

    def inverse_shape(self, shape: Any) -> Any:
        n = shape[-1]
        return (*shape[:-2], n * (n - 1) // 2)


class CatTransform(Transform):
    """Maps of parts of one dimension, of `lengths` elements each."""

    def __init__(self, tseq: Sequence[Transform], dim: int = 0, lengths: Any = None, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.transforms = [t.with_cache(cache_size) for t in tseq] if cache_size else list(tseq)
        self.dim = dim
        self.lengths = [1] * len(self.transforms) if lengths is None else list(lengths)

    def with_cache(self, cache_size: int = 1) -> Transform:
        return self if self._cache_size == cache_size else CatTransform(self.transforms, self.dim, self.lengths, cache_size)

    @property
    def event_dim(self) -> int:
        return max(t.event_dim for t in self.transforms)

    @property
    def length(self) -> int:
        """How many elements the dimension has."""
        return sum(self.lengths)

    @property
    def domain(self) -> Any:  # type: ignore[override]
        """The domains side by side."""
        return constraints.cat([t.domain for t in self.transforms], self.dim, self.lengths)

    @property
    def codomain(self) -> Any:  # type: ignore[override]
        """The codomains side by side."""
        return constraints.cat([t.codomain for t in self.transforms], self.dim, self.lengths)

    @property
    def bijective(self) -> bool:  # type: ignore[override]
        """Whether all are."""
        return all(t.bijective for t in self.transforms)

    def _parts(self, x: Any) -> list[Any]:
        if x.shape[self.dim] != self.length:
            raise ValueError(f"expected {self.length} elements along dimension {self.dim}, got shape {tuple(x.shape)}")
        starts = [sum(self.lengths[:i]) for i in range(len(self.lengths))]
        return [x.narrow(self.dim, s, n) for s, n in zip(starts, self.lengths, strict=True)]

    def _call(self, x: Any) -> Any:
        return mt.cat([t(p) for t, p in zip(self.transforms, self._parts(x), strict=True)], self.dim)

    def _undo(self, y: Any) -> Any:
        return mt.cat([t.inv(p) for t, p in zip(self.transforms, self._parts(y), strict=True)], self.dim)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        found = []
        for t, a, b in zip(self.transforms, self._parts(x), self._parts(y), strict=True):
            value = t.log_abs_det_jacobian(a, b)
            extra = self.event_dim - t.event_dim
            found.append(value.reshape(*value.shape[: value.ndim - extra], -1).sum(-1) if extra else value)
        dim = self.dim if self.dim < 0 else self.dim - x.ndim
        dim += self.event_dim
        return mt.cat(found, dim) if dim < 0 else sum(found)


class StackTransform(Transform):
    """Maps of the slices along one dimension."""

    def __init__(self, tseq: Sequence[Transform], dim: int = 0, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.transforms = [t.with_cache(cache_size) for t in tseq] if cache_size else list(tseq)
        self.dim = dim

    def with_cache(self, cache_size: int = 1) -> Transform:
        return self if self._cache_size == cache_size else StackTransform(self.transforms, self.dim, cache_size)

    @property
    def domain(self) -> Any:  # type: ignore[override]
        """The domains side by side."""
        return constraints.stack([t.domain for t in self.transforms], self.dim)

    @property
    def codomain(self) -> Any:  # type: ignore[override]
        """The codomains side by side."""
        return constraints.stack([t.codomain for t in self.transforms], self.dim)

    @property
    def bijective(self) -> bool:  # type: ignore[override]
        """Whether all are."""
        return all(t.bijective for t in self.transforms)

    def _slices(self, x: Any) -> list[Any]:
        return [x.select(self.dim, i) for i in range(x.shape[self.dim])]

    def _call(self, x: Any) -> Any:
        return mt.stack([t(p) for t, p in zip(self.transforms, self._slices(x), strict=True)], self.dim)

    def _undo(self, y: Any) -> Any:
        return mt.stack([t.inv(p) for t, p in zip(self.transforms, self._slices(y), strict=True)], self.dim)

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        each = zip(self.transforms, self._slices(x), self._slices(y), strict=True)
        return mt.stack([t.log_abs_det_jacobian(a, b) for t, a, b in each], self.dim)
