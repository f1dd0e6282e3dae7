"""mg.fft against NumPy, its errors, its gradients, and models that live on it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import monograph as mg
from monograph import fft, nn

ROOT = Path(__file__).parents[2]
rng = np.random.default_rng(0)
REAL, COMPLEX = rng.normal(size=(3, 4, 6)), rng.normal(size=(3, 4, 6)) + 1j * rng.normal(size=(3, 4, 6))
NORMS = (None, "backward", "ortho", "forward")


def close(got: Any, expected: np.ndarray, tolerance: float = 1e-12) -> None:
    assert got.numpy().dtype == expected.dtype
    np.testing.assert_allclose(got.numpy(), expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"])
def test_one_dimension(name: str, norm: str | None) -> None:
    x = REAL if name in ("rfft", "ihfft") else COMPLEX
    for n in (None, 3, 4, 9):
        for dim in (0, 1, -1):
            close(getattr(fft, name)(mg.tensor(x), n, dim, norm), getattr(np.fft, name)(x, n, dim, norm))


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("name", ["fftn", "ifftn", "rfftn", "irfftn", "fft2", "ifft2", "rfft2", "irfft2"])
def test_several_dimensions(name: str, norm: str | None) -> None:
    x = REAL if name.startswith("r") else COMPLEX
    for s, dim in ((None, (0, 2)), ((4, 5), (1, 2)), ((2, 8), (2, 0)), (None, (-2, -1))):
        close(getattr(fft, name)(mg.tensor(x), s, dim, norm), getattr(np.fft, name)(x, s, dim, norm))
    if name.endswith("n"):
        close(getattr(fft, name)(mg.tensor(x)), getattr(np.fft, name)(x))
        close(getattr(fft, name)(mg.tensor(x), s=(-1, 4)), getattr(np.fft, name)(x, s=(4, 4), axes=(1, 2)))


def test_hermitian_transforms_undo_each_other() -> None:
    for two in (False, True):
        forward, back = (fft.hfft2, fft.ihfft2) if two else (fft.hfftn, fft.ihfftn)
        close(forward(back(mg.tensor(REAL)), s=(4, 6) if two else (3, 4, 6)), REAL)


def test_types() -> None:
    x = mg.tensor(REAL[0])
    assert fft.fft(x.float()).dtype is mg.complex64 and fft.rfft(x).dtype is mg.complex128
    assert fft.irfft(x.float()).dtype is mg.float32
    assert fft.fft(mg.arange(4)).dtype is mg.complex64 and fft.rfft(mg.tensor([True, False])).dtype is mg.complex64
    assert fft.fftn(mg.tensor(1.0)).shape == ()
    assert fft.fft(mg.zeros(0, 3)).shape == (0, 3)
    out = mg.empty(0, dtype=mg.complex128)
    assert fft.fft(x, out=out) is out and out.shape == (4, 6)


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda x: fft.fft(x.half()), RuntimeError, "Unsupported dtype Half"),
        (lambda x: fft.rfft(x.bfloat16()), RuntimeError, "Unsupported dtype BFloat16"),
        (lambda x: fft.rfft(fft.fft(x)), RuntimeError, "rfft expects a real input tensor, but got ComplexFloat"),
        (lambda x: fft.fft(x, 0), RuntimeError, r"Invalid number of data points \(0\)"),
        (lambda x: fft.irfft(x[:, :1]), RuntimeError, r"Invalid number of data points \(0\)"),
        (lambda x: fft.fft(x, dim=2), IndexError, "Dimension out of range"),
        (lambda x: fft.fft(mg.tensor(1.0)), IndexError, "no dimensions"),
        (lambda x: fft.fft(x, norm="a"), RuntimeError, "Invalid normalization mode"),
        (lambda x: fft.fftn(x, dim=(0, 0)), RuntimeError, "must be unique"),
        (lambda x: fft.fftn(x, s=(2, 2), dim=(0,)), RuntimeError, "must have the same length"),
        (lambda x: fft.fftn(x, s=(2, 2, 2)), RuntimeError, "only has 2 dimensions"),
        (lambda x: fft.rfftn(x, dim=()), RuntimeError, "at least one axis"),
        (lambda x: fft.fft(x, out=mg.zeros(3, 4)), RuntimeError, "complex output tensor"),
        (lambda x: fft.fft([1.0]), TypeError, "must be Tensor, not list"),
        (lambda x: fft.fftfreq(4, dtype=mg.int32), RuntimeError, "floating point or complex"),
    ],
)
def test_errors(call: Any, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        call(mg.zeros(3, 4))


def test_grids() -> None:
    for n in (0, 1, 4, 5):
        close(fft.fftfreq(n, 0.5, dtype=mg.float64), np.fft.fftfreq(n, 0.5) if n else np.zeros(0))
        close(fft.rfftfreq(n, 0.5, dtype=mg.float64), np.fft.rfftfreq(n, 0.5) if n else np.zeros(1) * np.nan)
    for dim in (None, 0, (1, 2)):
        close(fft.fftshift(mg.tensor(REAL), dim), np.fft.fftshift(REAL, dim))
        close(fft.ifftshift(mg.tensor(REAL), dim), np.fft.ifftshift(REAL, dim))


def test_gradients_through_trimmed_and_padded_transforms() -> None:
    x = mg.tensor(REAL[0, :2], requires_grad=True)

    def power(n: int) -> Any:
        return lambda t: mg.view_as_real(fft.rfft(t, n)).square().sum(-1).log1p()

    for n in (4, 6, 9):
        assert mg.autograd.gradcheck(power(n), (x,))
        assert mg.autograd.gradgradcheck(power(n), (x,))
    assert mg.autograd.gradcheck(lambda t: fft.irfft(fft.fft2(t), 5, norm="ortho"), (x,))


def test_vmap_takes_the_batch_as_a_dimension() -> None:
    x = mg.tensor(REAL)
    np.testing.assert_allclose(mg.vmap(lambda r: fft.fft2(r))(x).numpy(), np.fft.fft2(REAL))
    np.testing.assert_allclose(mg.vmap(lambda r: fft.irfft(fft.rfft(r, dim=0), 4, dim=0))(x).numpy(), REAL, atol=1e-12)


def test_compiled_and_exported_programs_transform() -> None:
    f = mg.compile(lambda x: fft.irfft(fft.rfft(x) * 2.0, 6))
    for _ in range(3):
        np.testing.assert_allclose(f(mg.tensor(REAL)).numpy(), 2 * REAL, atol=1e-12)


def test_a_saved_program_is_loaded_where_nobody_has_asked_for_transforms(tmp_path: Path) -> None:
    path = str(tmp_path / "program.mgx")
    mg.export.save(mg.export.export(lambda x: fft.irfft(fft.rfft(x) * 2.0, 6), (mg.zeros(2, 6),)), path)
    program = f"import monograph as mg; print(mg.export.load({path!r}).module()(mg.ones(2, 6)).sum().item())"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "24.0", done.stderr


# ---- signals ----


def test_spectrograms_are_the_transforms_of_frames() -> None:
    x, w = rng.normal(size=50), np.hanning(9)[:-1]
    s = mg.stft(mg.tensor(x), 8, 3, window=mg.tensor(w), center=False, return_complex=True)
    frames = np.lib.stride_tricks.sliding_window_view(x, 8)[::3]
    close(s, np.fft.rfft(frames * w).T)
    two = mg.stft(mg.tensor(x), 8, 3, window=mg.tensor(w), center=False, onesided=False, return_complex=True)
    close(two, np.fft.fft(frames * w).T)
    pairs = mg.stft(mg.tensor(x), 8, 3, window=mg.tensor(w), center=False, return_complex=False)
    close(pairs, np.stack([s.numpy().real, s.numpy().imag], -1))


@pytest.mark.parametrize("center", [True, False])
@pytest.mark.parametrize("normalized", [True, False])
@pytest.mark.parametrize("onesided", [True, False])
def test_signals_come_back(center: bool, normalized: bool, onesided: bool) -> None:
    x, w = mg.tensor(rng.normal(size=(2, 64))), mg.hamming_window(16, dtype=mg.float64)
    s = mg.stft(x, 16, window=w, center=center, normalized=normalized, onesided=onesided, return_complex=True)
    back = mg.istft(s, 16, window=w, center=center, normalized=normalized, onesided=onesided, length=64)
    np.testing.assert_allclose(back.numpy(), x.numpy(), atol=1e-10)


def test_signal_errors() -> None:
    x, w = mg.zeros(2, 40), mg.hann_window(16)
    for call, match in (
        (lambda: mg.stft(x, 16, window=w), "return_complex"),
        (lambda: mg.stft(x, 16, window=w[:3], return_complex=True), "window tensor of size equal to win_length=16"),
        (lambda: mg.stft(x, 16, hop_length=0, window=w, return_complex=True), "hop_length > 0"),
        (lambda: mg.stft(x, 60, center=False, window=w, return_complex=True), "0 < n_fft < 40"),
        (lambda: mg.stft(x[None], 16, window=w, return_complex=True), "1D or 2D"),
        (lambda: mg.stft(x.int(), 16, window=w, return_complex=True), "floating point or complex"),
        (lambda: mg.istft(x, 16), "complex-valued input"),
        (lambda: mg.istft(mg.zeros(9, 4, dtype=mg.complex64), 16, window=w, center=False), "window overlap add"),
        (lambda: mg.istft(mg.zeros(9, 4, dtype=mg.complex64), 18), "match n_fft / 2"),
    ):
        with pytest.raises(RuntimeError, match=match):
            call()
    with pytest.warns(UserWarning, match="window was not provided"):
        mg.stft(x, 16, return_complex=True)


def mel_filters(mels: int, bins: int, rate: float) -> Any:
    """Triangles on the mel scale, as torchaudio makes them."""
    def to_mel(f: Any) -> Any:
        return 2595 * np.log10(1 + f / 700)

    edges = 700 * (10 ** (np.linspace(to_mel(0.0), to_mel(rate / 2), mels + 2) / 2595) - 1)
    at = np.linspace(0, rate / 2, bins)
    up = (at[:, None] - edges[None, :-2]) / np.diff(edges)[None, :-1]
    down = (edges[None, 2:] - at[:, None]) / np.diff(edges)[None, 1:]
    return mg.tensor(np.maximum(0, np.minimum(up, down)).astype(np.float32))


def test_a_mel_spectrogram_hears_a_tone_and_passes_gradients() -> None:
    rate, n_fft = 8000.0, 256
    tone = mg.sin(mg.arange(2048) * (2 * np.pi * 1000 / rate)).requires_grad_()
    spectrum = mg.stft(tone, n_fft, window=mg.hann_window(n_fft), return_complex=True).abs() ** 2
    assert spectrum.mean(-1).argmax().item() == 1000 * n_fft / rate
    mel = (mel_filters(20, n_fft // 2 + 1, rate).T @ spectrum).clamp(min=1e-10).log10()
    assert mel.shape == (20, 33)
    mel.mean().backward()
    assert tone.grad.isfinite().all() and tone.grad.abs().max() > 0


class Mixing(nn.Module):
    """FNet's block: Fourier transforms over tokens and features instead of attention."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        self.feed = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x: Any) -> Any:
        x = self.first(x + mg.fft.fft2(x).real)
        return self.second(x + self.feed(x))


