"""Random programs over state, views, twins, gradients, random numbers and branches: compiled = uncompiled, call after call, bit for bit."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

import monograph as mg
from tests.engine.twice import assert_same, floats, plain

Op = tuple[str, int, int, float]
OPS = (
    "add mul view_write in_place copy detached branch relu tanh row random gradient matmul setitem data output held twin"
).split()  # fmt: skip


def _script(seed: int) -> list[Op]:
    r = random.Random(seed)
    return [(r.choice(OPS), r.randint(0, 9), r.randint(0, 9), r.random()) for _ in range(r.randint(3, 14))]


def _program(seed: int) -> tuple[Callable[[Any], Any], Callable[[], list[Any]]]:
    script = _script(seed)
    state = [mg.tensor(floats(3, 4, seed=seed + 1000 * i)) for i in range(1 + seed % 3)]
    w = mg.tensor(floats(3, 4, seed=seed + 7), requires_grad=True)
    held = state[0][1:]

    def program(x: Any) -> Any:
        values = [x * 1, *state]
        outputs = []
        for op, i, j, p in script:
            a, b = values[i % len(values)], values[j % len(values)]
            if op == "gradient":
                (w * a.detach()).sum().backward()
                with mg.no_grad():
                    w.sub_(w.grad * 0.1)
                if p < 0.5:
                    w.grad = None
            elif op == "output":
                outputs.append(a)
            elif op == "branch":
                values.append(a - 1 if a.sum() > 0 else a + 1)
            elif op in _WRITES:
                with mg.no_grad():
                    _WRITES[op](a, b, p)
            elif op == "held":
                held.add_(p)
            else:
                values.append(_VALUES[op](a, b, p))
        return outputs, values[-1]

    return program, lambda: [*state, w, held, *([w.grad] if w.grad is not None else [])]


def _set_columns(a: Any, b: Any, p: float) -> None:
    a[:, 1:3] = p


_WRITES: dict[str, Callable[[Any, Any, float], Any]] = {
    "view_write": lambda a, b, p: a[1].add_(p),
    "in_place": lambda a, b, p: a.mul_(0.5).add_(b.detach() * 0.1),
    "copy": lambda a, b, p: a.copy_(b.detach()),
    "detached": lambda a, b, p: a.detach().add_(p),
    "setitem": _set_columns,
    "data": lambda a, b, p: a.data.mul_(0.9),
}
_VALUES: dict[str, Callable[[Any, Any, float], Any]] = {
    "add": lambda a, b, p: a + b * p,
    "mul": lambda a, b, p: a * b,
    "relu": lambda a, b, p: mg.relu(a),
    "tanh": lambda a, b, p: mg.tanh(a),
    "row": lambda a, b, p: a[0] + b,
    "random": lambda a, b, p: a + mg.rand(3, 4),
    "matmul": lambda a, b, p: a @ b.T @ b * 0.1,
    "twin": lambda a, b, p: a.detach(),
}


def _history(seed: int, compiled: bool) -> list[Any]:
    mg.manual_seed(seed)
    program, state = _program(seed)
    f = mg.compile(program) if compiled else program
    history: list[Any] = []
    for i in range(5):
        try:
            outputs, last = f(mg.tensor(floats(3, 4, seed=i)))
        except RuntimeError as error:  # a value needed for a gradient was overwritten: in both runs, in the same words
            history.append(str(error))
            break
        history.append(plain([outputs, last, state()]))
        history.append([t._version for t in state()])
        if i == 2:  # what a call returned may share memory with its state: writes must be seen alike
            with mg.no_grad():
                for t in outputs:
                    if not t.requires_grad:
                        t.add_(1)
            history.append(plain(state()))
    return history


@pytest.mark.parametrize("block", range(6))
def test_random_programs(block: int, target: str) -> None:
    for seed in range(block * 20, block * 20 + (20 if target == "reference" else 3)):
        assert_same(_history(seed, False), _history(seed, True))
