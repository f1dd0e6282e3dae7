"""Data-dependent Python: the trace splits, follows known branches, records new ones, and never does anything twice."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import monograph as mg
from monograph import nn, optim
from monograph.core.errors import CaptureError
from monograph.nn import functional as F
from tests.engine.twice import both, floats, replays


def test_branch_on_a_value() -> None:
    def f(x: Any) -> Any:
        y = x * 2
        if y.sum() > 0:
            return y + 1
        return y - 1

    c = mg.compile(f)
    for v in (1.0, 2.0, -1.0, 3.0, -2.0, 0.5):
        x = mg.full((3,), v)
        assert c(x).tolist() == f(x).tolist()
    assert c.engine.captures == 2
    assert replays(c) == 4


def test_nested_branches_and_loops() -> None:
    def f(x: Any) -> Any:
        n = 0
        while x.abs().max() > 1 and n < 5:
            x = x / 2
            n += 1
        return x, n

    c = mg.compile(f)
    for v in (0.5, 1.5, 3.0, 6.0, 1.5, 3.0, 100.0, 0.1, 100.0):
        x = mg.tensor([v, -v])
        (a, n), (b, m) = f(x), c(x)
        assert a.tolist() == b.tolist() and n == m
    assert replays(c) == 4


def test_state_before_and_after_a_split_changes_once() -> None:
    def make() -> tuple[Any, Any]:
        total, seen, noise = mg.zeros(()), mg.zeros(()), mg.zeros(2)

        def f(x: Any) -> Any:
            seen.add_(1)
            noise.copy_(mg.rand(2))
            if x.mean() > 0:
                total.add_(x.sum())
                return mg.rand(2)
            total.sub_(1)
            return noise + 1

        return f, lambda: [total, seen, noise]

    c = both(make, [(floats(4, seed=i),) for i in range(8)])
    assert c.engine.captures == 2


def test_values_computed_before_a_split_are_shared() -> None:
    w = mg.tensor(floats(4, 4), requires_grad=True)

    @mg.compile
    def f(x: Any) -> Any:
        y = mg.tanh(x @ w)
        loss = (y @ w).sum()
        w.grad = None
        if loss > 1000:
            return loss
        loss.backward()
        return loss.detach()

    x = mg.tensor(floats(3, 4, seed=1))
    for _ in range(3):
        f(x)
    entry = next(e for s in f.engine.signatures.values() for e in s.entries if e.replays)
    assert entry.root.carried, "nothing is carried over the split"
    ops = [n.op.name for n in _ancestors(entry.finals()[0].part.outputs)]
    assert "tanh" not in ops
    grad = w.grad.clone()
    v = w.detach().clone().requires_grad_()
    (mg.tanh(x @ v) @ v).sum().backward()
    assert np.array_equal(grad.numpy(), v.grad.numpy())


def _ancestors(outputs: Any) -> Any:
    from monograph.graph.node import topological  # noqa: PLC0415

    return topological(outputs)


def test_ever_new_values_run_uncompiled() -> None:
    total = mg.zeros(())

    @mg.compile
    def f(x: Any) -> Any:
        total.add_(1)
        return x.sum().item() * 2

    for i in range(20):
        assert f(mg.full((2,), float(i))) == i * 4
        assert total.item() == i + 1
    assert any("differs at almost every call" in r for r in f.engine.reasons)


def test_loss_threshold_as_in_scripts() -> None:
    def make() -> tuple[Any, Any]:
        model = nn.Linear(3, 2)
        optimizer = optim.SGD(model.parameters(), lr=0.5)

        def step(x: Any, y: Any) -> Any:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            if loss.item() > 0.7:
                loss = loss * 0.5
            loss.backward()
            optimizer.step()
            return loss.item()

        return step, lambda: list(model.parameters())

    both(make, [(floats(4, 3, seed=i), np.random.default_rng(i).integers(0, 2, 4)) for i in range(14)])


def test_data_dependent_shapes() -> None:
    def f(x: Any) -> Any:
        return x[x > 0].sum(), mg.nonzero(x).shape[0], mg.unique(x)

    c = mg.compile(f)
    for v in ([1.0, -1.0, 2.0], [-1.0, -1.0, 2.0], [1.0, -1.0, 5.0], [1.0, -1.0, 2.0]):
        x = mg.tensor(v)
        (a, n, u), (b, m, w) = f(x), c(x)
        assert a.item() == b.item() and n == m and u.tolist() == w.tolist()


def test_returned_python_values_belong_to_their_branch() -> None:
    @mg.compile
    def f(x: Any) -> Any:
        k = int(x.argmax())
        return {"k": k, "value": x[k], "name": "even" if k % 2 == 0 else "odd"}

    for i in (0, 1, 2, 1, 0):
        r = f(mg.eye(3)[i] * 1)
        assert r["k"] == i and r["value"].item() == 1.0 and r["name"] == ("odd" if i == 1 else "even")


def test_looking_at_an_argument() -> None:
    f = mg.compile(lambda flag, x: x + 1 if flag else x - 1)
    for v in (True, False, True, False):
        assert f(mg.tensor(v), mg.ones(())).item() == (2.0 if v else 0.0)
    assert f.engine.captures == 2


def test_constants_are_not_splits() -> None:
    @mg.compile
    def f(x: Any) -> Any:
        k = mg.tensor([1.0, 2.0]).sum().item()
        return x * k

    f(mg.ones(2))
    (entry,) = [e for s in f.engine.signatures.values() for e in s.entries]
    assert not entry.splits()
    assert f(mg.ones(2)).tolist() == [3.0, 3.0]


def test_fullgraph_refuses_splits_and_effects() -> None:
    f = mg.compile(lambda x: x + 1 if x.sum() > 0 else x, fullgraph=True)
    with pytest.raises(CaptureError, match="Python looks at a value"):
        f(mg.ones(2))
    assert f.engine.captures == 1

    @mg.compile(fullgraph=True)
    def g(x: Any) -> Any:
        print("x")
        return x

    with pytest.raises(CaptureError, match="print"):
        g(mg.ones(2))


def test_array_results_are_copies() -> None:
    f = mg.compile(lambda x: (x * 2).numpy())
    a = f(mg.ones(2))
    a[0] = 9
    assert f(mg.ones(2)).tolist() == [2.0, 2.0]
