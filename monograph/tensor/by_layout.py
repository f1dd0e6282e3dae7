"""Functions that mean something for sparse tensors too: they are tried dense, and a sparse operand sends them to its rule.

A tensor that is not dense has no node: reading it raises `SparseOperand`. Nothing on the dense path asks about layouts.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from monograph.tensor.core import Tensor
from monograph.tensor.pointwise import METHODS


class SparseOperand(NotImplementedError):
    """A sparse tensor met an op that is written for dense ones."""


RULES: dict[str, Callable[..., Any]] = {}  # what `monograph.sparse` does for a function; filled when that room is loaded
NAMES = (
    "abs add addmm asin asinh atan atanh cat ceil clone div erf expm1 floor index_select log1p matmul mm mul mv neg pow relu round select "
    "sign sin sinh sqrt square sub sum t tan tanh transpose true_divide trunc unsqueeze"
).split()


def _refused(name: str, wanted: str) -> Callable[..., Any]:
    def refuse(self: Tensor) -> Any:
        raise RuntimeError(f"{name} expected sparse {wanted} tensor layout but got Strided; make one with x.to_sparse()")

    refuse.__name__, refuse.__doc__ = name, "Of sparse tensors; a dense one has none and raises RuntimeError."
    return refuse


def _dense(self: Tensor, dtype: Any = None, *, masked_grad: bool | None = None) -> Tensor:
    """All elements: the tensor itself, if it is dense."""
    return self if dtype is None else METHODS["to"](self, dtype)


METHODS.update({name: _refused(name, "coordinate") for name in ("indices", "values", "coalesce", "is_coalesced", "_indices", "_values")})
METHODS.update({name: _refused(name, "row compressed") for name in ("crow_indices", "col_indices")})
METHODS.update({name: _refused(name, "column compressed") for name in ("ccol_indices", "row_indices")})
METHODS.update(to_dense=_dense, sparse_dim=lambda self: 0, dense_dim=lambda self: self.ndim)


def by_layout(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, with the sparse rule of that name for sparse operands."""

    @wraps(function)
    def chosen(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except SparseOperand:
            if name not in RULES:
                raise
        return RULES[name](*args, **kwargs)

    return chosen
