"""Making sparse tensors: from positions and values, from dense tensors, from diagonals."""

from __future__ import annotations

from typing import Any

import numpy as np

from monograph.core.dtype import dtype as DType
from monograph.core.dtype import int64
from monograph.core.errors import DimensionError
from monograph.core.modes import MODES
from monograph.sparse.layout import COMPRESSED, COO, CSC, CSR, SparseTensor, compress
from monograph.tensor import FUNCTIONS, Tensor
from monograph.tensor.gathering import from_host, host_array
from monograph.tensor.legacy import KINDS


def _as_tensor(values: Any, dtype: DType | None) -> Tensor:
    made = values if isinstance(values, Tensor) else FUNCTIONS["tensor"](values)
    return made if dtype is None or made.dtype is dtype else made.to(dtype)  # type: ignore[attr-defined]


def _finished(s: SparseTensor, requires_grad: bool) -> SparseTensor:
    """The tensor with values of its own: a leaf if gradients are wanted."""
    if requires_grad:
        s._values_now = s._values_now.detach().clone()  # type: ignore[attr-defined]
        s.requires_grad_()
    return s


def _check_bounds(indices: np.ndarray, size: tuple[int, ...], d: int) -> None:
    if indices.size and indices.min() < 0:
        raise RuntimeError(f"found negative index {indices.min()} for dim {d}")
    if indices.size and indices.max() >= size[d]:
        raise RuntimeError(f"size is inconsistent with indices: for dim {d}, size is {size[d]} but found index {indices.max()}")


def sparse_coo_tensor(
    indices: Any = None, values: Any = None, size: Any = None, *, dtype: DType | None = None, device: Any = None, pin_memory: bool = False,
    requires_grad: bool = False, check_invariants: bool | None = None, is_coalesced: bool | None = None,
) -> SparseTensor:  # fmt: skip
    """A sparse tensor with `values` [nnz, *dense sizes] at `indices` [sparse dimensions, nnz]; a position may occur more than once, its
    values are summed. Without `size`, as large as the indices need. Differentiable in the values.

    Raises RuntimeError for indices outside of the size and for lengths that differ.

    >>> import monograph as mg
    >>> mg.sparse_coo_tensor([[0, 1], [2, 0]], [3.0, 4.0], (2, 3)).to_dense().tolist()
    [[0.0, 0.0, 3.0], [4.0, 0.0, 0.0]]
    """
    if values is None:
        size = tuple(size if size is not None else indices)
        empty = FUNCTIONS["empty"](0, dtype=dtype)
        return _finished(SparseTensor(from_host(np.zeros((len(size), 0), np.int64)), empty, size, True), requires_grad)
    index = _as_tensor(indices, int64)
    value = _as_tensor(values, dtype)
    if index.ndim != 2:
        raise RuntimeError(f"indices must be sparse_dim x nnz, but got: {list(index.shape)}")
    if not value.ndim and index.shape[1] == 1:
        value = value.reshape(1)  # type: ignore[attr-defined]
    if not value.ndim or index.shape[1] != value.shape[0]:
        raise RuntimeError(
            f"indices and values must have same nnz, but got nnz from indices: {index.shape[1]}, nnz from values: "
            f"{value.shape[0] if value.ndim else 'a number'}"
        )
    dense = tuple(value.shape[1:])
    if size is None:
        host = host_array(index)
        if host.size == 0 and host.shape[0]:
            raise RuntimeError("sparse_coo_tensor needs a size where there are no indices to take it from")
        size = (*[int(n) + 1 for n in host.max(axis=1)], *dense) if host.shape[0] else dense
    size = tuple(int(n) for n in size)
    if len(size) != index.shape[0] + len(dense):
        raise RuntimeError(f"number of dimensions must be sparse_dim ({index.shape[0]}) + dense_dim ({len(dense)}), but got {len(size)}")
    if tuple(size[index.shape[0] :]) != dense:
        raise RuntimeError(
            f"values has incorrect size, expected [{index.shape[1]}, {list(size[index.shape[0] :])}], got {list(value.shape)}"
        )
    if check_invariants is not False and MODES.capture is None:
        for d, row in enumerate(host_array(index)):
            _check_bounds(row, size, d)
    return _finished(SparseTensor(index, value, size, bool(is_coalesced)), requires_grad)


