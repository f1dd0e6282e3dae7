"""`python -m parity.sampled.optimizers`: every optimiser with the settings of PyTorch's own list, and every schedule, step by step.

PyTorch's OptimizerInfo says with which arguments its tests build an optimiser, which schedules they put on top, and which arguments are
wrong. Compared after each of five steps on the same problem: the loss returned, all parameters, the state that was saved (its keys, dtypes,
shapes and values) and the settings of the groups; and a run that goes on from a saved state.
"""

from __future__ import annotations

import argparse
import collections
import copy
import functools
import re
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch.testing._internal.common_optimizers import OptimizerErrorEnum, _get_optim_inputs_including_global_cliquey_kwargs, optim_db

import monograph as mg
from parity.sampled.outcomes import Raised, attempt, disagreement, plain
from parity.sampled.twins import ours, to_ours

DTYPES = ("float32", "float64", "bfloat16", "complex64")
STEPS = 5
TOLERANCE = {"float32": (1e-5, 1e-6), "float64": (1e-9, 1e-9), "bfloat16": (2e-2, 2e-2), "complex64": (1e-5, 1e-6)}
DERIVATIVES = (1e-5, 1e-8)  # torch's bias corrections are computed in float32 then
LOOSE = {"LBFGS": (1e-3, 1e-4), "Muon": (2e-2, 2e-2)}  # a search that branches on the loss; an iteration in bfloat16
KNOWN = {  # "optimiser settings what" (a regular expression, full match): why it differs
    "LBFGS complex64 .* state": "the last weights are differences of nearly equal numbers, so their digits are noise in float32",
    "LBFGS .*Tensor lr state": "the length of the last step is a number in the state here, also where the learning rate is a tensor",
}
FRAMES = (torch, mg)

SCHEDULES: tuple[tuple[str, dict[str, Any]], ...] = (
    ("StepLR", {"step_size": 3, "gamma": 0.5}), ("MultiStepLR", {"milestones": [2, 2, 5], "gamma": 0.1}),
    ("ConstantLR", {"factor": 0.25, "total_iters": 4}), ("LinearLR", {"start_factor": 0.1, "end_factor": 0.9, "total_iters": 6}),
    ("ExponentialLR", {"gamma": 0.8}), ("CosineAnnealingLR", {"T_max": 4, "eta_min": 0.01}),
    ("PolynomialLR", {"total_iters": 5, "power": 2.0}),
    ("CosineAnnealingWarmRestarts", {"T_0": 3, "T_mult": 2, "eta_min": 0.001}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.2, "step_size_up": 3}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.2, "step_size_up": 2, "step_size_down": 4, "mode": "triangular2"}),
    ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.2, "step_size_up": 3, "mode": "exp_range", "gamma": 0.9, "cycle_momentum": False}),
    ("OneCycleLR", {"max_lr": 0.3, "total_steps": 13}), ("OneCycleLR", {"max_lr": [0.3, 0.1], "epochs": 4, "steps_per_epoch": 4}),
    ("OneCycleLR", {"max_lr": 0.3, "total_steps": 20, "three_phase": True, "anneal_strategy": "linear", "pct_start": 0.2}),
    ("LambdaLR", {"lr_lambda": lambda k: 0.9**k}), ("LambdaLR", {"lr_lambda": [lambda k: 1 / (k + 1), lambda k: k + 1]}),
    ("MultiplicativeLR", {"lr_lambda": lambda k: 0.95}), ("ReduceLROnPlateau", {"patience": 1, "factor": 0.5, "cooldown": 1}),
    ("ReduceLROnPlateau", {"patience": 0, "mode": "max", "threshold_mode": "abs", "threshold": 0.1, "min_lr": 0.02}),
)  # fmt: skip
WRONG: tuple[tuple[str, dict[str, Any]], ...] = (
    ("CosineAnnealingWarmRestarts", {"T_0": 0}), ("CosineAnnealingWarmRestarts", {"T_0": 3, "T_mult": 0}), ("ConstantLR", {"factor": 2.0}),
    ("LinearLR", {"start_factor": 0.0}), ("LinearLR", {"end_factor": 1.5}), ("CyclicLR", {"base_lr": 0.1, "max_lr": 0.2, "mode": "up"}),
    ("OneCycleLR", {"max_lr": 0.1}), ("OneCycleLR", {"max_lr": 0.1, "total_steps": -1}), ("LambdaLR", {"lr_lambda": [lambda k: 1]}),
    ("OneCycleLR", {"max_lr": 0.1, "total_steps": 5, "pct_start": 2.0}),
    ("OneCycleLR", {"max_lr": 0.1, "total_steps": 5, "anneal_strategy": "x"}),
    ("ReduceLROnPlateau", {"factor": 1.0}), ("ReduceLROnPlateau", {"mode": "least"}), ("ReduceLROnPlateau", {"threshold_mode": "x"}),
    ("StepLR", {"step_size": 3, "last_epoch": 2}), ("StepLR", {}), ("CyclicLR", {"base_lr": [0.1], "max_lr": 0.2}),
)  # fmt: skip


