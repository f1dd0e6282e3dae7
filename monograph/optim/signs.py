"""ASGD, which averages its iterates, and Rprop, which goes by the signs of gradients."""

from __future__ import annotations

from typing import Any

from monograph.optim.adaptive import _Elementwise
from monograph.optim.optimizer import check_range
from monograph.tensor import FUNCTIONS, Tensor, full_like, tensor, where, zeros_like
from monograph.tensor.dispatch import assign


class ASGD(_Elementwise):
    """Averaged stochastic gradient descent (Polyak & Juditsky 1992): `state[p]["ax"]` is the average."""

    def __init__(
        self, params: Any, lr: Any = 1e-2, lambd: float = 1e-4, alpha: float = 0.75, t0: float = 1e6, weight_decay: float = 0,
        foreach: bool | None = None, maximize: bool = False, differentiable: bool = False, capturable: bool = False,
    ) -> None:  # fmt: skip
        check_range("learning rate", lr, isinstance(lr, Tensor) or lr >= 0.0)
        check_range("weight_decay value", weight_decay, weight_decay >= 0.0)
        defaults = {
            "lr": lr, "lambd": lambd, "alpha": alpha, "t0": t0, "weight_decay": weight_decay, "foreach": foreach, "maximize": maximize,
            "differentiable": differentiable, "capturable": capturable,
        }  # fmt: skip
        super().__init__(params, defaults)

    def _make_state(self, group: Any, p: Tensor) -> dict[str, Any]:
        return {"eta": group.learning_rate().float(), "mu": tensor(1.0), "ax": zeros_like(p)}

    def _update(self, group: Any, p: Any, grad: Any, state: dict[str, Any], lr: Any, step: Any) -> Tensor:
        eta, mu, ax, steps = state["eta"], state["mu"], state["ax"], step.double()
        rate = eta.double()
        new = p * (1 - group["lambd"] * rate) + grad * -rate
        new = new.to(p.dtype)
        assign(ax, where(mu == 1, new, ax + (new - ax) * mu.to(p.dtype)))
        assign(eta, (lr / (1 + group["lambd"] * lr * steps) ** group["alpha"]).to(eta.dtype))
        assign(mu, (1 / (steps - group["t0"]).clamp(min=1.0)).to(mu.dtype))
        return new  # type: ignore[no-any-return]


class Rprop(_Elementwise):
    """Resilient propagation (Riedmiller & Braun 1993): a step size per element, that grows while its gradient keeps its sign."""

    def __init__(
        self, params: Any, lr: Any = 1e-2, etas: tuple[float, float] = (0.5, 1.2), step_sizes: tuple[float, float] = (1e-6, 50), *,
        capturable: bool = False, foreach: bool | None = None, maximize: bool = False, differentiable: bool = False,
    ) -> None:  # fmt: skip
        check_range("learning rate", lr, isinstance(lr, Tensor) or lr >= 0.0)
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]}")
        defaults = {
            "lr": lr, "etas": etas, "step_sizes": step_sizes, "foreach": foreach, "maximize": maximize, "differentiable": differentiable,
            "capturable": capturable,
        }  # fmt: skip
        super().__init__(params, defaults)

    def _make_state(self, group: Any, p: Tensor) -> dict[str, Any]:
        size = full_like(p, float(group["lr"]))
        if p.dtype.kind == "c":
            size = FUNCTIONS["complex"](size.real, size.real)
        return {"prev": zeros_like(p), "step_size": size}

    def _update(self, group: Any, p: Any, grad: Any, state: dict[str, Any], lr: Any, step: Any) -> Tensor:
        (shrink, grow), (smallest, largest) = group["etas"], group["step_sizes"]
        agreement = grad * state["prev"]
        stay, smaller = full_like(agreement, 1.0), full_like(agreement, shrink)  # numbers in where() would be float32
        factor = where(agreement > 0, full_like(agreement, grow), where(agreement < 0, smaller, stay))
        size = assign(state["step_size"], (state["step_size"] * factor).clamp(smallest, largest))
        kept = assign(state["prev"], where(agreement < 0, 0.0, grad))
        return p - kept.sign() * size  # type: ignore[attr-defined, no-any-return]