def _compressed(
    kind: Any, pointers: Any, plain: Any, values: Any, size: Any, dtype: DType | None, requires_grad: bool, checked: bool | None
) -> SparseTensor:
    axis, name = COMPRESSED[kind], kind.name
    first, second, value = _as_tensor(pointers, int64), _as_tensor(plain, int64), _as_tensor(values, dtype)
    if first.ndim != 1 or second.ndim != 1:
        raise NotImplementedError(
            f"{name}: batches are not supported; indices must be vectors, got {list(first.shape)}, {list(second.shape)}"
        )
    starts, inner = host_array(first), host_array(second)
    if len(inner) != value.shape[0]:
        raise RuntimeError(f"{name}: {len(inner)} plain indices for {value.shape[0]} values")
    if size is None:
        other = int(inner.max()) + 1 if inner.size else 0
        size = (len(starts) - 1, other) if axis == 0 else (other, len(starts) - 1)
        size = (*size, *value.shape[1:])
    size = tuple(int(n) for n in size)
    if checked is not False:
        if len(starts) != size[axis] + 1 or (len(starts) and (starts[0] != 0 or starts[-1] != len(inner) or (np.diff(starts) < 0).any())):
            raise RuntimeError(
                f"{name}: compressed indices must begin with 0, not fall, end with nnz ({len(inner)}) and be {size[axis] + 1} for a size "
                f"of {list(size)}; got {starts.tolist() if len(starts) < 20 else len(starts)}"
            )
        _check_bounds(inner, size, 1 - axis)
    outer = np.repeat(np.arange(size[axis], dtype=np.int64), np.diff(starts))
    indices = np.stack([outer, inner] if axis == 0 else [inner, outer]).astype(np.int64)
    return _finished(SparseTensor(from_host(indices), value, size, True, kind, first), requires_grad)


def sparse_csr_tensor(
    crow_indices: Any, col_indices: Any, values: Any, size: Any = None, *, dtype: DType | None = None, device: Any = None,
    pin_memory: bool = False, requires_grad: bool = False, check_invariants: bool | None = None,
) -> SparseTensor:  # fmt: skip
    """A matrix by rows: row i has `values[crow[i]:crow[i + 1]]` in the columns `col_indices` of the same places.

    >>> import monograph as mg
    >>> mg.sparse_csr_tensor([0, 1, 2], [1, 0], [5.0, 6.0]).to_dense().tolist()
    [[0.0, 5.0], [6.0, 0.0]]
    """
    return _compressed(CSR, crow_indices, col_indices, values, size, dtype, requires_grad, check_invariants)


def sparse_csc_tensor(
    ccol_indices: Any, row_indices: Any, values: Any, size: Any = None, *, dtype: DType | None = None, device: Any = None,
    pin_memory: bool = False, requires_grad: bool = False, check_invariants: bool | None = None,
) -> SparseTensor:  # fmt: skip
    """A matrix by columns: as `sparse_csr_tensor` with rows and columns exchanged."""
    return _compressed(CSC, ccol_indices, row_indices, values, size, dtype, requires_grad, check_invariants)


def sparse_compressed_tensor(
    compressed_indices: Any, plain_indices: Any, values: Any, size: Any = None, *, dtype: DType | None = None, layout: Any = None,
    device: Any = None, pin_memory: bool = False, requires_grad: bool = False, check_invariants: bool | None = None,
) -> SparseTensor:  # fmt: skip
    """A matrix in the layout sparse_csr or sparse_csc."""
    if layout not in COMPRESSED:
        raise RuntimeError(f"sparse_compressed_tensor: the layout is sparse_csr or sparse_csc, got {layout}")
    return _compressed(layout, compressed_indices, plain_indices, values, size, dtype, requires_grad, check_invariants)


def to_sparse(self: Tensor, sparse_dim: Any = None, *, layout: Any = None, blocksize: Any = None, dense_dim: int | None = None) -> Any:
    """The elements that are not zero (the slices, with `sparse_dim` < ndim) as a sparse tensor; COO unless `layout` says otherwise.

    >>> import monograph as mg
    >>> mg.tensor([[0.0, 2.0], [0.0, 0.0]]).to_sparse().indices().tolist()
    [[0], [1]]
    """
    if isinstance(sparse_dim, type(COO)):
        layout, sparse_dim = sparse_dim, None
    n = self.ndim if sparse_dim is None else int(sparse_dim)
    if sparse_dim is None and dense_dim:
        n = self.ndim - dense_dim
    if not 0 <= n <= self.ndim or (n == 0 and self.ndim):
        raise RuntimeError(f"sparse_dim must be between 1 and the number of dimensions, {self.ndim}; got {n}")
    host = host_array(self) != 0
    kept = host.reshape(*host.shape[:n], -1).any(-1) if n < self.ndim else host
    indices = np.stack(np.nonzero(kept)).astype(np.int64) if n else np.zeros((0, int(kept)), np.int64)
    sizes = tuple(self.shape)
    keys = np.ravel_multi_index(tuple(indices), sizes[:n]) if n else np.zeros(indices.shape[1], np.int64)
    flat = self.reshape(-1, *sizes[n:])  # type: ignore[attr-defined]
    values = FUNCTIONS["index_select"](flat, 0, from_host(keys.astype(np.int64))) if len(keys) else flat[:0]
    if layout in (CSR, CSC) and n < 2:
        raise DimensionError(
            f"Dimension out of range: {layout} has rows and columns, got a tensor of shape {list(sizes)} with {n} sparse dimension"
            f"{'s' * (n != 1)}; use to_sparse() for coordinates"
        )
    made = SparseTensor(from_host(indices), values, sizes, True)
    return made if layout in (None, COO) else compress(made, layout)


