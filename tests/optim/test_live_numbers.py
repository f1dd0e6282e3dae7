"""A compiled step asks for the numbers of its parameter groups anew: schedules of any of them cost no capture, and none is missed."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

import monograph as mg
from monograph import nn
from monograph.optim import lr_scheduler

STEPS = 8
Change = Callable[[dict[str, Any], int], None]


def trained(make: Callable[[Any], Any], change: Change | None, compiled: bool, schedule: Any = None) -> tuple[list[mg.Tensor], int]:
    """Parameters after some steps between which a hyper-parameter changes, and how often the step was captured."""
    mg.manual_seed(0)
    model = nn.Linear(5, 3)
    optimizer = make(model.parameters())
    scheduler = schedule(optimizer) if schedule is not None else None

    def step(x: mg.Tensor) -> mg.Tensor:
        optimizer.zero_grad()
        loss = model(x).square().mean()
        loss.backward()
        optimizer.step()
        return loss

    run = mg.compile(step) if compiled else step
    for i in range(STEPS):
        run(mg.randn(4, 5))
        if change is not None:
            change(optimizer.param_groups[0], i)
        if scheduler is not None:
            scheduler.step()
    return [p.detach() for p in model.parameters()], run.engine.captures if compiled else 0


def set_betas(group: dict[str, Any], i: int) -> None:
    group["betas"] = (0.7 + i / 100, 0.9 + i / 1000)


def setter(key: str, start: float, by: float) -> Change:
    def change(group: dict[str, Any], i: int) -> None:
        group[key] = start + by * i

    return change


CASES: dict[str, tuple[Callable[[Any], Any], Change]] = {
    "sgd momentum": (lambda p: mg.optim.SGD(p, lr=0.1, momentum=0.5, nesterov=True), setter("momentum", 0.8, 0.01)),
    "sgd dampening": (lambda p: mg.optim.SGD(p, lr=0.1, momentum=0.5, dampening=0.1), setter("dampening", 0.2, 0.01)),
    "sgd weight_decay": (lambda p: mg.optim.SGD(p, lr=0.1, weight_decay=0.1), setter("weight_decay", 0.1, 0.01)),
    "adam betas": (lambda p: mg.optim.Adam(p, lr=0.1), set_betas),
    "adam eps": (lambda p: mg.optim.Adam(p, lr=0.1), setter("eps", 1e-8, 1e-3)),
    "adamw weight_decay": (lambda p: mg.optim.AdamW(p, lr=0.1), setter("weight_decay", 0.1, 0.01)),
    "rmsprop momentum": (lambda p: mg.optim.RMSprop(p, lr=0.01, momentum=0.5, centered=True), setter("momentum", 0.6, 0.01)),
    "rmsprop alpha": (lambda p: mg.optim.RMSprop(p, lr=0.01), setter("alpha", 0.9, 0.01)),
    "adagrad lr_decay": (lambda p: mg.optim.Adagrad(p, lr=0.1, lr_decay=0.1), setter("lr_decay", 0.1, 0.01)),
    "adadelta rho": (lambda p: mg.optim.Adadelta(p), setter("rho", 0.8, 0.01)),
    "adamax betas": (lambda p: mg.optim.Adamax(p), set_betas),
    "nadam betas": (lambda p: mg.optim.NAdam(p), set_betas),
    "nadam momentum_decay": (lambda p: mg.optim.NAdam(p), setter("momentum_decay", 4e-3, 1e-3)),
    "radam betas": (lambda p: mg.optim.RAdam(p), set_betas),
    "asgd alpha": (lambda p: mg.optim.ASGD(p), setter("alpha", 0.7, 0.01)),
    "asgd lambd": (lambda p: mg.optim.ASGD(p), setter("lambd", 1e-4, 1e-3)),
    "adafactor beta2_decay": (lambda p: mg.optim.Adafactor(p), setter("beta2_decay", -0.8, 0.01)),
    "adafactor d": (lambda p: mg.optim.Adafactor(p), setter("d", 1.0, 0.1)),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_a_changing_number_costs_no_capture(name: str) -> None:
    make, change = CASES[name]
    expected, _ = trained(make, change, compiled=False)
    found, captures = trained(make, change, compiled=True)
    for a, b in zip(expected, found, strict=True):
        assert mg.equal(a, b), name
    _, before = trained(make, None, compiled=True)
    assert captures == before


@pytest.mark.parametrize("optimizer", ["SGD", "Adam", "RMSprop"])
@pytest.mark.parametrize("kind", ["OneCycleLR", "CyclicLR"])
def test_schedules_that_cycle_momentum(optimizer: str, kind: str) -> None:
    options: dict[str, Any] = {"lr": 0.1} | ({"momentum": 0.9} if optimizer != "Adam" else {})

    def schedule(o: Any) -> Any:
        if kind == "OneCycleLR":
            return lr_scheduler.OneCycleLR(o, max_lr=0.1, total_steps=STEPS + 1)
        return lr_scheduler.CyclicLR(o, 0.01, 0.1, step_size_up=3)

    def make(parameters: Any) -> Any:
        return getattr(mg.optim, optimizer)(parameters, **options)

    expected, _ = trained(make, None, compiled=False, schedule=schedule)
    found, captures = trained(make, None, compiled=True, schedule=schedule)
    assert all(mg.equal(a, b) for a, b in zip(expected, found, strict=True))
    assert captures <= 3  # the first makes the optimiser's state


def test_what_python_decides_by_a_number_is_a_condition() -> None:
    """Weight decay and momentum from nothing, beta1 from one side of a half to the other: other updates, so other programs."""
    for make, change in (
        (lambda p: mg.optim.SGD(p, lr=0.1), setter("weight_decay", -0.3, 0.1)),
        (lambda p: mg.optim.SGD(p, lr=0.1), setter("momentum", -0.3, 0.1)),
        (lambda p: mg.optim.AdamW(p, lr=0.1), setter("weight_decay", 0.0, 0.1)),
        (lambda p: mg.optim.Adam(p, lr=0.1), lambda group, i: group.update(betas=(0.2 + 0.1 * i, 0.99))),
        (lambda p: mg.optim.RMSprop(p, lr=0.1, momentum=0.1), setter("momentum", 0.0, 0.1)),
    ):  # fmt: skip
        expected, _ = trained(make, change, compiled=False)
        found, _ = trained(make, change, compiled=True)
        assert all(mg.equal(a, b) for a, b in zip(expected, found, strict=True))


@pytest.mark.parametrize("within", ["inner", "func"])
def test_readers_further_inside(within: str) -> None:
    """An optimiser that a function inside of the step knows is watched as well, and costs no capture if nobody reads its numbers."""
    weight = mg.zeros(3, requires_grad=True)
    optimizer = mg.optim.Adam([weight], lr=1.0)

    def update(x: mg.Tensor) -> None:
        optimizer.zero_grad()
        (weight - x).square().sum().backward()
        optimizer.step()

    def scaled(x: mg.Tensor) -> mg.Tensor:
        return x.sum() * (optimizer.param_groups[0]["lr"] if within == "func" else 2.0)

    @mg.compile
    def step(x: mg.Tensor) -> mg.Tensor:
        update(x)
        return mg.func.grad(scaled)(x)

    for rate in (1.0, 0.5, 0.25, 0.125, 0.5):
        optimizer.param_groups[0]["lr"] = rate
        assert step(mg.ones(3)).tolist() == [rate if within == "func" else 2.0] * 3
    assert step.engine.reasons == [] and step.engine.captures == (4 if within == "func" else 2)


def plain(group: Any) -> float:
    return float(group["lr"])


READERS: dict[str, Callable[[Any], float]] = {
    "by key": plain,
    "get": lambda group: group.get("lr"),
    "items": lambda group: dict(group.items())["lr"],
    "values": lambda group: list(group.values())[list(group).index("lr")],
    "dict": lambda group: dict(group)["lr"],
    "copy": lambda group: group.copy()["lr"],
    "shallow": lambda group: copy.copy(group)["lr"],
    "unpacked": lambda group: {**group}["lr"],
    "or": lambda group: (group | {"a": 1})["lr"],
}


@pytest.mark.parametrize("how", READERS)
def test_a_step_that_reads_a_number_itself_sees_its_changes(how: str) -> None:
    look = READERS[how]
    weight = mg.zeros(3, requires_grad=True)
    optimizer = mg.optim.SGD([weight], lr=1.0)

    @mg.compile
    def step(x: mg.Tensor) -> mg.Tensor:
        optimizer.zero_grad()
        ((weight - x).square().sum() * look(optimizer.param_groups[0])).backward()
        optimizer.step()
        return x * look(optimizer.param_groups[0])

    for rate in (1.0, 0.5, 0.25, 0.5):
        optimizer.param_groups[0]["lr"] = rate
        assert step(mg.ones(3)).tolist() == [rate] * 3


def test_numbers_become_tensors_and_back() -> None:
    make: Callable[[Any], Any] = lambda p: mg.optim.Adam(p, lr=0.1)  # noqa: E731

    def change(group: dict[str, Any], i: int) -> None:
        group["lr"] = mg.tensor(0.05) if i % 3 == 1 else 0.05

    expected, _ = trained(make, change, compiled=False)
    found, _ = trained(make, change, compiled=True)
    for a, b in zip(expected, found, strict=True):
        mg.testing.assert_close(a, b)
