"""The short-time Fourier transform and its inverse."""

from __future__ import annotations

import warnings
from typing import Any

from monograph.fft.transforms import fft as transform
from monograph.fft.transforms import ifft, irfft, rfft, spelled
from monograph.tensor.core import Tensor
from monograph.tensor.pointwise import FUNCTIONS


def _refuse(name: str, complaint: str, x: Tensor, n_fft: int, hop: int, width: int) -> RuntimeError:
    kind = f"{x.dtype.name}{list(x.shape)}"
    return RuntimeError(f"{name}({kind}, n_fft={n_fft}, hop_length={hop}, win_length={width}) : {complaint}")


def _centred(window: Tensor, n_fft: int, width: int) -> Tensor:
    """A window of n_fft values, zero outside."""
    if width == n_fft:
        return window
    left = (n_fft - width) // 2
    return _padded(window, left, n_fft - width - left)


def _padded(x: Any, left: int, right: int) -> Tensor:
    """Zeros at both ends of the last dimension."""
    lead = tuple(x.shape[:-1])
    parts = [FUNCTIONS["zeros"](*lead, left, dtype=x.dtype), x, FUNCTIONS["zeros"](*lead, right, dtype=x.dtype)]
    return FUNCTIONS["cat"](parts, -1)


def _extended(x: Any, pad: int, mode: str) -> Tensor:
    """Both ends of the last dimension extended: "reflect", "constant" (zeros), "replicate" or "circular"."""
    n = x.shape[-1]
    if mode == "constant":
        return _padded(x, pad, pad)
    if mode == "reflect" and pad >= n:
        raise RuntimeError(
            "Argument #4: Padding size should be less than the corresponding input dimension, but got: "
            f"padding ({pad}, {pad}) at dimension {x.ndim - 1} of input {list(x.shape)}; pad_mode='constant' takes shorter signals"
        )
    if mode == "circular" and pad > n:
        raise RuntimeError("Padding value causes wrapping around more than once.")
    if not pad:
        return x
    if mode == "reflect":
        ends = x[..., 1 : pad + 1].flip(-1), x[..., n - pad - 1 : n - 1].flip(-1)
    elif mode == "replicate":
        lead = (*x.shape[:-1], pad)
        ends = x[..., :1].expand(lead), x[..., n - 1 :].expand(lead)
    elif mode == "circular":
        ends = x[..., n - pad :], x[..., :pad]
    else:
        raise NotImplementedError(f"Unrecognised padding mode {mode}; known are reflect, constant, replicate and circular")
    return FUNCTIONS["cat"]([ends[0], x, ends[1]], -1)


def _checked(name: str, x: Any, n_fft: int, hop: int, width: int, window: Any) -> None:
    if window is not None and (window.ndim != 1 or window.shape[0] != width):
        size = list(window.shape)
        raise _refuse(
            name, f"expected a 1D window tensor of size equal to win_length={width}, but got window with size {size}", x, n_fft, hop, width
        )


