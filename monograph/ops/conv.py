"""Convolution in 1, 2 or 3 spatial dimensions, its two gradients, and transposed convolution.

The three primitives are the three ways of contracting y = x * w when one of them is unknown, so each one's gradients are the other two,
at every order. A bias is an `add` of a reshaped vector.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from monograph.core.attrs import Attrs, attrs
from monograph.core.dtype import dtype as DType
from monograph.core.errors import ArgumentError, DTypeError, ShapeError
from monograph.core.explain import channel_fix, explained, marked
from monograph.core.shape import Shape
from monograph.graph.node import Node
from monograph.graph.op import VIA_DECOMPOSITION, Family, Sample, define
from monograph.ops import conv_reference
from monograph.ops.precision import half_in_single
from monograph.ops.views import pad
from monograph.ops.windows import Ints, Sizes, by, output_sizes

CONV = Family.CONV


@attrs
class ConvAttrs(Attrs):
    """One stride, (symmetric) padding and dilation per spatial dimension; channels are split in `groups`."""

    stride: Ints
    padding: Ints
    dilation: Ints
    groups: int = 1


@attrs
class ConvInputAttrs(Attrs):
    """Of the gradient of the input: the spatial sizes that the input has."""

    input_shape_spatial: Sizes
    stride: Ints
    padding: Ints
    dilation: Ints
    groups: int = 1


@attrs
class ConvWeightAttrs(Attrs):
    """Of the gradient of the weight: the spatial sizes that the weight has."""

    kernel_size: Sizes
    stride: Ints
    padding: Ints
    dilation: Ints
    groups: int = 1


@attrs
class ConvTransposeAttrs(Attrs):
    """As of convolution; `output_padding` chooses among the sizes from which a strided convolution gives the same output size."""

    stride: Ints
    padding: Ints
    output_padding: Ints
    dilation: Ints
    groups: int = 1


# ---------------------------------------------------------------- types


def _check_windows(a: Any, n: int) -> None:
    for what, values in (("stride", a.stride), ("padding", a.padding), ("dilation", a.dilation)):
        if len(values) != n:
            raise ArgumentError(f"expected {what} to have one number for each of the {n} spatial dimensions, got {list(values)}")
    if min(a.stride) < 1:
        raise ArgumentError(f"non-positive stride is not supported, got stride={list(a.stride)}")
    if min(a.padding) < 0:
        raise ArgumentError(f"negative padding is not supported, got padding={list(a.padding)}; crop the input instead")
    if min(a.dilation) < 1:
        raise ArgumentError(f"dilation should be greater than zero, got dilation={list(a.dilation)}")
    if a.groups < 1:
        raise ArgumentError(f"non-positive groups is not supported, got groups={a.groups}")


def _check_types(x: Any, w: Any, what: str) -> DType:
    if x.dtype is not w.dtype:
        raise DTypeError(
            f"Input type ({x.dtype.name}) and weight type ({w.dtype.name}) should be the same; convert the input, e.g. x.to({w.dtype.name})"
        )
    if x.dtype.kind != "f":
        raise DTypeError(f"{what} takes floating-point values, got {x.dtype.name}; convert them first, e.g. x.float()")
    return x.dtype


def _conv_type(a: ConvAttrs, x: Any, w: Any) -> tuple[Shape, DType]:
    s, t = x.shape, w.shape
    n = len(t) - 2
    if not 1 <= n <= 3:
        raise ShapeError(
            f"conv takes a weight [out channels, in channels / groups, kernel...] with 1 to 3 kernel dimensions, got shape {list(t)}"
        )
    if len(s) != n + 2:
        raise ShapeError(f"Expected {n + 1}D (unbatched) or {n + 2}D (batched) input to conv{n}d, but got input of size: {list(s)}")
    _check_windows(a, n)
    d = _check_types(x, w, f"conv{n}d")
    if t[0] < a.groups:
        raise ShapeError(
            f"Given groups={a.groups}, expected weight to be at least {a.groups} at dimension 0, but got weight of size {list(t)} instead"
        )
    if t[0] % a.groups != 0:
        raise ShapeError(
            f"Given groups={a.groups}, expected weight to be divisible by {a.groups} at dimension 0, but got weight of size {list(t)} "
            "instead"
        )
    if s[1] != t[1] * a.groups:
        wanted = t[1] * a.groups
        fix = f"in_channels must be the input's channels: nn.Conv{n}d({s[1]}, {t[0]}, ...) would take it"
        raise ShapeError(
            explained(
                f"Given groups={a.groups}, weight of size {list(t)}, expected input{list(s)} to have {wanted} channels, but got "
                f"{s[1]} channels instead",
                channel_fix(s, wanted, fix), input=marked(s, 1), weight=marked(t, 1),
            )
        )  # fmt: skip
    out = output_sizes(s[2:], t[2:], a.stride, a.padding, a.dilation)
    for o in out:
        if o < 1:
            room = tuple(i + 2 * p for i, p in zip(s[2:], a.padding, strict=True))
            reach = tuple(dil * (k - 1) + 1 for dil, k in zip(a.dilation, t[2:], strict=True))
            raise ShapeError(
                f"Calculated padded input size per channel: ({by(room)}). Kernel size: ({by(reach)}). Kernel size can't be greater than "
                "actual input size"
            )
    return (s[0], t[0], *out), d


def _must_fit(a: Any, spatial: Sizes, kernel: Sizes, g: Any) -> None:
    out = output_sizes(spatial, kernel, a.stride, a.padding, a.dilation)
    if g.shape[2:] != out:
        raise ShapeError(
            f"an output gradient {list(g.shape)} does not belong to an input of spatial sizes {list(spatial)} and a kernel "
            f"{list(kernel)}, whose output has {list(out)}"
        )


def _backward_input_type(a: ConvInputAttrs, g: Any, w: Any) -> tuple[Shape, DType]:
    n = len(a.input_shape_spatial)
    if len(w.shape) != n + 2 or len(g.shape) != n + 2:
        raise ShapeError(
            f"conv_backward_input takes an output gradient and a weight of {n + 2} dimensions, got {list(g.shape)} and {list(w.shape)}"
        )
    _check_windows(a, n)
    if g.shape[1] != w.shape[0]:
        raise ShapeError(f"the output gradient {list(g.shape)} must have the {w.shape[0]} output channels of the weight {list(w.shape)}")
    _must_fit(a, a.input_shape_spatial, w.shape[2:], g)
    return (g.shape[0], w.shape[1] * a.groups, *a.input_shape_spatial), _check_types(g, w, "conv_backward_input")


def _backward_weight_type(a: ConvWeightAttrs, g: Any, x: Any) -> tuple[Shape, DType]:
    n = len(a.kernel_size)
    if len(x.shape) != n + 2 or len(g.shape) != n + 2 or g.shape[0] != x.shape[0]:
        raise ShapeError(
            f"conv_backward_weight takes an output gradient and an input of one batch and {n + 2} dimensions, got {list(g.shape)} and "
            f"{list(x.shape)}"
        )
    _check_windows(a, n)
    if x.shape[1] % a.groups != 0:
        raise ShapeError(f"the input {list(x.shape)} has {x.shape[1]} channels, which {a.groups} groups do not divide")
    _must_fit(a, x.shape[2:], a.kernel_size, g)
    return (g.shape[1], x.shape[1] // a.groups, *a.kernel_size), _check_types(x, g, "conv_backward_weight")


# ---------------------------------------------------------------- records


def _shared(a: Any) -> dict[str, Any]:
    return {"stride": a.stride, "padding": a.padding, "dilation": a.dilation, "groups": a.groups}


def _some(*shapes: Shape, seed: int = 17) -> tuple[np.ndarray, ...]:
    draw = np.random.default_rng(seed)
    return tuple(draw.standard_normal(s) for s in shapes)


# (input, weight, attributes): every feature alone, then together
_CASES = (
    ((2, 2, 4), (3, 2, 2), ConvAttrs((1,), (0,), (1,))),
    ((1, 2, 4, 5), (2, 2, 3, 2), ConvAttrs((1, 1), (0, 0), (1, 1))),
    ((2, 1, 4, 4), (2, 1, 3, 3), ConvAttrs((1, 1), (1, 1), (1, 1))),
    ((1, 2, 5, 4), (1, 2, 2, 2), ConvAttrs((2, 3), (0, 1), (1, 1))),
    ((1, 1, 6, 5), (2, 1, 2, 3), ConvAttrs((1, 1), (1, 2), (3, 2))),
    ((1, 4, 3, 3), (4, 1, 2, 2), ConvAttrs((1, 1), (0, 0), (1, 1), 4)),
    ((2, 4, 3, 3), (2, 2, 1, 1), ConvAttrs((1, 1), (0, 0), (1, 1), 2)),
    ((1, 4, 5, 6), (2, 2, 2, 3), ConvAttrs((2, 1), (1, 0), (1, 2), 2)),
    ((1, 2, 3, 3, 2), (1, 2, 2, 2, 2), ConvAttrs((1, 2, 1), (0, 1, 1), (1, 1, 1))),
    ((0, 2, 4, 4), (3, 2, 3, 3), ConvAttrs((1, 1), (1, 1), (1, 1))),
)


def _conv_samples() -> Iterable[Sample]:
    for s, t, a in _CASES:
        yield Sample(_some(s, t), a)
    plain = ConvAttrs((1, 1), (0, 0), (1, 1))
    yield Sample(tuple(v.astype(np.float16) for v in _some((1, 2, 3, 3), (2, 2, 2, 2))), plain, grad_inputs=(), tolerance=1e-2)
    yield Sample(
        _some((1, 4, 5, 5), (6, 3, 3, 3)),
        plain,
        error=ShapeError,
        match=r"Given groups=1, weight of size \[6, 3, 3, 3\], expected input\[1, 4, 5, 5\] to have 3 channels, but got 4",
    )
    yield Sample(
        _some((1, 4, 5, 5), (3, 2, 3, 3)), ConvAttrs((1, 1), (0, 0), (1, 1), 2), error=ShapeError, match="divisible by 2 at dimension 0"
    )
    yield Sample(
        _some((1, 4, 5, 5), (1, 2, 3, 3)), ConvAttrs((1, 1), (0, 0), (1, 1), 2), error=ShapeError, match="at least 2 at dimension 0"
    )
    yield Sample(
        _some((1, 2, 2, 2), (1, 2, 3, 3)),
        plain,
        error=ShapeError,
        match=r"padded input size per channel: \(2 x 2\). Kernel size: \(3 x 3\)",
    )
    yield Sample(
        _some((2, 4, 4), (1, 2, 3, 3)),
        plain,
        error=ShapeError,
        match=r"Expected 3D \(unbatched\) or 4D \(batched\) input to conv2d, but got",
    )
    yield Sample(_some((1, 2, 4, 4), (1, 2, 3, 3)), ConvAttrs((0, 1), (0, 0), (1, 1)), error=ValueError, match="non-positive stride")
    yield Sample(_some((1, 2, 4, 4), (1, 2, 3, 3)), ConvAttrs((1, 1), (-1, 0), (1, 1)), error=ValueError, match="negative padding")
    yield Sample(
        _some((1, 2, 4, 4), (1, 2, 3, 3)), ConvAttrs((1,), (0, 0), (1, 1)), error=ValueError, match="each of the 2 spatial dimensions"
    )
    x, w = _some((1, 2, 4, 4), (1, 2, 3, 3))
    yield Sample(
        (x, w.astype(np.float32)), plain, error=DTypeError, match=r"Input type \(float64\) and weight type \(float32\) should be the same"
    )


def _backward_input_samples() -> Iterable[Sample]:
    for s, t, a in _CASES:
        out = output_sizes(s[2:], t[2:], a.stride, a.padding, a.dilation)
        yield Sample(_some((s[0], t[0], *out), t), ConvInputAttrs(s[2:], **_shared(a)))
    bad = ConvInputAttrs((4, 4), (1, 1), (0, 0), (1, 1))
    yield Sample(_some((1, 2, 3, 3), (2, 1, 3, 3)), bad, error=ShapeError, match="does not belong to an input")
    yield Sample(_some((1, 3, 2, 2), (2, 1, 3, 3)), bad, error=ShapeError, match="must have the 2 output channels")


def _backward_weight_samples() -> Iterable[Sample]:
    for s, t, a in _CASES:
        out = output_sizes(s[2:], t[2:], a.stride, a.padding, a.dilation)
        yield Sample(_some((s[0], t[0], *out), s), ConvWeightAttrs(t[2:], **_shared(a)))
    bad = ConvWeightAttrs((3, 3), (1, 1), (0, 0), (1, 1))
    yield Sample(_some((1, 2, 3, 3), (1, 1, 4, 4)), bad, error=ShapeError, match="does not belong to an input")
    yield Sample(_some((1, 2, 2, 2), (2, 1, 4, 4)), bad, error=ShapeError, match="one batch")


def _conv_gradient(g: Node, y: Node, a: ConvAttrs, x: Node, w: Node) -> list[Node | None]:
    shared = _shared(a)
    return [
        conv_backward_input(g, w, input_shape_spatial=x.shape[2:], **shared),
        conv_backward_weight(g, x, kernel_size=w.shape[2:], **shared),
    ]


def _backward_input_gradient(h: Node, y: Node, a: ConvInputAttrs, g: Node, w: Node) -> list[Node | None]:
    return [conv(h, w, **_shared(a)), conv_backward_weight(g, h, kernel_size=w.shape[2:], **_shared(a))]


def _backward_weight_gradient(h: Node, y: Node, a: ConvWeightAttrs, g: Node, x: Node) -> list[Node | None]:
    return [conv(x, h, **_shared(a)), conv_backward_input(g, h, input_shape_spatial=x.shape[2:], **_shared(a))]


conv = define(
    "conv", family=CONV, attrs=ConvAttrs, infer=_conv_type, reference=half_in_single(conv_reference.conv), vjp=_conv_gradient,
    samples=_conv_samples,
    doc="Convolution (cross-correlation) of x [N, C, ...] with w [O, C / groups, kernel...].",
)  # fmt: skip

conv_backward_input = define(
    "conv_backward_input", family=CONV, attrs=ConvInputAttrs, infer=_backward_input_type,
    reference=half_in_single(conv_reference.backward_input),
    vjp=_backward_input_gradient, samples=_backward_input_samples,
    doc="The gradient of conv for its input, given that of its output and the weight.",
)  # fmt: skip

conv_backward_weight = define(
    "conv_backward_weight", family=CONV, attrs=ConvWeightAttrs, infer=_backward_weight_type,
    reference=half_in_single(conv_reference.backward_weight),
    vjp=_backward_weight_gradient, samples=_backward_weight_samples,
    doc="The gradient of conv for its weight, given that of its output and the input.",
)  # fmt: skip


# ---------------------------------------------------------------- transposed convolution


def _transposed_sizes(a: ConvTransposeAttrs, spatial: Sizes, kernel: Sizes) -> Sizes:
    return tuple(
        (n - 1) * s - 2 * p + d * (k - 1) + extra + 1
        for n, k, s, p, d, extra in zip(spatial, kernel, a.stride, a.padding, a.dilation, a.output_padding, strict=True)
    )


def _conv_transpose_type(a: ConvTransposeAttrs, x: Any, w: Any) -> tuple[Shape, DType]:
    s, t = x.shape, w.shape
    n = len(t) - 2
    if not 1 <= n <= 3:
        raise ShapeError(
            f"conv_transpose takes a weight [in channels, out channels / groups, kernel...] with 1 to 3 kernel dimensions, got {list(t)}"
        )
    if len(s) != n + 2:
        raise ShapeError(
            f"Expected {n + 1}D (unbatched) or {n + 2}D (batched) input to conv_transpose{n}d, but got input of size: {list(s)}"
        )
    _check_windows(a, n)
    if len(a.output_padding) != n or any(not 0 <= o < max(st, d) for o, st, d in zip(a.output_padding, a.stride, a.dilation, strict=False)):
        raise ArgumentError(
            f"output padding must be smaller than either stride or dilation, but got output_padding={list(a.output_padding)}, "
            f"stride={list(a.stride)}, dilation={list(a.dilation)}"
        )
    d = _check_types(x, w, f"conv_transpose{n}d")
    if s[1] != t[0] or t[0] % a.groups != 0:
        raise ShapeError(
            f"Given transposed=1, weight of size {list(t)}, expected input{list(s)} to have {t[0]} channels (a multiple of "
            f"groups={a.groups}), "
            f"but got {s[1]} channels instead"
        )
    out = _transposed_sizes(a, s[2:], t[2:])
    if any(o < 1 for o in out):
        raise ShapeError(
            f"Given input size per channel: ({by(s[2:])}). Calculated output size per channel: ({by(out)}). Output size is too small"
        )
    return (s[0], t[1] * a.groups, *out), d


def _conv_transpose(a: ConvTransposeAttrs, x: Node, w: Node) -> Node:
    spatial = _transposed_sizes(a, x.shape[2:], w.shape[2:])
    # An output padding of a stride or more (allowed below the dilation) makes room for windows that saw nothing: they count as zeros.
    seen = output_sizes(spatial, w.shape[2:], a.stride, a.padding, a.dilation)
    if seen != x.shape[2:]:
        x = pad(x, low=(0,) * len(x.shape), high=(0, 0, *(n - m for n, m in zip(seen, x.shape[2:], strict=True))), value=0)
    return conv_backward_input(x, w, input_shape_spatial=spatial, **_shared(a))


def _conv_transpose_samples() -> Iterable[Sample]:
    for s, t, a in [
        ((2, 3, 4), (3, 2, 2), ConvTransposeAttrs((1,), (0,), (0,), (1,))),
        ((1, 2, 3, 2), (2, 1, 3, 3), ConvTransposeAttrs((2, 2), (1, 1), (1, 0), (1, 1))),
        ((1, 4, 2, 2), (4, 1, 2, 2), ConvTransposeAttrs((2, 1), (0, 0), (0, 0), (1, 2), 2)),
        ((1, 1, 3), (1, 2, 2), ConvTransposeAttrs((1,), (0,), (2,), (3,))),
        ((1, 2, 2, 1, 2), (2, 1, 2, 2, 2), ConvTransposeAttrs((1, 2, 2), (0, 0, 1), (0, 1, 1), (1, 1, 1))),
    ]:
        yield Sample(_some(s, t), a)
    plain = ConvTransposeAttrs((1, 1), (0, 0), (0, 0), (1, 1))
    yield Sample(_some((1, 3, 3, 3), (4, 1, 2, 2)), plain, error=ShapeError, match="to have 4 channels .* but got 3 channels instead")
    yield Sample(
        _some((1, 1, 3), (1, 1, 2)), ConvTransposeAttrs((1,), (0,), (1,), (1,)), error=ValueError, match="output padding must be smaller"
    )
    yield Sample(
        _some((1, 1, 1), (1, 1, 1)), ConvTransposeAttrs((1,), (1,), (0,), (1,)), error=ShapeError, match="Output size is too small"
    )


conv_transpose = define(
    "conv_transpose", family=CONV, attrs=ConvTransposeAttrs, infer=_conv_transpose_type, decompose=_conv_transpose, vjp=VIA_DECOMPOSITION,
    samples=_conv_transpose_samples,
    doc="The gradient of a convolution for its input, used forwards: x [N, I, ...], w [I, O / groups, kernel...].",
)  # fmt: skip
