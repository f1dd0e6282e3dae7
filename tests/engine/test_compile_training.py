"""Whole training steps: compiled = uncompiled, bit for bit, states included."""

from __future__ import annotations

import cProfile
import pstats
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import monograph as mg
from monograph import nn, optim
from monograph.nn import functional as F
from monograph.runtime.buffers import allocator
from tests.engine.twice import both, floats, replays

Make = Callable[[], tuple[Any, Any]]
OPTIMIZERS: dict[str, Any] = {
    "sgd": lambda p: optim.SGD(p, lr=0.1),
    "momentum": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01),
    "nesterov": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "adam": lambda p: optim.Adam(p, lr=0.01),
    "adamw": lambda p: optim.AdamW(p, lr=0.01, amsgrad=True),
}


def _trainer(build: Callable[[], Any], opt: Any, to_none: bool = True, clip: bool = False) -> Make:
    def make() -> tuple[Any, Any]:
        model = build()
        optimizer = opt(model.parameters())

        def step(x: Any, y: Any) -> Any:
            optimizer.zero_grad(set_to_none=to_none)
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            if clip:
                nn.utils.clip_grad_norm_(model.parameters(), 0.5)
            optimizer.step()
            return loss

        def state() -> Any:
            moments = [v for p in model.parameters() for v in optimizer.state[p].values()]
            return [list(model.state_dict().values()), [p.grad for p in model.parameters()], moments]

        return step, state

    return make


def _mlp() -> Any:
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3))


def _batches(n: int = 5, size: int = 4) -> list[tuple[Any, ...]]:
    return [(floats(size, 6, seed=i), np.random.default_rng(i).integers(0, 3, size)) for i in range(n)]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_mlp_step(name: str) -> None:
    f = both(_trainer(_mlp, OPTIMIZERS[name]), _batches())
    assert replays(f) >= 3
    assert not f.engine.reasons


def test_gradients_zeroed_in_place() -> None:
    f = both(_trainer(_mlp, OPTIMIZERS["sgd"], to_none=False), _batches())
    assert replays(f) >= 3


def test_clipping() -> None:
    f = both(_trainer(_mlp, OPTIMIZERS["adam"], clip=True), _batches())
    assert replays(f) >= 3


def test_batch_norm_dropout_and_convolution() -> None:
    def build() -> Any:
        return nn.Sequential(
            nn.Unflatten(1, (1, 6, 1)), nn.Conv2d(1, 4, (3, 1), padding=(1, 0)), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout(0.3),
            nn.Flatten(), nn.Linear(24, 3)
        )  # fmt: skip

    f = both(_trainer(build, OPTIMIZERS["adam"]), _batches())
    assert replays(f) >= 3


def test_accumulation_over_micro_batches() -> None:
    def make() -> tuple[Any, Any]:
        model = _mlp()
        optimizer = optim.SGD(model.parameters(), lr=0.1)

        def accumulate(x: Any, y: Any) -> Any:
            loss = F.cross_entropy(model(x), y) / 2
            loss.backward()
            return loss

        def step(x: Any, y: Any, last: bool) -> Any:
            loss = accumulate(x, y)
            if last:
                optimizer.step()
                optimizer.zero_grad()
            return loss

        return step, lambda: [list(model.parameters()), [p.grad for p in model.parameters()]]

    calls = [(*b, i % 2 == 1) for i, b in enumerate(_batches(8))]
    f = both(make, calls)
    assert replays(f) >= 4


def test_optimizer_step_alone() -> None:
    def make() -> tuple[Any, Any]:
        model = _mlp()
        optimizer = optim.Adam(model.parameters(), lr=0.01)
        compiled_step = [optimizer.step]

        def step(x: Any, y: Any) -> Any:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            compiled_step[0]()
            return loss

        step.hold = compiled_step  # type: ignore[attr-defined]
        return step, lambda: list(model.parameters())

    histories = []
    for compiled in (False, True):
        mg.manual_seed(7)
        step, state = make()
        if compiled:
            step.hold[0] = mg.compile(step.hold[0])
        for x, y in _batches():
            step(mg.tensor(x), mg.tensor(y))
        histories.append([p.detach().numpy().copy() for p in state()])
        if compiled:
            assert replays(step.hold[0]) >= 3
    for a, b in zip(*histories, strict=True):
        assert np.array_equal(a, b)


