"""Optimisers that divide by a running size of the gradient: RMSprop, Adagrad, Adadelta, Adamax."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from monograph.core.modes import MODES
from monograph.optim.optimizer import check_range
from monograph.optim.single import SingleTensorOptimizer
from monograph.tensor import FUNCTIONS, Tensor, full_like, tensor, zeros_like
from monograph.tensor.core import wrap
from monograph.tensor.dispatch import assign


class _Elementwise(SingleTensorOptimizer):
    """An optimiser written in tensor ops: `_update` gets one parameter, its gradient (sign and weight decay applied) and its state."""

    _decoupled = False  # whether `_update` sees to the weight decay itself

    def _make_state(self, group: Any, p: Tensor) -> dict[str, Any]:
        raise NotImplementedError

    def _update(self, group: Any, p: Tensor, grad: Tensor, state: dict[str, Any], lr: Tensor, step: Tensor) -> Tensor:
        """The new parameter; writes the new state."""
        raise NotImplementedError

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            for key, default in (("foreach", None), ("maximize", False), ("differentiable", False), ("capturable", False)):
                if key in self.defaults:
                    group.setdefault(key, default)

    def _maker(self, group: Any) -> Callable[[Any], dict[str, Any]]:
        return lambda p: self._make_state(group, p)

    def _update_group(self, group: Any, params: list[Any], touched: list[Tensor]) -> None:
        states = self._states(params, self._maker(group))
        lr, decay = group.learning_rate(), group.get("weight_decay", 0)
        for p, state, step in zip(params, states, self._advance(states, touched), strict=True):
            value, grad, own = p if MODES.grad else p.detach(), p._grad, state
            if p.dtype.kind == "c":  # both parts, each by itself
                as_real = FUNCTIONS["view_as_real"]
                value, grad = as_real(value), as_real(grad)
                own = {k: as_real(v) if isinstance(v, Tensor) and v.dtype.kind == "c" else v for k, v in state.items()}
            grad = -grad if group.get("maximize", False) else grad
            if decay and not (self._decoupled or group.get("decoupled_weight_decay", False)):
                grad = grad + value * decay
            updated = self._update(group, value, grad, own, lr, wrap(step))
            if updated.dtype is not value.dtype:  # a 0-d parameter gives in to the rate's precision
                updated = FUNCTIONS["_to_dtype"](updated, value.dtype)
            assign(*((p, updated) if value.dtype is p.dtype else (value, updated)))
            touched.append(p)
            touched.extend(value for key, value in state.items() if key != "step" and isinstance(value, Tensor))


class RMSprop(_Elementwise):
    """Divides by the root of a running mean of squared gradients (Hinton), optionally centred, with momentum."""

    def __init__(
        self, params: Any, lr: Any = 1e-2, alpha: float = 0.99, eps: float = 1e-8, weight_decay: float = 0, momentum: float = 0,
        centered: bool = False, capturable: bool = False, foreach: bool | None = None, maximize: bool = False, differentiable: bool = False,
    ) -> None:  # fmt: skip
        check_range("learning rate", lr, isinstance(lr, Tensor) or lr >= 0.0)
        check_range("epsilon value", eps, eps >= 0.0)
        check_range("momentum value", momentum, momentum >= 0.0)
        check_range("weight_decay value", weight_decay, weight_decay >= 0.0)
        check_range("alpha value", alpha, alpha >= 0.0)
        defaults = {
            "lr": lr, "momentum": momentum, "alpha": alpha, "eps": eps, "centered": centered, "weight_decay": weight_decay,
            "capturable": capturable, "foreach": foreach, "maximize": maximize, "differentiable": differentiable,
        }  # fmt: skip
        super().__init__(params, defaults)

    def _make_state(self, group: Any, p: Tensor) -> dict[str, Any]:
        state = {"square_avg": zeros_like(p)}
        if group["momentum"] > 0:
            state["momentum_buffer"] = zeros_like(p)
        if group["centered"]:
            state["grad_avg"] = zeros_like(p)
        return state

    def _update(self, group: Any, p: Tensor, grad: Tensor, state: dict[str, Any], lr: Tensor, step: Tensor) -> Tensor:
        alpha = group["alpha"]
        square = assign(state["square_avg"], (state["square_avg"] * alpha).addcmul(grad, grad, value=1 - alpha))
        if group["centered"]:
            mean = assign(state["grad_avg"], state["grad_avg"].lerp(grad, 1 - alpha))
            square = square.addcmul(mean, mean, value=-1)
        size = square.sqrt() + group["eps"]
        if group["momentum"] > 0:
            buffer = assign(state["momentum_buffer"], (state["momentum_buffer"] * group["momentum"]).addcdiv(grad, size))
            return p + buffer * -lr
        return p + grad * -lr / size


class Adagrad(_Elementwise):
    """Divides by the root of the sum of all squared gradients (Duchi et al. 2011)."""

    def __init__(
        self, params: Any, lr: Any = 1e-2, lr_decay: float = 0, weight_decay: float = 0, initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None, *, maximize: bool = False, differentiable: bool = False, fused: bool | None = None,
    ) -> None:  # fmt: skip
        check_range("learning rate", lr, isinstance(lr, Tensor) or lr >= 0.0)
        check_range("lr_decay value", lr_decay, lr_decay >= 0.0)
        check_range("weight_decay value", weight_decay, weight_decay >= 0.0)
        check_range("initial_accumulator_value value", initial_accumulator_value, initial_accumulator_value >= 0.0)
        check_range("epsilon value", eps, eps >= 0.0)
        defaults = {
            "lr": lr, "lr_decay": lr_decay, "eps": eps, "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "foreach": foreach, "maximize": maximize, "differentiable": differentiable, "fused": fused,
        }  # fmt: skip
        super().__init__(params, defaults)
        for group in self.param_groups:
            for p in group["params"]:
                self.state[p] = {"step": tensor(0.0), **self._make_state(group, p)}

    def _make_state(self, group: Any, p: Tensor) -> dict[str, Any]:
        start = group["initial_accumulator_value"]
        return {"sum": full_like(p, complex(start, start) if p.dtype.kind == "c" else start)}

    def share_memory(self) -> None:
        """Nothing to do: worker processes are forked, and see the state."""

    def _update(self, group: Any, p: Tensor, grad: Tensor, state: dict[str, Any], lr: Tensor, step: Tensor) -> Tensor:
        rate = lr / (1 + (step.double() - 1) * group["lr_decay"])
        total = assign(state["sum"], state["sum"] + grad * grad)
        return p + grad * -rate / (total.sqrt() + group["eps"])


class Adadelta(_Elementwise):
    """Adagrad with a window, and steps in the units of the parameter (Zeiler 2012)."""

    def __init__(
        self, params: Any, lr: Any = 1.0, rho: float = 0.9, eps: float = 1e-6, weight_decay: float = 0, foreach: bool | None = None, *,
        capturable: bool = False, maximize: bool = False, differentiable: bool = False,
    ) -> None:  # fmt: skip
        check_range("learning rate", lr, isinstance(lr, Tensor) or lr >= 0.0)
        check_range("rho value", rho, 0.0 <= rho <= 1.0)
        check_range("epsilon value", eps, eps >= 0.0)
        check_range("weight_decay value", weight_decay, weight_decay >= 0.0)
        defaults = {
            "lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay, "maximize": maximize, "capturable": capturable,
            "foreach": foreach,
            "differentiable": differentiable,
        }  # fmt: skip
        super().__init__(params, defaults)

    def _make_state(self, group: Any, p: Tensor) -> dict[str, Any]:
        return {"square_avg": zeros_like(p), "acc_delta": zeros_like(p)}

    def _update(self, group: Any, p: Tensor, grad: Tensor, state: dict[str, Any], lr: Tensor, step: Tensor) -> Tensor:
        rho, eps = group["rho"], group["eps"]
        square = assign(state["square_avg"], (state["square_avg"] * rho).addcmul(grad, grad, value=1 - rho))
        delta = (state["acc_delta"] + eps).sqrt() / (square + eps).sqrt() * grad
        assign(state["acc_delta"], (state["acc_delta"] * rho).addcmul(delta, delta, value=1 - rho))
        return p + delta * -lr


class Adamax(_Elementwise):
    """Adam with the infinity norm (Kingma & Ba 2014)."""

    def __init__(
        self, params: Any, lr: Any = 2e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8, weight_decay: float = 0,
        foreach: bool | None = None, *, maximize: bool = False, differentiable: bool = False, capturable: bool = False,
    ) -> None:  # fmt: skip
        check_range("learning rate", lr, isinstance(lr, Tensor) or lr >= 0.0)
        check_range("epsilon value", eps, eps >= 0.0)
        check_range("beta parameter at index 0", betas[0], 0.0 <= betas[0] < 1.0)
        check_range("beta parameter at index 1", betas[1], 0.0 <= betas[1] < 1.0)
        check_range("weight_decay value", weight_decay, weight_decay >= 0.0)
        defaults = {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "foreach": foreach, "maximize": maximize,
            "differentiable": differentiable, "capturable": capturable,
        }  # fmt: skip
        super().__init__(params, defaults)

    def _make_state(self, group: Any, p: Tensor) -> dict[str, Any]:
        return {"exp_avg": zeros_like(p), "exp_inf": zeros_like(p)}

    def _update(self, group: Any, p: Tensor, grad: Tensor, state: dict[str, Any], lr: Tensor, step: Tensor) -> Tensor:
        beta1, beta2 = group["betas"]
        mean = assign(state["exp_avg"], state["exp_avg"].lerp(grad, 1 - beta1))
        greatest = assign(state["exp_inf"], FUNCTIONS["maximum"](state["exp_inf"] * beta2, grad.abs() + group["eps"]))
        rate = lr / (1 - beta1 ** step.double())
        return p + mean * -rate / greatest