class GlobalFilter(nn.Module):
    """GFNet's layer: a learned complex filter on the spectrum of an image."""

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.size = size
        self.weight = nn.Parameter(mg.randn(size, size // 2 + 1, width, 2) * 0.2)

    def forward(self, x: Any) -> Any:
        spectrum = mg.fft.rfft2(x, dim=(1, 2), norm="ortho") * mg.view_as_complex(self.weight)
        return mg.fft.irfft2(spectrum, s=(self.size, self.size), dim=(1, 2), norm="ortho")


@pytest.mark.parametrize("kind", ["fnet", "gfnet"])
def test_models_of_transforms_train(kind: str) -> None:
    mg.manual_seed(0)
    if kind == "fnet":
        model: Any = nn.Sequential(Mixing(8), Mixing(8), nn.Flatten(), nn.Linear(48, 2))
        x = mg.randn(16, 6, 8)
    else:
        model = nn.Sequential(GlobalFilter(4, 3), nn.ReLU(), GlobalFilter(4, 3), nn.Flatten(), nn.Linear(48, 2))
        x = mg.randn(16, 4, 4, 3)
    y = (x.sum((1, 2)) if kind == "fnet" else x.sum((1, 2, 3))) > 0
    optimizer = mg.optim.Adam(model.parameters(), lr=0.02)
    losses = []
    for _ in range(20):
        loss = nn.functional.cross_entropy(model(x), y.long())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.3 * losses[0]
