"""Fourier transforms, spectrograms and windows: values, dtypes, shapes, gradients and error classes are those of torch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import monograph

pytestmark = pytest.mark.filterwarnings("ignore:stft with return_complex=False is deprecated")
rng = np.random.default_rng(0)
ARRAYS = {
    "f32": rng.normal(size=(3, 4, 6)).astype(np.float32), "f64": rng.normal(size=(2, 5)), "int": rng.integers(-4, 5, (3, 4)),
    "bool": rng.integers(0, 2, (2, 6)).astype(bool), "c64": (rng.normal(size=(3, 4)) + 1j * rng.normal(size=(3, 4))).astype(np.complex64),
    "c128": rng.normal(size=(2, 3, 4)) + 1j * rng.normal(size=(2, 3, 4)), "0-d": np.float32(1.5), "f16": np.ones(4, np.float16),
    "column": rng.normal(size=(4, 1)).astype(np.float32),
}  # fmt: skip
ONE = "fft ifft rfft irfft hfft ihfft".split()
MANY = "fftn ifftn rfftn irfftn hfftn ihfftn fft2 ifft2 rfft2 irfft2 hfft2 ihfft2".split()
SETTINGS_ONE = [{}, {"n": 3}, {"n": 8}, {"n": 0}, {"dim": 0}, {"dim": 3}, {"norm": "ortho"}, {"norm": "forward", "n": 5}, {"norm": "x"}]
SETTINGS_MANY = [
    {}, {"s": (3, 5)}, {"s": (2, -1)}, {"dim": (0, 1)}, {"dim": (1, 0), "s": (4, 3)}, {"dim": (0, 0)}, {"norm": "ortho"},
    {"norm": "forward"}, {"s": (2, 2, 2, 2)}, {"dim": (-1,), "s": (4,)}, {"dim": ()},
]  # fmt: skip
CASES = [(n, s) for n in ONE for s in SETTINGS_ONE] + [(n, s) for n in MANY for s in SETTINGS_MANY]


def outcome(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception as error:
        return error


def compare(ours: Any, theirs: Any, tolerance: float = 1e-5) -> None:
    if isinstance(theirs, Exception):
        assert isinstance(ours, Exception), f"torch refuses: {theirs}"
        assert isinstance(ours, type(theirs)), f"{ours!r} where torch has {theirs!r}"
        return
    if isinstance(ours, Exception):
        raise ours
    assert tuple(ours.shape) == tuple(theirs.shape)
    assert str(ours.dtype).split(".")[1] == str(theirs.dtype).split(".")[1]
    if theirs.numel():
        np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().resolve_conj().numpy(), rtol=tolerance, atol=tolerance)


def gradients(t: Any, call: Callable[[Any], Any], x: Any) -> tuple[Any, Any]:
    """Of first and second order, by a loss that weighs every part of every value differently."""
    y = call(x)
    parts = t.view_as_real(y.resolve_conj()) if y.is_complex() else y
    weights = t.arange(parts.numel(), dtype=parts.dtype).reshape(parts.shape) * 0.1 + 0.5
    loss = (parts.sin() * weights).sum()
    (g,) = t.autograd.grad(loss, x, create_graph=True)
    flat = t.view_as_real(g.resolve_conj()) if g.is_complex() else g
    (h,) = t.autograd.grad((flat * flat).sum(), x)
    return g, h


@pytest.mark.parametrize(("name", "settings"), CASES, ids=[f"{n}-{i}" for i, (n, _) in enumerate(CASES)])
def test_transforms(name: str, settings: dict[str, Any]) -> None:
    for label, array in ARRAYS.items():
        ours = outcome(lambda a=array: getattr(monograph.fft, name)(monograph.tensor(a), **settings))
        theirs = outcome(lambda a=array: getattr(torch.fft, name)(torch.tensor(a), **settings))
        try:
            compare(ours, theirs)
        except AssertionError as error:
            raise AssertionError(f"{label}: {error}") from None


@pytest.mark.parametrize("name", [*ONE, *MANY])
def test_gradients_of_both_orders(name: str) -> None:
    real_only = name.lstrip("i").startswith(("r", "h")) and name in ("rfft", "rfftn", "rfft2", "ihfft", "ihfftn", "ihfft2")
    arrays = [rng.normal(size=(3, 4))] + ([] if real_only else [rng.normal(size=(3, 5)) + 1j * rng.normal(size=(3, 5))])
    settings: list[dict[str, Any]] = [{}, {"norm": "ortho"}, {"n": 3} if name in ONE else {"s": (2, 6)}]
    for array in arrays:
        for more in settings:
            found = [
                gradients(t, lambda x, t=t, more=more: getattr(t.fft, name)(x, **more), t.tensor(array, requires_grad=True))
                for t in (monograph, torch)
            ]
            for ours, theirs in zip(*found, strict=True):
                compare(ours, theirs, 1e-8)


@pytest.mark.parametrize("n", [0, 1, 4, 7])
def test_grids(n: int) -> None:
    for name in ("fftfreq", "rfftfreq"):
        compare(getattr(monograph.fft, name)(n, 0.25), getattr(torch.fft, name)(n, 0.25))
    for name in ("fftshift", "ifftshift"):
        for dim in (None, 0, (0, 2), (-1,)):
            x = ARRAYS["f32"]
            compare(getattr(monograph.fft, name)(monograph.tensor(x), dim), getattr(torch.fft, name)(torch.tensor(x), dim))


@pytest.mark.parametrize(
    "settings",
    [
        {"hop_length": 5}, {"win_length": 10}, {"center": False}, {"normalized": True}, {"onesided": False}, {"pad_mode": "constant"},
        {"pad_mode": "circular"}, {"pad_mode": "replicate"}, {"return_complex": False},
        {"center": False, "align_to_window": True, "win_length": 9}, {"hop_length": 0}, {"win_length": 20},
        {"hop_length": 3, "center": False, "win_length": 16, "normalized": True},
    ],
    ids=str,
)  # fmt: skip
def test_spectrograms(settings: dict[str, Any]) -> None:
    signal = rng.normal(size=(2, 70))
    more = {"return_complex": True, **settings}
    width = more.get("win_length", 16)

    def spectrum(t: Any) -> Any:
        return t.stft(t.tensor(signal), 16, window=t.hamming_window(width, dtype=t.float64), **more)

    ours, theirs = outcome(lambda: spectrum(monograph)), outcome(lambda: spectrum(torch))
    compare(ours, theirs, 1e-9)
    if isinstance(theirs, Exception) or not theirs.is_complex() or "pad_mode" in settings or "align_to_window" in settings:
        return
    inverse = {k: v for k, v in settings.items() if k != "return_complex"}

    def back(t: Any, s: Any) -> Any:
        return t.istft(s, 16, window=t.hamming_window(width, dtype=t.float64), length=64, **inverse)

    compare(outcome(lambda: back(monograph, ours)), outcome(lambda: back(torch, theirs)), 1e-9)
    found = [gradients(t, spectrum_of(t, width, more), t.tensor(signal, requires_grad=True)) for t in (monograph, torch)]
    for a, b in zip(*found, strict=True):
        compare(a, b, 1e-8)


def spectrum_of(t: Any, width: int, more: dict[str, Any]) -> Callable[[Any], Any]:
    return lambda x: t.stft(x, 16, window=t.hamming_window(width, dtype=t.float64), **more)


def test_gradients_of_the_inverse() -> None:
    s = rng.normal(size=(9, 8)) + 1j * rng.normal(size=(9, 8))

    def back(t: Any) -> Callable[[Any], Any]:
        return lambda x: t.istft(x, 16, window=t.hann_window(16, dtype=t.float64))

    found = [gradients(t, back(t), t.tensor(s, requires_grad=True)) for t in (monograph, torch)]
    for a, b in zip(*found, strict=True):
        compare(a, b, 1e-8)


def window(t: Any, path: str, *args: Any, dtype: str, **more: Any) -> Any:
    """What t.<path>(...) gives, or the error it raises."""
    make = t
    for part in path.split("."):
        make = getattr(make, part)
    return outcome(lambda: make(*args, dtype=getattr(t, dtype), **more))


@pytest.mark.parametrize("n", [0, 1, 2, 9, -1])
def test_windows(n: int) -> None:
    for name in ("hann", "hamming", "blackman", "bartlett", "kaiser"):
        for periodic in (True, False):
            for dtype in ("float32", "float64", "int32"):
                compare(*[window(t, f"{name}_window", n, periodic, dtype=dtype) for t in (monograph, torch)], 1e-6)
    for name in torch.signal.windows.__all__:
        more: dict[str, Any] = {"a": [0.4, 0.5, 0.1]} if name == "general_cosine" else {}
        for sym in (True, False):
            for dtype in ("float32", "float64", "float16"):
                compare(*[window(t, f"signal.windows.{name}", n, sym=sym, dtype=dtype, **more) for t in (monograph, torch)], 1e-6)
