"""Parameters of distributions: broadcasting numbers and tensors, probabilities and logits, values that are made when first asked for."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Number
from typing import Any

from monograph.core.dtype import finfo
from monograph.core.errors import DeviceError
from monograph.core.modes import MODES
from monograph.distributions.tensors import mt
from monograph.ops import activation
from monograph.tensor.core import Size, Tensor
from monograph.tensor.dispatch import apply

__all__ = [
    "broadcast_all",
    "clamp_probs",
    "holds",
    "lazy_property",
    "logits_to_probs",
    "one_hot",
    "probs_to_logits",
    "shape_of",
    "softplus",
    "sum_rightmost",
    "tiny_of",
]


def broadcast_all(*values: Any) -> tuple[Any, ...]:
    """Numbers and tensors as tensors of one shape; numbers take the dtype of the first tensor.

    Raises ValueError for anything else.
    """
    for v in values:
        if not isinstance(v, Tensor | Number):
            raise ValueError(f"Input arguments must all be instances of Number or Tensor, got {type(v).__name__}.")
    like = next((v.dtype for v in values if isinstance(v, Tensor)), mt.get_default_dtype())
    return tuple(mt.broadcast_tensors(*[v if isinstance(v, Tensor) else mt.tensor(v, dtype=like) for v in values]))


def shape_of(*values: Any) -> Size:
    """The batch shape of parameters: of the first that is a tensor; numbers have none."""
    return Size() if all(isinstance(v, Number) for v in values) else next(v.shape for v in values if isinstance(v, Tensor))


def holds(condition: Any) -> bool:
    """Whether all of `condition` is true. Where that cannot be known (in a capture, or of tensors without values) it counts as true."""
    if isinstance(condition, bool):
        return condition
    if MODES.capture is not None:
        return True
    try:
        return bool(condition.all().item())
    except DeviceError:
        return True


class lazy_property:  # noqa: N801 - torch's name
    """An attribute that is computed when first asked for, and kept."""

    def __init__(self, compute: Callable[[Any], Any]) -> None:
        self.compute = compute
        self.__doc__ = compute.__doc__

    def __set_name__(self, owner: Any, name: str) -> None:
        self.name = name

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        if instance is None:
            return self
        before, MODES.grad = MODES.grad, True
        try:
            value = self.compute(instance)
        finally:
            MODES.grad = before
        instance.__dict__[self.name] = value
        return value


def tiny_of(x: Tensor) -> float:
    """The least normal number of a tensor's dtype."""
    return finfo(x.dtype).tiny


def clamp_probs(probs: Tensor) -> Any:
    """Probabilities kept away from 0 and 1 by an epsilon, so that their logits are finite."""
    eps = finfo(probs.dtype).eps
    return probs.clamp(min=eps, max=1 - eps)  # type: ignore[attr-defined]


def probs_to_logits(probs: Tensor, is_binary: bool = False) -> Any:
    """log(p / (1 - p)) for `is_binary`, else log p."""
    p = clamp_probs(probs)
    return p.log() - (-p).log1p() if is_binary else p.log()


def logits_to_probs(logits: Tensor, is_binary: bool = False) -> Any:
    """sigmoid for `is_binary`, else softmax over the last dimension."""
    return logits.sigmoid() if is_binary else logits.softmax(-1)  # type: ignore[attr-defined]


def softplus(x: Any) -> Any:
    """log(1 + exp(x)), without overflow."""
    return apply(activation.softplus, x, beta=1.0, threshold=20.0)


def one_hot(index: Any, classes: int, dtype: Any) -> Any:
    """1 at the place that `index` names along a new last dimension, else 0."""
    return (index.long().unsqueeze(-1) == mt.arange(classes)).to(dtype)


def sum_rightmost(value: Any, dims: int) -> Any:
    """The sum over the last `dims` dimensions."""
    if dims == 0:
        return value
    return value.reshape(*value.shape[: value.ndim - dims], -1).sum(-1)
