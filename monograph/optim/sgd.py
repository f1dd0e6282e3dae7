"""Stochastic gradient descent, with momentum and Nesterov's."""

from __future__ import annotations

import functools
from typing import Any

from monograph.core.modes import no_grad
from monograph.graph.node import record
from monograph.ops import optim as optim_ops
from monograph.ops import source
from monograph.optim.groups import as_scalar
from monograph.optim.optimizer import check_range
from monograph.optim.single import SingleTensorOptimizer, keep_off_the_tape, write_outputs
from monograph.tensor import Tensor, zeros_like
from monograph.tensor.core import wrap
from monograph.tensor.dispatch import read


class SGD(SingleTensorOptimizer):
    """p -= lr * (gradient, with weight decay and momentum as torch.optim.SGD defines them)."""

    def __init__(
        self, params: Any, lr: Any = 1e-3, momentum: float = 0, dampening: float = 0, weight_decay: Any = 0, nesterov: bool = False, *,
        maximize: bool = False, foreach: bool | None = None, differentiable: bool = False, fused: bool | None = None,
    ) -> None:  # fmt: skip
        check_range("learning rate", lr, isinstance(lr, Tensor) or lr >= 0.0)
        check_range("momentum value", momentum, momentum >= 0.0)
        check_range("weight_decay value", weight_decay, weight_decay >= 0.0)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        defaults = {
            "lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay, "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach, "differentiable": differentiable, "fused": fused,
        }  # fmt: skip
        super().__init__(params, defaults)

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            for key, default in (("nesterov", False), ("maximize", False), ("foreach", None), ("differentiable", False), ("fused", False)):
                group.setdefault(key, default)

    def prepare(self) -> None:
        """See SingleTensorOptimizer. From a buffer of zeros the first step is the same, unless dampening is there for it to leave out."""
        with no_grad():
            for group in self.param_groups:
                if group["momentum"] and not group["dampening"]:
                    for p in group["params"]:
                        if p.requires_grad and self.state[p].get("momentum_buffer") is None:
                            self.state[p]["momentum_buffer"] = zeros_like(p)
                            keep_off_the_tape(self.state[p])

    def _update_group(self, group: Any, params: list[Any], touched: list[Tensor]) -> None:
        decay, momentum = group["weight_decay"], group["momentum"]
        numbers: tuple[Any, ...] = (read(group.learning_rate()),)
        kinds = (bool(decay), bool(momentum), bool(group["nesterov"]))
        if kinds[0]:
            numbers = (*numbers, as_scalar(decay))
        if kinds[1]:
            numbers = (*numbers, as_scalar(momentum), as_scalar(group["dampening"]))
        later = _attrs(*kinds, False, bool(group["maximize"]))
        for p in params:
            inputs = (read(p), read(p._grad), *numbers)
            if not kinds[1]:
                write_outputs(record(optim_ops.sgd_update, inputs, later), (p,), touched)
                continue
            state = self.state[p]
            buffer = state.get("momentum_buffer")
            if buffer is not None:
                write_outputs(record(optim_ops.sgd_update, (*inputs, read(buffer)), later), (p, buffer), touched)
                continue
            node = record(optim_ops.sgd_update, inputs, _attrs(*kinds, True, bool(group["maximize"])))
            state["momentum_buffer"] = wrap(record(source.project, (node,), source.ProjectAttrs(1)))
            keep_off_the_tape(state)
            write_outputs(node, (p,), touched)
            touched.append(state["momentum_buffer"])


@functools.lru_cache(32)
def _attrs(decay: bool, momentum: bool, nesterov: bool, first: bool, maximize: bool) -> optim_ops.SgdAttrs:
    return optim_ops.SgdAttrs(decay, momentum, nesterov, first, maximize)
