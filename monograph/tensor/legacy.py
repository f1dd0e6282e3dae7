"""The constructors from before dtypes: Tensor(2, 3), FloatTensor(2, 3), LongTensor([1, 2]), isinstance(t, FloatTensor)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from monograph.core import dtype as dtypes
from monograph.core.dtype import dtype as DType
from monograph.core.errors import ArgumentError
from monograph.tensor.core import Size, Tensor
from monograph.tensor.layouts import CONSTANTS, layout, memory_format, qscheme
from monograph.tensor.pointwise import FUNCTIONS, METHODS, to_dtype

KINDS = {
    "FloatTensor": dtypes.float32, "DoubleTensor": dtypes.float64, "HalfTensor": dtypes.float16, "BFloat16Tensor": dtypes.bfloat16,
    "LongTensor": dtypes.int64, "IntTensor": dtypes.int32, "ShortTensor": dtypes.int16, "CharTensor": dtypes.int8,
    "ByteTensor": dtypes.uint8,
    "BoolTensor": dtypes.bool_,
}  # fmt: skip
NAMES = {dtype: name for name, dtype in KINDS.items()} | {
    dtypes.uint16: "UInt16Tensor", dtypes.uint32: "UInt32Tensor", dtypes.uint64: "UInt64Tensor",
    dtypes.complex64: "ComplexFloatTensor", dtypes.complex128: "ComplexDoubleTensor",
}  # fmt: skip


class TensorType(type):
    """The class of FloatTensor and its relatives: they make plain Tensors, and know theirs by dtype."""

    dtype: DType

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor) and instance.dtype is cls.dtype

    def __call__(cls, *args: Any, **kwargs: Any) -> Tensor:
        return construct(cls.dtype, cls.__name__, args, kwargs)


def construct(dtype: DType, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    """A tensor as torch's old constructors make it: from sizes (unspecified values), a sequence, an array, or a tensor of the same
    dtype.
    """
    device = kwargs.pop("device", None)
    if kwargs:
        raise TypeError(f"{name}() got an unexpected keyword argument {next(iter(kwargs))!r}")
    if not args:
        return FUNCTIONS["empty"](0, dtype=dtype, device=device)
    first = args[0]
    if len(args) == 1:
        if isinstance(first, Tensor):
            if first.dtype is not dtype:
                raise TypeError(f"{name}() takes a tensor of dtype {dtype.name}, got {first.dtype.name}; use tensor.to({dtype.name})")
            return first.detach().view(first.shape)
        if isinstance(first, Size):
            return FUNCTIONS["empty"](tuple(first), dtype=dtype, device=device)
        if hasattr(first, "untyped") and hasattr(first, "_flat"):  # a storage
            return construct(dtype, name, (first._flat,), {})
        if isinstance(first, np.ndarray):
            return FUNCTIONS["tensor"](first.astype(dtype.np), dtype=dtype, device=device)
        if isinstance(first, Sequence | range) and not isinstance(first, str):
            return _from_sequence(first, dtype, device)
        if isinstance(first, float) or not hasattr(first, "__index__"):
            raise TypeError(f"new(): data must be a sequence (got {type(first).__name__})")
    return FUNCTIONS["empty"](tuple(int(n.__index__()) for n in args), dtype=dtype, device=device)


def _from_sequence(values: Any, dtype: DType, device: Any) -> Tensor:
    natural = FUNCTIONS["tensor"](list(values), device=device) if len(values) else FUNCTIONS["empty"](0, dtype=dtype, device=device)
    if dtype.kind in "ui" and natural.dtype.kind in "ui":  # 300 does not become 44 in a ByteTensor
        return FUNCTIONS["tensor"](list(values), dtype=dtype, device=device)
    return natural.to(dtype)


def _types() -> dict[str, type]:
    return {
        name: TensorType(
            name, (), {"dtype": d, "__module__": "monograph", "__doc__": f"Makes tensors of dtype {d.name}: {name}(2, 3), {name}([1, 2])."}
        )
        for name, d in KINDS.items()
    }


TYPES = _types()


def unavailable_tensor_types(device: str) -> dict[str, type]:
    """The constructors for a device that is not here: making a tensor with one raises TypeError."""

    class Unavailable(type):
        def __instancecheck__(cls, instance: Any) -> bool:
            return False

        def __call__(cls, *args: Any, **kwargs: Any) -> Any:
            raise TypeError(f"type torch.{device}.{cls.__name__} not available. Torch not compiled with {device.upper()} enabled.")

    return {name: Unavailable(name, (), {"dtype": d, "__doc__": f"Needs {device}."}) for name, d in KINDS.items()}


def named_dtype(kind: Any) -> DType:
    """The dtype that a dtype, an old constructor or its name ("torch.LongTensor") stands for."""
    if isinstance(kind, DType):
        return kind
    if isinstance(kind, TensorType):
        return kind.dtype
    if isinstance(kind, str):
        found = {"torch." + name: dtype for dtype, name in NAMES.items()}.get(kind)
        if found is None and kind != "torch.Tensor":
            raise ArgumentError(f"invalid type: {kind!r}; write a dtype (torch.float32) or a name like 'torch.FloatTensor'")
        return found or dtypes.defaults.floating
    if kind is Tensor:
        return dtypes.defaults.floating
    if isinstance(kind, type) and isinstance(vars(kind).get("dtype"), DType):
        raise RuntimeError(f"type({kind.__name__}): a tensor of that type needs a device that is not here; write torch.{kind.__name__}")
    raise TypeError(f"dtype must be a type, str, or dtype object, got {kind!r}")


def type_(self: Tensor, dtype: Any = None, non_blocking: bool = False) -> Any:
    """The type's name ("torch.FloatTensor"), or the tensor converted to `dtype`: a dtype, an old constructor or its name."""
    return f"torch.{NAMES[self.dtype]}" if dtype is None else to_dtype(self, named_dtype(dtype))


