"""`Parameter` and `Buffer`: tensors that a module registers when they are assigned to it."""

from __future__ import annotations

import weakref
from typing import Any

from monograph.tensor import Tensor, empty


def _as_subclass(cls: type, data: Tensor) -> Any:
    """A tensor of class `cls` that shares memory with `data`, without its history."""
    twin = data.detach()
    made: Any = Tensor.__new__(cls)
    made._node, made._simple = twin._node, twin._simple
    made.__dict__.update(twin.__dict__)
    if made._base is None and made._twins is not None:
        made._twins.append(weakref.ref(made))
    return made


class Parameter(Tensor):
    """A tensor that is trained: assigned to a module it becomes one of its parameters, and by default it collects gradients.

    It shares memory with `data`.
    """

    __slots__ = ()

    def __new__(cls, data: Any = None, requires_grad: bool = True) -> Any:
        if data is None:
            data = empty(0)
        if not isinstance(data, Tensor):
            raise TypeError(f"Parameter takes a Tensor, got {type(data).__name__}; make one first, e.g. nn.Parameter(tensor(data))")
        made = _as_subclass(cls, data)
        if requires_grad:
            made.requires_grad_(True)
        return made

    def __init__(self, data: Any = None, requires_grad: bool = True) -> None:
        """The work is done in `__new__`."""

    def __repr__(self) -> str:
        return "Parameter containing:\n" + super().__repr__()

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        if id(self) in memo:
            return memo[id(self)]
        copied = type(self)(self.detach().clone(), self.requires_grad)
        memo[id(self)] = copied
        return copied

    def __reduce_ex__(self, protocol: Any) -> Any:
        return (_rebuild_parameter, (self.detach(), self.requires_grad))


def _rebuild_parameter(data: Tensor, requires_grad: bool) -> Parameter:
    return Parameter(data, requires_grad)


class Buffer(Tensor):
    """A tensor that is state but not trained: assigned to a module it becomes one of its buffers."""

    persistent: bool

    def __new__(cls, data: Any = None, *, persistent: bool = True) -> Any:
        made = _as_subclass(cls, empty(0) if data is None else data)
        made.persistent = persistent
        return made

    def __init__(self, data: Any = None, *, persistent: bool = True) -> None:
        """The work is done in `__new__`."""


class UninitializedTensorMixin:
    """A parameter or buffer whose shape is not known yet. `materialize(shape)` gives it one; until then it has a dtype and nothing else.

    It has no node: any use of its value, or of its shape, raises.
    """

    __slots__ = ()
    cls_to_become: Any = None

    @property
    def _node(self) -> Any:
        raise ValueError(
            "Attempted to use an uninitialized parameter: its shape is not known before the first forward pass. Call the module once with "
            "a sample batch (a dry run), or materialize(shape) it"
        )

    @_node.setter
    def _node(self, node: Any) -> None:
        Tensor.__dict__["_node"].__set__(self, node)

    @property
    def shape(self) -> Any:
        """Raises RuntimeError: there is none yet."""
        raise RuntimeError(
            "Can't access the shape of an uninitialized parameter or buffer. This error usually happens in `load_state_dict` when trying "
            "to load an uninitialized parameter into an initialized one. Call `forward` to initialize the parameters before accessing "
            "their attributes."
        )

    @property
    def dtype(self) -> Any:
        """The dtype it will have."""
        return self.__dict__["_dtype_to_be"]

    @property
    def device(self) -> Any:
        """The device it will be on."""
        return empty(0, device=self.__dict__["_device_to_be"]).device

    def _type(self) -> Any:
        return self._node

    @property
    def requires_grad(self) -> bool:
        """Whether it will collect gradients."""
        return bool(self.__dict__.get("_leaf_flag", False))

    def requires_grad_(self, requires_grad: bool = True) -> Any:
        """Sets whether it will collect gradients."""
        self.__dict__["_leaf_flag"] = requires_grad
        return self

    is_leaf = True

    def detach(self) -> Any:
        """Itself: there is no history."""
        return self

    @property
    def data(self) -> Any:
        """Itself: there is no value."""
        return self

    def convert(self, fn: Any) -> None:
        """Takes the dtype and the device that `fn` gives to a tensor of this one's."""
        sample = fn(empty(0, dtype=self.dtype, device=self.__dict__["_device_to_be"]))
        self.__dict__["_dtype_to_be"], self.__dict__["_device_to_be"] = sample.dtype, sample.device

    def materialize(self, shape: Any, device: Any = None, dtype: Any = None) -> None:
        """From now on a parameter (or buffer) of that shape, with unspecified values."""
        own = self.__dict__
        wants = own.pop("_leaf_flag", False)
        made = empty(
            shape,
            dtype=own.pop("_dtype_to_be") if dtype is None else dtype,
            device=own.pop("_device_to_be") if device is None else device,
        )
        own.pop("_dtype_to_be", None), own.pop("_device_to_be", None)
        self.__class__ = self.cls_to_become
        tensor: Any = self
        tensor._node, tensor._simple = made._node, True
        own.update(made.__dict__)
        if wants:
            tensor.requires_grad_(True)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        if id(self) not in memo:
            memo[id(self)] = _lazy(type(self), self.requires_grad, self.__dict__["_device_to_be"], self.dtype)
        return memo[id(self)]

    def __reduce_ex__(self, protocol: Any) -> Any:
        return (_lazy, (type(self), self.requires_grad, self.__dict__["_device_to_be"], self.dtype))

    def __hash__(self) -> int:
        return id(self)

    def __eq__(self, other: object) -> bool:
        return self is other


def _lazy(cls: type, requires_grad: bool, device: Any, dtype: Any) -> Any:
    made: Any = Tensor.__new__(cls)
    made._simple = True
    made.__dict__.update(_leaf_flag=requires_grad, _device_to_be=device, _dtype_to_be=empty(0, dtype=dtype).dtype)
    return made


class UninitializedParameter(UninitializedTensorMixin, Parameter):  # type: ignore[override]
    """A parameter whose shape is not known yet."""

    __slots__ = ()
    cls_to_become = Parameter

    def __new__(cls, requires_grad: bool = True, device: Any = None, dtype: Any = None) -> Any:
        return _lazy(cls, requires_grad, device, dtype)

    def __init__(self, requires_grad: bool = True, device: Any = None, dtype: Any = None) -> None:
        """The work is done in `__new__`."""


class UninitializedBuffer(UninitializedTensorMixin, Tensor):  # type: ignore[override]
    """A buffer whose shape is not known yet."""

    __slots__ = ()
    cls_to_become = Tensor
    persistent = True

    def __new__(cls, requires_grad: bool = False, device: Any = None, dtype: Any = None, persistent: bool = True) -> Any:
        return _lazy(cls, requires_grad, device, dtype)

    def __init__(self, requires_grad: bool = False, device: Any = None, dtype: Any = None, persistent: bool = True) -> None:
        """The work is done in `__new__`."""


def is_lazy(param: Any) -> bool:
    """Whether a parameter or buffer has no shape yet."""
    return isinstance(param, UninitializedTensorMixin)
