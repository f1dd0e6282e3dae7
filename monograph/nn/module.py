"""`Module`: a named collection of parameters, buffers and submodules with a forward computation."""

from __future__ import annotations

import sys
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, TypeVar

from monograph.core.errors import MonographError
from monograph.nn.backward_hooks import BackwardHook
from monograph.nn.conversion import Conversion
from monograph.nn.hooks import (
    GLOBAL_HOOKS,
    RemovableHandle,
    register_module_forward_hook,
    register_module_forward_pre_hook,
    register_module_full_backward_hook,
    register_module_full_backward_pre_hook,
)
from monograph.nn.notebook import to_html
from monograph.nn.parameter import Buffer, Parameter
from monograph.nn.registry import EPOCH, Registered
from monograph.nn.state import EXTRA_STATE_KEY_SUFFIX as _EXTRA_STATE_KEY_SUFFIX  # noqa: F401 - libraries read it here, as torch's
from monograph.nn.state import State
from monograph.nn.tree import Tree
from monograph.nn.verbs import TRAINING_ARGUMENTS, VERBS, Verbs, training_room
from monograph.tensor import Tensor

SelfModule = TypeVar("SelfModule", bound="Module")

__all__ = [
    "Module",
    "register_module_forward_hook",
    "register_module_forward_pre_hook",
    "register_module_full_backward_hook",
    "register_module_full_backward_pre_hook",
    "set_compiler",
]

_MISSING = object()
EXPLAINED = (MonographError, TypeError, ValueError, IndexError, RuntimeError)  # errors that are told in which module they happened
_TABLES = ("_parameters", "_buffers", "_modules")
# Dicts that every module has: they are made in __init__ and cost nothing while empty.
_HOOK_TABLES = (
    "_forward_hooks", "_forward_hooks_with_kwargs", "_forward_hooks_always_called", "_forward_pre_hooks", "_forward_pre_hooks_with_kwargs",
    "_backward_hooks", "_backward_pre_hooks", "_state_dict_hooks", "_state_dict_pre_hooks", "_load_state_dict_pre_hooks",
    "_load_state_dict_post_hooks",
)  # fmt: skip


