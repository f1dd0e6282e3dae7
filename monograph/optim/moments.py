"""Variants of Adam: NAdam and RAdam."""

from __future__ import annotations

from typing import Any

from monograph.optim.adaptive import _Elementwise
from monograph.optim.optimizer import check_range
from monograph.tensor import Tensor, tensor, where, zeros_like
from monograph.tensor.dispatch import assign


class _Moments(_Elementwise):
    """First and second moments, as in Adam."""

    def _make_state(self, group: Any, p: Tensor) -> dict[str, Any]:
        return {"exp_avg": zeros_like(p), "exp_avg_sq": zeros_like(p)}

    @staticmethod
    def _decayed(group: Any, p: Tensor, lr: Tensor) -> Tensor:
        decay = group["weight_decay"]
        return p * (1 - lr * decay) if decay and group["decoupled_weight_decay"] else p

    @staticmethod
    def _moved(group: Any, grad: Tensor, state: dict[str, Any]) -> tuple[Tensor, Tensor]:
        beta1, beta2 = group["betas"]
        m = assign(state["exp_avg"], state["exp_avg"].lerp(grad, 1 - beta1))
        v = assign(state["exp_avg_sq"], (state["exp_avg_sq"] * beta2).addcmul(grad, grad, value=1 - beta2))
        return m, v


def _check(lr: Any, betas: tuple[float, float], eps: float, weight_decay: float) -> None:
    check_range("learning rate", lr, isinstance(lr, Tensor) or lr >= 0.0)
    check_range("epsilon value", eps, eps >= 0.0)
    check_range("beta parameter at index 0", betas[0], 0.0 <= betas[0] < 1.0)
    check_range("beta parameter at index 1", betas[1], 0.0 <= betas[1] < 1.0)
    check_range("weight_decay value", weight_decay, weight_decay >= 0.0)


class NAdam(_Moments):
    """Adam with Nesterov's momentum (Dozat 2016)."""

    def __init__(
        self, params: Any, lr: Any = 2e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8, weight_decay: float = 0,
        momentum_decay: float = 4e-3, decoupled_weight_decay: bool = False, *, foreach: bool | None = None, maximize: bool = False,
        capturable: bool = False, differentiable: bool = False,
    ) -> None:  # fmt: skip
        _check(lr, betas, eps, weight_decay)
        check_range("momentum_decay value", momentum_decay, momentum_decay >= 0.0)
        defaults = {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay, "maximize": maximize, "foreach": foreach, "capturable": capturable,
            "differentiable": differentiable,
        }  # fmt: skip
        super().__init__(params, defaults)

    def _make_state(self, group: Any, p: Tensor) -> dict[str, Any]:
        return {"mu_product": tensor(1.0), **super()._make_state(group, p)}

    def _update(self, group: Any, p: Tensor, grad: Tensor, state: dict[str, Any], lr: Tensor, step: Tensor) -> Tensor:
        (beta1, beta2), decay, steps = group["betas"], group["momentum_decay"], step.double()
        p = self._decayed(group, p, lr)
        mu = beta1 * (1.0 - 0.5 * (0.96 ** (steps * decay)))
        mu_next = beta1 * (1.0 - 0.5 * (0.96 ** ((steps + 1) * decay)))
        product = assign(state["mu_product"], state["mu_product"] * mu.to(state["mu_product"].dtype)).double()
        m, v = self._moved(group, grad, state)
        size = (v / (1 - beta2**steps)).sqrt() + group["eps"]
        p = p + grad * (-lr * (1.0 - mu) / (1.0 - product)) / size
        return p + m * ((-lr * mu_next) / (1.0 - product * mu_next)) / size


class RAdam(_Moments):
    """Adam whose adaptive rate is held back until its variance is known (Liu et al. 2019)."""

    def __init__(
        self, params: Any, lr: Any = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8, weight_decay: float = 0,
        decoupled_weight_decay: bool = False, *, foreach: bool | None = None, maximize: bool = False, capturable: bool = False,
        differentiable: bool = False,
    ) -> None:  # fmt: skip
        _check(lr, betas, eps, weight_decay)
        defaults = {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "maximize": maximize, "foreach": foreach,
            "capturable": capturable,
            "decoupled_weight_decay": decoupled_weight_decay, "differentiable": differentiable,
        }  # fmt: skip
        super().__init__(params, defaults)

    def _update(self, group: Any, p: Tensor, grad: Tensor, state: dict[str, Any], lr: Tensor, step: Tensor) -> Tensor:
        (beta1, beta2), steps = group["betas"], step.double()
        p = self._decayed(group, p, lr)
        m, v = self._moved(group, grad, state)
        second = 1 - beta2**steps
        corrected = m / (1 - beta1**steps)
        rho_inf = 2 / (1 - beta2) - 1
        rho = rho_inf - 2 * steps * (beta2**steps) / second
        # The variance is tractable from the moment rho passes 5; what the other branch computes before is discarded.
        rectifier = ((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho).clamp(min=1e-30)).clamp(min=0).sqrt()
        adaptive = second.sqrt() / (v.sqrt() + group["eps"])
        factor = where(rho > 5.0, adaptive * rectifier, 1.0)
        return p - corrected * lr * factor
