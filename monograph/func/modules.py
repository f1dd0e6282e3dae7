"""Modules as functions of their parameters, and many modules as one."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from monograph.core.errors import MonographError
from monograph.tensor.core import Tensor
from monograph.tensor.pointwise import FUNCTIONS


def _owner(module: Any, path: str) -> tuple[Any, str]:
    *parents, name = path.split(".")
    for parent in parents:
        module = getattr(module, parent)
    return module, name


def _same_tensors(module: Any) -> dict[int, list[str]]:
    """All names of every parameter and buffer."""
    names: dict[int, list[str]] = {}
    for prefix, sub in module.named_modules(remove_duplicate=False):
        for table in (sub._parameters, sub._buffers):
            for name, value in table.items():
                if value is not None:
                    names.setdefault(id(value), []).append(f"{prefix}.{name}" if prefix else name)
    return names


@contextlib.contextmanager
def _replaced(module: Any, tensors: dict[str, Tensor], tie_weights: bool, strict: bool) -> Iterator[None]:
    known = _same_tensors(module)
    every = {name: group for group in known.values() for name in group}
    unknown = [name for name in tensors if name not in every]
    if strict:
        named = set(tensors) if not tie_weights else {n for name in tensors if name in every for n in every[name]}
        missing = [name for name in every if name not in named]
        if unknown or missing:
            raise RuntimeError(f"functional_call(strict=True): missing key(s) {missing}, unexpected key(s) {unknown}")
    given = {name: value for name, value in tensors.items() if name in every}
    if tie_weights:
        for name, value in list(given.items()):
            for other in every[name]:
                if other in tensors and tensors[other] is not value:
                    raise ValueError(f"functional_call: {name} and {other} are one tensor, but different values were given for them")
                given[other] = value
    before: list[tuple[Any, str, Any]] = []
    try:
        for path, value in given.items():
            owner, name = _owner(module, path)
            table = owner._parameters if name in owner._parameters else owner._buffers
            before.append((table, name, table[name]))
            table[name] = value
        yield
    finally:
        for table, name, value in reversed(before):
            table[name] = value


def functional_call(
    module: Any, parameter_and_buffer_dicts: Any, args: Any = None, kwargs: Any = None, *, tie_weights: bool = True, strict: bool = False
) -> Any:
    """`module(*args, **kwargs)` with parameters and buffers replaced by the given ones, by name (a dict, or several of them).

    What the call writes to buffers goes to the given ones. Names the module does not have are ignored, unless `strict`.

    >>> import monograph as mg
    >>> layer = mg.nn.Linear(2, 1, bias=False)
    >>> mg.func.functional_call(layer, {"weight": mg.ones(1, 2)}, (mg.tensor([1.0, 2.0]),)).item()
    3.0
    """
    if isinstance(parameter_and_buffer_dicts, dict):
        tensors = parameter_and_buffer_dicts
    elif isinstance(parameter_and_buffer_dicts, Sequence):
        tensors = {}
        for part in parameter_and_buffer_dicts:
            if not isinstance(part, dict):
                raise ValueError("Expected all elements of parameter_and_buffer_dicts to be dictionaries")
            repeated = [key for key in part if key in tensors]
            if repeated:
                raise ValueError(f"{repeated[0]} appeared in multiple dictionaries; behavior of functional call is ambiguous")
            tensors.update(part)
    else:
        raise ValueError(
            f"Expected parameter_and_buffer_dicts to be a dict, or a list/tuple of dicts, but got {type(parameter_and_buffer_dicts)}"
        )
    positional = () if args is None else args if isinstance(args, tuple) else (args,)
    with _replaced(module, tensors, tie_weights, strict):
        return module(*positional, **(kwargs or {}))


def stack_module_state(models: Any) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The parameters and the buffers of modules of one class, each stacked along a new first dimension: for vmap over an ensemble.

    >>> import monograph as mg
    >>> params, buffers = mg.func.stack_module_state([mg.nn.Linear(2, 3) for _ in range(4)])
    >>> params["weight"].shape
    monograph.Size([4, 3, 2])
    """
    models = list(models)
    if not models:
        raise RuntimeError("stack_module_state: Expected at least one model, got 0.")
    if any(m.training != models[0].training for m in models):
        raise RuntimeError("stack_module_state: Expected all models to have the same training/eval mode.")
    if any(type(m) is not type(models[0]) for m in models):
        raise RuntimeError("stack_module_state: Expected all models to be of the same class.")
    return _stacked([dict(m.named_parameters()) for m in models]), _stacked([dict(m.named_buffers()) for m in models])


def _stacked(states: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    made = {}
    for name, first in states[0].items():
        try:
            joined = FUNCTIONS["stack"]([s[name].detach() for s in states], 0)
        except (KeyError, MonographError) as error:
            raise RuntimeError(f"stack_module_state: the models differ in {name}: {error}") from None
        made[name] = joined.requires_grad_(first.requires_grad) if first.dtype.kind == "f" else joined
    return made


def replace_all_batch_norm_modules_(root: Any) -> Any:
    """Makes every BatchNorm layer below `root` keep no running statistics: writes to buffers do not mix with `vmap`. Returns `root`."""
    for module in root.modules():
        if any(cls.__name__ == "_BatchNorm" for cls in type(module).__mro__) and module.track_running_stats:
            module.running_mean = module.running_var = module.num_batches_tracked = None
            module.track_running_stats = False
    return root


def functionalize(func: Callable[..., Any], *, remove: str = "mutations") -> Callable[..., Any]:
    """The function itself: writes in place are recorded as functions of the old value here, so nothing has to be removed.

    >>> import monograph as mg
    >>> mg.func.functionalize(lambda x: x.clone().add_(1))(mg.zeros(2)).tolist()
    [1.0, 1.0]
    """
    if remove not in ("mutations", "mutations_and_views"):
        raise RuntimeError(f"functionalize: remove is 'mutations' or 'mutations_and_views', got {remove!r}")

    @functools.wraps(func)
    def same(*args: Any, **kwargs: Any) -> Any:
        return func(*args, **kwargs)

    return same


def debug_unwrap(tensor: Tensor, *, recurse: bool = True) -> Tensor:
    """The tensor itself: transformations work on recorded graphs and wrap nothing."""
    return tensor
