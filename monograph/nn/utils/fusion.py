"""Batch normalisation folded into the layer before it."""

from __future__ import annotations

import copy
from typing import Any

from monograph.nn.parameter import Parameter
from monograph.tensor import FUNCTIONS, Tensor


def _check(first: Any, bn: Any) -> None:
    if first.training or bn.training:
        raise AssertionError("Fusion only for eval!")


def fuse_conv_bn_eval(conv: Any, bn: Any, transpose: bool = False) -> Any:
    """A convolution that does what `bn(conv(x))` does, both in evaluation mode.

    >>> import monograph as mg
    >>> conv, bn = mg.nn.Conv2d(1, 2, 3).eval(), mg.nn.BatchNorm2d(2).eval()
    >>> x = mg.ones(1, 1, 3, 3)
    >>> mg.allclose(mg.nn.utils.fuse_conv_bn_eval(conv, bn)(x), bn(conv(x)), atol=1e-6)
    True
    """
    _check(conv, bn)
    fused = copy.deepcopy(conv)
    fused.weight, fused.bias = fuse_conv_bn_weights(
        fused.weight, fused.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias, transpose
    )
    return fused


def _factor(bn_rm: Any, bn_rv: Any, bn_eps: float, bn_w: Any, bn_b: Any) -> tuple[Any, Any]:
    weight = FUNCTIONS["ones_like"](bn_rm) if bn_w is None else bn_w
    bias = FUNCTIONS["zeros_like"](bn_rm) if bn_b is None else bn_b
    return weight * FUNCTIONS["rsqrt"](bn_rv + bn_eps), bias


def fuse_conv_bn_weights(
    conv_w: Tensor, conv_b: Tensor | None, bn_rm: Tensor, bn_rv: Tensor, bn_eps: float, bn_w: Tensor | None, bn_b: Tensor | None,
    transpose: bool = False,
) -> tuple[Parameter, Parameter]:  # fmt: skip
    """(weight, bias) of a convolution with a batch normalisation folded in."""
    b: Any = FUNCTIONS["zeros_like"](bn_rm) if conv_b is None else conv_b
    w: Any = conv_w
    scale, shift = _factor(bn_rm, bn_rv, bn_eps, bn_w, bn_b)
    shape = [1, -1] + [1] * (w.ndim - 2) if transpose else [-1, 1] + [1] * (w.ndim - 2)
    weight = (w * scale.reshape(shape)).to(dtype=w.dtype)
    bias = ((b - bn_rm) * scale + shift).to(dtype=b.dtype)
    return Parameter(weight.detach(), w.requires_grad), Parameter(bias.detach(), b.requires_grad)


def fuse_linear_bn_eval(linear: Any, bn: Any) -> Any:
    """A Linear that does what `bn(linear(x))` does, both in evaluation mode."""
    _check(linear, bn)
    if linear.out_features != bn.num_features and bn.num_features != 1:
        raise AssertionError("To fuse, linear.out_features == bn.num_features or bn.num_features == 1")
    fused = copy.deepcopy(linear)
    fused.weight, fused.bias = fuse_linear_bn_weights(fused.weight, fused.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias)
    return fused


def fuse_linear_bn_weights(
    linear_w: Tensor, linear_b: Tensor | None, bn_rm: Tensor, bn_rv: Tensor, bn_eps: float, bn_w: Tensor | None, bn_b: Tensor | None
) -> tuple[Parameter, Parameter]:
    """(weight, bias) of a Linear with a batch normalisation folded in."""
    w: Any = linear_w
    b: Any = FUNCTIONS["zeros_like"](bn_rm) if linear_b is None else linear_b
    scale, shift = _factor(bn_rm, bn_rv, bn_eps, bn_w, bn_b)
    weight = (w * scale.unsqueeze(-1)).to(dtype=w.dtype)
    bias = ((b - bn_rm) * scale + shift).to(dtype=b.dtype)
    return Parameter(weight.detach(), w.requires_grad), Parameter(bias.detach(), b.requires_grad)
