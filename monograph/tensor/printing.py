"""How tensors print: torch's look."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from monograph.core import dtype as dtypes
from monograph.core.errors import ArgumentError
from monograph.core.modes import MODES
from monograph.tensor.core import META, Tensor, node_of
from monograph.tensor.interop import host_array

_options: dict[str, Any] = {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80, "sci_mode": None}

_PROFILES: dict[str, dict[str, Any]] = {
    "default": {"precision": 4, "threshold": 1000, "edgeitems": 3},
    "short": {"precision": 2, "threshold": 1000, "edgeitems": 2},
    "full": {"precision": 4, "threshold": float("inf"), "edgeitems": 3},
}


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """How tensors print; profile "default", "short" or "full" resets the others."""
    if profile is not None:
        if profile not in _PROFILES:
            raise ArgumentError(f"set_printoptions(profile={profile!r}): there are {', '.join(_PROFILES)}")
        _options.update(_PROFILES[profile], linewidth=80, sci_mode=None)
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth, "sci_mode": sci_mode}
    _options.update({name: value for name, value in given.items() if value is not None})


def _float_style(values: np.ndarray) -> tuple[Callable[[Any], str], int]:
    """(format, width) for all elements, as torch chooses it: whole numbers with a dot, scientific when the range is wide.

    The width is that of the widest finite number that is not zero; nan, inf and -0. may stick out.
    """
    precision = _options["precision"]
    shown = values[np.isfinite(values) & (values != 0)].astype(np.float64)
    size = np.abs(shown)
    whole = bool(np.all(shown == np.round(shown)))
    scientific = _options["sci_mode"]
    if scientific is None:
        wide = shown.size > 0 and (size.max() / size.min() > 1000 or size.max() > 1e8)
        scientific = wide or (shown.size > 0 and not whole and bool(size.min() < 1e-4))

    def text(v: Any) -> str:
        if not np.isfinite(v):
            return str(float(v))
        return f"{v:.{precision}e}" if scientific else f"{v:.0f}." if whole else f"{v:.{precision}f}"

    return text, max((len(text(v)) for v in shown), default=1)


def _complex_style(values: np.ndarray) -> tuple[Callable[[Any], str], int]:
    """The real parts in a column of their own, the imaginary ones with their sign behind."""
    (real, real_width), (imag, imag_width) = _float_style(values.real), _float_style(values.imag)
    column = real_width if values.ndim else 0

    def text(v: Any) -> str:
        size = imag(v.imag)
        return f"{real(v.real).rjust(column)}{'' if size.startswith('-') else '+'}{size}j"

    return text, real_width + imag_width + 1


def style_of(values: np.ndarray, d: dtypes.dtype) -> tuple[Callable[[Any], str], int]:
    """(format, width of a column) for all elements; the format fills the column, but for a lone number."""
    if d.kind == "c":
        return _complex_style(values)
    text: Callable[[Any], str]
    if d.kind == "f":
        text, width = _float_style(values)
    else:
        text = (lambda v: str(bool(v))) if d.kind == "b" else str
        width = max((len(text(v)) for v in values.ravel()), default=0)
    return (lambda v: text(v).rjust(width)) if values.ndim else text, width


def _edges(n: int) -> tuple[range, range] | None:
    """The indices that are shown of a long dimension, None for a short one."""
    e = _options["edgeitems"]
    return (range(e), range(n - e, n)) if n > 2 * e else None


def _shown(array: np.ndarray) -> np.ndarray:
    """What a summary shows of an array."""
    for axis, n in enumerate(array.shape):
        edges = _edges(n)
        if edges is not None:
            array = np.take(array, [*edges[0], *edges[1]], axis)
    return array


def _block(array: np.ndarray, indent: int, summarise: bool, style: tuple[Callable[[Any], str], int]) -> str:
    """The text of an array in brackets, to stand `indent` columns from the left."""
    text, width = style
    if not array.ndim:
        return text(array[()])
    edges = _edges(len(array)) if summarise else None
    if array.ndim == 1:
        items = [text(v) for v in (array if edges is None else array[[*edges[0], *edges[1]]])]
        if edges is not None:
            items.insert(len(edges[0]), " ...")
        per_line = max(1, int((_options["linewidth"] - indent) // (width + 2)))
        lines = [", ".join(items[i : i + per_line]) for i in range(0, len(items), per_line)]
        return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"
    rows = [_block(array[i], indent + 1, summarise, style) for i in (range(len(array)) if edges is None else [*edges[0], *edges[1]])]
    if edges is not None:
        rows.insert(len(edges[0]), "...")
    return "[" + ("," + "\n" * (array.ndim - 1) + " " * (indent + 1)).join(rows) + "]"


def _values(array: np.ndarray, d: dtypes.dtype, indent: int) -> str:
    array = array.astype(np.float32) if d in (dtypes.bfloat16, dtypes.float16) else array
    summarise = array.size > _options["threshold"]
    style = style_of(_shown(array) if summarise else array, d)
    return _block(array, indent, summarise, style)


def to_string(self: Tensor) -> str:
    """torch's repr: tensor([...], dtype=..., grad_fn=...)."""
    if MODES.capture is not None and MODES.capture.symbolic:
        node = node_of(self)
        return f"tensor(..., size={list(node.shape)}, dtype={node.dtype})"
    name = "tensor("
    parts = []
    node = node_of(self)
    if self.device is META:
        body = "..."
        parts.append("device='meta'")
        parts.append(f"size={tuple(node.shape)}")
    elif node.numel == 0:
        body = "[]"
        if len(node.shape) != 1:
            parts.append(f"size={tuple(node.shape)}")
    else:
        body = _values(host_array(self), node.dtype, len(name))
    natural = node.dtype in (dtypes.defaults.floating, dtypes.defaults.floating.to_complex(), dtypes.int64, dtypes.bool_) and (
        node.numel != 0 or node.dtype is dtypes.defaults.floating
    )
    if not natural:
        parts.append(f"dtype={node.dtype}")
    function = self.grad_fn
    if function is not None:
        parts.append(f"grad_fn=<{function.name()}>")
    elif self.requires_grad:
        parts.append("requires_grad=True")
    return name + ", ".join([body, *parts]) + ")"


def formatted(self: Tensor, spec: str) -> str:
    """f"{t:.3f}" of a 0-d tensor formats its number; other tensors take no format."""
    if not node_of(self).shape and self.device is not META:
        return format(self.item(), spec)
    if spec:
        raise TypeError(
            f"unsupported format string {spec!r} for a tensor of shape {list(node_of(self).shape)}: only 0-d tensors format as numbers"
        )
    return str(self)
