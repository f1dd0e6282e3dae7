"""torch.ops: operators by namespace and name. Those that libraries register are called by the kernels they gave; torch's own (aten) are
monograph's functions and methods of the same name.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from monograph.compat.schemas import Schema
from monograph.core.modes import MODES
from monograph.tensor.core import Tensor
from monograph.tensor.function import Context, Function

# Keys of torch's dispatcher whose kernels can run here, the one that is asked first in front.
_KERNELS = ("CPU", "CompositeExplicitAutograd", "CompositeExplicitAutogradNonFunctional", "CompositeImplicitAutograd", "Python", "")
_BUILT_IN = {
    "aten": ("monograph.compat.aten", "monograph.tensor", "monograph", "monograph.nn.functional", "monograph.special", "monograph.linalg"),
    "prims": ("monograph",),
}
_PREFIXES = {"linalg_": "monograph.linalg", "special_": "monograph.special", "fft_": "monograph.fft"}
_below_autograd = [False]


class Operator:
    """What libraries said about one operator: its schema, its kernels by dispatch key, its backward, its rule for shapes."""

    def __init__(self, name: str, schema: Schema) -> None:
        self.name, self.schema = name, schema
        self.kernels: dict[str, Callable[..., Any]] = {}
        self.backward: Callable[..., Any] | None = None
        self.setup_context: Callable[..., Any] | None = None
        self.fake: Callable[..., Any] | None = None
        self.needs_formula = False  # made by custom_op: without a backward it must not pass for a constant

    def kernel(self) -> Callable[..., Any]:
        """The function that computes it. Raises NotImplementedError if no library gave one for the CPU."""
        for key in _KERNELS:
            if key in self.kernels:
                return self.kernels[key]
        raise NotImplementedError(
            f"Could not run '{self.name}' with arguments from the 'CPU' backend: its kernels are compiled for torch, or for "
            f"{', '.join(sorted(self.kernels)) or 'nothing'}; give one in Python with torch.library.impl({self.name!r}, 'CPU', function)"
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Runs it, with the backward that was registered if a gradient is wanted."""
        args, kwargs = self.schema.bind(args, kwargs)
        above = next((self.kernels[key] for key in ("AutogradCPU", "Autograd") if key in self.kernels), None)
        if above is not None and not _below_autograd[0]:
            return above(*args, **kwargs)
        kernel = self.kernel()
        wanted = MODES.grad and any(isinstance(value, Tensor) and value.requires_grad for value in args)
        if not wanted or (self.backward is None and not self.needs_formula):
            return kernel(*args, **kwargs)
        return _differentiable(self, kernel, kwargs).apply(*args)


def _differentiable(operator: Operator, kernel: Callable[..., Any], kwargs: dict[str, Any]) -> type[Function]:
    """A Function of the arguments by position that runs the kernel and goes back by the operator's own backward."""

    def forward(*args: Any) -> Any:
        return kernel(*args, **kwargs)

    def setup_context(ctx: Context, inputs: tuple[Any, ...], output: Any) -> None:
        if operator.setup_context is not None:
            more = {"keyword_only_inputs": kwargs} if kwargs else {}
            operator.setup_context(ctx, inputs, output, **more)

    def backward(ctx: Context, *grads: Any) -> Any:
        if operator.backward is None:
            raise RuntimeError(
                f"Trying to backward through {operator.name} but no autograd formula was registered. Please use register_autograd to add "
                "one."
            )
        return operator.backward(ctx, *grads)

    content = {"forward": staticmethod(forward), "setup_context": staticmethod(setup_context), "backward": staticmethod(backward)}
    return type(operator.name.replace("::", "_").replace(".", "_"), (Function,), content)


OPERATORS: dict[str, Operator] = {}  # by "namespace::name", and "namespace::name.overload"


class OpOverload:
    """One overload of an operator: `torch.ops.aten.add.Tensor`."""

    def __init__(self, name: str, overload: str, function: Callable[..., Any]) -> None:
        self._qualified, self._overloadname, self._function = name, overload, function
        self.namespace, _, self.__name__ = name.partition("::")
        self.__qualname__ = f"{self.__name__}.{overload}"
        self._schema = function.schema if isinstance(function, Operator) else Schema(name, None)

    def name(self) -> str:
        """ "namespace::name", with the overload's name unless it is the default."""
        return self._qualified if self._overloadname == "default" else f"{self._qualified}.{self._overloadname}"

    @property
    def overloadpacket(self) -> OpOverloadPacket:
        """The operator with all its overloads."""
        return getattr(getattr(ops, self.namespace), self.__name__)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<OpOverload(op='{self._qualified.replace('::', '.')}', overload='{self._overloadname}')>"

    def __str__(self) -> str:
        return f"{self._qualified.replace('::', '.')}.{self._overloadname}"


