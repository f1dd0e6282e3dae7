"""Losses and metrics by name: Keras's names with Keras's meaning (probabilities), torch's names with torch's (logits).

Every loss becomes a function of (output, target) that gives one value per sample, so that sample and class weights apply to any of them.
"""

from __future__ import annotations

import copy
import inspect
import re
from collections.abc import Callable
from typing import Any

from monograph.metrics.naming import target_first
from monograph.nn import functional as F
from monograph.nn.module import Module
from monograph.tensor.core import Tensor

PerSample = Callable[[Tensor, Tensor], Tensor]
EPSILON = 1e-7  # Keras's: probabilities are kept this far from 0 and 1


def _rows(x: Tensor) -> Tensor:
    """The mean over everything but the first dim."""
    return x if x.ndim <= 1 else x.flatten(1).mean(1)


def _like(target: Tensor, output: Tensor) -> Tensor:
    """The target in the output's dtype and, where only trailing ones differ, its shape."""
    target = target.to(output.dtype)
    if target.ndim == output.ndim - 1 and output.shape[-1] == 1:
        target = target.unsqueeze(-1)
    return target


def _elementwise(of: Callable[[Tensor, Tensor], Tensor]) -> PerSample:
    return lambda output, target: _rows(of(output, _like(target, output)))


def _clipped(p: Tensor) -> Tensor:
    return p.clamp(EPSILON, 1 - EPSILON)


def _signs(y: Tensor) -> Tensor:
    """Labels of 0 and 1 as -1 and 1, as Keras's hinges take them; -1 and 1 stay."""
    return (y <= 0).to(y.dtype) * -2 + 1


def _classes_last(output: Tensor, target: Tensor) -> Tensor:
    """Integer classes as int64, without the trailing one of Keras's column labels."""
    if target.ndim == output.ndim and target.shape[-1] == 1:
        target = target.squeeze(-1)
    return target.long()


def _sparse_from_probabilities(output: Tensor, target: Tensor) -> Tensor:
    p = _clipped(output / output.sum(-1, keepdim=True))
    picked = p.gather(-1, _classes_last(output, target).unsqueeze(-1)).squeeze(-1)
    return _rows(-picked.log())


def _sparse_from_logits(output: Tensor, target: Tensor) -> Tensor:
    picked = F.log_softmax(output, -1).gather(-1, _classes_last(output, target).unsqueeze(-1)).squeeze(-1)
    return _rows(-picked)


def _categorical(output: Tensor, target: Tensor) -> Tensor:
    p = _clipped(output / output.sum(-1, keepdim=True))
    return _rows(-(target.to(output.dtype) * p.log()).sum(-1))


def _torch(function: Callable[..., Tensor]) -> PerSample:
    return lambda output, target: _rows(function(output, target, reduction="none"))


def _cross_entropy(output: Tensor, target: Tensor) -> Tensor:
    return _rows(F.cross_entropy(output, target if target.is_floating_point() else target.long(), reduction="none"))


LOSSES: dict[str, PerSample] = {
    # Keras's: outputs are probabilities
    "sparse_categorical_crossentropy": _sparse_from_probabilities,
    "categorical_crossentropy": _categorical,
    "binary_crossentropy": _elementwise(lambda p, y: -(y * _clipped(p).log() + (1 - y) * (1 - _clipped(p)).log())),
    "mean_squared_error": _elementwise(lambda p, y: (p - y) * (p - y)),
    "mean_absolute_error": _elementwise(lambda p, y: (p - y).abs()),
    "mean_absolute_percentage_error": _elementwise(lambda p, y: 100 * ((y - p) / y.abs().clamp(min=EPSILON)).abs()),
    "mean_squared_logarithmic_error": _elementwise(lambda p, y: ((1 + p.clamp(min=EPSILON)).log() - (1 + y.clamp(min=EPSILON)).log()) ** 2),
    "huber": _elementwise(lambda p, y: F.huber_loss(p, y, reduction="none")),
    "log_cosh": _elementwise(lambda p, y: (p - y) + F.softplus(-2 * (p - y)) - 0.6931471805599453),
    "hinge": _elementwise(lambda p, y: (1 - _signs(y) * p).clamp(min=0)),
    "squared_hinge": _elementwise(lambda p, y: (1 - _signs(y) * p).clamp(min=0) ** 2),
    "poisson": _elementwise(lambda p, y: p - y * (p + EPSILON).log()),
    "kl_divergence": lambda p, y: _rows((y.clamp(EPSILON, 1) * (y.clamp(EPSILON, 1) / p.clamp(EPSILON, 1)).log()).sum(-1)),
    "cosine_similarity": lambda p, y: _rows(-F.cosine_similarity(p, y.to(p.dtype), dim=-1)),
    # torch's: outputs are logits
    "cross_entropy": _cross_entropy,
    "nll_loss": _torch(F.nll_loss),
    "binary_cross_entropy_with_logits": _elementwise(lambda x, y: F.binary_cross_entropy_with_logits(x, y, reduction="none")),
    "l1_loss": _elementwise(lambda p, y: (p - y).abs()),
    "smooth_l1_loss": _elementwise(lambda p, y: F.smooth_l1_loss(p, y, reduction="none")),
}
SHORT_LOSSES = {
    "mse": "mean_squared_error", "mae": "mean_absolute_error", "mape": "mean_absolute_percentage_error",
    "msle": "mean_squared_logarithmic_error", "kld": "kl_divergence",
    "mse_loss": "mean_squared_error", "bce": "binary_crossentropy", "binary_cross_entropy": "binary_crossentropy",
    "bce_with_logits": "binary_cross_entropy_with_logits", "logcosh": "log_cosh", "huber_loss": "huber",
}  # fmt: skip
FROM_LOGITS: dict[str, PerSample] = {
    "sparse_categorical_crossentropy": _sparse_from_logits,
    "categorical_crossentropy": lambda x, y: _rows(-(y.to(x.dtype) * F.log_softmax(x, -1)).sum(-1)),
    "binary_crossentropy": LOSSES["binary_cross_entropy_with_logits"],
}
PROBABILITIES = ("sparse_categorical_crossentropy", "categorical_crossentropy", "binary_crossentropy")


