"""torch.fft: discrete Fourier transforms of tensors, with torch's names, normalisations and errors; differentiable to any order.

>>> import monograph as mg
>>> mg.fft.rfft(mg.tensor([1.0, 0.0, 0.0, 0.0])).abs()
tensor([1., 1., 1.])
"""

from __future__ import annotations

from monograph.fft.grids import fftfreq, fftshift, ifftshift, rfftfreq
from monograph.fft.short_time import istft, stft
from monograph.fft.transforms import (
    fft,
    fft2,
    fftn,
    hfft,
    hfft2,
    hfftn,
    ifft,
    ifft2,
    ifftn,
    ihfft,
    ihfft2,
    ihfftn,
    irfft,
    irfft2,
    irfftn,
    rfft,
    rfft2,
    rfftn,
)
from monograph.tensor.foreign import all_refuse_foreign as _refuse_foreign

__all__ = [
    "fft", "fft2", "fftfreq", "fftn", "fftshift", "hfft", "hfft2", "hfftn", "ifft", "ifft2", "ifftn", "ifftshift", "ihfft", "ihfft2",
    "ihfftn", "irfft", "irfft2", "irfftn", "istft", "rfft", "rfft2", "rfftfreq", "rfftn", "stft",
]  # fmt: skip

_refuse_foreign(globals(), names=__all__)
