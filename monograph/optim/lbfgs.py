"""L-BFGS: a quasi-Newton method over all parameters as one vector, with an optional line search under the strong Wolfe conditions."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from monograph.core.modes import enable_grad, no_grad
from monograph.optim.optimizer import Optimizer, check_range
from monograph.tensor import FUNCTIONS, Tensor
from monograph.tensor.dispatch import assign


class LBFGS(Optimizer):
    """Limited-memory BFGS. `step(closure)` needs a closure that clears the gradients, computes the loss, calls backward and returns it; it
    may call it many times. One parameter group only.
    """

    def __init__(
        self, params: Any, lr: Any = 1, max_iter: int = 20, max_eval: int | None = None, tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9, history_size: int = 100, line_search_fn: str | None = None,
    ) -> None:  # fmt: skip
        check_range("learning rate", lr, isinstance(lr, Tensor) or lr >= 0.0)
        defaults = {
            "lr": lr, "max_iter": max_iter, "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad, "tolerance_change": tolerance_change, "history_size": history_size,
            "line_search_fn": line_search_fn,
        }  # fmt: skip
        super().__init__(params, defaults)
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")
        self._params = self.param_groups[0]["params"]

    # ---- parameters as one vector ----
    def _flat_gradient(self) -> Any:
        parts: list[Any] = []
        for p in self._params:
            g: Any = FUNCTIONS["zeros_like"](p) if p.grad is None else p.grad.to_dense()
            g = g.detach()
            parts.append((FUNCTIONS["view_as_real"](g) if g.dtype.kind == "c" else g).reshape(-1))
        return FUNCTIONS["cat"](parts)

    def _move(self, rate: float, direction: Any) -> None:
        """Adds rate * direction to the parameters."""
        at = 0
        for p in self._params:
            is_complex = p.dtype.kind == "c"
            n = p.numel() * (2 if is_complex else 1)
            part = direction[at : at + n] * rate
            part = FUNCTIONS["view_as_complex"](part.reshape(*p.shape, 2)) if is_complex else part.reshape(p.shape)
            assign(p, (p.detach() + part).to(p.dtype))
            at += n

    def _evaluate(self, closure: Callable[[], Any]) -> tuple[float, Any]:
        with enable_grad():
            loss = float(closure())
        return loss, self._flat_gradient()

    def _probe(self, closure: Callable[[], Any], start: list[Any], direction: Any, rate: float) -> tuple[float, Any]:
        """Loss and gradient at start + rate * direction; the parameters return to the start."""
        self._move(rate, direction)
        found = self._evaluate(closure)
        for p, value in zip(self._params, start, strict=True):
            assign(p, value)
        return found

    # ---- the step ----
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Up to max_iter iterations. Returns the loss before the first."""
        if closure is None:
            raise TypeError("LBFGS.step() needs a closure that evaluates the model and returns the loss")
        group = self.param_groups[0]
        if group["line_search_fn"] not in (None, "strong_wolfe"):
            raise RuntimeError("only 'strong_wolfe' is supported")
        with no_grad():
            return self._step(closure, group)

    def _step(self, closure: Callable[[], Any], group: Any) -> Any:
        lr, change = group["lr"], group["tolerance_change"]
        if isinstance(lr, Tensor):
            lr = float(lr)
        state = self.state[self._params[0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)
        with enable_grad():
            first = closure()
        loss, gradient = float(first), self._flat_gradient()
        evaluations = 1
        state["func_evals"] += 1
        if _largest(gradient) <= group["tolerance_grad"]:
            return first
        for iteration in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            direction = self._direction(state, gradient, group["history_size"])
            state["prev_flat_grad"], state["prev_loss"] = gradient, loss
            state["d"] = direction
            rate = min(1.0, 1.0 / float(gradient.abs().sum())) * lr if state["n_iter"] == 1 else lr
            state["t"] = rate
            slope = float(gradient.dot(direction))
            if slope > -change:
                break
            before, calls = loss, 0
            if group["line_search_fn"] is not None:
                start = [p.detach().clone() for p in self._params]
                search = WolfeSearch(functools.partial(self._probe, closure, start, direction), direction, loss, gradient, slope)
                loss, gradient, rate, calls = search.run(rate, group["max_eval"] - evaluations)
                self._move(rate, direction)
            else:
                self._move(rate, direction)
                if iteration != group["max_iter"]:
                    (loss, gradient), calls = self._evaluate(closure), 1
            state["t"] = rate
            evaluations += calls
            state["func_evals"] += calls
            if (
                iteration == group["max_iter"]
                or evaluations >= group["max_eval"]
                or _largest(gradient) <= group["tolerance_grad"]
                or _largest(direction * rate) <= change
                or abs(loss - before) < change
            ):
                break
        return first

    @staticmethod
    def _direction(state: dict[str, Any], gradient: Any, history: int) -> Any:
        """Minus the gradient times the approximate inverse Hessian, which learns from the last step first."""
        if state["n_iter"] == 1:
            state.update(old_dirs=[], old_stps=[], ro=[], H_diag=1.0)
            return -gradient
        y, s = gradient - state["prev_flat_grad"], state["d"] * state["t"]
        curvature = y.dot(s)
        if float(curvature) > 1e-10:
            for name, value in (("old_dirs", y), ("old_stps", s), ("ro", 1.0 / curvature)):
                if len(state[name]) == history:
                    state[name].pop(0)
                state[name].append(value)
            state["H_diag"] = curvature / y.dot(y)
        known = list(zip(state["old_dirs"], state["old_stps"], state["ro"], strict=True))
        q, weights = -gradient, []
        for change, moved, ro in reversed(known):
            weights.append(moved.dot(q) * ro)
            q = q - change * weights[-1]
        state.setdefault("al", [None] * history)[: len(weights)] = reversed(weights)
        r = q * state["H_diag"]
        for (change, moved, ro), weight in zip(known, reversed(weights), strict=True):
            r = r + moved * (weight - change.dot(r) * ro)
        return r


def _largest(x: Any) -> float:
    return float(x.abs().max())


@dataclass
class _Point:
    """A step length with the loss, the gradient and the slope along the direction there."""

    rate: float
    loss: float
    gradient: Any
    slope: float


@dataclass
class WolfeSearch:
    """A step length that satisfies the strong Wolfe conditions, by bracketing and cubic interpolation (Nocedal & Wright, chapter 3)."""

    probe: Callable[[float], tuple[float, Any]]
    direction: Any
    loss: float
    gradient: Any
    slope: float
    c1: float = 1e-4
    c2: float = 0.9
    tolerance: float = 1e-9
    calls: int = field(default=0)

    def _at(self, rate: float) -> _Point:
        self.calls += 1
        loss, gradient = self.probe(rate)
        return _Point(rate, loss, gradient, float(gradient.dot(self.direction)))

    def run(self, rate: float, limit: int) -> tuple[float, Any, float, int]:
        """(loss, gradient, rate, evaluations) after at most about `limit` evaluations."""
        start = _Point(0.0, self.loss, self.gradient, self.slope)
        low, high, done, rounds = self._bracket(start, rate, limit)
        if not done:
            low = self._zoom(low, high, rounds, limit)
        return low.loss, low.gradient, low.rate, self.calls

    def _too_high(self, point: _Point) -> bool:
        return point.loss > self.loss + self.c1 * point.rate * self.slope

    def _flat(self, point: _Point) -> bool:
        return abs(point.slope) <= -self.c2 * self.slope

    def _bracket(self, start: _Point, rate: float, limit: int) -> tuple[_Point, _Point, bool, int]:
        """Two points with a good one between them, or a good one."""
        before, point = start, self._at(rate)
        for rounds in range(max(limit, 0)):
            if self._too_high(point) or (rounds > 1 and point.loss >= before.loss):
                return before, point, False, rounds
            if self._flat(point):
                return point, point, True, rounds
            if point.slope >= 0:
                return before, point, False, rounds
            nearest, farthest = point.rate + 0.01 * (point.rate - before.rate), point.rate * 10
            before, point = point, self._at(_cubic(before, point, nearest, farthest))
        return start, point, False, max(limit, 0)

    def _zoom(self, a: _Point, b: _Point, rounds: int, limit: int) -> _Point:
        """The best point found while the bracket shrinks."""
        low, high = (a, b) if a.loss <= b.loss else (b, a)
        width = _largest(self.direction)
        stuck = False
        while rounds < limit and abs(high.rate - low.rate) * width >= self.tolerance:
            left, right = min(low.rate, high.rate), max(low.rate, high.rate)
            rate = _cubic(a, b, left, right)
            margin = 0.1 * (right - left)
            if min(right - rate, rate - left) < margin:  # too near to an end: tolerated once
                if stuck or rate >= right or rate <= left:
                    rate = right - margin if abs(rate - right) < abs(rate - left) else left + margin
                    stuck = False
                else:
                    stuck = True
            else:
                stuck = False
            point = self._at(rate)
            rounds += 1
            if self._too_high(point) or point.loss >= low.loss:
                a, b = (low, point) if a is low else (point, low)
                low, high = (low, point) if low.loss <= point.loss else (point, low)
                continue
            if self._flat(point):
                return point
            other = high
            if point.slope * (high.rate - low.rate) >= 0:
                other = low
            a, b = (point, other) if a is low else (other, point)
            low, high = point, other
        return low


def _cubic(a: _Point, b: _Point, left: float, right: float) -> float:
    """The minimum of the cubic through two points with their slopes, within [left, right]; the middle if there is none."""
    if a.rate == b.rate:
        return (left + right) / 2
    d1 = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.rate - b.rate)
    square = d1 * d1 - a.slope * b.slope
    if not square >= 0:
        return (left + right) / 2
    d2 = math.sqrt(square)
    first, second = (a, b) if a.rate <= b.rate else (b, a)
    denominator = second.slope - first.slope + 2 * d2
    if denominator == 0:
        return (left + right) / 2
    best = second.rate - (second.rate - first.rate) * ((second.slope + d2 - d1) / denominator)
    return min(max(best, left), right)
