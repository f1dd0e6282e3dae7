"""torch.library: operators that libraries define in Python. They can be called through `torch.ops`, and differentiate by the backward that
was registered for them; rules for fake tensors and other devices are kept without effect.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from monograph.compat.operators import OPERATORS, Operator, OpOverload, below_autograd, ops
from monograph.compat.schemas import Schema, inferred

infer_schema = inferred
_DEVICE_KEYS = {"cpu": "CPU", "cuda": "CUDA", "mps": "MPS", "xpu": "XPU", "meta": "Meta", "default": "", "types": ""}


def _named(op: Any) -> str:
    """ "namespace::name" of what was given as an operator. Raises ValueError for a name without a namespace."""
    if isinstance(op, CustomOpDef):
        return op._qualname
    name = op.name() if isinstance(op, OpOverload) else getattr(op, "_qualified_op_name", op)
    if not isinstance(name, str) or "::" not in name:
        raise ValueError(f"Expected `qualname` to be of the form \"namespace::name\", got {name!r}")
    return name.removesuffix(".default")


def _operator(op: Any) -> Operator:
    """The operator of that name; one that compiled code would have defined is entered without a schema."""
    name = _named(op)
    return OPERATORS.setdefault(name, Operator(name, Schema(name, None)))


def define(qualname: Any, schema: Any, *, lib: Any = None, tags: Any = ()) -> Any:
    """Declares an operator: `define("mylib::sin", "(Tensor x) -> Tensor")`. Raises RuntimeError if it is declared already."""
    name = _named(qualname)
    if not isinstance(schema, str):
        raise ValueError(f"define(qualname, schema): expected schema to be a string, got {type(schema).__name__}")
    known = OPERATORS.get(name)
    if known is not None and known.schema.text is not None:
        raise RuntimeError(f"Tried to register an operator ({name}{schema}) with the same name and overload name multiple times.")
    if known is not None:
        known.schema = Schema(name, schema)
    else:
        OPERATORS[name] = Operator(name, Schema(name, schema))


def impl(qualname: Any, types: Any, func: Callable[..., Any] | None = None, *, lib: Any = None) -> Any:
    """Gives an operator's kernel for device types ("cpu", "default" ...) or dispatch keys; a decorator without `func`."""
    keys = [types] if isinstance(types, str) else list(types)

    def enter(function: Callable[..., Any]) -> Callable[..., Any]:
        for key in keys:
            _operator(qualname).kernels[_DEVICE_KEYS.get(key, key)] = function
        return function

    return enter if func is None else enter(func)


def register_kernel(op: Any, device_types: Any, func: Callable[..., Any] | None = None, /, *, lib: Any = None) -> Any:
    """`impl` for device types; None means all."""
    return impl(op, "default" if device_types is None else device_types, func, lib=lib)


def register_fake(
    op: Any, func: Callable[..., Any] | None = None, /, *, lib: Any = None, _stacklevel: int = 1, allow_override: bool = False
) -> Any:
    """Keeps the rule for an operator's result shape. Nothing asks for it: shapes are those of what the kernel records."""

    def enter(function: Callable[..., Any]) -> Callable[..., Any]:
        if _named(op) in OPERATORS:
            _operator(op).fake = function
        return function

    return enter if func is None else enter(func)


def register_autograd(
    op: Any, backward: Callable[..., Any], /, *, setup_context: Callable[..., Any] | None = None, lib: Any = None
) -> None:
    """Gives an operator's gradient: `setup_context(ctx, inputs, output)` after the kernel, `backward(ctx, *grads)` for the pass back."""
    operator = _operator(op)
    operator.backward, operator.setup_context = backward, setup_context


def _kept(op: Any, *rule: Any, lib: Any = None, **options: Any) -> Any:
    """Accepts a rule that nothing here asks for."""
    function = rule[-1] if rule and callable(rule[-1]) else None
    return function if function is not None else lambda given: given


register_vmap = register_torch_dispatch = register_autocast = _kept


def impl_abstract(qualname: Any, func: Any = None, *, lib: Any = None, _stacklevel: int = 1) -> Any:
    """The old name of `register_fake`."""
    return register_fake(qualname, func, lib=lib)


