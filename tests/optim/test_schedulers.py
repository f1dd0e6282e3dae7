"""Learning-rate schedules: the rates of the first epochs, momenta, saving and loading, errors."""

from __future__ import annotations

import math

import pytest

import monograph as mg
from monograph import nn, optim
from monograph.optim import lr_scheduler as schedules


def optimizer(lr: float = 1.0, kind=optim.SGD, **settings):
    return kind([nn.Parameter(mg.zeros(1))], lr=lr, **settings)


def rates(scheduler, n: int) -> list[float]:
    """The learning rate before each of n steps."""
    seen = []
    for _ in range(n):
        seen.append(float(scheduler.optimizer.param_groups[0]["lr"]))
        scheduler.optimizer.step()
        scheduler.step()
    return seen


SCHEDULES = {
    "step": (lambda o: schedules.StepLR(o, 2, 0.5), [1, 1, 0.5, 0.5, 0.25]),
    "milestones": (lambda o: schedules.MultiStepLR(o, [1, 3, 3], 0.5), [1, 0.5, 0.5, 0.125, 0.125]),
    "exponential": (lambda o: schedules.ExponentialLR(o, 0.5), [1, 0.5, 0.25, 0.125]),
    "lambda": (lambda o: schedules.LambdaLR(o, lambda e: 1 / (1 + e)), [1, 1 / 2, 1 / 3, 1 / 4]),
    "multiplicative": (lambda o: schedules.MultiplicativeLR(o, lambda e: 0.5 if e == 2 else 1), [1, 1, 0.5, 0.5]),
    "constant": (lambda o: schedules.ConstantLR(o, 0.25, 2), [0.25, 0.25, 1, 1]),
    "linear": (lambda o: schedules.LinearLR(o, 0.5, 1.0, 2), [0.5, 0.75, 1, 1]),
    "polynomial": (lambda o: schedules.PolynomialLR(o, 4, 2.0), [1, 9 / 16, 4 / 16, 1 / 16, 0, 0]),
    "cosine": (lambda o: schedules.CosineAnnealingLR(o, 4), [(1 + math.cos(math.pi * i / 4)) / 2 for i in range(6)]),
    "restarts": (
        lambda o: schedules.CosineAnnealingWarmRestarts(o, 1, 2),
        [1, 1, 0.5, 1, *[(1 + math.cos(math.pi * i / 4)) / 2 for i in (1, 2, 3)], 1],
    ),
    "cyclic": (lambda o: schedules.CyclicLR(o, 0.1, 0.5, 2, cycle_momentum=False), [0.1, 0.3, 0.5, 0.3, 0.1, 0.3]),
    "cyclic, halved": (lambda o: schedules.CyclicLR(o, 0.1, 0.5, 1, mode="triangular2", cycle_momentum=False), [0.1, 0.5, 0.1, 0.3, 0.1]),
    "one cycle": (
        lambda o: schedules.OneCycleLR(
            o, 1.0, 5, pct_start=0.4, anneal_strategy="linear", cycle_momentum=False, div_factor=10, final_div_factor=1
        ),
        [0.1, 1.0, 0.7, 0.4, 0.1],
    ),
    "sequence": (
        lambda o: schedules.SequentialLR(o, [schedules.ConstantLR(o, 0.1, 9), schedules.ExponentialLR(o, 0.5)], [2]),
        [0.1, 0.1, 1, 0.5, 0.25],
    ),
    "chain": (lambda o: schedules.ChainedScheduler([schedules.StepLR(o, 2), schedules.ExponentialLR(o, 0.5)]), [1, 0.5, 0.025, 0.0125]),
}  # fmt: skip


@pytest.mark.parametrize("name", SCHEDULES)
def test_rates(name: str) -> None:
    make, expected = SCHEDULES[name]
    assert rates(make(optimizer()), len(expected)) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("name", SCHEDULES)
