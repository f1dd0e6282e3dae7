"""`Optimizer`: parameter groups, state by parameter, and what surrounds a step."""

from __future__ import annotations

import functools
import itertools
import warnings
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any

from monograph.core.modes import no_grad
from monograph.optim import for_subclasses
from monograph.optim.groups import ParamGroup
from monograph.tensor import Tensor
from monograph.tensor.dispatch import evaluate


class _Required:
    def __repr__(self) -> str:
        return "<required parameter>"


required = _Required()

_handles = itertools.count()


class HookHandle:
    """Takes a hook away again."""

    def __init__(self, hooks: OrderedDict[int, Any], hook: Callable[..., Any], prepend: bool = False) -> None:
        self.id = next(_handles)
        self._hooks = hooks
        hooks[self.id] = hook
        if prepend:
            hooks.move_to_end(self.id, last=False)

    def remove(self) -> None:
        """Takes the hook away; does nothing the second time."""
        self._hooks.pop(self.id, None)

    def __enter__(self) -> HookHandle:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


_global_pre_hooks: OrderedDict[int, Any] = OrderedDict()
_global_post_hooks: OrderedDict[int, Any] = OrderedDict()


def register_optimizer_step_pre_hook(hook: Callable[..., Any]) -> HookHandle:
    """hook(optimizer, args, kwargs) runs before every step of every optimiser."""
    return HookHandle(_global_pre_hooks, hook)


def register_optimizer_step_post_hook(hook: Callable[..., Any]) -> HookHandle:
    """hook(optimizer, args, kwargs) runs after every step of every optimiser."""
    return HookHandle(_global_post_hooks, hook)


def _around_step(step: Callable[..., Any]) -> Callable[..., Any]:
    """What every step has: hooks, the count that schedulers look at, and the evaluation of all parameters at the end."""

    @functools.wraps(step)
    def wrapped(self: Optimizer, *args: Any, **kwargs: Any) -> Any:
        if self._in_step or not hasattr(self, "_optimizer_step_pre_hooks"):  # a subclass calls super().step(), or wraps another optimiser
            return step(self, *args, **kwargs)
        self._in_step = True
        try:
            for pre in (*_global_pre_hooks.values(), *self._optimizer_step_pre_hooks.values()):
                changed = pre(self, args, kwargs)
                if changed is not None:
                    if not (isinstance(changed, tuple) and len(changed) == 2):
                        raise RuntimeError(f"{pre} must return None or a tuple of (new_args, new_kwargs), but got {changed}.")
                    args, kwargs = changed
            result = step(self, *args, **kwargs)
            touched = self._touched
            if touched is None:
                touched = [p for group in self.param_groups for p in group["params"]]
            evaluate(touched)
            self._touched = None
            for post in (*self._optimizer_step_post_hooks.values(), *_global_post_hooks.values()):
                post(self, args, kwargs)
        finally:
            self._in_step = False
        self._opt_called = True
        return result

    wrapped._is_wrapped_step = True  # type: ignore[attr-defined]
    return wrapped