def _start(dtype: str, matrices: bool) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    shapes: list[tuple[int, ...]] = [(6, 4), (3, 5)] if matrices else [(3, 4), (5,), ()]
    drawn = torch.complex64 if dtype.startswith("complex") else torch.float64
    return [torch.randn(s, generator=generator, dtype=drawn).to(getattr(torch, dtype)) for s in shapes]


def _plain_tree(tree: Any) -> Any:
    if isinstance(tree, dict):
        return {k: _plain_tree(v) for k, v in tree.items()}
    return tuple(map(_plain_tree, tree)) if isinstance(tree, (list, tuple)) else plain(tree)


def _items(tree: Any, path: str = "") -> dict[str, Any]:
    """A nested state as path -> value."""
    if not isinstance(tree, dict):
        return {path: tree}
    return {k: v for key, value in tree.items() for k, v in _items(value, f"{path}.{key}").items()}


def _same_tree(theirs: Any, mine: Any, tolerance: tuple[float, float]) -> str:
    a, b = _items(theirs), _items(mine)
    if set(a) != set(b):
        return f"keys: only torch {sorted(set(a) - set(b))}; only monograph {sorted(set(b) - set(a))}"
    return next((f"{k}: {d}" for k in a if (d := disagreement(a[k], b[k], tolerance))), "")


class Run:
    """One frame's side of a training run."""

    def __init__(self, frame: Any, info: Any, kwargs: dict[str, Any], dtype: str, schedules: Any = ()) -> None:
        self.frame, self.info, self.kwargs = frame, info, kwargs
        start = _start(dtype, info.name == "Muon")
        convert = (lambda t: t.clone()) if frame is torch else to_ours
        self.targets = [convert(p * 0.5 + 1) for p in start]
        self.params = [convert(p).requires_grad_() for p in start]
        self.optimizer = self.build(self.params)
        self.schedulers = [(make if frame is torch else ours(make))(self.optimizer) for make in schedules]

    def build(self, params: Any) -> Any:
        kwargs = {k: v if self.frame is torch else to_ours(v) for k, v in copy.deepcopy(self.kwargs).items()}
        return getattr(self.frame.optim, self.info.name)(params, **kwargs)

    def closure(self) -> Any:
        with self.frame.enable_grad():
            self.optimizer.zero_grad()
            loss = sum((k + 1) * ((p - t).abs() ** 2).sum() for k, (p, t) in enumerate(zip(self.params, self.targets, strict=True)))
            loss.backward()
            if self.info.only_supports_sparse_grads:
                for p in self.params:
                    p.grad = p.grad.to_sparse()
        return loss

    def step(self) -> tuple[Any, Any, Any, Any]:
        loss = self.optimizer.step(self.closure)
        for scheduler in self.schedulers:
            scheduler.step(*([float(loss)] if type(scheduler).__name__ == "ReduceLROnPlateau" else []))
        saved = self.optimizer.state_dict()
        return plain(loss), tuple(map(plain, self.params)), _plain_tree(saved["state"]), [_plain_tree(g) for g in saved["param_groups"]]

    def again(self) -> Any:
        """A step of a new optimiser that was given the saved state."""
        saved = copy.deepcopy(self.optimizer.state_dict())
        self.optimizer = self.build(self.params)
        self.optimizer.load_state_dict(saved)
        self.schedulers = []
        return self.step()[1]


