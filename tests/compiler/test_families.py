"""One structure, many sizes: a plan filled in from a template computes, bit for bit, what a plan made for its sizes alone computes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import monograph as mg
import monograph.nn.functional as F
from monograph import nn
from monograph.core import knobs
from monograph.core.symbol import Scope
from monograph.engine import evaluator, families
from monograph.targets.cpu.template import CpuTemplate

SIZES = (5, 7, 9, 16, 33, 64, 100, 3, 2, 1, 130)


@pytest.fixture(autouse=True)
def _afresh() -> Iterator[None]:
    evaluator._plans.clear()
    families._families.clear()
    with knobs.verify.scoped(True):  # a template that cannot be made is an error then
        yield
    evaluator._plans.clear()
    families._families.clear()


@pytest.fixture
def filled(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """The values that templates were filled in with."""
    seen: list[tuple[int, ...]] = []
    plan = CpuTemplate.plan

    def watched(self: CpuTemplate, values: Any) -> Any:
        made = plan(self, values)
        if made is not None:
            seen.append(tuple(values))
        return made

    monkeypatch.setattr(CpuTemplate, "plan", watched)
    return seen


def rows(n: int, width: int = 16, seed: int = 0) -> mg.Tensor:
    return mg.tensor(np.random.default_rng(n + seed).normal(size=(n, width)).astype(np.float32))


def norm_chain(n: int) -> Any:
    x = rows(n)
    h = F.gelu(x @ rows(16, 32) + rows(1, 32)[0])
    y = (h - h.mean(-1, keepdim=True)) / (h.std(-1, keepdim=True) + 1e-3)
    return mg.softmax(y, -1).sum(0), y.mean(), h.amax(0), y.argmax(1)


def trained(n: int) -> Any:
    mg.manual_seed(1)
    model = nn.Sequential(nn.Linear(16, 24), nn.Tanh(), nn.LayerNorm(24), nn.Linear(24, 5))
    optimizer = mg.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(2):
        optimizer.zero_grad()
        F.cross_entropy(model(rows(n)), mg.arange(n) % 5).backward()
        optimizer.step()
    return [p.detach() for p in model.parameters()]


def convolved(n: int) -> Any:
    x = rows(3 * 2, (n + 8) * (n + 5)).reshape(2, 3, n + 8, n + 5).requires_grad_()
    w = rows(4, 27).reshape(4, 3, 3, 3).requires_grad_()
    y = F.max_pool2d(F.relu(F.conv2d(x, w, stride=2, padding=1)), 2)
    y = F.batch_norm(y, None, None, training=True) if n > 1 else y
    (y * y).sum().backward()
    return y.detach(), x.grad, w.grad


def attended(n: int) -> Any:
    q, k, v = (rows(2 * 3 * n, 8, seed).reshape(2, 3, n, 8).requires_grad_() for seed in range(3))
    y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    y.sum().backward()
    return y.detach(), q.grad, k.grad, v.grad


def assembled(n: int) -> Any:
    x = rows(n)
    y = mg.cat([x, x * 2, rows(3)])
    z = F.pad(y, (1, 2, 0, 1), value=0.5)
    z[1 : n + 1, 2:5] = x[:, :3]
    return y.cumsum(0), z, z.t()[::2].contiguous(), mg.stack([x, -x], 1).flatten(0, 1), mg.sort(x, dim=0).values


def indexed(n: int) -> Any:
    table = rows(n, 6)
    at = mg.arange(2 * n).flip(0) % n
    onto = mg.zeros(n, 6).index_add(0, at, rows(2 * n, 6))
    return table[at], table.gather(0, at.view(n, 2)), onto, mg.tril(table @ table.t()), F.embedding(at.view(2, n), table)


def drawn(n: int) -> Any:
    mg.manual_seed(3)
    return mg.rand(n, 4), mg.randn(4, n).t() + 1, F.dropout(rows(n), 0.3), mg.randint(0, 9, (n, n)).sum(0), mg.bernoulli(mg.full((n,), 0.4))


def split_sum(n: int) -> Any:
    x = rows(512, n * 4)
    return x.sum(), x.mean(0), x.sum(1), (x.view(512, 4, n) * 2).sum((0, 2))


def counted(n: int) -> Any:
    x = rows(n)
    return x.mean(), x.var(0) if n > 1 else x, mg.arange(n) * 3 + n, mg.arange(1, n + 1, dtype=mg.float32) / n, mg.full((n,), n)


def recurrent(n: int) -> Any:
    mg.manual_seed(2)
    cell = nn.GRU(6, 5)
    out, state = cell(rows(4 * 2, 6).view(4, 2, 6)[:, :1].expand(4, n, 6).contiguous())
    return out.detach(), state.detach()


PROGRAMS: list[Callable[[int], Any]] = [
    norm_chain, trained, convolved, attended, assembled, indexed, drawn, split_sum, counted, recurrent,
]  # fmt: skip


def values(results: Any) -> list[np.ndarray]:
    mg.eval(*results)
    return [np.asarray(r.detach().numpy()).copy() for r in results]


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda p: p.__name__)
def test_filled_in_plans_compute_the_same_bits(program: Callable[[int], Any], filled: list[tuple[int, ...]]) -> None:
    for n in SIZES:
        got = values(program(n))
        with families.symbolic_plans.scoped(False):
            evaluator._plans.clear()
            want = values(program(n))
        evaluator._plans.clear()
        for i, (a, b) in enumerate(zip(got, want, strict=True)):
            assert a.dtype == b.dtype
            assert a.shape == b.shape, (n, i)
            assert a.tobytes() == b.tobytes(), (n, i)
    assert len({v for v in filled if v}) >= 4, "the templates were hardly used"


def test_a_new_size_makes_no_new_template(filled: list[tuple[int, ...]]) -> None:
    for n in (6, 10, 11, 12, 13, 14):
        values(norm_chain(n))
    made = [f for f in families._families.values() if f.members]
    assert [len(f.members) for f in made] == [1] * len(made)
    assert {(10,), (11,), (12,), (13,), (14,)} <= set(filled)


def test_two_sizes_that_change_by_themselves() -> None:
    for n, m in ((4, 6), (5, 7), (8, 7), (5, 30), (9, 9), (12, 48)):
        x, y = rows(n, m), rows(m, 3)
        got = values([(x @ y).softmax(0), x.sum(1), (x.t() * 2).reshape(-1)])
        with families.symbolic_plans.scoped(False):
            evaluator._plans.clear()
            want = values([(x @ y).softmax(0), x.sum(1), (x.t() * 2).reshape(-1)])
        assert [a.tobytes() for a in got] == [b.tobytes() for b in want]


def test_a_growing_cache() -> None:
    w = rows(8, 8)
    cache = rows(1, 8)
    plain = cache.numpy().copy()
    for _ in range(12):
        cache = mg.cat([cache, mg.tanh(cache[-1:] @ w)])
        plain = np.concatenate([plain, np.tanh(plain[-1:] @ w.numpy())])
        np.testing.assert_allclose(values([cache])[0], plain, rtol=1e-4, atol=1e-5)


def test_an_index_out_of_range_names_todays_sizes() -> None:
    for n in (4, 6, 9, 12):
        with pytest.raises(IndexError, match=f"index {n + 3} is out of bounds for dimension 0 with size {n} .*test_families.py"):
            values([rows(n)[mg.tensor([0, n + 3])] * 2])


def test_compiled_functions_share_the_templates(filled: list[tuple[int, ...]]) -> None:
    step = mg.compile(lambda x: (mg.tanh(x) * 2).sum(0) + x.mean())
    for n in (4, 6, 9, 12):
        x = rows(n)
        want = values([(mg.tanh(x) * 2).sum(0) + x.mean()])[0]
        assert values([step(x)])[0].tobytes() == want.tobytes()
    assert filled


def test_what_does_not_follow_a_guess_is_planned_by_itself() -> None:
    """n*n grows unlike any k*n + c that fits two examples of it: the third size shows it, and the numbers tell."""
    for n in (4, 6, 9, 12, 15):
        x = mg.arange(n * n + 1).to(mg.float32)
        assert values([(x * 2).sum()])[0] == float(n * n * (n * n + 1))


def test_guesses() -> None:
    scope = Scope(least=2, exact=True)
    symbols, sizes = families.guessed([8, 64, 512, 3, 65, 32, 4096], [8, 80, 640, 3, 81, 40, 6400], [0, 1], scope) or ([], [])
    assert symbols == [1]
    assert [str(s) for s in sizes] == ["8", "s0", "8*s0", "3", "(1+s0)", "(s0//2)", "s0*s0"]
    assert families.guessed([2, 3], [2, 3], [], Scope()) == ([], [2, 3])


def test_a_size_that_comes_once_among_many_is_not_captured() -> None:
    step = mg.compile(lambda x: mg.tanh(x).sum(0))
    for n in (4, 6, 9, 12, 15):
        values([step(rows(n))])
    assert (step.engine.captures, step.engine.uncompiled_calls) == (3, 2)
    for _ in range(3):
        values([step(rows(15))])
    assert (step.engine.captures, step.engine.uncompiled_calls) == (4, 2)


def test_families_are_let_go_when_they_hold_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(families._families, "most", 60)
    for width in range(2, 12):
        for n in (4, 6):
            x = rows(n, width)
            for _ in range(width):
                x = mg.tanh(x) + 1
            values([x])
        assert families._families.nodes <= 60 + families.TEMPLATE_WEIGHT * 40
    assert len(families._families) < 6
