"""Every optimiser of torch's takes the same 20 steps; averages of models and the schedule that goes with them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import torch.optim.swa_utils

import monograph as mg
import monograph.optim.swa_utils

FRAMES = (torch, mg)

# name, keyword arguments, dtype
CASES: list[tuple[str, dict[str, Any], str]] = [
    ("SGD", {"lr": 0.1}, "float64"),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "dampening": 0.1, "weight_decay": 0.01, "maximize": True, "foreach": True}, "float64"),
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "fused": True}, "float32"),
    ("Adam", {"lr": 0.01, "amsgrad": True, "weight_decay": 0.1}, "float64"),
    ("AdamW", {"lr": 0.01, "weight_decay": 0.1, "maximize": True, "foreach": False}, "float32"),
    ("Adamax", {"lr": 0.01, "weight_decay": 0.1}, "float64"),
    ("NAdam", {"lr": 0.01, "decoupled_weight_decay": True, "weight_decay": 0.1}, "float64"),
    ("RAdam", {"lr": 0.01, "weight_decay": 0.1}, "float64"),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.1, "weight_decay": 0.1, "initial_accumulator_value": 0.1}, "float64"),
    ("Adadelta", {"lr": 1.0, "weight_decay": 0.1}, "float64"),
    ("RMSprop", {"lr": 0.01, "centered": True, "momentum": 0.9, "weight_decay": 0.1}, "float64"),
    ("ASGD", {"lr": 0.1, "t0": 5, "weight_decay": 0.01, "lambd": 0.01}, "float64"),
    ("ASGD", {"lr": 0.1, "t0": 1, "alpha": 0.5, "maximize": True}, "float32"),
    ("Rprop", {"lr": 0.01}, "float64"),
    ("Rprop", {"lr": 0.1, "etas": (0.3, 1.5), "step_sizes": (1e-3, 0.2), "maximize": True}, "float32"),
    ("Adafactor", {"lr": 0.1}, "float64"),
    ("Adafactor", {"lr": 0.1, "weight_decay": 0.1, "d": 2.0, "eps": (1e-5, 1e-2), "maximize": True}, "float32"),
]


def problem(dtype: str) -> tuple[list[np.ndarray], list[list[np.ndarray]]]:
    draw = np.random.default_rng(0)
    shapes = [(3, 4), (5,), ()]
    return [np.asarray(draw.standard_normal(s), dtype) for s in shapes], [
        [np.asarray(draw.standard_normal(s), dtype) for s in shapes] for _ in range(20)
    ]


def trained(t: Any, name: str, options: dict[str, Any], dtype: str) -> list[np.ndarray]:
    start, steps = problem(dtype)
    params = [t.nn.Parameter(t.tensor(p)) for p in start]
    optimizer = getattr(t.optim, name)(params, **options)
    for gradients in steps:
        for p, g in zip(params, gradients, strict=True):
            p.grad = t.tensor(g)
        optimizer.step()
    return [p.detach().numpy() for p in params]


@pytest.mark.parametrize(("name", "options", "dtype"), CASES, ids=[f"{n}-{i}" for i, (n, _, _) in enumerate(CASES)])
def test_twenty_steps(name: str, options: dict[str, Any], dtype: str) -> None:
    theirs, ours = (trained(t, name, options, dtype) for t in FRAMES)
    for a, b in zip(theirs, ours, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-6 if dtype == "float64" else 1e-4, atol=1e-9 if dtype == "float64" else 1e-6)


@pytest.mark.parametrize("options", [{}, {"nesterov": False, "adjust_lr_fn": "match_rms_adamw"}])
def test_muon(options: dict[str, Any]) -> None:
    """The iteration is in bfloat16, whose products are summed in another order."""
    found = []
    for t in FRAMES:
        draw = np.random.default_rng(0)
        params = [t.nn.Parameter(t.tensor(draw.standard_normal(s).astype("float32"))) for s in ((6, 4), (3, 8))]
        optimizer = t.optim.Muon(params, lr=0.05, **options)
        for _ in range(20):
            for p in params:
                p.grad = t.tensor(draw.standard_normal(tuple(p.shape)).astype("float32"))
            optimizer.step()
        found.append([p.detach().numpy() for p in params])
    for a, b in zip(*found, strict=True):
        np.testing.assert_allclose(b, a, atol=0.02)
    for t in FRAMES:
        with pytest.raises(ValueError, match="only supports 2D parameters"):
            t.optim.Muon([t.nn.Parameter(t.ones(3))])


@pytest.mark.filterwarnings("ignore:Sparse invariant checks")
@pytest.mark.parametrize("maximize", [False, True])
def test_sparse_adam(maximize: bool) -> None:
    found = []
    for t in FRAMES:
        draw = np.random.default_rng(0)
        p = t.nn.Parameter(t.tensor(draw.standard_normal((6, 2))))
        optimizer = t.optim.SparseAdam([p], lr=0.1, maximize=maximize)
        for _ in range(20):
            rows = draw.integers(0, 6, (1, 4))
            p.grad = t.sparse_coo_tensor(t.tensor(rows), t.tensor(draw.standard_normal((4, 2))), (6, 2))
            optimizer.step()
        found.append(p.detach().numpy())
        p.grad = None
        p.grad = t.ones(6, 2, dtype=t.float64)
        with pytest.raises(RuntimeError, match="does not support dense gradients"):
            optimizer.step()
    np.testing.assert_allclose(found[1], found[0], rtol=1e-10)


@pytest.mark.filterwarnings("ignore:Converting a tensor with requires_grad")
@pytest.mark.parametrize(
    "options",
    [
        {}, {"lr": 0.3, "history_size": 3}, {"line_search_fn": "strong_wolfe"},
        {"line_search_fn": "strong_wolfe", "max_iter": 4, "history_size": 2}, {"max_iter": 4, "lr": 0.5},
    ],
)  # fmt: skip
def test_lbfgs(options: dict[str, Any]) -> None:
    """Rosenbrock's function, in two parameters of different shapes."""
    found = []
    for t in FRAMES:
        a, b = t.nn.Parameter(t.tensor([-1.2, 0.7], dtype=t.float64)), t.nn.Parameter(t.tensor([[1.0], [0.3]], dtype=t.float64))
        optimizer = t.optim.LBFGS([a, b], **{"lr": 0.01 if "line_search_fn" not in options else 1.0, **options})
        losses: list[float] = []

        def closure(a: Any = a, b: Any = b, optimizer: Any = optimizer) -> Any:
            optimizer.zero_grad()
            loss = (100 * (b.reshape(-1) - a**2) ** 2 + (1 - a) ** 2).sum() * 0.01
            loss.backward()
            return loss

        for _ in range(6):
            losses.append(float(optimizer.step(closure)))
        state = optimizer.state[a]
        found.append((losses, a.detach().numpy(), state["func_evals"], state["n_iter"]))
    np.testing.assert_allclose(found[1][0], found[0][0], rtol=1e-3, atol=1e-9)
    np.testing.assert_allclose(found[1][1], found[0][1], rtol=1e-3)
    assert found[1][2:] == found[0][2:]


