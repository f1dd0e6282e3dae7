"""Operators of torch's own (`torch.ops.aten`) that have no public function of the same name."""

from __future__ import annotations

import builtins
from typing import Any

from monograph.core import dtype as dtypes
from monograph.core.errors import ShapeError
from monograph.tensor import FUNCTIONS
from monograph.tensor.core import Tensor
from monograph.tensor.delivery import deliver

EXACT_TERMS = 512  # products of eight-bit numbers whose sum float32 holds exactly: 255 * 128 * 512 < 2 ** 24


def _to_copy(self: Tensor, *, dtype: Any = None, layout: Any = None, device: Any = None, pin_memory: Any = None, non_blocking: bool = False,
             memory_format: Any = None) -> Tensor:  # fmt: skip
    """A copy, of another dtype or on another device."""
    wanted: dict[str, Any] = {name: value for name, value in (("dtype", dtype), ("device", device)) if value is not None}
    return self.to(**wanted, copy=True) if wanted else self.clone()


def alias(self: Tensor) -> Tensor:
    """A view of the whole."""
    return self.view(self.shape)


def _pin_memory(self: Tensor, device: Any = None) -> Tensor:
    """The tensor: there is no memory to pin for a GPU."""
    return self.pin_memory()


def slice(self: Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1) -> Tensor:  # noqa: A001 - torch's name
    """self[start:end:step] along a dimension."""
    return self[(builtins.slice(None),) * (dim % self.ndim) + (builtins.slice(start, end, step),)]


def index(self: Tensor, indices: Any) -> Tensor:
    """self[indices], None for a whole dimension."""
    return self[tuple(builtins.slice(None) if i is None else i for i in indices)]


def _unsafe_view(self: Tensor, size: Any) -> Tensor:
    """The numbers in another shape."""
    return self.reshape(size)


def lift_fresh(self: Tensor) -> Tensor:
    """The tensor."""
    return self


def _softmax(self: Tensor, dim: int, half_to_float: bool = False) -> Tensor:
    """softmax, in float32 for half precision if asked."""
    return FUNCTIONS["softmax"](self.float() if half_to_float else self, dim)


def _log_softmax(self: Tensor, dim: int, half_to_float: bool = False) -> Tensor:
    """log_softmax, in float32 for half precision if asked."""
    return FUNCTIONS["log_softmax"](self.float() if half_to_float else self, dim)


def _unique2(self: Tensor, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False) -> Any:  # noqa: A002 - torch's name
    """unique, with what is not asked for empty."""
    values, inverse, counts = FUNCTIONS["unique"](self, sorted=sorted, return_inverse=True, return_counts=True)
    empty = inverse.new_empty(0)
    return values, inverse if return_inverse else empty, counts if return_counts else empty


def _int_mm(self: Tensor, mat2: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The product of int8 (or uint8) [n, k] with int8 [k, m], exact, as int32 [n, m]: what quantised layers compute with.

    Computed in float32 over stretches of k so short that every sum is exact, by the kernels of float32. Raises RuntimeError for other
    dtypes and for shapes that do not fit.

    >>> import monograph as mg
    >>> mg._int_mm(mg.tensor([[100, -128]], dtype=mg.int8), mg.tensor([[127], [127]], dtype=mg.int8))
    tensor([[-3556]], dtype=monograph.int32)
    """
    for name, t in (("self", self), ("mat2", mat2)):
        if t.ndim != 2:
            raise ShapeError(f"_int_mm: expected {name} to be of dimension 2 but got {t.ndim}")
    if self.shape[1] != mat2.shape[0]:
        raise ShapeError(f"_int_mm: self.size(1) needs to match mat2.size(0) but got {self.shape[1]} and {mat2.shape[0]}")
    if self.dtype not in (dtypes.int8, dtypes.uint8) or mat2.dtype is not dtypes.int8:
        raise RuntimeError(f"_int_mm: expected int8 or uint8 times int8, got {self.dtype} and {mat2.dtype}; write x.to(torch.int8)")
    total = FUNCTIONS["zeros"](self.shape[0], mat2.shape[1], dtype=dtypes.int32)
    for at in range(0, self.shape[1], EXACT_TERMS):
        left, right = self[:, at : at + EXACT_TERMS], mat2[at : at + EXACT_TERMS]
        total = total + (left.float() @ right.float()).to(dtypes.int32)
    return deliver(total, out)
