"""Normalisation: softmax and log_softmax over one dimension; layer, rms and group norm over features. Batch norm has its own file.

All are composites that stay whole until a target wants them apart. Their gradients write the same sub-expressions as their
decompositions (mean, reciprocal deviation ...), so that one program that holds both computes these once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from monograph.core.attrs import Attrs, attrs
from monograph.core.dtype import dtype as DType
from monograph.core.errors import DimensionError, DTypeError, ShapeError
from monograph.core.explain import channel_fix, explained, marked
from monograph.core.shape import Shape, numel
from monograph.graph.node import Node
from monograph.graph.op import VIA_DECOMPOSITION, Family, Sample, define
from monograph.ops.elementwise import exp, log, reciprocal, rsqrt, square
from monograph.ops.precision import narrow, widen
from monograph.ops.reduce import amax
from monograph.ops.reduce import mean as mean_dims
from monograph.ops.reduce import sum as sum_dims
from monograph.ops.views import reshape

NORM = Family.NORM


def must_float(what: str, *xs: Any) -> DType:
    """The common floating dtype of the inputs; raises DTypeError where there is none."""
    d = xs[0].dtype
    if d.kind != "f":
        raise DTypeError(f"{what} takes floating-point values, got {d.name}; convert them first, e.g. x.float()")
    for x in xs:
        if x.dtype is not d:
            raise DTypeError(f"expected scalar type {d.name} but found {x.dtype.name}: all inputs of {what} must have one dtype")
    return d


# ---------------------------------------------------------------- softmax


@attrs
class SoftmaxAttrs(Attrs):
    """The dimension whose elements sum to one."""

    dim: int


def _softmax_type(a: SoftmaxAttrs, x: Any) -> tuple[Shape, DType]:
    n = len(x.shape)
    if not 0 <= a.dim < (n or 1):
        raise DimensionError(f"Dimension out of range (expected to be in range of [{-(n or 1)}, {(n or 1) - 1}], but got {a.dim})")
    if x.dtype.kind != "f":
        must_float("softmax", x)
    return x.shape, x.dtype


def _along(x: Node, dim: int) -> tuple[int, ...]:
    return (dim,) if x.shape else ()


def _empty(x: Node, dim: int) -> bool:
    return bool(x.shape) and x.shape[dim] == 0


def _softmax(a: SoftmaxAttrs, x: Node) -> Node:
    if _empty(x, a.dim):
        return x
    dims, wide = _along(x, a.dim), widen(x)
    e = exp(wide - amax(wide, dims=dims, keepdim=True))
    # One division a row: the sum is at least 1, so that its reciprocal is a factor like any other.
    return narrow(e * reciprocal(sum_dims(e, dims=dims, keepdim=True)), x.dtype)


def _softmax_gradient(g: Node, y: Node, a: SoftmaxAttrs, x: Node) -> list[Node | None]:
    g, y = widen(g), widen(y)
    return [narrow(y * (g - sum_dims(g * y, dims=_along(x, a.dim), keepdim=True)), x.dtype)]


def _log_softmax(a: SoftmaxAttrs, x: Node) -> Node:
    if _empty(x, a.dim):
        return x
    dims, wide = _along(x, a.dim), widen(x)
    shifted = wide - amax(wide, dims=dims, keepdim=True)
    return narrow(shifted - log(sum_dims(exp(shifted), dims=dims, keepdim=True)), x.dtype)


def _log_softmax_gradient(g: Node, y: Node, a: SoftmaxAttrs, x: Node) -> list[Node | None]:
    g, y = widen(g), widen(y)
    return [narrow(g - exp(y) * sum_dims(g, dims=_along(x, a.dim), keepdim=True), x.dtype)]


def _softmax_samples() -> Iterable[Sample]:
    draw = np.random.default_rng(5)
    for shape, dim in [((2, 5), 1), ((4, 3), 0), ((2, 3, 2), 1), ((), 0), ((3,), 0), ((0, 3), 1), ((3, 0), 1), ((2, 1), 1)]:
        yield Sample((draw.standard_normal(shape),), SoftmaxAttrs(dim))
    yield Sample((np.array([[1000.0, 0.0, -1000.0], [-np.inf, 1.0, 2.0]], np.float32),), SoftmaxAttrs(1), grad_inputs=())
    yield Sample((draw.standard_normal((2, 4)).astype(np.float16),), SoftmaxAttrs(1), grad_inputs=(), tolerance=1e-2)
    yield Sample((np.ones((2, 3)),), SoftmaxAttrs(2), error=DimensionError, match=r"expected to be in range of \[-2, 1\], but got 2")
    yield Sample((np.ones((2, 3), np.int64),), SoftmaxAttrs(1), error=DTypeError, match="floating-point")


def _softmax_reference(a: SoftmaxAttrs, x: np.ndarray) -> np.ndarray:
    return np.exp(_log_softmax_wide(a, x)).astype(x.dtype)


def _log_softmax_wide(a: SoftmaxAttrs, x: np.ndarray) -> np.ndarray:
    if x.size == 0:
        return x
    axis = a.dim if x.ndim else None
    with np.errstate(all="ignore"):
        wide = x.astype(np.float64)
        shifted = wide - np.max(wide, axis=axis, keepdims=True)
        return np.asarray(shifted - np.log(np.sum(np.exp(shifted), axis=axis, keepdims=True)))


softmax = define(
    "softmax", family=NORM, attrs=SoftmaxAttrs, infer=_softmax_type, decompose=_softmax, vjp=_softmax_gradient, samples=_softmax_samples,
    reference=_softmax_reference, doc="exp(x) / sum(exp(x)) along `dim`, safe from overflow.",
)  # fmt: skip

log_softmax = define(
    "log_softmax", family=NORM, attrs=SoftmaxAttrs, infer=_softmax_type, decompose=_log_softmax, vjp=_log_softmax_gradient,
    samples=_softmax_samples,
    reference=lambda a, x: _log_softmax_wide(a, x).astype(x.dtype), doc="The logarithm of softmax, without its loss of small values.",
)  # fmt: skip


# ---------------------------------------------------------------- layer norm, rms norm


@attrs
class LayerNormAttrs(Attrs):
    """The last `ndims` dimensions are normalised; weight and bias, if any, have their shape and follow x as inputs in this order."""

    ndims: int
    eps: float = 1e-5
    has_weight: bool = False
    has_bias: bool = False


@attrs
class RmsNormAttrs(Attrs):
    """The last `ndims` dimensions are normalised; a weight, if any, has their shape."""

    ndims: int
    eps: float = 1e-6
    has_weight: bool = False


def affine(a: Any, parameters: tuple[Any, ...]) -> tuple[Any, Any]:
    """(weight or None, bias or None) among the optional inputs, by the flags."""
    weight = parameters[0] if a.has_weight else None
    bias = parameters[-1] if getattr(a, "has_bias", False) else None
    return weight, bias


def _features_type(what: str, a: Any, x: Any, parameters: tuple[Any, ...]) -> tuple[Shape, DType]:
    s = x.shape
    if not 0 < a.ndims <= len(s):
        raise ShapeError(f"{what} over the last {a.ndims} dimensions needs an input of at least as many, got shape {list(s)}")
    normalized = s[len(s) - a.ndims :]
    for p in parameters:
        if p.shape != normalized:
            raise ShapeError(
                f"Given normalized_shape={list(normalized)}, expected weight and bias of this shape, but got {list(p.shape)} "
                f"for an input of shape {list(s)}"
            )
    d = must_float(what, x, *parameters)
    return s, d


def _last(x: Node, n: int) -> tuple[int, ...]:
    return tuple(range(len(x.shape) - n, len(x.shape)))


def _leading(x: Node, n: int) -> tuple[int, ...]:
    return tuple(range(len(x.shape) - n))


def _standardized(x: Node, dims: tuple[int, ...], eps: float) -> tuple[Node, Node]:
    """(x - mean) / deviation, and 1 / deviation, along `dims`."""
    centred = x - mean_dims(x, dims=dims, keepdim=True)
    reciprocal_deviation = rsqrt(mean_dims(square(centred), dims=dims, keepdim=True) + eps)
    return centred * reciprocal_deviation, reciprocal_deviation


def _layer_norm(a: LayerNormAttrs, x: Node, *parameters: Node) -> Node:
    y, _ = _standardized(widen(x), _last(x, a.ndims), a.eps)
    weight, bias = affine(a, parameters)
    if weight is not None:
        y = y * widen(weight)
    if bias is not None:
        y = y + widen(bias)
    return narrow(y, x.dtype)


def _layer_norm_gradient(g: Node, y: Node, a: LayerNormAttrs, x: Node, *parameters: Node) -> list[Node | None]:
    dims, leading = _last(x, a.ndims), _leading(x, a.ndims)
    weight, bias = affine(a, parameters)
    g = widen(g)
    unit, reciprocal_deviation = _standardized(widen(x), dims, a.eps)
    gu = g if weight is None else g * widen(weight)
    gx = reciprocal_deviation * (gu - mean_dims(gu, dims=dims, keepdim=True) - unit * mean_dims(gu * unit, dims=dims, keepdim=True))
    grads: list[Node | None] = [narrow(gx, x.dtype)]
    if weight is not None:
        gw = g * unit
        grads.append(narrow(sum_dims(gw, dims=leading, keepdim=False) if leading else gw, x.dtype))
    if bias is not None:
        grads.append(narrow(sum_dims(g, dims=leading, keepdim=False) if leading else g, x.dtype))
    return grads


def _rms_norm(a: RmsNormAttrs, x: Node, *parameters: Node) -> Node:
    wide = widen(x)
    y = wide * rsqrt(mean_dims(square(wide), dims=_last(x, a.ndims), keepdim=True) + a.eps)
    return narrow(y * widen(parameters[0]) if parameters else y, x.dtype)


def _rms_norm_gradient(g: Node, y: Node, a: RmsNormAttrs, x: Node, *parameters: Node) -> list[Node | None]:
    dims, leading = _last(x, a.ndims), _leading(x, a.ndims)
    g, wide = widen(g), widen(x)
    reciprocal = rsqrt(mean_dims(square(wide), dims=dims, keepdim=True) + a.eps)
    unit = wide * reciprocal
    gu = g * widen(parameters[0]) if parameters else g
    grads: list[Node | None] = [narrow(reciprocal * (gu - unit * mean_dims(gu * unit, dims=dims, keepdim=True)), x.dtype)]
    if parameters:
        gw = g * unit
        grads.append(narrow(sum_dims(gw, dims=leading, keepdim=False) if leading else gw, x.dtype))
    return grads


def _layer_norm_samples() -> Iterable[Sample]:
    draw = np.random.default_rng(6)
    for shape, n in [((2, 5), 1), ((2, 3, 4), 1), ((2, 3, 4), 2), ((4,), 1), ((0, 3), 1)]:
        x, w, b = draw.standard_normal(shape), draw.standard_normal(shape[len(shape) - n :]), draw.standard_normal(shape[len(shape) - n :])
        yield Sample((x,), LayerNormAttrs(n))
        yield Sample((x, w), LayerNormAttrs(n, 1e-3, True))
        yield Sample((x, w, b), LayerNormAttrs(n, 1e-5, True, True))
    yield Sample(
        tuple(draw.standard_normal(s).astype(np.float16) for s in ((2, 4), (4,))),
        LayerNormAttrs(1, 1e-5, True),
        grad_inputs=(),
        tolerance=1e-2,
    )
    yield Sample((np.ones((2, 3)), np.ones(2)), LayerNormAttrs(1, 1e-5, True), error=ShapeError, match=r"Given normalized_shape=\[3\]")
    yield Sample((np.ones((2, 3)),), LayerNormAttrs(3), error=ShapeError, match="last 3 dimensions")
    yield Sample((np.ones((2, 3), np.int64),), LayerNormAttrs(1), error=DTypeError, match="floating-point")
    yield Sample(
        (np.ones((2, 3)), np.ones(3, np.float32)),
        LayerNormAttrs(1, 1e-5, True),
        error=DTypeError,
        match="expected scalar type float64 but found float32",
    )


def _rms_norm_samples() -> Iterable[Sample]:
    draw = np.random.default_rng(7)
    for shape, n in [((2, 5), 1), ((2, 3, 4), 2), ((4,), 1), ((0, 3), 1)]:
        x, w = draw.standard_normal(shape), draw.standard_normal(shape[len(shape) - n :])
        yield Sample((x,), RmsNormAttrs(n))
        yield Sample((x, w), RmsNormAttrs(n, 1e-3, True))
    yield Sample((np.ones((2, 3)), np.ones(2)), RmsNormAttrs(1, 1e-5, True), error=ShapeError, match=r"Given normalized_shape=\[3\]")


layer_norm = define(
    "layer_norm", family=NORM, attrs=LayerNormAttrs, infer=lambda a, x, *p: _features_type("layer_norm", a, x, p), decompose=_layer_norm,
    vjp=_layer_norm_gradient, samples=_layer_norm_samples,
    doc="(x - mean) / sqrt(variance + eps) * weight + bias over the last dimensions.",
)  # fmt: skip

rms_norm = define(
    "rms_norm", family=NORM, attrs=RmsNormAttrs, infer=lambda a, x, *p: _features_type("rms_norm", a, x, p), decompose=_rms_norm,
    vjp=_rms_norm_gradient, samples=_rms_norm_samples, doc="x / sqrt(mean of squares + eps) * weight over the last dimensions.",
)  # fmt: skip


# ---------------------------------------------------------------- group norm


@attrs
class GroupNormAttrs(Attrs):
    """Channels (dimension 1) in `groups` groups, each normalised together with all positions; weight and bias are per channel."""

    groups: int
    eps: float = 1e-5
    has_weight: bool = False
    has_bias: bool = False


def per_channel(v: Node, ndim: int) -> Node:
    """A vector of channels shaped to broadcast along dimension 1 of a tensor of `ndim` dimensions."""
    return reshape(v, shape=(1, v.shape[0], *[1] * (ndim - 2)))


def must_be_per_channel(what: str, x: Any, parameters: Iterable[Any]) -> None:
    """Raises ShapeError unless every parameter is a vector with one element per channel of x."""
    for p in parameters:
        if p.shape != (x.shape[1],):
            raise ShapeError(
                explained(
                    f"{'running_mean' if what == 'batch_norm' else 'weight'} should contain {x.shape[1]} elements not {numel(p.shape)}: "
                    f"{what} takes parameters with one element for each channel of the input",
                    channel_fix(x.shape, numel(p.shape), f"make the layer for {x.shape[1]} channels, or check the input's"),
                    input=marked(x.shape, 1), parameter=marked(p.shape, 0),
                )
            )  # fmt: skip


def _group_norm_type(a: GroupNormAttrs, x: Any, *parameters: Any) -> tuple[Shape, DType]:
    s = x.shape
    if len(s) < 2:
        raise ShapeError(f"Expected at least 2 dimensions for input tensor but received {len(s)}: group_norm takes [N, C, ...]")
    if a.groups < 1 or s[1] % a.groups != 0:
        raise ShapeError(
            f"Expected number of channels in input to be divisible by num_groups, but got input of shape {list(s)} and "
            f"num_groups={a.groups}"
        )
    must_be_per_channel("group_norm", x, parameters)
    return s, must_float("group_norm", x, *parameters)


def _group_norm(a: GroupNormAttrs, x: Node, *parameters: Node) -> Node:
    s = x.shape
    size: Any = s[1] // a.groups
    for n in s[2:]:
        size = size * n
    weight, bias = affine(a, parameters)
    y = reshape(layer_norm(widen(reshape(x, shape=(s[0], a.groups, size))), ndims=1, eps=a.eps), shape=s)
    if weight is not None:
        y = y * widen(per_channel(weight, len(s)))
    if bias is not None:
        y = y + widen(per_channel(bias, len(s)))
    return narrow(y, x.dtype)


def _group_norm_samples() -> Iterable[Sample]:
    draw = np.random.default_rng(8)
    for shape, groups in [((2, 4, 3), 2), ((2, 4), 2), ((1, 3, 2, 2), 3), ((2, 2, 2, 2), 1), ((0, 4, 2), 2)]:
        x, w, b = draw.standard_normal(shape), draw.standard_normal(shape[1]), draw.standard_normal(shape[1])
        yield Sample((x,), GroupNormAttrs(groups))
        yield Sample((x, w, b), GroupNormAttrs(groups, 1e-4, True, True))
    yield Sample((np.ones((2, 5, 2)),), GroupNormAttrs(2), error=ShapeError, match="divisible by num_groups")
    yield Sample((np.ones((2, 4, 2)), np.ones(2)), GroupNormAttrs(2, 1e-5, True), error=ShapeError, match="one element for each channel")


group_norm = define(
    "group_norm", family=NORM, attrs=GroupNormAttrs, infer=_group_norm_type, decompose=_group_norm, vjp=VIA_DECOMPOSITION,
    samples=_group_norm_samples,
    doc="(x - mean) / sqrt(variance + eps) * weight + bias, mean and variance over each group of channels.",
)  # fmt: skip
