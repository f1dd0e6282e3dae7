"""The module's state: `state_dict`, `load_state_dict` and the hooks around them."""

from __future__ import annotations

import functools
import itertools
from collections import OrderedDict, namedtuple
from collections.abc import Callable, Mapping
from typing import Any

from monograph.core.modes import no_grad
from monograph.nn.hooks import RemovableHandle
from monograph.nn.parameter import Parameter
from monograph.nn.registry import EPOCH
from monograph.tensor import Tensor

EXTRA_STATE_KEY_SUFFIX = "_extra_state"


class IncompatibleKeys(namedtuple("IncompatibleKeys", ["missing_keys", "unexpected_keys"])):
    """What `load_state_dict` did not find and did not want."""

    __slots__ = ()

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return super().__repr__()

    __str__ = __repr__


def prefix_hint(missing: list[str], unexpected: list[str]) -> str:
    """The line for keys that differ by a prefix alone, as a wrapper around the model leaves it ("" if they do not).

    >>> print(prefix_hint(["a.weight"], ["module.a.weight"]))
    <BLANKLINE>
      fix: the keys of the state_dict start with 'module.': load {key.removeprefix('module.'): value for key, value in state_dict.items()}
    """
    for given, wanted, verb in ((unexpected, missing, "removeprefix"), (missing, unexpected, "add")):
        if wanted and len(given) == len(wanted) and given[0].endswith("." + wanted[0]):
            prefix = given[0].removesuffix(wanted[0])
            if {prefix + key for key in wanted} == set(given):
                lacks = verb == "add"
                change = f"{prefix!r} + key" if lacks else f"key.removeprefix({prefix!r})"
                return (
                    f"\n  fix: the keys of the state_dict {'lack' if lacks else 'start with'} {prefix!r}: "
                    f"load {{{change}: value for key, value in state_dict.items()}}"
                )
    return ""


