"""`SparseTensor`: a pattern of positions and the values there."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np

from monograph.core.dtype import dtype as DType
from monograph.core.dtype import int64
from monograph.core.shape import numel
from monograph.graph.node import Node
from monograph.ops import source
from monograph.tensor import FUNCTIONS, METHODS, Tensor
from monograph.tensor.by_layout import SparseOperand
from monograph.tensor.gathering import from_host, host_array
from monograph.tensor.layouts import CONSTANTS, layout
from monograph.tensor.size import Size

COO, CSR, CSC = (CONSTANTS[name] for name in ("sparse_coo", "sparse_csr", "sparse_csc"))
COMPRESSED = {CSR: 0, CSC: 1}  # which of the two indices is compressed into pointers


class SparseTensor(Tensor):
    """A tensor of which only some elements are stored: `values` [nnz, *dense sizes] at `indices` [sparse dimensions, nnz].

    Made by `sparse_coo_tensor`, `sparse_csr_tensor`, `sparse_csc_tensor` and `Tensor.to_sparse`. Gradients flow through the values.
    """

    __slots__ = ()
    _indices_now: Tensor
    _values_now: Tensor
    _size: tuple[int, ...]
    _layout: Any
    _coalesced: bool
    _pointers: Tensor | None

    def __new__(
        cls, indices: Tensor, values: Tensor, size: Any, coalesced: bool = False, kind: Any = COO, pointers: Tensor | None = None
    ) -> SparseTensor:
        made: Any = Tensor.__new__(cls)
        made._simple = True  # reading asks for `_node`, which teaches
        made._indices_now, made._values_now, made._size = indices, values, tuple(size)
        made._coalesced, made._layout, made._pointers = coalesced or kind is not COO, kind, pointers
        return made

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """The work is done in `__new__`."""

    # ---- what a dense op finds ----
    @property
    def _node(self) -> Any:  # type: ignore[override]
        raise SparseOperand(
            f"this operation is written for dense tensors and got a {self._layout.name} one of size {list(self._size)} with "
            f"{self._nnz()} stored values. Write x.to_dense() if {numel(self._size)} elements are meant to be stored, or apply it to "
            "x.values() and put them back with sparse_coo_tensor(x.indices(), values, x.shape)"
        )

    def _type(self) -> Node:
        return source.placeholder(self._size, self._values_now.dtype)

    def _read(self) -> Node:
        return self._node

    # ---- facts ----
    @property
    def shape(self) -> Size:
        """The sizes, of sparse and dense dimensions together."""
        return Size(self._size)

    @property
    def device(self) -> Any:
        """Where the values live."""
        return self._values_now.device

    @property
    def layout(self) -> layout:
        """sparse_coo, sparse_csr or sparse_csc."""
        return self._layout

    @property
    def is_sparse(self) -> bool:
        """Whether the layout is sparse_coo."""
        return self._layout is COO

    @property
    def is_sparse_csr(self) -> bool:
        """Whether the layout is sparse_csr."""
        return self._layout is CSR

    @property
    def requires_grad(self) -> bool:
        """Whether gradients flow into the values."""
        return self._values_now.requires_grad

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        self.requires_grad_(value)

    def requires_grad_(self, requires_grad: bool = True) -> SparseTensor:
        """Makes the values collect gradients, or stop. Returns itself."""
        self._values_now.requires_grad_(requires_grad)
        return self

    @property
    def is_leaf(self) -> bool:
        """Whether no gradient flows further back than here."""
        return self._values_now.is_leaf

    @property
    def grad(self) -> Any:
        """The gradient: of the same pattern."""
        found = self._values_now.grad
        return None if found is None else self._with(found)

    @grad.setter
    def grad(self, value: Any) -> None:
        self._values_now.grad = value if value is None else value._values_now

    @property
    def grad_fn(self) -> Any:
        """The op that made the values."""
        return METHODS["grad_fn"].fget(self._values_now)

    @property
    def _version(self) -> int:
        return self._values_now._version

    def sparse_dim(self) -> int:
        """How many of the dimensions are indexed."""
        return int(self._indices_now.shape[0])

    def dense_dim(self) -> int:
        """How many dimensions each value has."""
        return len(self._size) - self.sparse_dim()

    def _nnz(self) -> int:
        return int(self._values_now.shape[0])

    def is_coalesced(self) -> bool:
        """Whether positions are sorted and occur once."""
        self._only(COO, "is_coalesced")
        return self._coalesced

    def dim(self) -> int:
        """How many dimensions there are."""
        return len(self._size)

    ndimension = dim

    def size(self, dim: int | None = None) -> Any:
        """The shape, or one size."""
        return self.shape if dim is None else self._size[dim]

    def numel(self) -> int:
        """How many elements the dense tensor would have."""
        return numel(self._size)

    nelement = numel

    def __len__(self) -> int:
        return self._size[0]

    def _only(self, kind: Any, name: str) -> None:
        if self._layout is not kind:
            raise RuntimeError(f"{name} expected sparse {_spoken(kind)} tensor layout but got {_spoken(self._layout)}")

    # ---- the parts ----
    def _indices(self) -> Tensor:
        return self._indices_now

    def _values(self) -> Tensor:
        return self._values_now.detach()

    def indices(self) -> Tensor:
        """The positions [sparse dimensions, nnz] of a coalesced COO tensor."""
        self._only(COO, "indices")
        self._must_be_coalesced("indices")
        return self._indices_now

    def values(self) -> Tensor:
        """The values [nnz, *dense sizes]; of a COO tensor, a coalesced one."""
        if self._layout is COO:
            self._must_be_coalesced("values")
        return self._values_now

    def _must_be_coalesced(self, what: str) -> None:
        if not self._coalesced:
            raise RuntimeError(f"Cannot get {what} on an uncoalesced tensor, please call .coalesce() first")

    def _compressed(self, kind: Any, name: str, pointers: bool) -> Tensor:
        self._only(kind, name)
        if not pointers:
            return self._indices_now[1 - COMPRESSED[kind]]
        assert self._pointers is not None
        return self._pointers

    def crow_indices(self) -> Tensor:
        """Where each row of a CSR tensor begins, and the end."""
        return self._compressed(CSR, "crow_indices", True)

    def col_indices(self) -> Tensor:
        """The column of each value of a CSR tensor."""
        return self._compressed(CSR, "col_indices", False)

    def ccol_indices(self) -> Tensor:
        """Where each column of a CSC tensor begins, and the end."""
        return self._compressed(CSC, "ccol_indices", True)

    def row_indices(self) -> Tensor:
        """The row of each value of a CSC tensor."""
        return self._compressed(CSC, "row_indices", False)

    # ---- other forms ----
    def _with(self, values: Tensor) -> SparseTensor:
        """The same pattern with other values."""
        return SparseTensor(self._indices_now, values, self._size, self._coalesced, self._layout, self._pointers)

    def keys(self) -> Tensor:
        """Each position as one number, row-major over the sparse dimensions."""
        if not self.sparse_dim():  # one position: that of a 0-d tensor
            return self._indices_now.new_zeros(self._indices_now.shape[1])
        key = self._indices_now[0]
        for d in range(1, self.sparse_dim()):
            key = key * self._size[d] + self._indices_now[d]
        return key

    def coalesce(self) -> SparseTensor:
        """Positions sorted, each once, with the sum of its values."""
        if self._layout is not COO:
            raise RuntimeError(f"coalesce expected sparse coordinate tensor layout but got {_spoken(self._layout)}")
        return self if self._coalesced else of_pattern(self._indices_now, self._values_now, self._size)

    def to_dense(self, dtype: DType | None = None, *, masked_grad: bool | None = None) -> Tensor:
        """All elements, zeros included. Differentiable."""
        values = self._values_now if dtype is None else self._values_now.to(dtype)
        n = self.sparse_dim()
        flat = FUNCTIONS["zeros"]((numel(self._size[:n]), *self._size[n:]), dtype=values.dtype)
        if values.dtype.kind == "b":
            return added(flat.to(int64), self.keys(), values.to(int64)).to(values.dtype).reshape(self._size)
        return added(flat, self.keys(), values).reshape(self._size)

    def to_sparse(self, sparse_dim: Any = None, *, layout: Any = None, blocksize: Any = None, dense_dim: int | None = None) -> Any:
        """This tensor in another sparse layout; COO if none is named."""
        if isinstance(sparse_dim, type(COO)):
            layout, sparse_dim = sparse_dim, None
        wanted = COO if layout is None else layout
        if wanted is self._layout:
            return self
        if wanted is COO:
            ordered = self._layout is CSR
            coo = SparseTensor(self._indices_now, self._values_now, self._size, ordered)
            return coo if ordered else coo.coalesce()
        return compress(SparseTensor(self._indices_now, self._values_now, self._size, self._coalesced and self._layout is not CSC), wanted)

    def to_sparse_coo(self) -> Any:
        """As coordinates."""
        return self.to_sparse()

    def to_sparse_csr(self, dense_dim: int | None = None) -> Any:
        """As compressed rows."""
        return self.to_sparse(layout=CSR)

    def to_sparse_csc(self, dense_dim: int | None = None) -> Any:
        """As compressed columns."""
        return self.to_sparse(layout=CSC)

    def detach(self) -> Any:
        """The same values off the tape."""
        return self._with(self._values_now.detach())

    @property
    def data(self) -> Any:
        """The same values off the tape."""
        return self._with(self._values_now.data)

    @data.setter
    def data(self, value: Any) -> None:
        self._indices_now, self._values_now = value._indices_now, value._values_now.detach()
        self._size, self._coalesced, self._layout, self._pointers = value._size, value._coalesced, value._layout, value._pointers

    def to(self, *args: Any, **kwargs: Any) -> Any:
        """The values in another dtype; the device is always the CPU."""
        moved = METHODS["to"](self._values_now, *args, **kwargs)
        return self if moved is self._values_now else self._with(moved)

    def contiguous(self, memory_format: Any = None) -> SparseTensor:
        """Itself: the values lie together."""
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if id(self) not in memo:
            memo[id(self)] = SparseTensor(
                self._indices_now, deepcopy(self._values_now, memo), self._size, self._coalesced, self._layout, self._pointers
            )
        return memo[id(self)]

    def __reduce_ex__(self, protocol: Any) -> Any:
        parts = (self._indices_now, self._values_now, self._size, self._coalesced, self._layout, self._pointers)
        return (SparseTensor, parts)

    def __repr__(self) -> str:
        return _text(self)

    def __format__(self, spec: str) -> str:
        return format(repr(self), spec)

    def __bool__(self) -> bool:
        return bool(self._node)

    def __hash__(self) -> int:
        return id(self)


def _cast(name: str) -> Any:
    def cast(self: SparseTensor) -> Any:
        return self._with(METHODS[name](self._values_now))

    cast.__name__, cast.__doc__ = name, "The values in that dtype."
    return cast


for _name in "float double half bfloat16 long int short char byte bool cpu".split():
    setattr(SparseTensor, _name, _cast(_name))


def _spoken(kind: Any) -> str:
    return {"sparse_coo": "coordinate", "sparse_csr": "row compressed", "sparse_csc": "column compressed"}.get(kind.name, kind.name.title())


def _text(s: SparseTensor) -> str:
    def part(name: str, t: Tensor) -> str:
        pad = " " * (len("tensor(") + len(name) + 1)
        return f"{name}=" + repr(t.detach()).replace("\n", "\n" + pad)

    parts = [part("indices", s._indices_now)]
    if s._layout is not COO:
        first, second = ("crow_indices", "col_indices") if s._layout is CSR else ("ccol_indices", "row_indices")
        parts = [part(first, getattr(s, first)()), part(second, getattr(s, second)())]
    tail = f"size={tuple(s._size)}, nnz={s._nnz()}"
    if s.dtype is not FUNCTIONS["get_default_dtype"]():
        tail += f", dtype={s.dtype}"
    tail += f", layout={s._layout}"
    if s.requires_grad:
        tail += ", requires_grad=True"
    return "tensor(" + ",\n       ".join([*parts, part("values", s._values_now), tail]) + ")"


def added(flat: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """`values` added to the rows of `flat` that `keys` name."""
    return FUNCTIONS["index_add"](flat, 0, keys, values) if values.shape[0] else flat


def positions(keys: np.ndarray, sizes: tuple[int, ...]) -> np.ndarray:
    """Row-major numbers as indices [dimensions, nnz]."""
    return np.stack(np.unravel_index(keys, sizes)) if keys.size else np.zeros((len(sizes), 0), np.int64)


def of_pattern(indices: Tensor, values: Tensor, size: tuple[int, ...]) -> SparseTensor:
    """A coalesced COO tensor: equal positions become one, with the sum of their values."""
    n = int(indices.shape[0])
    if not n:
        return SparseTensor(indices, values.sum(0, keepdim=True), size, True)  # type: ignore[attr-defined]
    keys = host_array(SparseTensor(indices, values, size).keys())
    unique, inverse = np.unique(keys, return_inverse=True)
    if len(unique) == len(keys):
        order = from_host(np.argsort(keys, kind="stable").astype(np.int64))
        ordered = FUNCTIONS["index_select"](values, 0, order) if len(keys) else values
        return SparseTensor(from_host(positions(unique, size[:n]).astype(np.int64)), ordered, size, True)
    wide = values.to(int64) if values.dtype.kind == "b" else values
    zeros = FUNCTIONS["zeros"]((len(unique), *values.shape[1:]), dtype=wide.dtype)
    summed = added(zeros, from_host(inverse.reshape(-1).astype(np.int64)), wide).to(values.dtype)
    return SparseTensor(from_host(positions(unique, size[:n]).astype(np.int64)), summed, size, True)


def compress(s: SparseTensor, kind: Any) -> SparseTensor:
    """A COO tensor of two sparse dimensions as CSR or CSC."""
    if kind not in COMPRESSED:
        raise NotImplementedError(f"the layout {kind} is not supported; sparse_coo, sparse_csr and sparse_csc are")
    if s.sparse_dim() != 2:
        raise RuntimeError(f"{kind.name} needs two sparse dimensions, got a tensor with {s.sparse_dim()}; batches are not supported")
    s = s.coalesce()
    axis = COMPRESSED[kind]
    indices, values = host_array(s._indices_now), s._values_now
    if axis:
        order = np.lexsort((indices[0], indices[1])).astype(np.int64)
        indices = indices[:, order]
        values = FUNCTIONS["index_select"](values, 0, from_host(order)) if len(order) else values
    return SparseTensor(from_host(indices.copy()), values, s._size, True, kind, from_host(pointers_of(indices[axis], s._size[axis])))


def pointers_of(index: np.ndarray, n: int) -> np.ndarray:
    """Where each of `n` groups of a sorted index begins, and the end."""
    return np.concatenate([[0], np.cumsum(np.bincount(index, minlength=n))]).astype(np.int64)