def _model(t: Any) -> Any:
    draw = np.random.default_rng(0)
    model = t.nn.Sequential(t.nn.Linear(3, 4), t.nn.BatchNorm1d(4), t.nn.Linear(4, 1))
    with t.no_grad():
        for p in model.parameters():
            p.copy_(t.tensor(draw.standard_normal(tuple(p.shape)).astype("float32")))
    return model


@pytest.mark.parametrize("kind", ["swa", "ema", "ema_one", "buffers"])
def test_averaged_models(kind: str) -> None:
    found = []
    for t in FRAMES:
        swa = t.optim.swa_utils
        options = {
            "swa": {}, "ema": {"multi_avg_fn": swa.get_ema_multi_avg_fn(0.9)}, "ema_one": {"avg_fn": swa.get_ema_avg_fn(0.9)},
            "buffers": {"use_buffers": True},
        }[kind]  # fmt: skip
        model = _model(t)
        averaged = swa.AveragedModel(model, **options)
        optimizer = t.optim.SGD(model.parameters(), lr=0.1)
        schedule = swa.SWALR(optimizer, swa_lr=0.02, anneal_epochs=4, anneal_strategy="linear" if kind == "ema" else "cos")
        rates = []
        batches = [t.tensor(np.random.default_rng(i).standard_normal((5, 3)).astype("float32")) for i in range(6)]
        for x in batches:
            optimizer.zero_grad()
            model(x).pow(2).mean().backward()
            optimizer.step()
            averaged.update_parameters(model)
            schedule.step()
            rates.append(optimizer.param_groups[0]["lr"])
        swa.update_bn(batches, averaged)
        found.append((rates, averaged.eval()(batches[0]).detach().numpy(), list(averaged.state_dict()), int(averaged.n_averaged)))
    np.testing.assert_allclose(found[1][0], found[0][0], rtol=1e-12)
    np.testing.assert_allclose(found[1][1], found[0][1], rtol=1e-4, atol=1e-5)
    assert found[1][2:] == found[0][2:]


def test_hooks_run_in_torchs_order() -> None:
    found = []
    for t in FRAMES:
        seen: list[Any] = []
        p = t.nn.Parameter(t.ones(2))
        optimizer = t.optim.Adam([p], lr=0.1)
        optimizer.register_step_pre_hook(lambda o, args, kwargs, seen=seen: seen.append("pre"))
        optimizer.register_step_post_hook(lambda o, args, kwargs, seen=seen: seen.append("post"))
        optimizer.register_state_dict_pre_hook(lambda o, seen=seen: seen.append("saving"))
        optimizer.register_state_dict_post_hook(lambda o, state, seen=seen: seen.append(sorted(state)))
        optimizer.register_load_state_dict_pre_hook(lambda o, state, seen=seen: seen.append("loading"))
        optimizer.register_load_state_dict_post_hook(lambda o, seen=seen: seen.append("loaded"))
        p.grad = t.ones(2)
        optimizer.step()
        optimizer.load_state_dict(optimizer.state_dict())
        optimizer.add_param_group({"params": [t.nn.Parameter(t.ones(1))], "lr": 0.5})
        found.append((seen, [sorted(k for k in g if k not in ("decoupled_weight_decay",)) for g in optimizer.param_groups]))
    assert found[0] == found[1]
