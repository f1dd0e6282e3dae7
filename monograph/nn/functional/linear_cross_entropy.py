"""Cross entropy of a linear layer's output, in one call."""

from __future__ import annotations

import dataclasses
from math import prod
from typing import Any

from monograph.core.dtype import bfloat16, float16, float32, float64
from monograph.core.dtype import dtype as DType
from monograph.core.errors import ArgumentError
from monograph.nn.functional.dense import linear
from monograph.nn.functional.loss import cross_entropy
from monograph.tensor import Tensor


@dataclasses.dataclass(slots=True, frozen=True)
class LinearCrossEntropyOptions:
    """How torch divides the work to save memory. Checked and kept; here the whole graph is compiled and its memory planned anyway.

    Raises ValueError for values that torch does not know.
    """

    allow_retain_graph: bool = False
    batch_chunk_size: int | None = None
    chunking_method: str | None = "auto"
    acc_policy: str = "auto"
    acc_dtype: DType | None = None

    def __post_init__(self) -> None:
        if self.acc_policy not in {"auto", "accurate", "balanced", "compact"}:
            raise ArgumentError(f"invalid acc_policy: {self.acc_policy!r}")
        if self.chunking_method not in (None, "auto"):
            name, colon, factor = self.chunking_method.partition(":")
            factor = factor if colon else "1"
            if name != "aspect_ratio" or not factor.isdigit() or int(factor) < 1:
                raise ArgumentError(f"invalid chunking_method: {self.chunking_method!r}")
        if self.batch_chunk_size is not None and not (isinstance(self.batch_chunk_size, int) and self.batch_chunk_size > 0):
            raise ArgumentError(f"batch_chunk_size must be positive int or None, got {self.batch_chunk_size!r}")
        if self.acc_dtype not in (None, float16, bfloat16, float32, float64):
            raise ArgumentError(f"acc_dtype must be None, float16, bfloat16, float32 or float64, got {self.acc_dtype!r}")


def _check(input: Tensor, linear_weight: Tensor, linear_bias: Tensor | None) -> None:  # noqa: A002 - torch's name
    if input.ndim not in (1, 2):
        raise RuntimeError(f"expected input with dimensionality 1 or 2, got {input.ndim}")
    if linear_weight.ndim < 2:
        raise RuntimeError(f"expected linear_weight with dimensionality at least 2, got {linear_weight.ndim}")
    if input.shape[-1] != linear_weight.shape[-1]:
        raise RuntimeError(
            "expected equal input and linear_weight last dimensions (in_features), "
            f"got {input.shape[-1]} and {linear_weight.shape[-1]}, respectively"
        )
    expected = tuple(linear_weight.shape[:-1])
    if linear_bias is not None and tuple(linear_bias.shape) != expected:
        raise RuntimeError(f"expected linear_bias shape {expected}, got {tuple(linear_bias.shape)}")
    if linear_weight.ndim > 2 and input.ndim == 1:
        raise RuntimeError(
            f"K-dimensional loss defined by linear_weight shape {tuple(linear_weight.shape)} requires batched input, "
            f"(N, {input.shape[-1]}), got unbatched input with shape {tuple(input.shape)}"
        )


def linear_cross_entropy(
    input: Tensor,  # noqa: A002
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: LinearCrossEntropyOptions | None = None,
) -> Tensor:
    """`cross_entropy(linear(input, linear_weight, linear_bias), target, ...)`.

    input: [in] or [N, in]; linear_weight: [C, in], or [C, d1 ..., in] for targets with more dimensions; target: classes or probabilities.
    """
    _check(input, linear_weight, linear_bias)
    classes = tuple(linear_weight.shape[:-1])
    shape: Any = (*input.shape[:-1], *classes)
    if tuple(target.shape) == tuple(shape) and ignore_index is not None:
        raise RuntimeError("ignore_index cannot be specified when target contains probabilities")
    rows, bias = linear_weight, linear_bias
    if len(classes) > 1:
        rows = linear_weight.reshape(prod(classes), input.shape[-1])
        bias = None if linear_bias is None else linear_bias.reshape(prod(classes))
    logits = linear(input, rows, bias).reshape(shape)
    ignored = -100 if ignore_index is None else ignore_index
    return cross_entropy(logits, target, weight=weight, reduction=reduction, ignore_index=ignored, label_smoothing=label_smoothing)