def to_sparse_coo(self: Tensor) -> Any:
    """The elements that are not zero, as coordinates."""
    return to_sparse(self)


def to_sparse_csr(self: Tensor, dense_dim: int | None = None) -> Any:
    """The elements of a matrix that are not zero, as compressed rows."""
    return to_sparse(self, layout=CSR, dense_dim=dense_dim)


def to_sparse_csc(self: Tensor, dense_dim: int | None = None) -> Any:
    """The elements of a matrix that are not zero, as compressed columns."""
    return to_sparse(self, layout=CSC, dense_dim=dense_dim)


def sparse_mask(self: Tensor, mask: SparseTensor) -> SparseTensor:
    """The elements at the positions of `mask`."""
    if not isinstance(mask, SparseTensor):
        raise TypeError(f"sparse_mask(): argument 'mask' must be a sparse Tensor, not {type(mask).__name__}; use x * mask for a dense one")
    if tuple(self.shape) != tuple(mask.shape):
        raise RuntimeError(
            f"sparse_mask(): operands have incompatible sizes; self has size {list(self.shape)} but mask has size {list(mask.shape)}"
        )
    coo = mask if mask._layout is not COO else mask.coalesce()
    n = coo.sparse_dim()
    flat = self.reshape(-1, *self.shape[n:])  # type: ignore[attr-defined]
    return coo._with(FUNCTIONS["index_select"](flat, 0, coo.keys()))


def spdiags(diagonals: Tensor, offsets: Tensor, shape: Any, layout: Any = None) -> Any:
    """The matrix with the rows of `diagonals` along its diagonals `offsets`: element j of a row lands in column j.

    >>> import monograph as mg
    >>> mg.sparse.spdiags(mg.tensor([[1.0, 2.0]]), mg.tensor([0]), (2, 2)).to_dense().tolist()
    [[1.0, 0.0], [0.0, 2.0]]
    """
    rows, columns = (int(n) for n in shape)
    diagonals = diagonals if diagonals.ndim == 2 else diagonals.reshape(1, -1)  # type: ignore[attr-defined]
    at = host_array(offsets).reshape(-1)
    if len(at) != diagonals.shape[0]:
        raise RuntimeError(f"Number of diagonals ({diagonals.shape[0]}) does not match the number of offsets ({len(at)})")
    if len(set(at.tolist())) != len(at):
        raise RuntimeError("Offset tensor contains duplicate values")
    width = diagonals.shape[1]
    places, i, j = [], [], []
    for d, offset in enumerate(at.tolist()):
        for column in range(max(0, offset), min(columns, width, rows + offset)):
            places.append(d * width + column)
            i.append(column - offset)
            j.append(column)
    values = FUNCTIONS["index_select"](diagonals.reshape(-1), 0, from_host(np.array(places, np.int64)))  # type: ignore[attr-defined]
    made = SparseTensor(from_host(np.array([i, j], np.int64).reshape(2, -1)), values, (rows, columns))
    return made if layout in (None, COO) else compress(made, layout)


class _Kind(type):
    """The class of torch.sparse.FloatTensor and its relatives."""

    dtype: DType

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, SparseTensor) and instance.dtype is cls.dtype

    def __call__(cls, *args: Any, **kwargs: Any) -> SparseTensor:
        if args and isinstance(args[0], Tensor):
            return sparse_coo_tensor(*args, dtype=cls.dtype)
        if not args:
            return sparse_coo_tensor((0,), dtype=cls.dtype)
        return sparse_coo_tensor(tuple(args[0]) if len(args) == 1 and not isinstance(args[0], int) else args, dtype=cls.dtype)


TYPES = {
    name: _Kind(name, (), {"dtype": d, "__module__": "monograph.sparse", "__doc__": f"Makes sparse tensors of dtype {d.name}."})
    for name, d in KINDS.items()
    if name != "BoolTensor"
}