def test_saving_and_loading(name: str) -> None:
    make, expected = SCHEDULES[name]
    first = make(optimizer())
    rates(first, 2)
    second_optimizer = optimizer()
    second = make(second_optimizer)
    second_optimizer.load_state_dict(first.optimizer.state_dict())
    second.load_state_dict(first.state_dict())
    assert rates(second, len(expected) - 2) == pytest.approx(expected[2:], abs=1e-12)


def test_momentum_moves_against_the_rate() -> None:
    sgd = optimizer(kind=optim.SGD, momentum=0.5)
    scheduler = schedules.OneCycleLR(sgd, 1.0, 10, anneal_strategy="linear")
    assert sgd.param_groups[0]["momentum"] == 0.95
    rates(scheduler, 2)
    assert sgd.param_groups[0]["momentum"] == pytest.approx(0.85)
    adam = optimizer(kind=optim.Adam)
    schedules.CyclicLR(adam, 0.1, 0.5, 2)
    assert adam.param_groups[0]["betas"] == (0.9, 0.999)


def test_plateau() -> None:
    sgd = optimizer()
    scheduler = schedules.ReduceLROnPlateau(sgd, factor=0.5, patience=1, cooldown=1, min_lr=0.2)
    seen = []
    for metric in (1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.5):
        scheduler.step(mg.tensor(metric))
        seen.append(scheduler.get_last_lr()[0])
    assert seen == [1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.2, 0.2, 0.2]


def test_groups_have_their_own_rates() -> None:
    sgd = optim.SGD([{"params": [nn.Parameter(mg.zeros(1))], "lr": 2.0}, {"params": [nn.Parameter(mg.zeros(1))]}], lr=1.0)
    scheduler = schedules.LambdaLR(sgd, [lambda e: 0.5**e, lambda e: 1.0])
    sgd.step()
    scheduler.step()
    assert scheduler.get_last_lr() == [1.0, 1.0] and scheduler.base_lrs == [2.0, 1.0]


def test_a_rate_that_is_a_tensor_stays_one() -> None:
    lr = mg.tensor(1.0)
    scheduler = schedules.ExponentialLR(optimizer(lr), 0.5)
    scheduler.optimizer.step()
    scheduler.step()
    assert scheduler.optimizer.param_groups[0]["lr"] is lr and lr.item() == 0.5


def test_warnings_and_errors() -> None:
    scheduler = schedules.ExponentialLR(optimizer(), 0.5)
    with pytest.warns(UserWarning, match=r"Detected call of `lr_scheduler.step\(\)` before `optimizer.step\(\)`"):
        scheduler.step()
    with pytest.warns(UserWarning, match=r"please use `get_last_lr\(\)`"):
        scheduler.get_lr()
    with pytest.raises(TypeError, match=r"is not an Optimizer"):
        schedules.StepLR(3, 1)
    with pytest.raises(ValueError, match=r"You must define either total_steps OR"):
        schedules.OneCycleLR(optimizer(), 1.0)
    with pytest.raises(ValueError, match=r"must support momentum or beta1"):
        schedules.OneCycleLR(optimizer(kind=optim.Adagrad), 1.0, 5)
    with pytest.raises(KeyError, match=r"param 'initial_lr' is not specified"):
        schedules.StepLR(optimizer(), 1, last_epoch=3)
    with pytest.raises(ValueError, match=r"Factor should be < 1.0."):
        schedules.ReduceLROnPlateau(optimizer(), factor=1.0)


def test_a_cycle_saves_what_torch_saves_of_it() -> None:
    optimizer = mg.optim.SGD([mg.zeros(1, requires_grad=True)], lr=0.1, momentum=0.9)
    saved = mg.optim.lr_scheduler.CyclicLR(optimizer, base_lr=0.01, max_lr=0.2).state_dict()
    assert saved["_scale_fn_custom"] is None and saved["use_beta1"] is False
