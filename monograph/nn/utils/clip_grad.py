"""Limits on gradients."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

from monograph.core.modes import no_grad
from monograph.tensor import FUNCTIONS, Tensor, stack, tensor
from monograph.tensor.dispatch import assign


def _tensors(parameters: Any) -> list[Tensor]:
    return [parameters] if isinstance(parameters, Tensor) else list(parameters)


def get_total_norm(
    tensors: Iterable[Tensor], norm_type: float = 2.0, error_if_nonfinite: bool = False, foreach: bool | None = None
) -> Tensor:
    """The norm of the norms of tensors, as if they were one vector."""
    items = _tensors(tensors)
    norm_type = float(norm_type)
    if not items:
        return tensor(0.0)
    with no_grad():
        norms = [t.norm(norm_type) for t in items]
        total = norms[0] if len(norms) == 1 else stack(norms).norm(norm_type)
    if error_if_nonfinite and not bool(total.isfinite()):
        raise RuntimeError(
            f"The total norm of order {norm_type} for gradients from `parameters` is non-finite, so it cannot be clipped. "
            "To disable this error and "
            "scale the gradients by the non-finite norm anyway, set `error_if_nonfinite=False`"
        )
    return total


def clip_grads_with_norm_(parameters: Any, max_norm: float, total_norm: Tensor, foreach: bool | None = None) -> None:
    """Scales gradients in place by max_norm / total_norm where that is less than 1."""
    grads = [p.grad for p in _tensors(parameters) if p.grad is not None]
    with no_grad():
        factor = (float(max_norm) / (total_norm + 1e-6)).clamp(max=1.0)
        for g in grads:
            assign(g, g * (factor if factor.dtype is g.dtype else factor.to(g.dtype)))


def clip_grad_norm_(
    parameters: Any, max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False, foreach: bool | None = None
) -> Tensor:
    """Scales the gradients of `parameters` in place so that their total norm is at most max_norm. Returns the norm before."""
    items = _tensors(parameters)
    total = get_total_norm([p.grad.detach() for p in items if p.grad is not None], norm_type, error_if_nonfinite, foreach)
    clip_grads_with_norm_(items, max_norm, total, foreach)
    return total


def clip_grad_value_(parameters: Any, clip_value: float, foreach: bool | None = None) -> None:
    """Limits every element of the gradients to [-clip_value, clip_value], in place."""
    limit = float(clip_value)
    with no_grad():
        for p in _tensors(parameters):
            if p.grad is not None:
                assign(p.grad, FUNCTIONS["clamp"](p.grad, min=-limit, max=limit))


def clip_grad_norm(
    parameters: Any, max_norm: float, norm_type: float = 2.0, error_if_nonfinite: bool = False, foreach: bool | None = None
) -> Tensor:
    """The older name of `clip_grad_norm_`."""
    warnings.warn(
        "torch.nn.utils.clip_grad_norm is now deprecated in favor of torch.nn.utils.clip_grad_norm_.", FutureWarning, stacklevel=2
    )
    return clip_grad_norm_(parameters, max_norm, norm_type, error_if_nonfinite, foreach)
