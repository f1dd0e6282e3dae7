"""Adam for parameters with sparse gradients: only what has a gradient moves."""

from __future__ import annotations

import math
from typing import Any

from monograph.optim.optimizer import Optimizer, check_range
from monograph.optim.single import SingleTensorOptimizer
from monograph.sparse import SparseTensor
from monograph.tensor import FUNCTIONS, Tensor, zeros_like
from monograph.tensor.dispatch import assign


class SparseAdam(SingleTensorOptimizer):
    """Adam at the positions that a sparse `.grad` stores; moments and parameter stay as they are elsewhere."""

    def __init__(
        self, params: Any, lr: Any = 1e-3, betas: tuple[float, float] = (0.9, 0.999), eps: float = 1e-8, maximize: bool = False
    ) -> None:
        check_range("learning rate", lr, isinstance(lr, Tensor) or lr > 0.0)
        check_range("epsilon value", eps, eps > 0.0)
        check_range("beta parameter at index 0", betas[0], 0.0 <= betas[0] < 1.0)
        check_range("beta parameter at index 1", betas[1], 0.0 <= betas[1] < 1.0)
        Optimizer.__init__(self, params, {"lr": lr, "betas": betas, "eps": eps, "maximize": maximize})
        sparse = [i for group in self.param_groups for i, p in enumerate(group["params"]) if isinstance(p, SparseTensor)]
        if sparse:
            raise ValueError(f"Sparse params at indices {sparse}: SparseAdam requires dense parameter tensors")
        pairs = [[i, j] for i, group in enumerate(self.param_groups) for j, p in enumerate(group["params"]) if p.dtype.kind == "c"]
        if pairs:
            raise ValueError(f"Complex params at indices {pairs}: SparseAdam does not support complex parameters")

    def _part_steps(self, group: Any, active: list[Any]) -> None:
        """Step counts are plain numbers here, one per parameter."""

    def _update_group(self, group: Any, params: list[Any], touched: list[Tensor]) -> None:
        (beta1, beta2), lr = group["betas"], float(group["lr"])
        for p in params:
            grad = p._grad
            if not isinstance(grad, SparseTensor):
                raise RuntimeError("SparseAdam does not support dense gradients, please consider Adam instead")
            state = self.state[p]
            if not state:
                state.update(step=0, exp_avg=zeros_like(p), exp_avg_sq=zeros_like(p))
            state["step"] += 1
            step = state["step"]
            grad = grad.coalesce()
            if not grad._nnz():
                continue
            keys, g, n = grad.keys(), grad._values(), grad.sparse_dim()
            g = -g if group["maximize"] else g  # type: ignore[operator]
            rows = (-1, *p.shape[n:])
            pick, put = FUNCTIONS["index_select"], FUNCTIONS["index_copy"]
            moments = []
            for name, target, beta in (("exp_avg", g, beta1), ("exp_avg_sq", g * g, beta2)):  # type: ignore[operator]
                flat = state[name].reshape(rows)
                old = pick(flat, 0, keys)
                new = (target - old) * (1 - beta) + old
                assign(state[name], put(flat, 0, keys, new).reshape(p.shape))
                moments.append(new)
            size = lr * math.sqrt(1 - beta2**step) / (1 - beta1**step)
            change = moments[0] / (moments[1].sqrt() + group["eps"]) * -size
            assign(p, FUNCTIONS["index_add"](p.detach().reshape(rows), 0, keys, change).reshape(p.shape))
            touched.extend((p, state["exp_avg"], state["exp_avg_sq"]))
