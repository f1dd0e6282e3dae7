"""Optimisers that look at a parameter as a matrix: Adafactor and Muon."""

from __future__ import annotations

import math
from typing import Any

from monograph.core.dtype import Info, bfloat16
from monograph.optim.adaptive import _Elementwise
from monograph.optim.single import SingleTensorOptimizer, keep_off_the_tape
from monograph.tensor import FUNCTIONS, Tensor, zeros, zeros_like
from monograph.tensor.dispatch import assign


def _check(complaint: str, value: Any, valid: bool) -> None:
    if isinstance(value, Tensor) and value.numel() != 1:
        raise ValueError(f"Tensor lr must be 1-element, got shape {list(value.shape)}")
    if not valid:
        raise ValueError(f"{complaint} but is: {value}")


class Adafactor(_Elementwise):
    """Adam with second moments kept as one row and one column of each matrix (Shazeer & Stern 2018)."""

    _decoupled = True

    def __init__(
        self, params: Any, lr: Any = 1e-2, beta2_decay: float = -0.8, eps: tuple[float | None, float] = (None, 1e-3), d: float = 1.0,
        weight_decay: float = 0.0, *, foreach: bool | None = None, maximize: bool = False,
    ) -> None:  # fmt: skip
        _check("Learning rate should be >= 0", lr, isinstance(lr, Tensor) or lr >= 0.0)
        _check("beta2_decay should be <= 0", beta2_decay, beta2_decay <= 0.0)
        _check("epsilon1 should be >= 0", eps[0], eps[0] is None or eps[0] >= 0.0)
        _check("epsilon2 should be >= 0", eps[1], eps[1] >= 0.0)
        _check("Clipping threshold d should be >= 1", d, d >= 1.0)
        _check("weight_decay should be >= 0", weight_decay, weight_decay >= 0.0)
        defaults = {
            "lr": lr, "beta2_decay": beta2_decay, "eps": eps, "d": d, "weight_decay": weight_decay, "foreach": foreach,
            "maximize": maximize,
        }  # fmt: skip
        super().__init__(params, defaults)

    def _make_state(self, group: Any, p: Tensor) -> dict[str, Any]:
        if p.dtype.kind == "c":
            raise RuntimeError("Adafactor does not support complex parameters")
        if p.ndim > 1:
            rows, columns = list(p.shape), list(p.shape)
            rows[-1] = columns[-2] = 1
            return {"row_var": zeros(rows, dtype=p.dtype), "col_var": zeros(columns, dtype=p.dtype)}
        return {"variance": zeros_like(p)}

    def _update(self, group: Any, p: Any, grad: Any, state: dict[str, Any], lr: Any, step: Any) -> Tensor:
        low, floor = group["eps"]
        low = Info(p.dtype).eps if low is None else low
        steps = step.double()
        size = (p.norm(2).double() / math.sqrt(p.numel())).clamp(min=floor)
        rate = size * FUNCTIONS["minimum"](lr.double(), steps**-0.5)
        weight = (steps ** group["beta2_decay"]).to(p.dtype)
        if group["weight_decay"]:
            p = p * (1 - lr * group["weight_decay"])
        if grad.ndim > 1:
            squares = grad * grad
            rows = assign(state["row_var"], state["row_var"].lerp(squares.mean(-1, keepdim=True), weight))
            columns = assign(state["col_var"], state["col_var"].lerp(squares.mean(-2, keepdim=True), weight))
            variance = (rows @ columns) / rows.mean(-2, keepdim=True).clamp(min=low)  # type: ignore[attr-defined, operator]
        else:
            variance = assign(state["variance"], state["variance"].lerp(grad * grad, weight))
        update = variance.clamp(min=low * low).rsqrt() * grad
        clipped = (update.norm(2).double() / (math.sqrt(update.numel()) * group["d"])).clamp(min=1.0)
        return p + update * (-rate / clipped)  # type: ignore[no-any-return]


NS_COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def orthogonalised(grad: Any, coefficients: tuple[float, float, float], steps: int, eps: float) -> Any:
    """A matrix with the singular vectors of `grad` and singular values near 1, by Newton-Schulz iteration in bfloat16."""
    a, b, c = coefficients
    tall = grad.shape[0] > grad.shape[1]
    x = grad.to(bfloat16)
    x = x.t() if tall else x
    x = x / x.norm().clamp(min=eps)
    for _ in range(steps):
        gram = x @ x.t()
        x = FUNCTIONS["addmm"](x, FUNCTIONS["addmm"](gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.t() if tall else x


class Muon(SingleTensorOptimizer):
    """Momentum whose update is made orthogonal (Jordan 2024), for parameters that are matrices."""

    def __init__(
        self, params: Any, lr: Any = 1e-3, weight_decay: float = 0.1, momentum: float = 0.95, nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = NS_COEFFICIENTS, eps: float = 1e-7, ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:  # fmt: skip
        _check("Learning rate should be >= 0", lr, isinstance(lr, Tensor) or lr >= 0.0)
        _check("momentum should be >= 0", momentum, momentum >= 0.0)
        _check("weight decay should be >= 0", weight_decay, weight_decay >= 0.0)
        if adjust_lr_fn not in (None, "original", "match_rms_adamw"):
            raise ValueError(f"Adjust learning rate function {adjust_lr_fn} is not supported")
        if ns_steps >= 100:
            raise ValueError("Number of steps must be less than 100 for computational efficiency")
        if len(ns_coefficients) != 3:
            raise ValueError("Coefficients must be a tuple of exactly 3 values")
        defaults = {
            "lr": lr, "weight_decay": weight_decay, "momentum": momentum, "nesterov": nesterov, "ns_coefficients": ns_coefficients,
            "eps": eps, "ns_steps": ns_steps, "adjust_lr_fn": adjust_lr_fn,
        }  # fmt: skip
        super().__init__(params, defaults)
        for group in self.param_groups:
            for p in group["params"]:
                if p.ndim != 2:
                    raise ValueError(f"Muon only supports 2D parameters whereas we found a parameter with size: {p.size()}")

    def _update_group(self, group: Any, params: list[Any], touched: list[Tensor]) -> None:
        lr, momentum = group.learning_rate(), group["momentum"]
        for p in params:
            if p.dtype.kind == "c":
                raise RuntimeError("Muon does not support complex parameters")
            state = self.state[p]
            if "momentum_buffer" not in state:
                state["momentum_buffer"] = zeros_like(p._grad)
                keep_off_the_tape(state)
            buffer = assign(state["momentum_buffer"], state["momentum_buffer"].lerp(p._grad, 1 - momentum))
            update = p._grad.lerp(buffer, momentum) if group["nesterov"] else buffer
            update = orthogonalised(update, group["ns_coefficients"], group["ns_steps"], group["eps"])
            rows, columns = p.shape
            ratio = 0.2 * math.sqrt(max(rows, columns)) if group["adjust_lr_fn"] == "match_rms_adamw" else math.sqrt(max(1, rows / columns))
            new = p.detach() * (1 - lr * group["weight_decay"]) + update * (lr * -ratio)
            assign(p, new.to(p.dtype))
            touched.extend((p, buffer))
