"""Gradients played from a score: the same as the rules', used when a graph comes again, never where more is asked than the graph says."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import monograph as mg
from monograph.autodiff import repeating
from monograph.nn import functional as F


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    repeating.scores.clear()
    yield
    repeating.scores.clear()


def played(work: Any, times: int = 4) -> tuple[list[Any], int]:
    """What `work` gives each time, and how many backward passes were played from a score."""
    before = repeating.scores.played
    results = [work() for _ in range(times)]
    return results, repeating.scores.played - before


def leaves(*shapes: tuple[int, ...]) -> list[Any]:
    draw = np.random.default_rng(3)
    return [mg.tensor(draw.uniform(0.2, 1.0, s).astype(np.float32), requires_grad=True) for s in shapes]


def grads(*tensors: Any) -> list[Any]:
    found = [None if t.grad is None else t.grad.numpy().copy() for t in tensors]
    for t in tensors:
        t.grad = None
    return found


def same(results: list[list[Any]]) -> None:
    for other in results[1:]:
        for a, b in zip(results[0], other, strict=True):
            np.testing.assert_array_equal(a, b)


PROGRAMS = {
    "linear and cross entropy": lambda x, w, b: F.cross_entropy(F.linear(x, w, b).relu(), mg.tensor([0, 2, 1, 3])),
    "a power with a constant exponent": lambda x, w, b: (x**3).sum() + (w**2).mean() + b.sum(),
    "parts laid side by side": lambda x, w, b: sum((part * (i + 1.0)).sum() for i, part in enumerate(x.unbind(0))) + (w.sum() * b.sum()),
    "one weight many times": lambda x, w, b: ((x @ w.T) @ (w @ w.T)).tanh().sum() + (b * b).sum(),
    "several results": lambda x, w, b: x.topk(2).values.sum() + w.sort(0).values[0].sum() + mg.var_mean(b)[0],
    "indices and masks": lambda x, w, b: x[[0, 2]].sum() + w.index_select(0, mg.tensor([1, 1])).sum() + b.masked_fill(b > 0.5, 0.0).sum(),
    "an input in two places": lambda x, w, b: (x * x).sum() + (w + w).sum() + mg.where(b > 0.5, b, b * 2).sum(),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_played_gradients_are_the_rules(name: str) -> None:
    x, w, b = leaves((4, 6), (4, 6), (4,))

    def work() -> list[Any]:
        PROGRAMS[name](x, w, b).backward()
        return grads(x, w, b)

    results, count = played(work)
    assert count == 2  # the first time the graph is new, the second time it is written down
    same(results)


def test_numbers_are_no_part_of_a_score() -> None:
    (x,) = leaves((5,))

    def step(scale: float) -> Any:
        ((x * scale).exp() * scale).sum().backward()
        return grads(x)[0]

    before = repeating.scores.played
    for scale in (0.5, 1.5, 2.5, 3.5):
        value = x.detach().numpy()
        np.testing.assert_allclose(step(scale), scale * scale * np.exp(scale * value), rtol=1e-5)
    assert repeating.scores.played == before + 2


def test_an_exponent_is_part_of_a_score() -> None:
    (x,) = leaves((5,))
    for exponent in (2, 3, 2, 3, 2, 3, 3.5, 3.5, 3.5):
        (x**exponent).sum().backward()
        np.testing.assert_allclose(grads(x)[0], exponent * x.detach().numpy() ** (exponent - 1), rtol=1e-5)


def test_which_inputs_want_a_gradient_is_part_of_a_score() -> None:
    x, w = leaves((3, 4), (4, 2))
    for _ in range(3):
        for with_x, with_w in ((True, True), (False, True), (True, False)):
            x.requires_grad_(with_x)
            w.requires_grad_(with_w)
            (x @ w).square().sum().backward()
            gx, gw = grads(x, w)
            assert (gx is not None) is with_x
            assert (gw is not None) is with_w


def test_gradients_accumulate_when_played() -> None:
    (x,) = leaves((3,))
    _, count = played(lambda: (x * x).sum().backward(), 5)
    np.testing.assert_allclose(x.grad.numpy(), 10 * x.detach().numpy(), rtol=1e-6)
    assert count == 3


def test_grad_of_chosen_inputs() -> None:
    x, w = leaves((3,), (3,))

    def work() -> list[Any]:
        y = (x * w).sin().sum()
        return [g.numpy() for g in mg.autograd.grad(y, [w])]

    results, count = played(work)
    assert count == 2
    same(results)


def test_a_played_pass_consumes_the_tape() -> None:
    (x,) = leaves((3,))
    for _ in range(4):
        y = x.exp().sum()
        y.backward()
        with pytest.raises(RuntimeError, match="second time"):
            y.backward()
    for _ in range(3):
        y = x.exp().sum()
        y.backward(retain_graph=True)
        y.backward()


def test_what_was_overwritten_is_refused_also_when_played() -> None:
    (x,) = leaves((3,))
    for spoil in (False, False, False, True, False):
        h = x.exp()
        y = (h * h).sum()
        if spoil:
            with mg.no_grad():
                h.add_(1)
            with pytest.raises(RuntimeError, match="modified by an inplace operation"):
                y.backward()
        else:
            y.backward()


def test_a_view_of_what_was_overwritten_is_refused_also_when_played() -> None:
    (x,) = leaves((3,))
    data = mg.ones(6)
    for spoil in (False, False, False, True):
        y = (x * data[:3]).sum()
        if spoil:
            data.mul_(2)
            with pytest.raises(RuntimeError, match="modified by an inplace operation"):
                y.backward()
        else:
            y.backward()


def test_in_place_ops_are_played() -> None:
    (x,) = leaves((4,))

    def work() -> list[Any]:
        h = x * 2
        h.mul_(3).add_(1)
        h[1:3] = 0.5
        h.exp().sum().backward()
        return grads(x)

    results, count = played(work)
    assert count == 2
    same(results)


def test_hooks_take_the_long_way() -> None:
    (x,) = leaves((3,))
    seen: list[Any] = []
    for hooked in (False, False, False, True, False):
        h = x * 3
        if hooked:
            h.register_hook(lambda g: seen.append(g.numpy().copy()) or g * 2)
        h.sum().backward()
        assert grads(x)[0].tolist() == [6.0 if hooked else 3.0] * 3
    assert len(seen) == 1


def test_hooks_after_accumulation_are_called_when_played() -> None:
    (x,) = leaves((3,))
    calls: list[int] = []
    x.register_post_accumulate_grad_hook(lambda t: calls.append(1))
    _, count = played(lambda: (x * 3).sum().backward())
    assert (len(calls), count) == (4, 2)


def test_double_backward_and_custom_functions_take_the_long_way() -> None:
    class Twice(mg.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            return g * 2

    (x,) = leaves((3,))

    def custom() -> list[Any]:
        Twice.apply(x).sum().backward()
        return grads(x)

    results, count = played(custom)
    assert count == 0
    same(results)

    def double() -> list[Any]:
        (g,) = mg.autograd.grad((x**3).sum(), x, create_graph=True)
        g.sum().backward()
        return grads(x)

    results, _ = played(double)
    same(results)
    np.testing.assert_allclose(results[0][0], 6 * x.detach().numpy(), rtol=1e-6)


def test_anomaly_mode_takes_the_long_way() -> None:
    (x,) = leaves((3,))
    for _ in range(3):
        (x * 0 + x).sqrt().sum().backward()
    before = repeating.scores.played
    with mg.autograd.detect_anomaly(), pytest.raises(RuntimeError, match="nan"):
        (x * 0 - 1).sqrt().sum().backward()
    assert repeating.scores.played == before


def test_other_shapes_and_dtypes_are_other_scores() -> None:
    for dtype in (mg.float32, mg.float64):
        for n in (2, 3):
            for _ in range(4):
                x = mg.ones(n, n, dtype=dtype, requires_grad=True)
                (x @ x).sum().backward()
                assert x.grad.dtype is dtype
                assert x.grad.tolist() == [[2.0 * n] * n] * n


def test_scores_are_let_go_when_they_hold_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(repeating.scores, "most", 200)
    (x,) = leaves((3,))
    for k in range(1, 30):
        y = x
        for _ in range(k):
            y = y.sin()
        for _ in range(2):
            y.sum().backward(retain_graph=True)
    assert repeating.scores.nodes <= 200
