"""How tensors print: torch's look, through NumPy's array printer."""

from __future__ import annotations

from typing import Any

import numpy as np

from monograph.core import dtype as dtypes
from monograph.core.modes import MODES
from monograph.tensor.core import META, Tensor, node_of
from monograph.tensor.interop import host_array

_options: dict[str, Any] = {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80, "sci_mode": None}

_PROFILES: dict[str, dict[str, Any]] = {
    "default": {"precision": 4, "threshold": 1000, "edgeitems": 3},
    "short": {"precision": 2, "threshold": 1000, "edgeitems": 2},
    "full": {"precision": 4, "threshold": float("inf"), "edgeitems": 3},
}


def set_printoptions(precision: int | None = None, threshold: int | None = None, edgeitems: int | None = None, linewidth: int | None = None, profile: str | None = None, sci_mode: bool | None = None) -> None:
    """How tensors print; profile "default", "short" or "full" resets the others."""
    if profile is not None:
        _options.update(_PROFILES[profile], sci_mode=None)
    for name, value in (("precision", precision), ("threshold", threshold), ("edgeitems", edgeitems), ("linewidth", linewidth), ("sci_mode", sci_mode)):
        if value is not None:
            _options[name] = value


def _formatter(values: np.ndarray) -> Any:
    """One format for all elements, as torch chooses it: whole numbers with a dot, scientific when the range is wide."""
    finite = values[np.isfinite(values)].astype(np.float64)
    precision = _options["precision"]
    shown = np.abs(finite[finite != 0])
    whole = bool(finite.size) and bool(np.all(finite == np.round(finite)))
    scientific = _options["sci_mode"]
    if scientific is None:
        scientific = shown.size > 0 and (shown.max() / shown.min() > 1000 or shown.max() > 1e8 or (shown.min() < 1e-4 and not whole)) and not (whole and shown.max() < 1e8 and shown.max() / shown.min() <= 1000)
    if scientific:
        text = lambda v: f"{v:.{precision}e}" if np.isfinite(v) else str(float(v))  # noqa: E731
    elif whole:
        text = lambda v: f"{v:.0f}." if np.isfinite(v) else str(float(v))  # noqa: E731
    else:
        text = lambda v: f"{v:.{precision}f}" if np.isfinite(v) else str(float(v))  # noqa: E731
    width = max((len(text(float(v))) for v in values.ravel()), default=0)
    return lambda v: text(float(v)).rjust(width)


def _values(array: np.ndarray, d: dtypes.dtype, indent: int) -> str:
    array = array.astype(np.float32) if d in (dtypes.bfloat16, dtypes.float16) else array
    summarise = array.size > _options["threshold"]
    shown = array
    if summarise:
        for axis in range(array.ndim):
            e = _options["edgeitems"]
            if shown.shape[axis] > 2 * e:
                shown = np.concatenate([np.take(shown, range(e), axis), np.take(shown, range(shown.shape[axis] - e, shown.shape[axis]), axis)], axis)
    if d.kind == "f":
        style = {"float_kind": _formatter(shown)}
    elif d.kind == "b":
        width = 5 if shown.size and not shown.all() else 4
        style = {"bool": lambda v: str(bool(v)).rjust(width if array.ndim else 0)}
    else:
        width = max((len(str(v)) for v in shown.ravel()), default=0)
        style = {"int_kind": lambda v: str(v).rjust(width)}
    text = np.array2string(
        array, separator=", ", formatter=style, threshold=_options["threshold"] if np.isfinite(_options["threshold"]) else 1 << 60,  # type: ignore[arg-type]
        edgeitems=_options["edgeitems"], max_line_width=_options["linewidth"], prefix=" " * indent,
    )  # fmt: skip
    return text


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
    natural = node.dtype in (dtypes.defaults.floating, dtypes.int64, dtypes.bool_) and (node.numel != 0 or node.dtype is dtypes.defaults.floating)
    if not natural:
        parts.append(f"dtype={node.dtype}")
    function = self.grad_fn  # type: ignore[attr-defined]
    if function is not None:
        parts.append(f"grad_fn=<{function.name()}>")
    elif self.requires_grad:
        parts.append("requires_grad=True")
    return name + ", ".join([body, *parts]) + ")"


def formatted(self: Tensor, spec: str) -> str:
    """f"{t:.3f}" of a 0-d tensor formats its number; other tensors take no format."""
    if not node_of(self).shape and self.device is not META:
        return format(self.item(), spec)  # type: ignore[attr-defined]
    if spec:
        raise TypeError(f"unsupported format string {spec!r} for a tensor of shape {list(node_of(self).shape)}: only 0-d tensors format as numbers")
    return str(self)
