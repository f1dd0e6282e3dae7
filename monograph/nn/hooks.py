"""Hooks of modules: handles that remove them, hooks of all modules, and the gradient hooks."""

from __future__ import annotations

import itertools
import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from monograph.nn.registry import EPOCH

_numbers = itertools.count()


class RemovableHandle:
    """Returned by every `register_..._hook`; `remove()` takes the hook away, as does leaving a `with` block."""

    def __init__(self, hooks_dict: Any, *, extra_dict: Any = None) -> None:
        self.id = next(_numbers)
        self._places = [weakref.ref(place) for place in (hooks_dict, *_as_list(extra_dict)) if place is not None]

    @classmethod
    def register(cls, hooks: Any, hook: Callable[..., Any], prepend: bool = False, marks: Any = ()) -> RemovableHandle:
        """Adds the hook to `hooks`, and its number to each of the dicts `marks`."""
        EPOCH.value += 1
        handle = cls(hooks, extra_dict=list(marks))
        hooks[handle.id] = hook
        if prepend:
            hooks.move_to_end(handle.id, last=False)
        for mark in marks:
            mark[handle.id] = True
        return handle

    def remove(self) -> None:
        """Takes the hook away; does nothing the second time."""
        EPOCH.value += 1
        for reference in self._places:
            place = reference()
            if place is not None:
                place.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


class GlobalHooks:
    """Hooks that run for every module."""

    def __init__(self) -> None:
        self.forward_pre: OrderedDict[int, Any] = OrderedDict()
        self.forward: OrderedDict[int, Any] = OrderedDict()
        self.forward_always: OrderedDict[int, Any] = OrderedDict()
        self.forward_with_kwargs: OrderedDict[int, Any] = OrderedDict()
        self.backward_pre: OrderedDict[int, Any] = OrderedDict()
        self.backward: OrderedDict[int, Any] = OrderedDict()
        self.active = False

    def note(self) -> None:
        """Tells the fast path of every call that there may be something to do."""
        self.active = True


GLOBAL_HOOKS = GlobalHooks()


def register_module_forward_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """hook(module, args) runs before the forward of every module."""
    GLOBAL_HOOKS.note()
    return RemovableHandle.register(GLOBAL_HOOKS.forward_pre, hook)


def register_module_forward_hook(hook: Callable[..., Any], *, with_kwargs: bool = False, always_call: bool = False) -> RemovableHandle:
    """hook(module, args, output) runs after the forward of every module."""
    GLOBAL_HOOKS.note()
    marks = [m for m, wanted in ((GLOBAL_HOOKS.forward_with_kwargs, with_kwargs), (GLOBAL_HOOKS.forward_always, always_call)) if wanted]
    return RemovableHandle.register(GLOBAL_HOOKS.forward, hook, marks=marks)


def register_module_full_backward_pre_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """hook(module, grad_output) runs before the gradients of every module."""
    GLOBAL_HOOKS.note()
    return RemovableHandle.register(GLOBAL_HOOKS.backward_pre, hook)


def register_module_full_backward_hook(hook: Callable[..., Any]) -> RemovableHandle:
    """hook(module, grad_input, grad_output) runs after the gradients of every module."""
    GLOBAL_HOOKS.note()
    return RemovableHandle.register(GLOBAL_HOOKS.backward, hook)