def _compared(info: Any, kwargs: dict[str, Any], dtype: str, schedules: Any = ()) -> Iterator[tuple[str, str]]:
    runs = [attempt(lambda frame=frame: Run(frame, info, kwargs, dtype, schedules) and None) for frame in FRAMES]
    yield "constructor", disagreement(runs[0][1], runs[1][1])
    if any(isinstance(found, Raised) for _, found in runs):
        return
    theirs, mine = (Run(frame, info, kwargs, dtype, schedules) for frame in FRAMES)
    tolerance = LOOSE.get(info.name, TOLERANCE[dtype])
    yield "repr", "" if repr(theirs.optimizer) == repr(mine.optimizer) else f"torch {theirs.optimizer!r}; monograph {mine.optimizer!r}"
    for _ in range(STEPS):
        expected, got = _raised_or(theirs.step), _raised_or(mine.step)
        if isinstance(expected, Raised) or isinstance(got, Raised):
            yield "step", disagreement(expected, got)
            return
        yield "loss", disagreement(expected[0], got[0], tolerance)
        yield "parameters", disagreement(expected[1], got[1], tolerance)
        yield "state", _same_tree(expected[2], got[2], tolerance)
        for a, b in zip(expected[3], got[3], strict=True):
            yield "groups", _same_tree(a, b, tolerance)
    yield "resumed", disagreement(_raised_or(theirs.again), _raised_or(mine.again), tolerance)


def _through_steps(frame: Any, info: Any, kwargs: dict[str, Any]) -> Any:
    """The gradients of a parameter after three steps with respect to where it started and to the gradients that it was given."""
    start = _start("float64", False)[0]
    given = [start, *(start.roll(k, 0) * k - 0.5 for k in (1, 2, 3))]
    leaves = [(t.clone() if frame is torch else to_ours(t)).requires_grad_() for t in given]
    p = leaves[0] * 1
    run = Run.__new__(Run)
    run.frame, run.info, run.kwargs = frame, info, kwargs
    optimizer = run.build([p])
    for g in leaves[1:]:
        p.grad = g
        optimizer.step()
    seed = (start if frame is torch else to_ours(start)) + 1
    found = frame.autograd.grad((p * seed).sum(), leaves, allow_unused=True)
    return tuple(frame.zeros_like(x) if g is None else g for g, x in zip(found, leaves, strict=True))


def _raised_or(call: Callable[[], Any]) -> Any:
    try:
        return call()
    except Exception as error:
        return Raised(type(error), str(error))


def _wrong(info: Any) -> Iterator[tuple[str, str]]:
    for case in info.optim_error_inputs_func(device="cpu", dtype=torch.float32):
        given = case.optimizer_error_input
        outcomes = []
        for frame in FRAMES:
            params, kwargs = _copied(given.params), given.kwargs
            if frame is mg:
                params, kwargs = _with_gradients(params, {}), {k: to_ours(v) for k, v in kwargs.items()}

            def call(frame: Any = frame, params: Any = params, kwargs: Any = kwargs, case: Any = case) -> None:
                made = getattr(frame.optim, info.name)(params, **kwargs)
                if case.error_on is OptimizerErrorEnum.STEP_ERROR:
                    made.step()

            outcomes.append(attempt(call)[1])
        found = disagreement(*outcomes)
        yield "error", found and f"{given.desc}: {found}"


def _carried(tensor: torch.Tensor) -> Any:
    return to_ours(tensor.to_dense()).to_sparse() if tensor.layout is torch.sparse_coo else to_ours(tensor)


def _copied(params: Any) -> Any:
    """The same tensors in containers of their own: torch writes into the groups it is given."""
    if isinstance(params, dict):
        return {k: _copied(v) for k, v in params.items()}
    return type(params)(map(_copied, params)) if isinstance(params, (list, tuple)) else params


def _with_gradients(params: Any, made: dict[int, Any]) -> Any:
    """Nested parameters with their gradients, one twin for one tensor (which `made` remembers)."""
    if isinstance(params, torch.Tensor):
        if id(params) not in made:
            made[id(params)] = _carried(params)
            if params.grad is not None:
                made[id(params)].grad = _carried(params.grad)
        return made[id(params)]
    if isinstance(params, dict):
        return {k: _with_gradients(v, made) for k, v in params.items()}
    return type(params)(_with_gradients(p, made) for p in params) if isinstance(params, (list, tuple)) else to_ours(params)


