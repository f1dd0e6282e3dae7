"""What `update` is given: arrays and lists become tensors; shapes and values are looked at, and errors say which are wrong."""

from __future__ import annotations

from typing import Any

from monograph.core.dtype import float64, int64
from monograph.core.modes import MODES
from monograph.tensor.core import Tensor
from monograph.tensor.creation import tensor


def as_tensor(value: Any) -> Tensor:
    """A tensor without gradient."""
    if isinstance(value, Tensor):
        return value.detach()
    return tensor(value)


def as_values(value: Any) -> Tensor:
    """The same in float64, in which sums over an epoch stay exact enough."""
    return as_tensor(value).to(float64)


def values_are_there() -> bool:
    """Whether values may be looked at: while a compiled step is recorded, nothing has been computed yet."""
    return MODES.capture is None


def pair(metric: str, preds: Any, target: Any) -> tuple[Tensor, Tensor]:
    """Both as tensors of one shape. ValueError for two shapes."""
    preds, target = as_tensor(preds), as_tensor(target)
    if preds.shape != target.shape:
        raise ValueError(
            f"{metric}: preds and target must have the same shape, got {list(preds.shape)} and {list(target.shape)}"
            + (": one of them has a trailing dim of size 1, use .squeeze(-1)" if abs(preds.ndim - target.ndim) == 1 else "")
        )
    return preds, target


def value_pair(metric: str, preds: Any, target: Any) -> tuple[Tensor, Tensor]:
    """`pair` in float64."""
    preds, target = pair(metric, preds, target)
    return preds.to(float64), target.to(float64)


def integers(metric: str, name: str, given: Tensor) -> Tensor:
    """As int64. ValueError for fractions, which are no classes (only looked for where values are there)."""
    if given.is_floating_point() and values_are_there() and bool((given != given.round()).any()):
        wrong = float(given[given != given.round()][0])
        raise ValueError(f"{metric}: {name} are labels, whole numbers, but there is {wrong:g} among them")
    return given.to(int64)


def check_labels(metric: str, name: str, labels: Tensor, limit: int, ignore_index: int | None = None) -> None:
    """ValueError for a label that is not in 0 ... limit - 1 (and not ignore_index), where values are there."""
    if not values_are_there() or labels.numel() == 0:
        return
    wrong = (labels < 0) | (labels >= limit)
    if ignore_index is not None:
        wrong = wrong & (labels != ignore_index)
    if bool(wrong.any()):
        label = int(labels[wrong][0])
        what = f"labels run from 0 to {limit - 1}" + ("" if ignore_index is None else f", and {ignore_index} is ignored")
        raise ValueError(f"{metric}: {name} has the label {label}, but {what}")


def positive_int(metric: str, name: str, value: Any, least: int = 1) -> int:
    """A setting that counts something."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise ValueError(f"{metric}: {name} must be an int from {least}, got {value!r}")
    return value


def one_of(metric: str, name: str, value: Any, allowed: tuple[Any, ...]) -> Any:
    """A setting with a few values. ValueError that lists them."""
    if value not in allowed:
        raise ValueError(f"{metric}: {name} must be one of {', '.join(map(repr, allowed))}, got {value!r}")
    return value
