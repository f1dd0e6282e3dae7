"""Optimisers: values against the published formulas, groups, state, hooks, errors."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest

import monograph as mg
from monograph import nn, optim


def problem(seed: int = 0) -> tuple[nn.Parameter, np.ndarray]:
    """A parameter and the gradients of six steps."""
    draw = np.random.default_rng(seed)
    return nn.Parameter(mg.tensor(draw.standard_normal((2, 3)))), draw.standard_normal((6, 2, 3))


def run(make, seed: int = 0) -> np.ndarray:
    """The parameter (float64) after six steps with fixed gradients."""
    p, gradients = problem(seed)
    optimizer = make([p])
    for g in gradients:
        p.grad = mg.tensor(g)
        optimizer.step()
    return p.detach().numpy()


def expected(update, seed: int = 0) -> np.ndarray:
    """The same with `update(p, g, state, step)` in NumPy."""
    p, gradients = problem(seed)
    value, state = p.detach().numpy().copy(), {}
    for i, g in enumerate(gradients):
        value = update(value, g, state, i + 1)
    return value


def sgd(p, g, state, step):
    g = g + 0.01 * p
    state["m"] = g if step == 1 else 0.9 * state["m"] + 0.5 * g
    return p - 0.1 * state["m"]


def nesterov(p, g, state, step):
    state["m"] = 0.9 * state.get("m", 0) + g
    return p - 0.1 * (g + 0.9 * state["m"])


def adam(p, g, state, step, decay=0.0, decoupled=0.0, amsgrad=False):
    p = p * (1 - 0.01 * decoupled)
    g = g + decay * p
    state["m"] = 0.9 * state.get("m", 0) + 0.1 * g
    state["v"] = 0.999 * state.get("v", 0) + 0.001 * g * g
    state["top"] = np.maximum(state.get("top", 0), state["v"]) if amsgrad else state["v"]
    return p - 0.01 * (state["m"] / (1 - 0.9**step)) / (np.sqrt(state["top"] / (1 - 0.999**step)) + 1e-8)


def rmsprop(p, g, state, step):
    state["v"] = 0.99 * state.get("v", 0) + 0.01 * g * g
    state["b"] = 0.9 * state.get("b", 0) + g / (np.sqrt(state["v"]) + 1e-8)
    return p - 0.01 * state["b"]


def adagrad(p, g, state, step):
    state["s"] = state.get("s", 0) + g * g
    return p - 0.1 / (1 + (step - 1) * 0.5) * g / (np.sqrt(state["s"]) + 1e-10)


def adadelta(p, g, state, step):
    state["v"] = 0.9 * state.get("v", 0) + 0.1 * g * g
    delta = np.sqrt(state.get("d", 0) + 1e-6) / np.sqrt(state["v"] + 1e-6) * g
    state["d"] = 0.9 * state.get("d", 0) + 0.1 * delta * delta
    return p - delta


def adamax(p, g, state, step):
    state["m"] = 0.9 * state.get("m", 0) + 0.1 * g
    state["u"] = np.maximum(0.999 * state.get("u", 0), np.abs(g) + 1e-8)
    return p - 0.002 / (1 - 0.9**step) * state["m"] / state["u"]


def nadam(p, g, state, step):
    mu, ahead = (0.9 * (1 - 0.5 * 0.96 ** (s * 0.004)) for s in (step, step + 1))
    state["mu"] = state.get("mu", 1.0) * mu
    state["m"] = 0.9 * state.get("m", 0) + 0.1 * g
    state["v"] = 0.999 * state.get("v", 0) + 0.001 * g * g
    size = np.sqrt(state["v"] / (1 - 0.999**step)) + 1e-8
    return p - 0.002 * (1 - mu) / (1 - state["mu"]) * g / size - 0.002 * ahead / (1 - state["mu"] * ahead) * state["m"] / size


def radam(p, g, state, step):
    state["m"] = 0.9 * state.get("m", 0) + 0.1 * g
    state["v"] = 0.999 * state.get("v", 0) + 0.001 * g * g
    m, top = state["m"] / (1 - 0.9**step), 2 / 0.001 - 1
    rho = top - 2 * step * 0.999**step / (1 - 0.999**step)
    if rho <= 5:
        return p - 0.01 * m
    r = math.sqrt((rho - 4) * (rho - 2) * top / ((top - 4) * (top - 2) * rho))
    return p - 0.01 * m * r * math.sqrt(1 - 0.999**step) / (np.sqrt(state["v"]) + 1e-8)


CASES = {
    "sgd": (lambda p: optim.SGD(p, lr=0.1), lambda p, g, s, i: p - 0.1 * g),
    "sgd with momentum": (lambda p: optim.SGD(p, lr=0.1, momentum=0.9, dampening=0.5, weight_decay=0.01), sgd),
    "nesterov": (lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True), nesterov),
    "maximize": (lambda p: optim.SGD(p, lr=0.1, maximize=True), lambda p, g, s, i: p + 0.1 * g),
    "adam": (lambda p: optim.Adam(p, lr=0.01), adam),
    "adam with decay": (lambda p: optim.Adam(p, lr=0.01, weight_decay=0.1), lambda *a: adam(*a, decay=0.1)),
    "amsgrad": (lambda p: optim.Adam(p, lr=0.01, amsgrad=True), lambda *a: adam(*a, amsgrad=True)),
    "adamw": (lambda p: optim.AdamW(p, lr=0.01, weight_decay=0.1), lambda *a: adam(*a, decoupled=0.1)),
    "lr as a tensor": (lambda p: optim.AdamW(p, lr=mg.tensor(0.01, dtype=mg.float64)), lambda *a: adam(*a, decoupled=0.01)),
    "rmsprop": (lambda p: optim.RMSprop(p, momentum=0.9), rmsprop),
    "adagrad": (lambda p: optim.Adagrad(p, lr=0.1, lr_decay=0.5), adagrad),
    "adadelta": (optim.Adadelta, adadelta),
    "adamax": (optim.Adamax, adamax),
    "nadam": (optim.NAdam, nadam),
    "radam": (lambda p: optim.RAdam(p, lr=0.01), radam),
}


@pytest.mark.parametrize("name", CASES)
def test_formula(name: str) -> None:
    make, update = CASES[name]
    np.testing.assert_allclose(run(make), expected(update), rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", CASES)
def test_state_survives_saving(name: str) -> None:
    make, _ = CASES[name]
    p, gradients = problem()
    first = make([p])
    for i, g in enumerate(gradients):
        if i == 3:
            second = make([p])
            second.load_state_dict(copy.deepcopy(first.state_dict()))
            first = second
        p.grad = mg.tensor(g)
        first.step()
    np.testing.assert_allclose(p.detach().numpy(), run(make), rtol=1e-9)


def test_state_dict_format() -> None:
    a, b = nn.Parameter(mg.zeros(2)), nn.Parameter(mg.zeros(1))
    optimizer = optim.Adam([{"params": [a]}, {"params": [b], "lr": 0.5}], lr=0.1)
    assert optimizer.state_dict()["state"] == {}
    a.grad, b.grad = mg.ones(2), mg.ones(1)
    optimizer.step()
    state = optimizer.state_dict()
    assert list(state["state"][0]) == ["step", "exp_avg", "exp_avg_sq"] and state["state"][1]["step"].item() == 1
    assert [g["params"] for g in state["param_groups"]] == [[0], [1]] and [g["lr"] for g in state["param_groups"]] == [0.1, 0.5]
    assert state["state"][0]["step"].dtype is mg.float32
    with pytest.raises(ValueError, match=r"different number of parameter groups"):
        optim.Adam([a]).load_state_dict(state)
    with pytest.raises(ValueError, match=r"doesn't match the size of optimizer's group"):
        optim.Adam([{"params": [a, b]}, {"params": [nn.Parameter(mg.zeros(1))]}]).load_state_dict(state)


def test_parameters_without_gradient_wait() -> None:
    a, b = nn.Parameter(mg.zeros(1)), nn.Parameter(mg.zeros(1))
    optimizer = optim.Adam([a, b], lr=0.1)
    for i in range(4):
        a.grad = mg.ones(1)
        b.grad = mg.ones(1) if i != 2 else None
        optimizer.step()
    assert optimizer.state[a]["step"].item() == 4 and optimizer.state[b]["step"].item() == 3
    assert a.item() == pytest.approx(-0.4, rel=1e-5) and b.item() == pytest.approx(-0.3, rel=1e-5)


def test_learning_rate_is_read_at_every_step() -> None:
    p = nn.Parameter(mg.zeros(1))
    optimizer = optim.SGD([p], lr=1.0)
    for lr in (1.0, 0.5, 0.25):
        optimizer.param_groups[0]["lr"] = lr
        p.grad = mg.ones(1)
        optimizer.step()
    assert p.item() == -1.75


def test_closure_hooks_and_zero_grad() -> None:
    p, calls = nn.Parameter(mg.ones(2)), []
    optimizer = optim.SGD([p], lr=0.5)
    optimizer.register_step_pre_hook(lambda o, args, kwargs: calls.append("before"))
    handle = optimizer.register_step_post_hook(lambda o, args, kwargs: calls.append("after"))

    def closure():
        optimizer.zero_grad()
        loss = (p * p).sum()
        loss.backward()
        return loss

    assert optimizer.step(closure).item() == 2 and p.tolist() == [0, 0] and calls == ["before", "after"]
    handle.remove()
    optimizer.zero_grad(set_to_none=False)
    assert p.grad.tolist() == [0, 0]
    optimizer.zero_grad()
    assert p.grad is None
    optimizer.step()
    assert calls == ["before", "after", "before"]


def test_an_optimizer_of_ones_own() -> None:
    class Sign(optim.Optimizer):
        def __init__(self, params, lr: float) -> None:
            super().__init__(params, {"lr": lr})

        @mg.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                for p in group["params"]:
                    self.state[p]["count"] = self.state[p].get("count", 0) + 1
                    p.add_(p.grad.sign(), alpha=-group["lr"])

    p = nn.Parameter(mg.ones(2))
    optimizer = Sign([p], lr=0.5)
    p.grad = mg.tensor([3.0, -2.0])
    optimizer.step()
    assert p.tolist() == [0.5, 1.5] and optimizer.state_dict()["state"] == {0: {"count": 1}}


def test_named_parameters() -> None:
    net = nn.Linear(2, 1)
    optimizer = optim.SGD(net.named_parameters(), lr=0.1)
    assert optimizer.param_groups[0]["param_names"] == ["weight", "bias"] and optimizer.param_groups[0]["params"][0] is net.weight


def test_text() -> None:
    p = nn.Parameter(mg.zeros(1))
    text = repr(optim.SGD([{"params": [p]}, {"params": [nn.Parameter(mg.zeros(1))], "lr": 0.2}], lr=0.1))
    assert text.startswith("SGD (\nParameter Group 0\n    dampening: 0\n") and "\n\nParameter Group 1\n" in text and "    lr: 0.2\n" in text


def test_wrong_arguments() -> None:
    p = nn.Parameter(mg.zeros(1))
    with pytest.raises(ValueError, match=r"optimizer got an empty parameter list"):
        optim.SGD([])
    with pytest.raises(TypeError, match=r"should be an iterable of Tensors or dicts"):
        optim.SGD(p)
    with pytest.raises(TypeError, match=r"optimizer can only optimize Tensors"):
        optim.SGD([1.0])
    with pytest.raises(ValueError, match=r"can't optimize a non-leaf Tensor"):
        optim.SGD([p * 2])
    with pytest.raises(ValueError, match=r"some parameters appear in more than one parameter group"):
        optim.SGD([{"params": [p]}, {"params": [p]}])
    with pytest.raises(ValueError, match=r"Invalid learning rate: -1"):
        optim.Adam([p], lr=-1)
    with pytest.raises(ValueError, match=r"Invalid beta parameter at index 1: 1.0"):
        optim.Adam([p], betas=(0.9, 1.0))
    with pytest.raises(ValueError, match=r"Nesterov momentum requires a momentum and zero dampening"):
        optim.SGD([p], nesterov=True)
    with pytest.raises(TypeError, match=r"param_group must be a dict"):
        optim.SGD([p]).add_param_group([p])


def test_training_converges() -> None:
    mg.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 1))
    optimizer = optim.AdamW(net.parameters(), lr=0.05)
    x = mg.tensor([[0.0, 0], [0, 1], [1, 0], [1, 1]])
    y = mg.tensor([[0.0], [1], [1], [0]])
    for _ in range(60):
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(net(x), y)
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.01


def test_rprop_keeps_the_precision_of_its_factors() -> None:
    p = mg.nn.Parameter(mg.tensor([1.0], dtype=mg.float64))
    optimizer = mg.optim.Rprop([p], lr=0.01)
    for _ in range(2):
        p.grad = mg.tensor([1.0], dtype=mg.float64)
        optimizer.step()
    assert optimizer.state[p]["step_size"].item() == 0.01 * 1.2


def test_fused_asks_for_real_parameters() -> None:
    p = mg.nn.Parameter(mg.tensor([1.0 + 1.0j]))
    p.grad = mg.tensor([1.0 + 0.0j])
    with pytest.raises(RuntimeError, match="floating point Tensors, but one is complex64"):
        mg.optim.Adam([p], fused=True).step()


def test_sparse_adam_moves_a_number_and_refuses_complex_parameters() -> None:
    p = mg.ones((), requires_grad=True)
    p.grad = mg.ones(()).to_sparse()
    mg.optim.SparseAdam([p], lr=0.1).step()
    assert abs(p.item() - 0.9) < 1e-6
    with pytest.raises(ValueError, match=r"Complex params at indices \[\[0, 0\]\]"):
        mg.optim.SparseAdam([mg.ones(2, dtype=mg.complex64)])
