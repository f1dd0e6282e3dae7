"""Packed weights are kept while the weights stay the same, and never longer."""

from __future__ import annotations

from typing import Any

import numpy as np

import monograph as mg
from monograph.engine import plans
from monograph.targets.cpu.plan import CpuPlan

F = mg.nn.functional


def model() -> Any:
    mg.manual_seed(0)
    return mg.nn.Sequential(mg.nn.Conv2d(16, 32, 3, padding=1), mg.nn.ReLU(), mg.nn.Conv2d(32, 64, 3, stride=2)).eval()


class Watch:
    """Collects the plans that are made, to see which of them keep weights."""

    def __init__(self, monkeypatch: Any) -> None:
        self.plans: list[CpuPlan] = []

        def make(*args: Any) -> CpuPlan:
            self.plans.append(CpuPlan(*args))
            return self.plans[-1]

        monkeypatch.setitem(plans._makers, "cpu", make)

    @property
    def keeping(self) -> int:
        return sum(p._packed is not None and p._packed.kept is not None for p in self.plans)


def test_the_same_weights_are_packed_once(monkeypatch: Any) -> None:
    net, x, watch = model(), mg.randn(3, 16, 21, 20), Watch(monkeypatch)
    step = mg.compile(lambda x: net(x))
    with mg.no_grad():
        first = step(x).numpy().copy()
        for _ in range(4):
            np.testing.assert_array_equal(step(x).numpy(), first)
        assert watch.keeping == 1
        other = mg.randn(3, 16, 21, 20)
        np.testing.assert_array_equal(step(other).numpy(), net(other).numpy())


def test_written_weights_are_seen_at_once() -> None:
    net, x = model(), mg.randn(3, 16, 21, 20)
    step = mg.compile(lambda x: net(x))
    with mg.no_grad():
        for i in range(12):
            if i % 3 == 2:
                net[i % 2 * 2].weight.mul_(1.5)
            np.testing.assert_array_equal(step(x).numpy(), net(x).numpy())
        net.load_state_dict({k: v * 0.5 for k, v in net.state_dict().items()})
        np.testing.assert_array_equal(step(x).numpy(), net(x).numpy())


def test_weights_that_numpy_shares_are_never_kept() -> None:
    net, x = model(), mg.randn(3, 16, 21, 20)
    step = mg.compile(lambda x: net(x))
    with mg.no_grad():
        for _ in range(4):
            before = step(x).numpy().copy()
        shared = net[0].weight.detach().numpy()
        for _ in range(4):
            shared *= 2.0
            after = step(x).numpy().copy()
            assert (after != before).any()
            np.testing.assert_array_equal(after, net(x).numpy())
            before = after


def test_frozen_layers_under_training_ones() -> None:
    net = model()
    net[0].weight.requires_grad_(False)
    net[0].bias.requires_grad_(False)
    twin = model()
    twin.load_state_dict(net.state_dict())
    x = mg.randn(3, 16, 21, 20)
    results = []
    for compiled in (False, True):
        m = net if compiled else twin
        optimizer = mg.optim.SGD(m[2].parameters(), lr=0.1)

        def step(x: Any, m: Any = m, optimizer: Any = optimizer) -> Any:
            optimizer.zero_grad()
            loss = m(x).square().mean()
            loss.backward()
            optimizer.step()
            return loss

        run = mg.compile(step) if compiled else step
        results.append([run(x).item() for _ in range(8)])
    assert results[0] == results[1]


def test_alternating_weights() -> None:
    """Weights that change after all are packed anew; keeping them is tried more and more rarely."""
    x, a, b = mg.randn(2, 16, 21, 20), mg.randn(32, 16, 3, 3), mg.randn(32, 16, 3, 3)
    wanted = [F.conv2d(x, w).numpy().copy() for w in (a, b)]
    step = mg.compile(lambda x, w: F.conv2d(x, w))
    for i in range(20):
        for _ in range(1 + i % 3):
            np.testing.assert_array_equal(step(x, (a, b)[i % 2]).numpy(), wanted[i % 2])