def set_default_tensor_type(kind: Any) -> None:
    """Sets the default dtype by the name or the class of an old constructor: "torch.DoubleTensor"."""
    name = kind.__name__ if isinstance(kind, type) else str(kind).rpartition(".")[2]
    if ".cuda." in str(kind):
        raise TypeError(f"type {kind} not available. Torch not compiled with CUDA enabled.")
    if name not in KINDS or KINDS[name].kind != "f":
        raise TypeError(f"only floating-point types are supported as the default type, got {kind!r}")
    FUNCTIONS["set_default_dtype"](KINDS[name])


def _construct_self(self: Tensor, *args: Any, **kwargs: Any) -> None:
    """Tensor(2, 3), Tensor([1.0, 2.0]), Tensor(other): the default dtype, except that a tensor keeps its own."""
    if type(self).__new__ is not Tensor.__new__:  # a class that makes its tensors itself (`as_subclass` in its __new__)
        return
    own = args and isinstance(args[0], Tensor)
    made = construct(args[0].dtype if own else dtypes.defaults.floating, "Tensor", args, kwargs)
    self._node, self._simple = made._node, made._simple
    vars(self).update(vars(made))


Tensor.__init__ = _construct_self  # type: ignore[method-assign, assignment]
FUNCTIONS.update(TYPES)
METHODS["type"] = type_
FUNCTIONS["set_default_tensor_type"] = set_default_tensor_type

# Devices, layouts and formats that a tensor here never has.
for _name in "is_xpu is_ipu is_xla is_hpu is_maia is_mtia is_mkldnn is_vulkan is_sparse_csr".split():
    if not hasattr(Tensor, _name):
        setattr(Tensor, _name, property(lambda self: False))
Tensor.is_cpu = property(lambda self: self.device.type == "cpu")  # type: ignore[attr-defined]
Tensor.layout = property(lambda self: CONSTANTS["strided"])  # type: ignore[attr-defined]
FUNCTIONS.update(CONSTANTS)
FUNCTIONS.update(layout=layout, memory_format=memory_format, qscheme=qscheme)