class Library:
    """A handle to define operators of one namespace, or give kernels for them: `Library("mylib", "DEF")`, "FRAGMENT" or "IMPL"."""

    def __init__(self, ns: str, kind: str, dispatch_key: str = "") -> None:
        if kind not in ("IMPL", "DEF", "FRAGMENT"):
            raise ValueError("Unsupported kind: ", kind)
        self.ns, self.kind, self.dispatch_key = ns, kind, dispatch_key
        self._defined: list[str] = []

    def define(self, schema: str, alias_analysis: str = "", *, tags: Any = ()) -> str:
        """Declares "name(Tensor x) -> Tensor"; returns the name."""
        if alias_analysis not in ("", "FROM_SCHEMA", "CONSERVATIVE"):
            raise RuntimeError(f"Invalid alias_analysis type {alias_analysis}")
        name, _, rest = schema.partition("(")
        define(f"{self.ns}::{name.strip()}", "(" + rest)
        self._defined.append(f"{self.ns}::{name.strip()}")
        return name.strip()

    def impl(
        self, op_name: Any, fn: Callable[..., Any], dispatch_key: str = "", *, with_keyset: bool = False, allow_override: bool = False
    ) -> None:
        """Gives a kernel for a dispatch key."""
        if not callable(fn):
            raise TypeError(f"Input function is required to be a callable but found type {type(fn)}")
        key = dispatch_key or self.dispatch_key or "CompositeImplicitAutograd"
        name = _named(op_name) if not isinstance(op_name, str) else op_name if "::" in op_name else f"{self.ns}::{op_name}"
        _operator(name).kernels[key] = fn

    _impl_with_aoti_compile = impl

    def fallback(self, fn: Callable[..., Any], dispatch_key: str = "", *, with_keyset: bool = False) -> None:
        """Keeps nothing: operators without a kernel raise."""

    def _register_fake(self, op_name: str, fn: Callable[..., Any], _stacklevel: int = 1, *, allow_override: bool = False) -> None:
        register_fake(f"{self.ns}::{op_name}", fn)

    def _destroy(self) -> None:
        """Takes back what it declared."""
        for name in self._defined:
            OPERATORS.pop(name, None)


def fallthrough_kernel() -> None:
    """Stands for "ask the next key" in `Library.impl`; it cannot be called."""
    raise NotImplementedError("fallthrough_kernel() should never be called.")


class CustomOpDef:
    """What `custom_op` returns: a function that is an operator, to which gradients and kernels can be added."""

    def __init__(self, namespace: str, name: str, schema: str, fn: Callable[..., Any], tags: Any = ()) -> None:
        self._namespace, self._name, self._qualname, self._init_fn = namespace, name, f"{namespace}::{name}", fn
        self.__name__, self.__doc__ = name, fn.__doc__
        operator = OPERATORS[self._qualname] = Operator(self._qualname, Schema(self._qualname, schema))
        operator.needs_formula = True

    @property
    def _opoverload(self) -> OpOverload:
        return getattr(getattr(ops, self._namespace), self._name).default

    def register_kernel(self, device_types: Any, fn: Callable[..., Any] | None = None, /) -> Any:
        """Gives the kernel for device types."""
        return register_kernel(self, device_types, fn)

    def register_fake(self, fn: Callable[..., Any], /) -> Callable[..., Any]:
        """Keeps the rule for its result's shape."""
        return register_fake(self, fn)

    def register_autograd(self, backward: Callable[..., Any], /, *, setup_context: Callable[..., Any] | None = None) -> None:
        """Gives its gradient."""
        register_autograd(self, backward, setup_context=setup_context)

    def register_vmap(self, func: Any = None) -> Any:
        """Accepted: nothing asks for it."""
        return register_vmap(self, func)

    def register_autocast(self, device_type: str, cast_inputs: Any) -> Any:
        """Accepted: nothing asks for it."""
        return self

    def register_torch_dispatch(self, torch_dispatch_class: Any, fn: Any = None, /) -> Any:
        """Accepted: nothing asks for it."""
        return register_torch_dispatch(self, torch_dispatch_class, fn)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return OPERATORS[self._qualname](*args, **kwargs)

    def __repr__(self) -> str:
        return f"<CustomOpDef({self._qualname})>"


def custom_op(
    name: str, fn: Callable[..., Any] | None = None, /, *, mutates_args: str | Iterable[str], device_types: Any = None,
    schema: str | None = None, tags: Any = None,
) -> Any:  # fmt: skip
    """Makes a function an operator, opaque to what captures graphs: `@custom_op("mylib::sin", mutates_args=())`."""

    def enter(function: Callable[..., Any]) -> CustomOpDef:
        namespace, _, short = _named(name).partition("::")
        mutated = () if mutates_args == "unknown" else mutates_args
        made = CustomOpDef(namespace, short, schema or inferred(function, mutates_args=mutated), function)
        register_kernel(made, device_types, function)
        return made

    return enter if fn is None else enter(fn)


def triton_op(name: str, fn: Callable[..., Any] | None = None, /, *, mutates_args: str | Iterable[str], schema: str | None = None) -> Any:
    """As `custom_op`; Triton's kernels themselves need a GPU."""
    return custom_op(name, fn, mutates_args=mutates_args, schema=schema)


def wrap_triton(triton_kernel: Any, /) -> Any:
    """The kernel as it is."""
    return triton_kernel


def get_ctx() -> Any:
    """Refused outside of a rule for fake tensors, and no such rule is ever run."""
    raise RuntimeError("get_ctx() can only be called inside of a function that was registered with register_fake, and none is run here")


def opcheck(op: Any, args: tuple[Any, ...], kwargs: dict[str, Any] | None = None, **options: Any) -> dict[str, str]:
    """Calls the operator once with the arguments; {"test_schema": "SUCCESS"}, or what it raises."""
    _operator(op)(*args, **(kwargs or {}))
    return {"test_schema": "SUCCESS"}


__all__ = [
    "CustomOpDef", "Library", "below_autograd", "custom_op", "define", "fallthrough_kernel", "get_ctx", "impl", "impl_abstract",
    "infer_schema", "opcheck", "register_autocast", "register_autograd", "register_fake", "register_kernel", "register_torch_dispatch",
    "register_vmap",
    "triton_op", "wrap_triton",
]  # fmt: skip