def _scheduled(frame: Any, name: str, options: dict[str, Any]) -> Any:
    """Learning rates and momenta over 12 steps, the state, and the rates of a schedule that goes on from that state."""
    params = [frame.nn.Parameter(frame.zeros(2)), frame.nn.Parameter(frame.zeros(3))]
    options = {k: copy.copy(v) for k, v in options.items()}

    def make() -> tuple[Any, Any]:
        optimizer = frame.optim.SGD([{"params": params[:1]}, {"params": params[1:], "lr": 0.05}], lr=0.1, momentum=0.9)
        return optimizer, getattr(frame.optim.lr_scheduler, name)(optimizer, **options)

    def walked(optimizer: Any, scheduler: Any, steps: range) -> list[Any]:
        seen = []
        for k in steps:
            optimizer.step()
            scheduler.step(*([[1.0, 0.9, 0.95, 0.95, 0.9][k % 5]] if name == "ReduceLROnPlateau" else []))
            seen.append(tuple(float(g[key]) for g in optimizer.param_groups for key in ("lr", "momentum")))
            seen.append(tuple(map(float, scheduler.get_last_lr())))
        return seen

    optimizer, scheduler = make()
    first = walked(optimizer, scheduler, range(6))
    saved = scheduler.state_dict()
    keys = tuple(sorted(saved))  # before torch takes some out of it, loading it
    state = {k: v for k, v in saved.items() if isinstance(v, (int, float, str, bool, list, tuple)) and not callable(v)}
    held = optimizer.state_dict()
    optimizer, scheduler = make()
    optimizer.load_state_dict(held)
    scheduler.load_state_dict(saved)
    return tuple(first), keys, _plain_tree(state), tuple(walked(optimizer, scheduler, range(6, 12)))


def results(only: str = "", dtypes: tuple[str, ...] = DTYPES) -> Iterator[tuple[str, str, str, str]]:
    """(optimiser or schedule, its settings, what, verdict); an empty verdict agrees."""
    for info in optim_db:
        if not re.search(only, info.name):
            continue
        for dtype in dtypes:
            if dtype.startswith("complex") and not info.supports_complex:
                continue
            for case in _get_optim_inputs_including_global_cliquey_kwargs("cpu", getattr(torch, dtype), info):
                if dtype == "float64" and case.kwargs.get("differentiable"):
                    found = [attempt(functools.partial(_through_steps, frame, info, case.kwargs))[1] for frame in FRAMES]
                    if not isinstance(found[0], Raised):  # some of torch's own write over what they need
                        yield info.name, f"{dtype} {case.desc}", "derivatives", disagreement(*found, DERIVATIVES)
                for what, verdict in _compared(info, case.kwargs, dtype):
                    yield info.name, f"{dtype} {case.desc}", what, verdict
        for number, schedules in enumerate(info.scheduler_inputs or ()):
            for what, verdict in _compared(info, {"lr": 0.1}, "float64", schedules):
                yield info.name, f"schedule {number}", what, verdict
        for what, verdict in _wrong(info):
            yield info.name, "", what, verdict
    for name, options in (*SCHEDULES, *WRONG):
        if re.search(only, name):
            found = [attempt(functools.partial(_scheduled, frame, name, options))[1] for frame in FRAMES]
            yield name, str(options), "schedule", disagreement(*found, (1e-9, 1e-12))


def known(name: str, settings: str, what: str) -> bool:
    return any(re.fullmatch(pattern, f"{name} {settings} {what}") for pattern in KNOWN)


def main() -> None:
    parser = argparse.ArgumentParser(prog="parity.sampled.optimizers", description=__doc__)
    parser.add_argument("--only", default="", help="regular expression: optimisers and schedules whose name it matches (search)")
    parser.add_argument("--dtypes", default=",".join(DTYPES))
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    count: collections.Counter[str] = collections.Counter()
    seen: set[tuple[str, str]] = set()
    for name, settings, what, verdict in results(options.only, tuple(options.dtypes.split(","))):
        kind = "agree" if not verdict else "known" if known(name, settings, what) else "wrong"
        count[kind] += 1
        if kind == "wrong" and (options.verbose or (name, what) not in seen):
            print(f"{name} ({settings}) {what}: {verdict[:400]}", flush=True)
            seen.add((name, what))
    total = sum(count.values())
    print(f"{100 * count['agree'] / max(1, total):.2f} % of {total} agree; {count['known']} known, {count['wrong']} wrong")


if __name__ == "__main__":
    main()