def stft(
    input: Tensor, n_fft: int, hop_length: int | None = None, win_length: int | None = None, window: Tensor | None = None,  # noqa: A002
    center: bool = True, pad_mode: str = "reflect", normalized: bool = False, onesided: bool | None = None,
    return_complex: bool | None = None, align_to_window: bool | None = None,
) -> Tensor:  # fmt: skip
    """Transforms of overlapping, windowed frames of a signal [batch?, time]: a complex tensor [batch?, frequencies, frames].

    Frames of `n_fft` samples start every `hop_length` (n_fft // 4); the window has `win_length` values and is centred in the frame, without
    one all samples count alike. `center`: the signal is extended by n_fft // 2 at both ends. `onesided`: n_fft // 2 + 1 frequencies, the
    default for real signals. Raises RuntimeError for sizes that do not fit, and where return_complex is missing for a real signal.

    >>> import monograph as mg
    >>> mg.stft(mg.ones(16), 8, window=mg.hann_window(8), return_complex=True).shape
    monograph.Size([5, 9])
    """
    x: Any = input
    hop, width = n_fft // 4 if hop_length is None else hop_length, n_fft if win_length is None else win_length
    is_complex = x.is_complex() or (window is not None and window.is_complex())  # type: ignore[attr-defined]
    if return_complex is None:
        if not is_complex:
            raise RuntimeError(
                "stft requires the return_complex parameter be given for real inputs, and will further require that return_complex=True "
                "in a future PyTorch release."
            )
        return_complex = True
    if window is None and n_fft > 1:
        warnings.warn(
            "A window was not provided. A rectangular window will be applied, which is known to cause spectral leakage. Other windows such "
            "as hann_window are recommended: window=monograph.hann_window(win_length).",
            UserWarning, stacklevel=2,
        )  # fmt: skip
    if center and align_to_window is not None:
        raise RuntimeError("stft align_to_window should only be set when center = false")
    if x.dtype.kind not in "fc":
        raise _refuse("stft", f"expected a tensor of floating point or complex values, got {spelled(x.dtype)}", x, n_fft, hop, width)
    if not 1 <= x.ndim <= 2:
        raise _refuse("stft", "expected a 1D or 2D tensor", x, n_fft, hop, width)
    if center:
        x = _extended(x, n_fft // 2, pad_mode)
    if not 0 < n_fft <= x.shape[-1]:
        raise _refuse("stft", f"expected 0 < n_fft < {x.shape[-1]}, but got n_fft={n_fft}", x, n_fft, hop, width)
    if hop <= 0:
        raise _refuse("stft", f"expected hop_length > 0, but got hop_length={hop}", x, n_fft, hop, width)
    if not 0 < width <= n_fft:
        raise _refuse("stft", f"expected 0 < win_length <= n_fft, but got win_length={width}", x, n_fft, hop, width)
    _checked("stft", x, n_fft, hop, width, window)
    if align_to_window and width < n_fft:
        left = (n_fft - width) // 2
        x = _padded(x, left, n_fft - width - left)
    frames = x.unfold(-1, n_fft, hop)
    if window is not None or width < n_fft:
        shape = FUNCTIONS["ones"](width, dtype=x.dtype) if window is None else window
        frames = frames * _centred(shape, n_fft, width)
    onesided = not is_complex if onesided is None else onesided
    if onesided and is_complex:
        raise RuntimeError("Cannot have onesided output if window or input is complex")
    norm = "ortho" if normalized else None
    made: Any = rfft(frames, norm=norm) if onesided else transform(frames, norm=norm)
    made = made.transpose(-2, -1)
    return made if return_complex else FUNCTIONS["view_as_real"](made)


def istft(
    input: Tensor, n_fft: int, hop_length: int | None = None, win_length: int | None = None, window: Tensor | None = None,  # noqa: A002
    center: bool = True, normalized: bool = False, onesided: bool | None = None, length: int | None = None, return_complex: bool = False,
) -> Tensor:  # fmt: skip
    """The signal of which `input` is the `stft`, by overlapping and adding its frames: least squares, where it is nobody's `stft`.

    `length` trims the signal or fills it up with zeros. Raises RuntimeError where the windows leave samples uncovered.

    >>> import monograph as mg
    >>> w = mg.hann_window(8)
    >>> mg.istft(mg.stft(mg.arange(16.0), 8, window=w, return_complex=True), 8, window=w).round()[1:5]
    tensor([1., 2., 3., 4.])
    """
    x: Any = input
    hop, width = n_fft // 4 if hop_length is None else hop_length, n_fft if win_length is None else win_length
    if not x.is_complex():
        raise RuntimeError("istft requires a complex-valued input tensor matching the output from stft with return_complex=True.")
    if not x.numel():
        raise _refuse("istft", "input tensor cannot be empty.", x, n_fft, hop, width)
    if not 2 <= x.ndim <= 3:
        raise _refuse("istft", f"expected a tensor with 2 or 3 dimensions, but got {x.ndim}", x, n_fft, hop, width)
    bins = x.shape[-2]
    onesided = bins != n_fft if onesided is None else onesided
    if bins != (n_fft // 2 + 1 if onesided else n_fft):
        wanted = "n_fft / 2 + 1 when onesided=True" if onesided else "n_fft when onesided=False"
        raise _refuse(
            "istft", f"expected the frequency dimension of the input tensor to match {wanted}, but got {bins}", x, n_fft, hop, width
        )
    if not 0 < hop <= width:
        raise _refuse("istft", "expected 0 < hop_length <= win_length", x, n_fft, hop, width)
    if not 0 < width <= n_fft:
        raise _refuse("istft", "expected 0 < win_length <= n_fft", x, n_fft, hop, width)
    _checked("istft", x, n_fft, hop, width, window)
    if onesided and (return_complex or (window is not None and window.is_complex())):  # type: ignore[attr-defined]
        raise RuntimeError("Cannot have onesided output if window or input is complex")
    real = x.dtype.to_real()
    shape: Any = _centred(FUNCTIONS["ones"](width, dtype=real) if window is None else window, n_fft, width)
    norm, count = "ortho" if normalized else None, x.shape[-1]
    columns = x.transpose(-2, -1)
    # A real signal is told by the first half of its spectrum, whatever the other half says.
    frames: Any = ifft(columns, norm=norm) if return_complex else irfft(columns[..., : n_fft // 2 + 1], n_fft, norm=norm)
    frames = frames * shape
    total = n_fft + hop * (count - 1)
    at = (FUNCTIONS["arange"](count)[:, None] * hop + FUNCTIONS["arange"](n_fft)).reshape(-1)
    batch = tuple(x.shape[:-2])
    signal: Any = FUNCTIONS["zeros"](*batch, total, dtype=frames.dtype).index_add(-1, at, frames.reshape(*batch, -1))
    weight = (shape * shape).expand(count, n_fft).reshape(-1)
    cover: Any = FUNCTIONS["zeros"](total, dtype=shape.dtype).index_add(0, at, weight)
    start = n_fft // 2 if center else 0
    end = total - (n_fft // 2 if center else 0) if length is None else min(start + length, total)
    signal, cover = signal[..., start:end], cover[start:end]
    if bool((cover.abs() <= 1e-11).any()):
        complaint = "window overlap add min: 1: some samples are covered by no window; take a smaller hop_length"
        raise _refuse("istft", complaint, x, n_fft, hop, width)
    signal = signal / cover
    if length is not None and length > end - start:
        warnings.warn(
            "The length of signal is shorter than the length parameter. Result is being padded with zeros in the tail. Please check your "
            "center and hop_length settings.",
            UserWarning, stacklevel=2,
        )  # fmt: skip
        signal = _padded(signal, 0, length - (end - start))
    return signal
