"""monograph.masked: what is masked out counts for nothing, forwards and backwards."""

from __future__ import annotations

import math

import numpy as np
import pytest

import monograph as mg
from monograph import masked

X = mg.tensor([[1.0, 2.0, 4.0], [3.0, -1.0, 5.0]])
KEEP = mg.tensor([[True, False, True], [False, False, False]])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sum", [5.0, 0.0]), ("prod", [4.0, 1.0]), ("amax", [4.0, -math.inf]), ("amin", [1.0, math.inf]), ("mean", [2.5, math.nan]),
        ("argmax", [2.0, 0.0]), ("argmin", [0.0, 0.0]), ("median", [1.0, math.nan]), ("var", [4.5, math.nan]),
        ("std", [math.sqrt(4.5), math.nan]), ("logsumexp", [math.log(math.e + math.exp(4)), -math.inf]),
    ],
)  # fmt: skip
def test_a_reduction_takes_what_the_mask_keeps(name: str, expected: list[float]) -> None:
    np.testing.assert_allclose(getattr(masked, name)(X, 1, mask=KEEP).numpy(), expected, rtol=1e-6)


def test_without_a_mask_it_is_the_plain_reduction() -> None:
    assert masked.sum(X).item() == X.sum().item()
    assert masked.var(X, 0).tolist() == X.var(0).tolist()


def test_a_mask_broadcasts_and_may_not_have_more_dimensions() -> None:
    assert masked.sum(X, 1, mask=mg.tensor([True, False, False])).tolist() == [1.0, 3.0]
    with pytest.raises(IndexError, match="more dimensions"):
        masked.sum(X, mask=mg.ones(1, 2, 3))


def test_normalisations_give_zero_to_what_is_masked_out() -> None:
    assert masked.softmax(X, 1, mask=KEEP)[0, 1].item() == 0.0
    assert masked.normalize(X, 2.0, 1, mask=KEEP)[0].tolist() == pytest.approx([1 / math.sqrt(17), 0.0, 4 / math.sqrt(17)])
    assert masked.norm(X, 2.0, 1, mask=KEEP).tolist() == pytest.approx([math.sqrt(17), 0.0])


def test_what_is_masked_out_has_no_gradient() -> None:
    x = X.clone().requires_grad_()
    masked.mean(x, 1, mask=KEEP)[0].backward()
    assert x.grad is not None
    assert x.grad.tolist() == [[0.5, 0.0, 0.5], [0.0, 0.0, 0.0]]


def test_dtypes_without_a_start_or_a_mean_are_refused() -> None:
    with pytest.raises(NotImplementedError, match="amax"):
        masked.amax(X > 0, mask=KEEP)
    with pytest.raises(ValueError, match="Could not infer output dtype"):
        masked.mean(X.int(), mask=KEEP)


def test_a_tensor_becomes_its_strided_view() -> None:
    x = mg.arange(6.0)
    assert x.as_strided_((2, 2), (1, 2)) is x
    assert x.tolist() == [[0.0, 2.0], [1.0, 3.0]]


def test_a_real_signal_is_told_by_half_a_spectrum() -> None:
    """Whatever the other half says."""
    spectrum = mg.stft(mg.arange(16.0), 8, window=mg.hann_window(8), onesided=False, return_complex=True)
    spoilt = spectrum.clone()
    spoilt[5:] = 7
    window = mg.hann_window(8)
    assert mg.allclose(mg.istft(spoilt, 8, window=window), mg.istft(spectrum, 8, window=window))


def test_results_of_several_tensors_are_told_apart_from_their_out() -> None:
    hist, edges = mg.zeros(2), mg.zeros(3)
    found = mg.histogram(mg.tensor([1.0, 2.0, 1.0]), 2, range=(0.0, 3.0), out=(hist, edges))
    assert found.hist is hist
    assert hist.tolist() == [2.0, 1.0]
    with pytest.raises(RuntimeError, match="dtype"):
        mg.histogram(mg.tensor([1.0]), 2, out=(mg.zeros(2, dtype=mg.int8), mg.zeros(3, dtype=mg.int8)))
