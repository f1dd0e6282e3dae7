"""The frequencies of a transform's values, and shifts that put the zero frequency in the middle."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from monograph.core import dtype as dtypes
from monograph.core.shape import normalize_dim
from monograph.tensor.core import Tensor
from monograph.tensor.pointwise import FUNCTIONS, deliver


def _grid(name: str, bins: np.ndarray, n: int, d: float, dtype: Any, requires_grad: bool, device: Any, out: Tensor | None) -> Tensor:
    kind = dtypes.given(dtype, dtypes.default_float())
    if kind.kind not in "fc":
        raise RuntimeError(f"{name} requires a floating point or complex dtype")
    with np.errstate(all="ignore"):
        values = bins / np.float64(n * d)
    made = FUNCTIONS["tensor"](values, dtype=kind, device=device)
    if out is not None:
        return deliver(made, out)
    return made.requires_grad_() if requires_grad else made


def fftfreq(
    n: int, d: float = 1.0, *, out: Tensor | None = None, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """The frequencies of the values of an `fft` of `n` points sampled every `d`: zero, the positive ones, the negative ones.

    >>> import monograph as mg
    >>> mg.fft.fftfreq(4)
    tensor([ 0.0000,  0.2500, -0.5000, -0.2500])
    """
    bins = np.concatenate([np.arange((n + 1) // 2), np.arange(-(n // 2), 0)])
    return _grid("fftfreq", bins, n, d, dtype, requires_grad, device, out)


def rfftfreq(
    n: int, d: float = 1.0, *, out: Tensor | None = None, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """The frequencies of the values of an `rfft` of `n` points sampled every `d`."""
    return _grid("rfftfreq", np.arange(n // 2 + 1), n, d, dtype, requires_grad, device, out)


def _shifted(input: Tensor, dim: int | Sequence[int] | None, back: bool) -> Tensor:  # noqa: A002
    rank = input.ndim
    given = list(range(rank)) if dim is None else [dim] if isinstance(dim, int) else list(dim)
    dims = [normalize_dim(d, rank) for d in given]
    shifts = [(input.shape[d] + 1) // 2 if back else input.shape[d] // 2 for d in dims]
    return FUNCTIONS["roll"](input, tuple(shifts), tuple(dims)) if dims else input.clone()  # type: ignore[attr-defined]


def fftshift(input: Tensor, dim: int | Sequence[int] | None = None) -> Tensor:  # noqa: A002
    """Values of a transform reordered so that the zero frequency is in the middle of each of the dimensions.

    >>> import monograph as mg
    >>> mg.fft.fftshift(mg.fft.fftfreq(4))
    tensor([-0.5000, -0.2500,  0.0000,  0.2500])
    """
    return _shifted(input, dim, back=False)


def ifftshift(input: Tensor, dim: int | Sequence[int] | None = None) -> Tensor:  # noqa: A002
    """The inverse of `fftshift`."""
    return _shifted(input, dim, back=True)