class State:
    """The part of `Module` that saves and loads."""

    _version: int = 1
    _parameters: dict[str, Any]
    _buffers: dict[str, Any]
    _modules: dict[str, Any]
    _non_persistent_buffers_set: set[str]
    _state_dict_hooks: dict[int, Callable[..., Any]]
    _state_dict_pre_hooks: dict[int, Callable[..., Any]]
    _load_state_dict_pre_hooks: dict[int, Callable[..., Any]]
    _load_state_dict_post_hooks: dict[int, Callable[..., Any]]

    # ---- saving ----
    def get_extra_state(self) -> Any:
        """Override to keep something in the state besides parameters and buffers."""
        raise RuntimeError(
            "Reached a code path in Module.get_extra_state() that should never be called: override it together with set_extra_state()"
        )

    def set_extra_state(self, state: Any) -> None:
        """Override to take back what `get_extra_state` gave."""
        raise RuntimeError(
            "Reached a code path in Module.set_extra_state() that should never be called: override it together with get_extra_state()"
        )

    def _has_extra_state(self) -> bool:
        return type(self).get_extra_state is not State.get_extra_state

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        for name, parameter in self._parameters.items():
            if parameter is not None:
                destination[prefix + name] = parameter if keep_vars else parameter.detach()
        for name, buffer in self._buffers.items():
            if buffer is not None and name not in self._non_persistent_buffers_set:
                destination[prefix + name] = buffer if keep_vars else buffer.detach()
        if self._has_extra_state():
            destination[prefix + EXTRA_STATE_KEY_SUFFIX] = self.get_extra_state()

    def state_dict(self, *args: Any, destination: Any = None, prefix: str = "", keep_vars: bool = False) -> dict[str, Any]:
        """Parameters and persistent buffers by dotted name; the tensors share memory with the module's."""
        if args:  # torch's old positional form (destination, prefix, keep_vars)
            destination = args[0] if destination is None else destination
            prefix = args[1] if len(args) > 1 and not prefix else prefix
            keep_vars = args[2] if len(args) > 2 and not keep_vars else keep_vars
        if destination is None:
            destination = OrderedDict()
            destination._metadata = OrderedDict()
        metadata: dict[str, Any] = {"version": self._version}
        if hasattr(destination, "_metadata"):
            destination._metadata[prefix[:-1]] = metadata
        for hook in list(self._state_dict_pre_hooks.values()):
            hook(self, prefix, keep_vars)
        self._save_to_state_dict(destination, prefix, keep_vars)
        for name, module in self._modules.items():
            if module is not None:
                module.state_dict(destination=destination, prefix=prefix + name + ".", keep_vars=keep_vars)
        for hook in list(self._state_dict_hooks.values()):
            result = hook(self, destination, prefix, metadata)
            if getattr(hook, "_from_public_api", False):
                if result is not None:
                    raise RuntimeError("state_dict post-hook must return None")
            elif result is not None:
                destination = result
        return destination

    def register_state_dict_post_hook(self, hook: Callable[..., None]) -> RemovableHandle:
        """hook(module, state_dict, prefix, local_metadata) runs after this module's part of `state_dict`; it may change it in place."""
        public = functools.partial(hook)
        public._from_public_api = True  # type: ignore[attr-defined]
        return RemovableHandle.register(self._state_dict_hooks, public)

    def _register_state_dict_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        return RemovableHandle.register(self._state_dict_hooks, hook)

    def register_state_dict_pre_hook(self, hook: Callable[..., None]) -> RemovableHandle:
        """hook(module, prefix, keep_vars) runs before this module's part of `state_dict`."""
        return RemovableHandle.register(self._state_dict_pre_hooks, hook)

    # ---- loading ----
    def _register_load_state_dict_pre_hook(self, hook: Callable[..., None], with_module: bool = False) -> RemovableHandle:
        return RemovableHandle.register(self._load_state_dict_pre_hooks, functools.partial(hook, self) if with_module else hook)

    def register_load_state_dict_pre_hook(self, hook: Callable[..., None]) -> RemovableHandle:
        """hook(module, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs) runs before loading."""
        return self._register_load_state_dict_pre_hook(hook, with_module=True)

    def register_load_state_dict_post_hook(self, hook: Callable[..., None]) -> RemovableHandle:
        """hook(module, incompatible_keys) runs after loading; it may change the lists of keys in place."""
        return RemovableHandle.register(self._load_state_dict_post_hooks, hook)

    def _load_from_state_dict(
        self, state_dict: Any, prefix: str, local_metadata: Any, strict: bool, missing_keys: list[str], unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:  # fmt: skip
        for hook in list(self._load_state_dict_pre_hooks.values()):
            hook(state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)
        persistent = {name: b for name, b in self._buffers.items() if name not in self._non_persistent_buffers_set}
        own = {name: value for name, value in itertools.chain(self._parameters.items(), persistent.items()) if value is not None}
        assign = local_metadata.get("assign_to_params_buffers", False)
        for name, value in own.items():
            key = prefix + name
            if key not in state_dict:
                if strict:
                    missing_keys.append(key)
                continue
            given = state_dict[key]
            if not isinstance(given, Tensor):
                error_msgs.append(
                    f'While copying the parameter named "{key}", expected a Tensor or Tensor-like object from checkpoint '
                    f"but received {type(given)}"
                )
                continue
            if given.ndim == 1 and value.ndim == 0 and given.shape[0] == 1:
                given = given[0]  # checkpoints of very old versions held 0-d values as vectors
            if given.shape != value.shape:
                error_msgs.append(
                    f"size mismatch for {key}: copying a param with shape {given.shape} from checkpoint, the shape in "
                    f"current model is {value.shape}."
                )
                continue
            try:
                self._store(name, value, given, assign)
            except Exception as error:
                error_msgs.append(
                    f'While copying the parameter named "{key}", whose dimensions in the model are {value.size()} and whose dimensions '
                    f"in the checkpoint are {given.size()}, an exception occurred : {error.args}."
                )
        extra = prefix + EXTRA_STATE_KEY_SUFFIX
        if self._has_extra_state():
            if extra in state_dict:
                self.set_extra_state(state_dict[extra])
            elif strict:
                missing_keys.append(extra)
        elif strict and extra in state_dict:
            unexpected_keys.append(extra)
        if strict:
            for key in state_dict:
                if key.startswith(prefix) and key != extra:
                    first, *rest = key[len(prefix) :].split(".", 1)
                    if first not in (self._modules if rest else own):
                        unexpected_keys.append(key)

    def _store(self, name: str, value: Any, given: Tensor, assign: bool) -> None:
        if not assign:
            with no_grad():
                value.copy_(given)
            return
        if isinstance(value, Parameter):
            if not isinstance(given, Parameter):
                given = Parameter(given, requires_grad=value.requires_grad)
            else:
                given.requires_grad_(value.requires_grad)
        setattr(self, name, given)
        EPOCH.value += 1

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> IncompatibleKeys:
        """Copies a state into this module (with `assign`, takes its tensors over instead).

        Raises RuntimeError listing missing and unexpected keys (if `strict`) and sizes that do not match.
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(f"Expected state_dict to be dict-like, got {type(state_dict)}.")
        missing: list[str] = []
        unexpected: list[str] = []
        errors: list[str] = []
        metadata = getattr(state_dict, "_metadata", None)
        entries: Any = OrderedDict(state_dict)
        if metadata is not None:
            entries._metadata = metadata

        def load(module: Any, local: Any, prefix: str = "") -> None:
            local_metadata = {} if metadata is None else dict(metadata.get(prefix[:-1], {}))
            if assign:
                local_metadata["assign_to_params_buffers"] = assign
            module._load_from_state_dict(local, prefix, local_metadata, True, missing, unexpected, errors)
            for name, child in module._modules.items():
                if child is not None:
                    below = prefix + name + "."
                    load(child, {k: v for k, v in local.items() if k.startswith(below)}, below)
            incompatible = IncompatibleKeys(missing, unexpected)
            for hook in list(module._load_state_dict_post_hooks.values()):
                if hook(module, incompatible) is not None:
                    raise AssertionError(
                        "Hooks registered with ``register_load_state_dict_post_hook`` are not expected to return new values, "
                        "if incompatible_keys need to be modified, it should be done inplace."
                    )

        load(self, entries)
        if strict:
            if unexpected:
                errors.insert(0, "Unexpected key(s) in state_dict: {}. ".format(", ".join(f'"{k}"' for k in unexpected)))
            if missing:
                errors.insert(0, "Missing key(s) in state_dict: {}. ".format(", ".join(f'"{k}"' for k in missing)))
        if errors:
            hint = prefix_hint(missing, unexpected)
            raise RuntimeError("Error(s) in loading state_dict for {}:\n\t{}{}".format(type(self).__name__, "\n\t".join(errors), hint))
        return IncompatibleKeys(missing, unexpected)