def test_learning_rate_is_an_input() -> None:
    def make() -> tuple[Any, Any]:
        model = _mlp()
        optimizer = optim.SGD(model.parameters(), lr=0.1)

        def step(x: Any, y: Any) -> Any:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            return loss

        def state() -> Any:
            return list(model.parameters())

        state.optimizer = optimizer  # type: ignore[attr-defined]
        return step, state

    def halve(state: Any, i: int) -> None:
        state.optimizer.param_groups[0]["lr"] *= 0.5

    f = both(make, _batches(6), between=halve)
    assert f.engine.captures <= 2
    assert replays(f) >= 4


@pytest.mark.parametrize("key, value", [("momentum", 0.5), ("weight_decay", 0.1), ("nesterov", True)])
def test_other_hyper_parameters_are_watched(key: str, value: Any) -> None:
    def make() -> tuple[Any, Any]:
        model = _mlp()
        optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

        def step(x: Any, y: Any) -> Any:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            return loss

        def state() -> Any:
            return list(model.parameters())

        state.optimizer = optimizer  # type: ignore[attr-defined]
        return step, state

    def change(state: Any, i: int) -> None:
        if i == 3:
            state.optimizer.param_groups[0][key] = value

    both(make, _batches(7), between=change)


def test_betas_and_loaded_state() -> None:
    def make() -> tuple[Any, Any]:
        model = _mlp()
        optimizer = optim.Adam(model.parameters(), lr=0.01)

        def step(x: Any, y: Any) -> Any:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            return loss

        def state() -> Any:
            return list(model.parameters())

        state.optimizer, state.model = optimizer, model  # type: ignore[attr-defined]
        return step, state

    def change(state: Any, i: int) -> None:
        if i == 2:
            state.optimizer.param_groups[0]["betas"] = (0.5, 0.9)
        if i == 4:
            state.saved = state.optimizer.state_dict(), {k: v.clone() for k, v in state.model.state_dict().items()}
        if i == 6:
            state.optimizer.load_state_dict(state.saved[0])
            state.model.load_state_dict(state.saved[1])

    both(make, _batches(10), between=change)


def test_first_call_counts_once_and_plan_is_kept() -> None:
    w = mg.zeros(3)

    @mg.compile
    def add(x: Any) -> Any:
        w.add_(x)
        return w.sum()

    for n in range(1, 6):
        assert add(mg.ones(3)).item() == 3 * n
    assert add.engine.captures == 1
    (entry,) = [e for s in add.engine.signatures.values() for e in s.entries]
    plan = entry.root.part.plan()
    add(mg.ones(3))
    assert entry.root.part.plan() is plan


def test_scaler_like_state_in_tensors() -> None:
    def make() -> tuple[Any, Any]:
        model = _mlp()
        optimizer = optim.SGD(model.parameters(), lr=0.1)
        scale, good = mg.tensor(4.0), mg.tensor(0)

        def step(x: Any, y: Any) -> Any:
            optimizer.zero_grad()
            loss = F.cross_entropy(model(x), y)
            (loss * scale).backward()
            finite = mg.tensor(True)
            for p in model.parameters():
                p.grad.div_(scale)
                finite = finite & mg.isfinite(p.grad).all()
            if finite:
                optimizer.step()
                good.add_(1)
            else:
                scale.mul_(0.5)
            return loss

        return step, lambda: [list(model.parameters()), scale, good]

    calls = _batches(6)
    calls[2][0][0, 0] = np.inf
    f = both(make, calls)
    assert replays(f) >= 2


def test_capture_under_a_profiler() -> None:
    """cProfile watches a compiled function as any other, and goes on watching after the capture."""
    double = mg.compile(lambda x: x * 2)
    profiler = cProfile.Profile()
    profiler.enable()
    assert double(mg.ones(2)).tolist() == [2.0, 2.0]
    len("still watched")
    profiler.disable()
    names = {name for _, _, name in pstats.Stats(profiler).stats}  # type: ignore[attr-defined]
    assert any("len" in name for name in names)


def test_captures_keep_no_values_alive() -> None:
    """What a compiled step holds does not grow with the sizes it has been captured for, nor with what its first call left on the way."""
    mg.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 256), nn.ReLU(), nn.Linear(256, 8))
    optimizer = mg.optim.Adam(model.parameters(), lr=1e-3)

    def step(x: mg.Tensor) -> mg.Tensor:
        optimizer.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        optimizer.step()
        return loss

    compiled = mg.compile(step)
    held = []
    for n in (512, 512, 512, 256, 256, 256, 128, 128, 128):
        mg.eval(compiled(mg.ones(n, 64)))
        held.append(allocator.live)
    assert compiled.engine.captures >= 3
    parameters = sum(p.numel() * 4 for p in model.parameters())
    assert held[-1] < held[2] + parameters, held
    assert held[0] < held[2] + 6 * parameters, held  # one hidden value alone is as much as seven times the parameters
