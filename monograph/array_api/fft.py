"""The standard's fft extension over `monograph.fft`: `axis` for torch's `dim`, complex input where the standard asks for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

from monograph import fft as torch_fft
from monograph.array_api.array import Array, returns_arrays
from monograph.core.dtype import dtype as DType
from monograph.tensor.core import Tensor

Norm = Literal["backward", "ortho", "forward"]


def _along_one(name: str, meaning: str) -> Callable[..., Array]:
    of_torch = getattr(torch_fft, name)

    @returns_arrays
    def function(x: Tensor, /, *, n: int | None = None, axis: int = -1, norm: Norm = "backward") -> Any:
        return of_torch(x, n, axis, norm)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{meaning}, along one axis cut or padded with zeros to n."
    return function


def _along_several(name: str, meaning: str) -> Callable[..., Array]:
    of_torch = getattr(torch_fft, name)

    @returns_arrays
    def function(x: Tensor, /, *, s: Sequence[int] | None = None, axes: Sequence[int] | None = None, norm: Norm = "backward") -> Any:
        return of_torch(x, s, axes, norm)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{meaning}, along several axes (all by default) cut or padded with zeros to the sizes s."
    return function


fft = _along_one("fft", "The discrete Fourier transform")
ifft = _along_one("ifft", "The inverse of `fft`")
rfft = _along_one("rfft", "The non-negative frequencies of the transform of real values")
irfft = _along_one("irfft", "The inverse of `rfft`: real values")
hfft = _along_one("hfft", "The real transform of half a Hermitian signal")
ihfft = _along_one("ihfft", "The inverse of `hfft`")
fftn = _along_several("fftn", "The discrete Fourier transform")
ifftn = _along_several("ifftn", "The inverse of `fftn`")
rfftn = _along_several("rfftn", "The transform of real values, with the non-negative frequencies of the last axis")
irfftn = _along_several("irfftn", "The inverse of `rfftn`: real values")


@returns_arrays
def fftfreq(n: int, /, *, d: float = 1.0, dtype: DType | None = None, device: Any = None) -> Any:
    """The frequencies of the n results of `fft` for samples d apart."""
    return torch_fft.fftfreq(n, d, dtype=dtype, device=device)


@returns_arrays
def rfftfreq(n: int, /, *, d: float = 1.0, dtype: DType | None = None, device: Any = None) -> Any:
    """The frequencies of the results of `rfft` of n samples d apart."""
    return torch_fft.rfftfreq(n, d, dtype=dtype, device=device)


@returns_arrays
def fftshift(x: Tensor, /, *, axes: int | Sequence[int] | None = None) -> Any:
    """The zero frequency moved to the middle."""
    return torch_fft.fftshift(x, axes)


@returns_arrays
def ifftshift(x: Tensor, /, *, axes: int | Sequence[int] | None = None) -> Any:
    """The inverse of `fftshift`."""
    return torch_fft.ifftshift(x, axes)


__all__ = [
    "fft", "fftfreq", "fftn", "fftshift", "hfft", "ifft", "ifftn", "ifftshift", "ihfft", "irfft", "irfftn", "rfft", "rfftfreq", "rfftn",
]  # fmt: skip