class Loss:
    """A loss in the form that training uses: `per_sample(output, target)`, or for reduced ones `whole(output, target)`."""

    def __init__(self, given: Any, from_logits: bool = False) -> None:
        self.given = given
        self.name, self.per_sample, self.whole = _loss(given, from_logits)
        self.wants_probabilities = self.name in PROBABILITIES and not from_logits

    def __call__(self, output: Any, target: Any, weights: Tensor | None = None) -> Tensor:
        """The mean over the batch; with weights the sum of the weighted values over the number of samples, as Keras does."""
        if weights is None and self.whole is not None:
            return self.whole(output, target)
        if self.per_sample is None:
            raise ValueError(
                f"sample_weight and class_weight need a loss that tells samples apart; {self.name} gives one number: "
                "use a loss by name, or one of torch's with a `reduction`"
            )
        each = self.per_sample(output, target)
        return each.mean() if weights is None else (each * weights.to(each.dtype)).mean()


def _loss(given: Any, from_logits: bool) -> tuple[str, PerSample | None, Callable[..., Tensor] | None]:
    if isinstance(given, Loss):
        return given.name, given.per_sample, given.whole
    if isinstance(given, str):
        name = SHORT_LOSSES.get(_snake(given), _snake(given))
        if name not in LOSSES:
            raise ValueError(f"no loss is called {given!r}; there are {', '.join([*LOSSES, *SHORT_LOSSES])}, and any function or module")
        return name, (FROM_LOGITS.get(name) if from_logits else None) or LOSSES[name], None
    if isinstance(given, Module) and hasattr(given, "reduction"):
        each = copy.copy(given)  # shares its buffers
        each.reduction = "none"
        return type(given).__name__, lambda output, target: _rows(each(output, target)), given
    if not callable(given):
        raise TypeError(f"loss must be a name, a function, or a module such as nn.CrossEntropyLoss(); got {type(given).__name__}")
    name = getattr(given, "__name__", type(given).__name__)
    function: Any = given if not target_first(given) else (lambda output, target, **how: given(target, output, **how))
    per_sample = (lambda output, target: _rows(function(output, target, reduction="none"))) if "reduction" in _parameters(given) else None

    def whole(output: Tensor, target: Tensor) -> Tensor:
        value = function(output, target)
        return value if value.numel() == 1 else value.mean()

    return name, per_sample, whole


def _parameters(function: Any) -> list[str]:
    try:
        return list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return []


def _snake(name: str) -> str:
    """CamelCase and dashes as snake_case: "MeanSquaredError" -> "mean_squared_error"."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).replace("-", "_").lower()


def check_probabilities(name: str, output: Tensor) -> None:
    """ValueError for outputs that are no probabilities under a loss that needs them: a model without softmax would learn nothing."""
    low, high = float(output.min()), float(output.max())
    several = name != "binary_crossentropy"
    sums = output.sum(-1)
    off = float((sums - 1).abs().max()) if several else 0.0
    if low < -1e-6 or high > 1 + 1e-6 or off > 1e-2:
        right = "binary_cross_entropy_with_logits" if not several else "cross_entropy"
        what = f"they run from {low:.3g} to {high:.3g}" + (f" and their sums differ from 1 by up to {off:.3g}" if several else "")
        raise ValueError(
            f"loss={name!r} takes probabilities, and the model's outputs are none: {what}. If the model ends in a plain linear layer "
            f"(logits), use loss={right!r}, or from_logits=True; otherwise end it with a Softmax or Sigmoid"
        )
