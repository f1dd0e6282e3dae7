"""Normalisation: batch, instance, layer, group, RMS, local response, and vectors to unit length."""

from __future__ import annotations

from typing import Any

from monograph.core.dtype import bfloat16, finfo, float16, float32
from monograph.core.errors import ArgumentError, DTypeError, ShapeError
from monograph.core.explain import explained, feature_fix, marked
from monograph.core.modes import no_grad
from monograph.nn.functional.padding import pad as pad_sides
from monograph.ops import batch_norm as batch_ops
from monograph.ops import norm as norm_ops
from monograph.tensor import Tensor
from monograph.tensor.delivery import deliver
from monograph.tensor.dispatch import apply, assign


def _given(*tensors: Tensor | None) -> list[Tensor]:
    return [t for t in tensors if t is not None]


def _check_features(input: Tensor, shape: tuple[int, ...]) -> None:
    """Raises when the last dimensions are not the normalised ones."""
    n = len(shape)
    if not n:
        raise RuntimeError(
            "Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one element, but got normalized_shape = []"
        )
    if input.ndim < n or tuple(input.shape[input.ndim - n :]) != shape:
        wanted = ", ".join(["*", *map(str, shape)])
        raise ShapeError(
            explained(
                f"Given normalized_shape={list(shape)}, expected input with shape [{wanted}], but got input of size{list(input.shape)}",
                feature_fix(tuple(input.shape), shape[0], f"normalized_shape must end the input's shape: {list(input.shape[-n:])} would")
                if n == 1
                else f"normalized_shape must end the input's shape: {list(input.shape[-n:])} would",
                input=marked(tuple(input.shape), *range(-n, 0)),
            )
        )


def layer_norm(input: Tensor, normalized_shape: Any, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5) -> Tensor:
    """(x - mean) / sqrt(variance + eps) * weight + bias over the last dimensions, whose sizes are `normalized_shape`."""
    shape = tuple(normalized_shape)
    _check_features(input, shape)
    return apply(
        norm_ops.layer_norm,
        input,
        *_given(weight, bias),
        ndims=len(shape),
        eps=eps,
        has_weight=weight is not None,
        has_bias=bias is not None,
    )


def rms_norm(input: Tensor, normalized_shape: Any, weight: Tensor | None = None, eps: float | None = None) -> Tensor:
    """x / sqrt(mean of squares + eps) * weight over the last dimensions; eps is by default the smallest step of the dtype."""
    shape = tuple(normalized_shape)
    _check_features(input, shape)
    if input.dtype.kind == "c":  # torch's formula: squares, not absolute squares
        dims = tuple(range(input.ndim - len(shape), input.ndim))
        y = input * (input.square().mean(dims, keepdim=True) + (finfo(input.dtype).eps if eps is None else eps)).rsqrt()
        return y if weight is None else y * weight
    return apply(
        norm_ops.rms_norm,
        input,
        *_given(weight),
        ndims=len(shape),
        eps=finfo(input.dtype).eps if eps is None else eps,
        has_weight=weight is not None,
    )


def group_norm(input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5) -> Tensor:
    """Normalises each group of channels of each sample of [N, C, ...]."""
    if input.ndim < 2:
        raise RuntimeError(f"Expected at least 2 dimensions for input tensor but received {input.ndim}")
    if input.shape[1] % num_groups != 0:
        raise RuntimeError(
            "Expected number of channels in input to be divisible by num_groups, but got input of shape "
            f"{list(input.shape)} and num_groups={num_groups}"
        )
    return apply(
        norm_ops.group_norm,
        input,
        *_given(weight, bias),
        groups=num_groups,
        eps=eps,
        has_weight=weight is not None,
        has_bias=bias is not None,
    )


def _move(running: Tensor | None, seen: Tensor, momentum: Any) -> None:
    """running = (1 - momentum) * running + momentum * seen."""
    if running is not None:
        assign(running, (running * (1 - momentum) + seen * momentum).to(running.dtype))