class OpOverloadPacket:
    """An operator: called itself, or one of its overloads."""

    def __init__(self, name: str, overloads: dict[str, OpOverload]) -> None:
        self._qualified_op_name, self._overloads = name, overloads
        self.__name__ = name.partition("::")[2]

    def overloads(self) -> list[str]:
        """The names of the overloads."""
        return list(self._overloads)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return next(iter(self._overloads.values()))(*args, **kwargs)

    def __getattr__(self, name: str) -> OpOverload:
        found = self.__dict__.get("_overloads", {}).get(name)
        if found is None:
            raise AttributeError(f"The underlying op of '{self.__dict__.get('_qualified_op_name')}' has no overload name '{name}'")
        return found

    def __repr__(self) -> str:
        return f"<OpOverloadPacket(op='{self._qualified_op_name.replace('::', '.')}')>"


class _OpNamespace(ModuleType):
    """The operators of one library."""

    def __init__(self, name: str) -> None:
        super().__init__(f"torch.ops.{name}")
        self._name, self._packets = name, dict[str, OpOverloadPacket]()

    def __getattr__(self, name: str) -> OpOverloadPacket:
        if name.startswith("__"):
            raise AttributeError(name)
        full = f"{self._name}::{name}"
        registered = {key: OPERATORS[key] for key in OPERATORS if key == full or key.startswith(full + ".")}
        if registered:
            packet = self._packets.get(name)
            if packet is None or len(packet._overloads) != len(registered):
                parts = {key.partition(".")[2] or "default": operator for key, operator in registered.items()}
                packet = self._packets[name] = OpOverloadPacket(full, {part: OpOverload(full, part, op) for part, op in parts.items()})
            return packet
        function = _built_in(self._name, name)
        if function is None:
            raise AttributeError(f"'_OpNamespace' '{self._name}' object has no attribute '{name}'")
        packet = OpOverloadPacket(full, _AnyOverload(full, function))
        self._packets[name] = packet
        return packet

    def __dir__(self) -> list[str]:
        prefix = self._name + "::"
        return sorted(key[len(prefix) :].partition(".")[0] for key in OPERATORS if key.startswith(prefix))


class _AnyOverload(dict[str, OpOverload]):
    """The overloads of a function of ours, which takes tensors and numbers alike: all names are the same function."""

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        super().__init__({part: OpOverload(name, part, function) for part in ("default", "Tensor", "Scalar")})
        self._name, self._function = name, function

    def get(self, key: str, default: Any = None) -> Any:
        """The function, under any name that could be an overload's."""
        if key not in self and not key.startswith("_"):
            self[key] = OpOverload(self._name, key, self._function)
        return super().get(key, default)


def _built_in(namespace: str, name: str) -> Callable[..., Any] | None:
    """The function of ours that is an operator of torch's own; None if there is none."""
    for prefix, module in _PREFIXES.items():
        if namespace == "aten" and name.startswith(prefix):
            return getattr(importlib.import_module(module), name.removeprefix(prefix), None)
    for module in _BUILT_IN.get(namespace, ()):
        found = getattr(importlib.import_module(module), name, None)
        if callable(found) and not isinstance(found, type):
            return found
    method = getattr(Tensor, name, None) if namespace in _BUILT_IN else None
    if method is None and namespace == "aten" and name.startswith("_"):  # internal to torch: who calls it is told so
        return _internal(name)
    return method if callable(method) else None


def _internal(name: str) -> Callable[..., Any]:
    """What stands for an operator that is internal to torch: calling it raises NotImplementedError."""

    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise NotImplementedError(f"torch.ops.aten.{name} is internal to torch; monograph has the public function that it is a part of")

    return refuse


class _Ops(ModuleType):
    """`torch.ops`."""

    def __init__(self) -> None:
        super().__init__("torch.ops", "Operators by namespace and name.")
        self.loaded_libraries: set[str] = set()

    def __getattr__(self, name: str) -> _OpNamespace:
        if name.startswith("__"):
            raise AttributeError(name)
        namespace = _OpNamespace(name)
        setattr(self, name, namespace)
        return namespace

    def load_library(self, path: Any) -> None:
        """Refused with OSError, as a file that does not load: it is C++ compiled against torch."""
        raise OSError(f"Could not load this library: {path}: it is compiled against torch's C++, and torch is monograph here")


ops = _Ops()


@contextmanager
def below_autograd() -> Iterator[None]:
    """Inside, operators run their kernels for the CPU and not those for autograd."""
    before, _below_autograd[0] = _below_autograd[0], True
    try:
        yield
    finally:
        _below_autograd[0] = before


__all__ = ["OPERATORS", "OpOverload", "OpOverloadPacket", "Operator", "below_autograd", "ops"]
