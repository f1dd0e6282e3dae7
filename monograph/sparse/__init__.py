"""Floor 6: torch.sparse. Sparse tensors, their products and arithmetic. See README.md.

>>> import monograph as mg
>>> s = mg.sparse_coo_tensor([[0, 1], [1, 0]], [2.0, 3.0], (2, 2))
>>> (s @ mg.ones(2, 1)).tolist()
[[2.0], [3.0]]
"""

from __future__ import annotations

from typing import Any

from monograph.sparse import arithmetic, products
from monograph.sparse.arithmetic import log_softmax, softmax, sum  # noqa: A004
from monograph.sparse.creation import (
    TYPES,
    sparse_compressed_tensor,
    sparse_coo_tensor,
    sparse_csc_tensor,
    sparse_csr_tensor,
    sparse_mask,
    spdiags,
    to_sparse,
    to_sparse_coo,
    to_sparse_csc,
    to_sparse_csr,
)
from monograph.sparse.layout import SparseTensor
from monograph.sparse.products import sampled_addmm
from monograph.tensor import FUNCTIONS
from monograph.tensor.by_layout import RULES

globals().update(TYPES)
RULES.update(products.RULES)
RULES.update(arithmetic.RULES)

for _name, _rule in RULES.items():
    if _name != "cat":
        setattr(SparseTensor, _name, _rule)


def _operator(rule: Any, turned: bool = False) -> Any:
    if turned:
        return lambda self, other: rule(other, self)
    return lambda self, other: rule(self, other)


for _name, _rule in (("add", arithmetic.add), ("sub", arithmetic.sub), ("mul", arithmetic.mul), ("matmul", products.matmul)):
    setattr(SparseTensor, f"__{_name}__", _operator(_rule))
    setattr(SparseTensor, f"__r{_name}__", _operator(_rule, turned=True))


def _refuse_in_place(name: str) -> Any:
    def refuse(self: SparseTensor, *args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"sparse tensors are not changed in place ({name}); write x = x.{name.rstrip('_')}(...)")

    return refuse


for _name in ("add_", "sub_", "mul_", "div_", "__iadd__", "__isub__", "__imul__", "__itruediv__"):
    setattr(SparseTensor, _name, _refuse_in_place(_name))
for _name, _method in {
    "__truediv__": arithmetic.div, "__neg__": arithmetic.RULES["neg"], "__abs__": arithmetic.RULES["abs"], "__pow__": arithmetic.power,
    "sparse_mask": sparse_mask, "T": property(arithmetic.t), "smm": products.mm, "spmm": products.mm, "transpose": arithmetic.transpose,
}.items():  # fmt: skip
    setattr(SparseTensor, _name, _method)


def _item(self: SparseTensor, key: Any) -> Any:
    """One slice along the first dimension, or one element."""
    keys = key if isinstance(key, tuple) else (key,)
    if not all(isinstance(k, int) and not isinstance(k, bool) for k in keys):
        raise NotImplementedError("a sparse tensor is indexed by integers; use index_select, or x.to_dense() for other indices")
    found: Any = self
    for k in keys:
        found = arithmetic.select(found, 0, k) if isinstance(found, SparseTensor) else found[k]
    return found


setattr(SparseTensor, "__getitem__", _item)  # noqa: B010 - a plain assignment would have to have the dense method's type


def mm(mat1: Any, mat2: Any, reduce: str = "sum") -> Any:
    """The product of a sparse matrix with a dense or a sparse one. Differentiable in both.

    >>> import monograph as mg
    >>> mg.sparse.mm(mg.eye(2).to_sparse(), mg.ones(2, 1)).tolist()
    [[1.0], [1.0]]
    """
    if reduce != "sum":
        raise NotImplementedError(f"sparse.mm adds up; reduce={reduce!r} is not supported: use scatter_reduce over the indices")
    return FUNCTIONS["mm"](mat1, mat2)


def addmm(mat: Any, mat1: Any, mat2: Any, *, beta: Any = 1.0, alpha: Any = 1.0) -> Any:
    """beta * mat + alpha * (mat1 @ mat2), with a sparse mat1."""
    return products.addmm(mat, mat1, mat2, beta=beta, alpha=alpha)


def smm(input: Any, mat: Any) -> Any:  # noqa: A002
    """The product of a sparse and a dense matrix, as a sparse tensor."""
    if not isinstance(input, SparseTensor):
        raise RuntimeError("tensor.sspaddmm(...) can only be called on sparse tensors: smm's first argument is one, see to_sparse()")
    return to_sparse(products.mm(input, mat))


def spmm(input: Any, mat2: Any) -> Any:  # noqa: A002
    """The product of a sparse and a dense matrix."""
    return FUNCTIONS["mm"](input, mat2)


class check_sparse_tensor_invariants:  # noqa: N801 - torch's name
    """Whether indices are checked. They always are, unless a constructor is told check_invariants=False."""

    def __init__(self, enable: bool = True) -> None:
        self.state = enable

    @staticmethod
    def is_enabled() -> bool:
        """True."""
        return True

    @staticmethod
    def enable() -> None:
        """Checks are on already."""

    @staticmethod
    def disable() -> None:
        """Checks stay on: they are what keeps a wrong index from reading foreign memory."""

    def __enter__(self) -> check_sparse_tensor_invariants:
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing to restore."""

    def __call__(self, function: Any) -> Any:
        return function


__all__ = [
    "SparseTensor", "addmm", "check_sparse_tensor_invariants", "log_softmax", "mm", "sampled_addmm", "smm", "softmax",
    "sparse_compressed_tensor", "sparse_coo_tensor", "sparse_csc_tensor", "sparse_csr_tensor", "sparse_mask", "spdiags", "spmm", "sum",
    "to_sparse", "to_sparse_coo", "to_sparse_csc", "to_sparse_csr",
]  # fmt: skip
