"""Adam and AdamW."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from monograph.graph.node import record
from monograph.ops import optim as optim_ops
from monograph.optim.groups import as_scalar
from monograph.optim.optimizer import check_range
from monograph.optim.single import SingleTensorOptimizer, write_outputs
from monograph.tensor import Tensor, zeros_like
from monograph.tensor.dispatch import read


class Adam(SingleTensorOptimizer):
    """Adaptive moments (Kingma & Ba 2014), with AMSGrad and decoupled weight decay as options."""

    def __init__(
        self, params: Any, lr: Any = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8, weight_decay: float = 0,
        amsgrad: bool = False, *, foreach: bool | None = None, maximize: bool = False, capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None, decoupled_weight_decay: bool = False,
    ) -> None:  # fmt: skip
        for name, value in (("lr", lr), ("betas[0]", betas[0]), ("betas[1]", betas[1])):
            if isinstance(value, Tensor) and foreach and not capturable:
                raise ValueError(f"{name} as a Tensor is not supported for capturable=False and foreach=True: leave out foreach")
        if isinstance(betas[0], Tensor) is not isinstance(betas[1], Tensor):
            raise ValueError(f"betas must be either both floats or both Tensors, got {betas}")
        check_range("learning rate", lr, isinstance(lr, Tensor) or lr >= 0.0)
        check_range("epsilon value", eps, eps >= 0.0)
        check_range("beta parameter at index 0", betas[0], 0.0 <= betas[0] < 1.0)
        check_range("beta parameter at index 1", betas[1], 0.0 <= betas[1] < 1.0)
        check_range("weight_decay value", weight_decay, weight_decay >= 0.0)
        defaults = {
            "lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad, "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable, "differentiable": differentiable, "fused": fused, "decoupled_weight_decay": decoupled_weight_decay,
        }  # fmt: skip
        super().__init__(params, defaults)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        defaults = {
            "amsgrad": False, "maximize": False, "foreach": None, "capturable": False, "differentiable": False, "fused": None,
            "decoupled_weight_decay": False,
        }  # fmt: skip
        for group in self.param_groups:
            for key, default in defaults.items():
                group.setdefault(key, default)

    def _maker(self, group: Any) -> Callable[[Any], dict[str, Any]]:
        return _amsgrad_state if group["amsgrad"] else _state

    def _update_group(self, group: Any, params: list[Any], touched: list[Tensor]) -> None:
        amsgrad = bool(group["amsgrad"])
        states = self._states(params, self._maker(group))
        (beta1, beta2), decay = group["betas"], group["weight_decay"]
        decays = bool(decay)
        attrs = _attrs(decays, bool(group["decoupled_weight_decay"]), bool(1 - beta1 < 0.5), amsgrad, bool(group["maximize"]))
        numbers = [read(group.learning_rate()), as_scalar(beta1), as_scalar(beta2), as_scalar(group["eps"])]
        numbers += [as_scalar(decay)] if decays else []
        for p, state, step in zip(params, states, self._advance(states, touched), strict=True):
            m, v = state["exp_avg"], state["exp_avg_sq"]
            inputs = (read(p), read(p._grad), read(m), read(v), step, *numbers)
            if amsgrad:
                greatest = state["max_exp_avg_sq"]
                write_outputs(record(optim_ops.adam_update, (*inputs, read(greatest)), attrs), (p, m, v, greatest), touched)
            else:
                write_outputs(record(optim_ops.adam_update, inputs, attrs), (p, m, v), touched)


@functools.lru_cache(32)
def _attrs(decay: bool, decoupled: bool, slow: bool, amsgrad: bool, maximize: bool) -> optim_ops.AdamAttrs:
    return optim_ops.AdamAttrs(decay, decay and decoupled, slow, amsgrad, maximize)


def _state(p: Tensor) -> dict[str, Any]:
    return {"exp_avg": zeros_like(p), "exp_avg_sq": zeros_like(p)}


def _amsgrad_state(p: Tensor) -> dict[str, Any]:
    return {**_state(p), "max_exp_avg_sq": zeros_like(p)}


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov & Hutter 2017)."""

    def __init__(
        self, params: Any, lr: Any = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8, weight_decay: float = 1e-2,
        amsgrad: bool = False, *, maximize: bool = False, foreach: bool | None = None, capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:  # fmt: skip
        super().__init__(
            params, lr, betas, eps, weight_decay, amsgrad, foreach=foreach, maximize=maximize, capturable=capturable,
            differentiable=differentiable,
            fused=fused, decoupled_weight_decay=True,
        )  # fmt: skip

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            group["decoupled_weight_decay"] = True
