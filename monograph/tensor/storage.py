"""Storages: the memory behind a tensor and its views, as one row of elements or bytes."""

from __future__ import annotations

from typing import Any

import numpy as np

from monograph.core import dtype as dtypes
from monograph.core.dtype import dtype as DType
from monograph.core.shape import numel
from monograph.tensor.core import Tensor
from monograph.tensor.creation import from_host
from monograph.tensor.dispatch import evaluate
from monograph.tensor.interop import host_array
from monograph.tensor.legacy import KINDS, construct
from monograph.tensor.pointwise import FUNCTIONS, METHODS
from monograph.tensor.strides import sizes


class TypedStorage:
    """All elements of the memory that a tensor is a view of. Writes are seen by the tensor."""

    def __init__(self, flat: Tensor) -> None:
        self._flat = flat

    @property
    def dtype(self) -> DType:
        """The element type."""
        return self._flat.dtype

    @property
    def device(self) -> Any:
        """Where the memory is."""
        return self._flat.device

    is_cuda = False
    is_sparse = False

    def size(self) -> int:
        """How many elements there are."""
        return int(self._flat.shape[0])

    __len__ = size

    def element_size(self) -> int:
        """The bytes of one element."""
        return self.dtype.itemsize

    def nbytes(self) -> int:
        """The bytes of all elements."""
        return self.size() * self.element_size()

    def data_ptr(self) -> int:
        """The address of the memory."""
        return int(host_array(self._flat).ctypes.data)

    def __getitem__(self, key: Any) -> Any:
        found = self._flat[key]  # type: ignore[index]
        return found.item() if isinstance(key, int) else TypedStorage(found)

    def __setitem__(self, key: Any, value: Any) -> None:
        self._flat[key] = value  # type: ignore[index]

    def fill_(self, value: Any) -> TypedStorage:
        """Every element becomes `value`."""
        METHODS["fill_"](self._flat, value)
        return self

    def tolist(self) -> list[Any]:
        """The elements."""
        return self._flat.tolist()  # type: ignore[attr-defined, no-any-return]

    def __iter__(self) -> Any:
        return iter(self.tolist())

    def untyped(self) -> UntypedStorage:
        """The same memory as bytes."""
        return UntypedStorage(self._flat)

    def __repr__(self) -> str:
        lines = "\n".join(f" {v}" for v in self.tolist())
        return f"{lines}\n[monograph.storage.TypedStorage(dtype={self.dtype}, device=cpu) of size {self.size()}]"

    @classmethod
    def from_buffer(
        cls, buffer: Any, byte_order: str = "native", count: int = -1, offset: int = 0, dtype: DType | None = None
    ) -> TypedStorage:
        """A copy of the elements in an object with the buffer protocol (bytes, bytearray ...)."""
        own: DType = getattr(cls, "_kind", dtypes.uint8)
        kind = own if dtype is None else dtype
        array = np.frombuffer(buffer, kind.np, count, offset)
        return TypedStorage(from_host(array.byteswap() if byte_order == "big" else array, kind))


class UntypedStorage(TypedStorage):
    """The memory of a tensor as bytes."""

    def element_size(self) -> int:
        """1."""
        return 1

    def size(self) -> int:
        """How many bytes there are."""
        return int(self._flat.shape[0]) * self._flat.dtype.itemsize

    __len__ = size

    def nbytes(self) -> int:
        """How many bytes there are."""
        return self.size()

    def tolist(self) -> list[int]:
        """The bytes."""
        return list(host_array(self._flat).tobytes())

    def __getitem__(self, key: Any) -> Any:
        if not isinstance(key, slice):
            return self.tolist()[key]
        if key.step not in (None, 1):
            raise RuntimeError(f"Trying to slice with a step of {key.step}, but only a step of 1 is supported")
        return UntypedStorage(self._flat.view(dtypes.uint8)[key])  # type: ignore[attr-defined]

    def __setitem__(self, key: Any, value: Any) -> None:
        raise NotImplementedError("bytes of a storage are read only; write to the tensor, or to its storage()")

    def untyped(self) -> UntypedStorage:
        """Itself."""
        return self


