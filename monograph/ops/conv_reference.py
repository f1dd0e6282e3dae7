"""What convolution and its two gradients mean, in plain NumPy: one einsum per position in the kernel."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from monograph.ops.windows import Ints, at, inside, offsets, output_sizes, padded, padded_spatial, reached

Array = Any


def _grouped(array: Array, groups: int, axis: int) -> Array:
    """The channels of `axis` as [groups, channels per group]."""
    s = array.shape
    return array.reshape(*s[:axis], groups, s[axis] // groups, *s[axis + 1 :])


def _geometry(a: Any, spatial: Ints, kernel: Ints) -> tuple[Ints, Ints]:
    """(output sizes, sizes of the padded input)."""
    out = output_sizes(spatial, kernel, a.stride, a.padding, a.dilation)
    return out, padded_spatial(spatial, kernel, a.stride, a.padding, a.dilation, out)


def conv(a: Any, x: Array, w: Array) -> Array:
    kernel = w.shape[2:]
    out, sizes = _geometry(a, x.shape[2:], kernel)
    xp, wg = _grouped(padded(x, sizes, a.padding, 0), a.groups, 1), _grouped(w, a.groups, 0)
    y = np.zeros((x.shape[0], a.groups, w.shape[0] // a.groups, *out), x.dtype)
    for o in offsets(kernel):
        y += np.einsum("ngc...,goc->ngo...", xp[reached(o, out, a.stride, a.dilation)], wg[at(o)])
    return y.reshape(x.shape[0], w.shape[0], *out)


def backward_input(a: Any, g: Array, w: Array) -> Array:
    kernel = w.shape[2:]
    out, sizes = _geometry(a, a.input_shape_spatial, kernel)
    gg, wg = _grouped(g, a.groups, 1), _grouped(w, a.groups, 0)
    xp = np.zeros((g.shape[0], a.groups, w.shape[1], *sizes), g.dtype)
    for o in offsets(kernel):
        xp[reached(o, out, a.stride, a.dilation)] += np.einsum("ngo...,goc->ngc...", gg, wg[at(o)])
    return xp[inside(a.input_shape_spatial, a.padding)].reshape(g.shape[0], w.shape[1] * a.groups, *a.input_shape_spatial)


def backward_weight(a: Any, g: Array, x: Array) -> Array:
    out, sizes = _geometry(a, x.shape[2:], a.kernel_size)
    n, channels = x.shape[0], x.shape[1] // a.groups
    gg = _grouped(g, a.groups, 1).reshape(n, a.groups, g.shape[1] // a.groups, prod(out))
    xp = _grouped(padded(x, sizes, a.padding, 0), a.groups, 1)
    gw = np.zeros((a.groups, g.shape[1] // a.groups, channels, *a.kernel_size), g.dtype)
    for o in offsets(a.kernel_size):
        seen = xp[reached(o, out, a.stride, a.dilation)].reshape(n, a.groups, channels, prod(out))
        gw[at(o)] = np.einsum("ngop,ngcp->goc", gg, seen)
    return gw.reshape(g.shape[1], channels, *a.kernel_size)