class Optimizer:
    """Base class. A subclass gives `step(closure=None)`, which changes the parameters (under no_grad) by their `.grad`."""

    _in_step = False
    _opt_called = False
    _touched: list[Tensor] | None = None  # what the step has written, if it says so; else all parameters are evaluated

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = cls.__dict__.get("step")
        if own is not None and not getattr(own, "_is_wrapped_step", False):
            cls.step = _around_step(own)  # type: ignore[method-assign]

    def __init__(self, params: Any, defaults: dict[str, Any]) -> None:
        if isinstance(params, Tensor):
            raise TypeError(
                f"params argument given to the optimizer should be an iterable of Tensors or dicts, but got {type(params).__name__}"
            )
        self.defaults = defaults
        self.state: defaultdict[Any, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[Any] = []
        self._make_hook_tables()
        groups = list(params)
        if not groups:
            raise ValueError(
                "optimizer got an empty parameter list: has the model parameters, and was model.parameters(), a generator, used up before?"
            )
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def _make_hook_tables(self) -> None:
        for name in ("step_pre", "step_post", "state_dict_pre", "state_dict_post", "load_state_dict_pre", "load_state_dict_post"):
            self.__dict__[f"_optimizer_{name}_hooks"] = OrderedDict()

    _optimizer_step_pre_hooks: OrderedDict[int, Any]
    _optimizer_step_post_hooks: OrderedDict[int, Any]

    def __getstate__(self) -> dict[str, Any]:
        return {"defaults": self.defaults, "state": self.state, "param_groups": self.param_groups}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if "_optimizer_step_pre_hooks" not in self.__dict__:
            self._make_hook_tables()
        self.defaults.setdefault("differentiable", False)

    def __repr__(self) -> str:
        lines = [type(self).__name__ + " ("]
        for i, group in enumerate(self.param_groups):
            lines += [""] * (i > 0) + [f"Parameter Group {i}"]
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key != "params"]
        return "\n".join([*lines, ")"])

    # ---- the step ----
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One update of all parameters. `closure` evaluates the model again and returns the loss, which is returned."""
        raise NotImplementedError

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forgets all gradients (or zeroes them in place)."""
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    if set_to_none:
                        p.grad = None
                    else:
                        with no_grad():
                            p.grad = p.grad.detach() if p.grad.requires_grad else p.grad
                            p.grad.zero_()

    # ---- groups ----
    _group_tensors_by_device_and_dtype = staticmethod(for_subclasses._group_tensors_by_device_and_dtype)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds a group: {"params": tensors or (name, tensor) pairs, and hyper-parameters that differ from the defaults}."""
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        group = ParamGroup(param_group)
        params = group["params"]
        if isinstance(params, Tensor):
            group["params"] = [params]
        elif isinstance(params, set):
            raise TypeError(
                "optimizer parameters need to be organized in ordered collections, but the ordering of tensors in sets "
                "will change between runs. Please use a list instead."
            )
        else:
            group["params"] = list(params)
        self._split_names(group)
        for p in group["params"]:
            if not isinstance(p, Tensor):
                raise TypeError(f"optimizer can only optimize Tensors, but one of the params is {type(p).__name__}")
            if not self.defaults.get("differentiable", None) and not (p.is_leaf or p.retains_grad):
                raise ValueError(
                    f"can't optimize a non-leaf Tensor: one of shape {list(p.shape)} was computed from others; give the optimizer what it "
                    "was computed from, or a leaf made of it, x.detach().requires_grad_()"
                )
        for name, default in self.defaults.items():
            if default is required and name not in group:
                raise ValueError(f"parameter group didn't specify a value of required optimization parameter {name}")
            group.setdefault(name, default)
        if len(group["params"]) != len({id(p) for p in group["params"]}):
            warnings.warn(
                "optimizer contains a parameter group with duplicate parameters; in future, this will cause an error; see "
                "github.com/pytorch/pytorch/issues/40967 "
                "for more information",
                stacklevel=3,
            )
        known = {id(p) for g in self.param_groups for p in g["params"]}
        if any(id(p) in known for p in group["params"]):
            raise ValueError("some parameters appear in more than one parameter group")
        self.param_groups.append(group)

    def _split_names(self, group: ParamGroup) -> None:
        """Takes (name, parameter) pairs apart; all groups have names or none has."""
        pairs = [p for p in group["params"] if isinstance(p, tuple)]
        if not pairs:
            if any("param_names" in g for g in self.param_groups) and group["params"]:
                raise ValueError(
                    "all optimizer param groups should be with/without names. cannot add param group without names to the "
                    "optimizer that has names"
                )
            return
        if len(pairs) != len(group["params"]):
            raise ValueError("all optimizer params should be with/without names. Some param names are missing")
        if any("param_names" not in g for g in self.param_groups):
            raise ValueError(
                "all optimizer param groups should be with/without names. cannot add param group with names to the "
                "optimizer that has no names"
            )
        group["param_names"] = [name for name, _ in pairs]
        group["params"] = [p for _, p in pairs]

    # ---- saving and loading ----
    def state_dict(self) -> dict[str, Any]:
        """{"state": state by parameter number, "param_groups": groups with parameter numbers}: torch's format."""
        for hook in self.__dict__["_optimizer_state_dict_pre_hooks"].values():
            hook(self)
        numbers: dict[int, int] = {}
        groups = []
        for group in self.param_groups:
            packed = {key: value for key, value in group.items() if key != "params"}
            for p in group["params"]:
                numbers.setdefault(id(p), len(numbers))
            packed["params"] = [numbers[id(p)] for p in group["params"]]
            groups.append(packed)
        state = {(numbers[id(key)] if isinstance(key, Tensor) else key): value for key, value in self.state.items()}
        result: dict[str, Any] = {"state": state, "param_groups": groups}
        for hook in self.__dict__["_optimizer_state_dict_post_hooks"].values():
            changed = hook(self, result)
            result = result if changed is None else changed
        return result

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes over a state from `state_dict()`: groups by position, state cast to each parameter's dtype."""
        given = dict(state_dict)
        for hook in self.__dict__["_optimizer_load_state_dict_pre_hooks"].values():
            changed = hook(self, given)
            given = given if changed is None else changed
        saved = [dict(group) for group in given["param_groups"]]
        if len(saved) != len(self.param_groups):
            raise ValueError("loaded state dict has a different number of parameter groups")
        if any(len(mine["params"]) != len(theirs["params"]) for mine, theirs in zip(self.param_groups, saved, strict=True)):
            raise ValueError("loaded state dict contains a parameter group that doesn't match the size of optimizer's group")
        by_number = {
            number: p
            for mine, theirs in zip(self.param_groups, saved, strict=True)
            for number, p in zip(theirs["params"], mine["params"], strict=True)
        }
        state: defaultdict[Any, dict[str, Any]] = defaultdict(dict)
        with no_grad():
            for key, value in given["state"].items():
                p = by_number.get(key)
                state[key if p is None else p] = value if p is None else _cast_state(p, value)
        self.state = state
        groups = []
        for mine, theirs in zip(self.param_groups, saved, strict=True):
            group = ParamGroup({key: deepcopy(value) for key, value in theirs.items() if key != "params"})
            group["params"] = mine["params"]
            if "param_names" in mine:
                group["param_names"] = mine["param_names"]
            groups.append(group)
        self.__setstate__({"state": self.state, "param_groups": groups})
        for hook in self.__dict__["_optimizer_load_state_dict_post_hooks"].values():
            hook(self)

    # ---- hooks ----
    def _hook(self, name: str, hook: Callable[..., Any], prepend: bool = False) -> HookHandle:
        return HookHandle(self.__dict__[f"_optimizer_{name}_hooks"], hook, prepend)

    def register_step_pre_hook(self, hook: Callable[..., Any]) -> HookHandle:
        """hook(optimizer, args, kwargs) runs before each step; it may return new (args, kwargs)."""
        return self._hook("step_pre", hook)

    def register_step_post_hook(self, hook: Callable[..., Any]) -> HookHandle:
        """hook(optimizer, args, kwargs) runs after each step."""
        return self._hook("step_post", hook)

    def register_state_dict_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> HookHandle:
        """hook(optimizer) runs before `state_dict`."""
        return self._hook("state_dict_pre", hook, prepend)

    def register_state_dict_post_hook(self, hook: Callable[..., Any], prepend: bool = False) -> HookHandle:
        """hook(optimizer, state_dict) runs after `state_dict` and may return another one."""
        return self._hook("state_dict_post", hook, prepend)

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> HookHandle:
        """hook(optimizer, state_dict) runs before loading and may return another state."""
        return self._hook("load_state_dict_pre", hook, prepend)

    def register_load_state_dict_post_hook(self, hook: Callable[..., Any], prepend: bool = False) -> HookHandle:
        """hook(optimizer) runs after loading."""
        return self._hook("load_state_dict_post", hook, prepend)


def _cast_state(p: Tensor, value: Any, key: str = "") -> Any:
    """A loaded state of parameter p: floating tensors in its dtype, but for the step count."""
    if isinstance(value, Tensor):
        keeps = key == "step" or not p.dtype.is_floating_point or not value.dtype.is_floating_point or value.dtype is p.dtype
        copied = value.detach().clone() if keeps else value.detach().to(p.dtype)
        copied._silent = True  # as in single.keep_off_the_tape
        return copied
    if isinstance(value, dict):
        return {k: _cast_state(p, v, k) for k, v in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str | bytes):
        return type(value)(_cast_state(p, v) for v in value)  # type: ignore[call-arg]
    return value


def check_range(name: str, value: Any, valid: bool) -> None:
    """Raises ValueError in torch's words for a hyper-parameter out of range."""
    if isinstance(value, Tensor) and value.numel() != 1:
        raise ValueError(f"Tensor lr must be 1-element, got shape {list(value.shape)}")
    if not valid:
        raise ValueError(f"Invalid {name}: {value}")