class _Kind(type(TypedStorage)):  # type: ignore[misc]
    """The class of FloatStorage and its relatives."""

    _kind: DType

    def __call__(cls, *args: Any) -> TypedStorage:
        return TypedStorage(construct(cls._kind, cls.__name__, args, {}).reshape(-1))  # type: ignore[attr-defined]

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, TypedStorage) and instance.dtype is cls._kind


TYPES = {
    name.replace("Tensor", "Storage"): _Kind(
        name.replace("Tensor", "Storage"), (TypedStorage,), {"_kind": d, "__doc__": f"Memory of dtype {d.name}."}
    )
    for name, d in KINDS.items()
}


def _whole(t: Tensor) -> Tensor:
    base = t if t._base is None else t._base
    if base.device.type != "meta":
        evaluate((base,))  # what is pending has no memory yet, and each view of it would find another one
    return base.detach().reshape(-1)  # type: ignore[attr-defined, no-any-return]


def storage(self: Tensor) -> TypedStorage:
    """The memory that this tensor is a view of, as elements."""
    return TypedStorage(_whole(self))


def untyped_storage(self: Tensor) -> UntypedStorage:
    """The memory that this tensor is a view of, as bytes."""
    return UntypedStorage(_whole(self))


def new(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """A tensor of this dtype as the old constructors make it: from sizes, a sequence or a tensor. Prefer `new_empty` and `new_tensor`."""
    return construct(self.dtype, "new", args, kwargs)


def resize_(self: Tensor, *size: Any, memory_format: Any = None) -> Tensor:
    """Gives this tensor another size: the first elements stay, further ones are unspecified. In place."""
    if self.requires_grad:
        raise RuntimeError("cannot resize variables that require grad; use reshape(), or detach() first")
    wanted = sizes(size)
    if tuple(self.shape) == wanted:
        return self
    flat, n = self.detach().reshape(-1), numel(wanted)  # type: ignore[attr-defined]
    have = flat.shape[0]
    kept = flat[:n] if n <= have else FUNCTIONS["cat"]([flat, FUNCTIONS["zeros"](n - have, dtype=self.dtype)])
    self.data = kept.reshape(wanted).clone()
    return self


def resize_as_(self: Tensor, the_template: Tensor, *, memory_format: Any = None) -> Tensor:
    """`resize_` to the size of another tensor."""
    return resize_(self, tuple(the_template.shape))


def int_repr(self: Tensor) -> Tensor:
    """The integers of a quantised tensor; there are none here. Raises NotImplementedError."""
    raise NotImplementedError(
        f"int_repr takes a quantised tensor, and got one of dtype {self.dtype.name}: monograph makes no quantised tensors"
    )


def softmax_backward_data(grad_output: Tensor, output: Tensor, dim: int, input_dtype: Any) -> Tensor:
    """The gradient of softmax from its output: y * (g - sum(g * y))."""
    weighted: Any = FUNCTIONS["mul"](grad_output, output)
    return (weighted - output * weighted.sum(dim, keepdim=True)).to(input_dtype)  # type: ignore[no-any-return]


def log_softmax_backward_data(grad_output: Any, output: Any, dim: int, input_dtype: Any) -> Tensor:
    """The gradient of log_softmax from its output: g - exp(y) * sum(g)."""
    return (grad_output - output.exp() * grad_output.sum(dim, keepdim=True)).to(input_dtype)  # type: ignore[no-any-return]


METHODS.update(
    storage=storage,
    untyped_storage=untyped_storage,
    _typed_storage=storage,
    new=new,
    resize_=resize_,
    resize_as_=resize_as_,
    int_repr=int_repr,
)
FUNCTIONS.update(TYPES)
FUNCTIONS.update(TypedStorage=TypedStorage, UntypedStorage=UntypedStorage, int_repr=int_repr)
# Private names that models call; the front door fetches them one by one.
FUNCTIONS.update(_softmax_backward_data=softmax_backward_data, _log_softmax_backward_data=log_softmax_backward_data)