class Module(Tree, State, Conversion, Verbs):
    """Base class of all layers and models. A subclass creates its parts in `__init__` (after `super().__init__()`) and
    computes in `forward`.

    >>> class Scale(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.factor = nn.Parameter(mg.ones(1))
    ...     def forward(self, x):
    ...         return x * self.factor
    >>> [name for name, _ in Scale().named_parameters()]
    ['factor']
    """

    dump_patches: bool = False
    training: bool
    call_super_init: bool = False
    _compiled_call_impl: Callable[..., Any] | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if kwargs and not self.call_super_init:
            raise TypeError(f"{type(self).__name__}.__init__() got an unexpected keyword argument '{next(iter(kwargs))}'")
        if args and not self.call_super_init:
            raise TypeError(f"{type(self).__name__}.__init__() takes 1 positional argument but {len(args) + 1} were given")
        own = self.__dict__
        own["training"] = True
        for name in _TABLES:
            own[name] = Registered(self)
        own["_non_persistent_buffers_set"] = set()
        for name in _HOOK_TABLES:
            own[name] = OrderedDict()
        if self.call_super_init:
            super().__init__(*args, **kwargs)

    def forward(self, *input: Any, **kwargs: Any) -> Any:
        """What the module computes; every subclass defines it."""
        raise NotImplementedError(f'Module [{type(self).__name__}] is missing the required "forward" function')

    # ---- calling ----
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if (
            self._forward_hooks
            or self._forward_pre_hooks
            or self._backward_hooks
            or self._backward_pre_hooks
            or GLOBAL_HOOKS.active
            or self._compiled_call_impl is not None
        ):
            return self._call_compiled_or_hooked(args, kwargs)
        try:
            return self.forward(*args, **kwargs)
        except EXPLAINED as error:
            _name_module(error)
            raise

    def _call_compiled_or_hooked(self, args: Any, kwargs: Any) -> Any:
        if self._compiled_call_impl is not None:
            return self._compiled_call_impl(*args, **kwargs)
        return self._call_impl(*args, **kwargs)

    def _call_impl(self, *args: Any, **kwargs: Any) -> Any:
        """The call with all hooks."""
        always_ran: set[int] = set()
        try:
            return self._run_with_hooks(args, kwargs, always_ran)
        except Exception as error:
            for number, hook in self._hooks_after_forward():
                if number in always_ran or not (number in self._forward_hooks_always_called or number in GLOBAL_HOOKS.forward_always):
                    continue
                hook(self, args, kwargs, None) if self._takes_kwargs(number) else hook(self, args, None)
            if isinstance(error, EXPLAINED):
                _name_module(error)
            raise

    def _hooks_after_forward(self) -> list[tuple[int, Callable[..., Any]]]:
        return [*GLOBAL_HOOKS.forward.items(), *self._forward_hooks.items()]

    def _takes_kwargs(self, number: int) -> bool:
        return number in self._forward_hooks_with_kwargs or number in GLOBAL_HOOKS.forward_with_kwargs

    def _run_with_hooks(self, args: Any, kwargs: Any, always_ran: set[int]) -> Any:
        for number, pre in [*GLOBAL_HOOKS.forward_pre.items(), *self._forward_pre_hooks.items()]:
            if number in self._forward_pre_hooks_with_kwargs:
                changed = pre(self, args, kwargs)
                if changed is not None:
                    if not (isinstance(changed, tuple) and len(changed) == 2):
                        raise RuntimeError(f"forward pre-hook must return None or a tuple of (new_args, new_kwargs), but got {changed}.")
                    args, kwargs = changed
            else:
                changed = pre(self, args)
                if changed is not None:
                    args = changed if isinstance(changed, tuple) else (changed,)
        backward = None
        if self._backward_hooks or self._backward_pre_hooks or GLOBAL_HOOKS.backward or GLOBAL_HOOKS.backward_pre:
            backward = BackwardHook(
                self,
                [*GLOBAL_HOOKS.backward.values(), *self._backward_hooks.values()],
                [*GLOBAL_HOOKS.backward_pre.values(), *self._backward_pre_hooks.values()],
            )
            args = backward.watch_inputs(args)
        result = self.forward(*args, **kwargs)
        for number, hook in self._hooks_after_forward():
            always_ran.add(number)
            changed = hook(self, args, kwargs, result) if self._takes_kwargs(number) else hook(self, args, result)
            if changed is not None:
                result = changed
        return result if backward is None else backward.watch_outputs(result)

    def compile(self, *args: Any, **kwargs: Any) -> None:
        """Torch's meaning: from now on calls of this module run its compiled forward (see `monograph.compile`), hooks included.

        With Keras's arguments, compile(optimizer, loss, metrics), Keras's: what `fit` and `evaluate` are to do. `optimizer` is a name, an
        instance or a class; `loss` a name, a function or a module; `metrics` a list of names and metrics; `from_logits=True` makes Keras's
        cross-entropies take logits.
        """
        if args or not TRAINING_ARGUMENTS.isdisjoint(kwargs):
            training_room().compile_for_training(self, *args, **kwargs)
            return
        if COMPILER is None:
            raise RuntimeError("Module.compile() needs the compiler: import monograph, not only monograph.nn")
        self._compiled_call_impl = COMPILER(self._call_impl, *args, **kwargs)

    # ---- attributes ----
    def __getattr__(self, name: str) -> Any:
        # Registered entries are in __dict__ too: only what is missing, or was put back by hand, comes here.
        own = self.__dict__
        for table in _TABLES:
            entries = own.get(table)
            if entries is not None and name in entries:
                return entries[name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __setattr__(self, name: str, value: Any) -> None:
        own = self.__dict__
        if isinstance(value, Parameter):
            if "_parameters" not in own:
                raise AttributeError("cannot assign parameters before Module.__init__() call")
            self._forget(name, "_parameters")
            self.register_parameter(name, value)
        elif isinstance(value, Module):
            if "_modules" not in own:
                raise AttributeError("cannot assign module before Module.__init__() call")
            self._forget(name, "_modules")
            own["_modules"][name] = value
        elif "_modules" in own and (
            name in own["_parameters"] or name in own["_modules"] or name in own["_buffers"] or isinstance(value, Buffer)
        ):
            self._set_registered(name, value)
        elif name in _TABLES:
            own[name] = Registered(self, value)
        else:
            if own.get(name, _MISSING) is not value:
                EPOCH.value += 1
            object.__setattr__(self, name, value)

    def _set_registered(self, name: str, value: Any) -> None:
        if name in self._parameters:
            if value is not None:
                raise TypeError(f"cannot assign '{_typename(value)}' as parameter '{name}' (torch.nn.Parameter or None expected)")
            self.register_parameter(name, None)
        elif name in self._modules:
            if value is not None:
                raise TypeError(f"cannot assign '{_typename(value)}' as child module '{name}' (torch.nn.Module or None expected)")
            self._modules[name] = None
        else:
            if value is not None and not isinstance(value, Tensor):
                raise TypeError(f"cannot assign '{_typename(value)}' as buffer '{name}' (torch.nn.Buffer, torch.Tensor or None expected)")
            if isinstance(value, Buffer):
                self._forget(name, "_buffers")
                self.register_buffer(name, value, value.persistent)
            else:
                self._buffers[name] = value

    def _forget(self, name: str, but: str) -> None:
        """Takes `name` out of the other tables, where it may stand for something else."""
        own = self.__dict__
        for table in _TABLES:
            if table != but and name in own[table]:
                del own[table][name]
        if but != "_buffers":
            own["_non_persistent_buffers_set"].discard(name)
        if name not in own[but]:
            own.pop(name, None)

    def __delattr__(self, name: str) -> None:
        for table in _TABLES:
            if name in self.__dict__.get(table, ()):
                del self.__dict__[table][name]
                self._non_persistent_buffers_set.discard(name)
                return
        EPOCH.value += 1
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        names = {*dir(type(self)), *self.__dict__, *self._parameters, *self._modules, *self._buffers}
        return sorted(name for name in names if not name[0].isdigit())

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        for name in _TABLES:
            self.__dict__[name] = Registered(self, state.get(name))
        for name in _HOOK_TABLES:
            self.__dict__.setdefault(name, OrderedDict())
        self.__dict__.setdefault("_non_persistent_buffers_set", set())

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        state.pop("_compiled_call_impl", None)
        state.pop("_attached", None)
        return state

    # ---- registration ----
    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Adds a parameter (or None: the name exists, without a value)."""
        self._check_name(name, "parameter", "_parameters")
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(f"cannot assign '{_typename(param)}' object to parameter '{name}' (torch.nn.Parameter or None required)")
        if param is not None and not param.is_leaf:
            raise ValueError(
                f"Cannot assign non-leaf Tensor to parameter '{name}'. Model parameters must be created explicitly. To express '{name}' "
                "as a function of another Tensor, compute the value in the forward() method."
            )
        self._parameters[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Adds a tensor that is state but not trained; one that is not `persistent` stays out of `state_dict`."""
        self._check_name(name, "buffer", "_buffers")
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(f"cannot assign '{_typename(tensor)}' object to buffer '{name}' (torch Tensor or None required)")
        self._buffers[name] = tensor
        if persistent:
            self._non_persistent_buffers_set.discard(name)
        else:
            self._non_persistent_buffers_set.add(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Adds a submodule."""
        if not isinstance(module, Module) and module is not None:
            raise TypeError(f"{_typename(module)} is not a Module subclass")
        self._check_name(name, "module", "_modules")
        self._modules[name] = module

    def register_module(self, name: str, module: Module | None) -> None:
        """Alias of `add_module`."""
        self.add_module(name, module)

    def _check_name(self, name: str, what: str, table: str) -> None:
        if table not in self.__dict__:
            raise AttributeError(f"cannot assign {what} before Module.__init__() call")
        if not isinstance(name, str):
            raise TypeError(f"{what} name should be a string. Got {_typename(name)}")
        if "." in name:
            raise KeyError(f'{what} name can\'t contain ".", got: {name}')
        if name == "":
            raise KeyError(f'{what} name can\'t be empty string ""')
        # The verbs are ours alone: a model may have parts of these names, as it may under torch.
        if name not in self.__dict__[table] and hasattr(self, name) and (name not in VERBS or name in self.__dict__):
            raise KeyError(f"attribute '{name}' already exists")

    # ---- hooks ----
    def register_forward_pre_hook(self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False) -> RemovableHandle:
        """hook(module, args) runs before `forward` and may return new args; with `with_kwargs` hook(module, args, kwargs) ->
        (args, kwargs).
        """
        marks = [self._forward_pre_hooks_with_kwargs] if with_kwargs else []
        return self._register(self._forward_pre_hooks, hook, prepend, marks)

    def register_forward_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False, always_call: bool = False
    ) -> RemovableHandle:
        """hook(module, args, output) runs after `forward` and may return a new output; `always_call`: also when `forward` raised."""
        marks = [
            m for m, wanted in ((self._forward_hooks_with_kwargs, with_kwargs), (self._forward_hooks_always_called, always_call)) if wanted
        ]
        return self._register(self._forward_hooks, hook, prepend, marks)

    def register_full_backward_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """hook(module, grad_input, grad_output) runs once the gradients of the inputs are known; it may return a new grad_input."""
        return self._register(self._backward_hooks, hook, prepend)

    register_backward_hook = register_full_backward_hook

    def register_full_backward_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """hook(module, grad_output) runs before the gradients are computed; it may return a new grad_output."""
        return self._register(self._backward_pre_hooks, hook, prepend)

    def _register(self, hooks: Any, hook: Callable[..., Any], prepend: bool, marks: Any = ()) -> RemovableHandle:
        EPOCH.value += 1
        return RemovableHandle.register(hooks, hook, prepend, marks)

    # ---- mode and gradients ----
    def train(self: SelfModule, mode: bool = True) -> SelfModule:
        """Sets training mode (dropout drops, batch norm uses the batch) in the whole tree."""
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self: SelfModule) -> SelfModule:
        """Sets evaluation mode: `train(False)`."""
        return self.train(False)

    def requires_grad_(self: SelfModule, requires_grad: bool = True) -> SelfModule:
        """Makes all parameters collect gradients, or freezes them."""
        EPOCH.value += 1
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forgets the gradients of all parameters (or zeroes them in place)."""
        for parameter in self.parameters():
            if parameter.grad is not None:
                if set_to_none:
                    parameter.grad = None
                else:
                    parameter.grad.requires_grad_(False) if parameter.grad.is_leaf else parameter.grad.detach_()
                    parameter.grad.zero_()

    def share_memory(self: SelfModule) -> SelfModule:
        """Nothing to do: worker processes are forked, and see the parameters."""
        return self

    # ---- text ----
    def _get_name(self) -> str:
        return type(self).__name__

    def extra_repr(self) -> str:
        """What the printed module shows in its parentheses."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = extra.split("\n") if extra else []
        children = [f"({name}): {_indent(repr(module))}" for name, module in self._modules.items()]
        if len(lines) == 1 and not children:
            return f"{self._get_name()}({lines[0]})"
        body = lines + children
        return f"{self._get_name()}(" + ("\n  " + "\n  ".join(body) + "\n" if body else "") + ")"

    def _repr_html_(self) -> str:
        """What notebooks show."""
        return to_html(self)

    def _replicate_for_data_parallel(self) -> Module:
        replica = type(self).__new__(type(self))
        replica.__setstate__(self.__dict__.copy())
        return replica


# Set by the engine's front (`monograph.compile`), which nn does not know.
COMPILER: Callable[..., Any] | None = None


def set_compiler(compiler: Callable[..., Any]) -> None:
    """Tells `Module.compile` how to compile a callable."""
    global COMPILER
    COMPILER = compiler


def _indent(text: str) -> str:
    first, *rest = text.split("\n")
    return "\n".join([first, *("  " + line for line in rest)])


def _typename(value: Any) -> str:
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


_CALLS = (Module.__call__.__code__, Module._run_with_hooks.__code__)


def _name_module(error: BaseException) -> None:
    """Adds the dotted path of the module whose forward raised: the modules being called are found on the Python stack, so
    calls pay nothing.
    """
    if getattr(error, "module", None) or any(note.startswith("in module ") for note in getattr(error, "__notes__", ())):
        return
    called: list[Module] = []
    frame: Any = sys._getframe(1)
    while frame is not None:
        if frame.f_code in _CALLS:
            module = frame.f_locals.get("self")
            if isinstance(module, Module) and (not called or called[-1] is not module):
                called.append(module)
        frame = frame.f_back
    if called:
        path = f"{_dotted_path(called)} ({type(called[0])._get_name(called[0])})"
        if isinstance(error, MonographError):
            error.module = path
        else:
            error.add_note(f"in module {path}")


def _dotted_path(called: list[Module]) -> str:
    """The path of called[0] below the outermost module called that contains it; callers outside of the tree are named by their class."""
    innermost = called[0]
    for root in reversed(called):
        for path, module in root.named_modules():
            if module is innermost:
                return path or type(root).__name__
    return type(innermost).__name__