def _wider(name: str, input: Tensor, *parameters: Tensor) -> bool:
    """Whether a half-precision input has parameters in float32, as mixed precision gives it; any other mixture raises."""
    others = {p.dtype for p in parameters} - {input.dtype}
    if not others:
        return False
    if input.dtype not in (float16, bfloat16):
        raise DTypeError(
            f"expected scalar type {input.dtype.name} but found {next(iter(others)).name}: weight, bias and running statistics of {name} "
            "have the input's dtype, or are float32 for an input in half precision. Cast the input or the module with .to(dtype)"
        )
    if others != {float32} or any(p.dtype is input.dtype for p in parameters):
        raise DTypeError(
            f"mixed dtype (CPU): expect parameter to have scalar type of Float: for an input of {input.dtype.name}, weight, bias and "
            f"running statistics of {name} are all float32 or all {input.dtype.name}"
        )
    return True


def batch_norm(
    input: Tensor, running_mean: Tensor | None, running_var: Tensor | None, weight: Tensor | None = None, bias: Tensor | None = None,
    training: bool = False, momentum: Any = 0.1, eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """Normalises each channel of [N, C, ...]: with the batch's statistics when training (and moves the running ones), else
    with the running ones.
    """
    flags = {"eps": eps, "has_weight": weight is not None, "has_bias": bias is not None}
    if _wider("batch_norm", input, *_given(weight, bias, running_mean, running_var)):
        y = batch_norm(input.float(), running_mean, running_var, weight, bias, training, momentum, eps)
        return y.to(input.dtype)
    if not training:
        if running_mean is None or running_var is None:
            raise RuntimeError("Expected running_mean and running_var to be defined when training=False")
        return apply(batch_ops.batch_norm_inference, input, running_mean, running_var, *_given(weight, bias), **flags)
    shape = input.shape
    count: Any = shape[0] if input.ndim > 1 else 1
    for n in shape[2:]:
        count = count * n
    if isinstance(count, int) and count == 1:
        raise ArgumentError(f"Expected more than 1 value per channel when training, got input size {shape}")
    y, mean, variance = apply(batch_ops.batch_norm_training, input, *_given(weight, bias), **flags)
    if (running_mean is not None or running_var is not None) and not (isinstance(count, int) and count == 0):  # nothing moves nothing
        with no_grad():
            _move(running_mean, mean.detach(), momentum)
            _move(running_var, variance.detach() * (count / (count - 1)), momentum)
    return y


def instance_norm(
    input: Tensor, running_mean: Tensor | None = None, running_var: Tensor | None = None, weight: Tensor | None = None, bias:
    Tensor | None = None,
    use_input_stats: bool = True, momentum: float = 0.1, eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """Normalises each channel of each sample of [N, C, ...] by itself, or with running statistics."""
    if not use_input_stats:
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    n, c = input.shape[:2]
    count = 1
    for s in input.shape[2:]:
        count = count * s
    if count == 1:
        raise ArgumentError(f"Expected more than 1 spatial element when training, got input size {input.shape}")
    if running_mean is None and running_var is None:
        return group_norm(input, c, weight, bias, eps)
    together = input.reshape(1, n * c, *input.shape[2:])
    repeated = [None if p is None else p.repeat(n) for p in (weight, bias)]
    y, mean, variance = apply(
        batch_ops.batch_norm_training, together, *_given(*repeated), eps=eps, has_weight=weight is not None, has_bias=bias is not None
    )
    with no_grad():
        _move(running_mean, mean.detach().reshape(n, c).mean(0), momentum)
        _move(running_var, variance.detach().reshape(n, c).mean(0) * (count / (count - 1)), momentum)
    return y.reshape(*input.shape)


def local_response_norm(input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
    """x / (k + alpha * mean of the squares of `size` neighbouring channels) ** beta, for [N, C, ...]."""
    if input.ndim < 3:
        raise ArgumentError(f"Expected 3D or higher dimensionality input (got {input.ndim} dimensions)")
    if input.numel() == 0:
        return input
    squares = pad_sides(input * input, [0, 0] * (input.ndim - 2) + [size // 2, (size - 1) // 2])
    total = squares.narrow(1, 0, input.shape[1])
    for i in range(1, size):
        total = total + squares.narrow(1, i, input.shape[1])
    mean = total / size if input.dtype.kind in "fc" else total.div(size, rounding_mode="trunc")
    return input / (mean * alpha + k).pow(beta)


def normalize(input: Tensor, p: float = 2.0, dim: Any = 1, eps: float = 1e-12, out: Tensor | None = None) -> Tensor:
    """x / max(p-norm along `dim`, eps)."""
    result = input / input.norm(p, dim, keepdim=True).clamp_min(eps)
    return deliver(result, out)
