"""How notebooks show a tensor: vectors and matrices as tables tinted by value, others as text; with shape, dtype and size."""

from __future__ import annotations

import numpy as np

from monograph.core import dtype as dtypes
from monograph.core.html import caption, framed, plain, table
from monograph.core.modes import MODES
from monograph.tensor.core import META, Tensor, node_of
from monograph.tensor.interop import host_array
from monograph.tensor.printing import style_of, to_string

MOST_ROWS, MOST_COLUMNS, EDGE = 16, 16, 5
DOTS = "\N{HORIZONTAL ELLIPSIS}"


def to_html(self: Tensor) -> str:
    """The HTML of a tensor."""
    node = node_of(self)
    if MODES.capture is not None and MODES.capture.symbolic:
        return framed(plain(to_string(self)))
    function = self.grad_fn
    tape = f"grad_fn {function.name()}" if function is not None else "requires_grad" if self.requires_grad else ""
    facts = [f"Tensor {list(node.shape)}", node.dtype.name, _bytes(node.numel * node.dtype.itemsize), tape]
    if self.device is META or type(self).__repr__ is not Tensor.__repr__:
        return framed(caption(*facts, str(self.device)), plain(repr(self)))
    if node.numel == 0 or len(node.shape) not in (1, 2) or node.dtype.kind == "c":
        return framed(caption(*facts), plain(to_string(self)))
    array = host_array(self)
    array = array.astype(np.float32) if node.dtype in (dtypes.bfloat16, dtypes.float16) else array
    return framed(caption(*facts), _matrix(array, node.dtype))


def _matrix(array: np.ndarray, dtype: dtypes.dtype) -> str:
    vector = array.ndim == 1
    grid = array[None] if vector else array
    rows, columns = _shown(grid.shape[0], MOST_ROWS), _shown(grid.shape[1], MOST_COLUMNS)
    picked = grid[np.ix_([r for r in rows if r >= 0], [c for c in columns if c >= 0])]
    text, _ = style_of(picked, dtype)
    with np.errstate(invalid="ignore"):
        numbers = np.where(np.isfinite(picked), picked, 0).astype(np.float64)
    strongest = float(np.abs(numbers).max(initial=0.0)) or 1.0
    body, tints = [], []
    for r in rows:
        cells = [DOTS if r < 0 or c < 0 else text(grid[r, c]).strip() for c in columns]
        colours = ["" if r < 0 or c < 0 else _tint(grid[r, c], strongest) for c in columns]
        body.append(cells if vector else [DOTS if r < 0 else str(r), *cells])
        tints.append(colours if vector else ["", *colours])
    head = [*([] if vector else [""]), *(DOTS if c < 0 else str(c) for c in columns)]
    return table(body, head, tints=tints)


def _shown(count: int, most: int) -> list[int]:
    """The indices that are shown; -1 is where some are left out."""
    return list(range(count)) if count <= most else [*range(EDGE), -1, *range(count - EDGE, count)]


def _tint(value: float, strongest: float) -> str:
    """Blue for what is above zero, red for what is below, stronger for larger; yellow for what is no number."""
    if not np.isfinite(value):
        return "rgba(230,180,0,.5)"
    strength = 0.45 * abs(float(value)) / strongest
    return "" if strength < 0.01 else f"rgba({'50,110,230' if value > 0 else '220,60,60'},{strength:.2f})"


def _bytes(count: int) -> str:
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024  # type: ignore[assignment]
    return f"{count:.2f} GiB"
