"""What optimisers that treat every parameter by itself share: which parameters take part, their state, their step counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from monograph.core.dtype import float32
from monograph.core.modes import MODES, enable_grad, no_grad
from monograph.graph.node import IN_PLACE, Node, record
from monograph.ops import elementwise, source
from monograph.optim.optimizer import Optimizer
from monograph.tensor import Tensor, tensor
from monograph.tensor.dispatch import read

PROJECTIONS = tuple(source.ProjectAttrs(i) for i in range(8))


class SingleTensorOptimizer(Optimizer):
    """Runs `_update_group` for each group with its parameters that have a gradient; gradients are recorded with `differentiable` only."""

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One update of all parameters that have a gradient. Returns the closure's loss, if there is a closure."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        touched: list[Tensor] = []
        grad_mode, MODES.grad = MODES.grad, bool(self.defaults.get("differentiable", False))
        try:
            for group in self.param_groups:
                active = [p for p in group["params"] if p._grad is not None]
                if active:
                    if MODES.grad:
                        for p in active:
                            p._check_writable()
                    if group.get("fused"):
                        _check_fused(active)
                    if len(active) != len(group["params"]):
                        self._part_steps(group, active)
                    self._update_group(group.live() if hasattr(group, "live") else group, active, touched)
        finally:
            MODES.grad = grad_mode
        self._touched = touched
        return loss

    def _update_group(self, group: Any, params: list[Any], touched: list[Tensor]) -> None:
        """Updates `params` in place and appends every tensor it has written to `touched`. `group` is as `ParamGroup.live` gives it."""
        raise NotImplementedError

    def _maker(self, group: Any) -> Callable[[Any], dict[str, Any]] | None:
        """What makes the state of a parameter before its first step, besides its step count; None where the first step itself does."""
        return None

    def prepare(self) -> None:
        """Makes the state that the first step would make, for all parameters that require a gradient.

        A step that is compiled is captured once then, not a second time with the state there.
        """
        with no_grad():
            for group in self.param_groups:
                make = self._maker(group)
                if make is not None:
                    self._states([p for p in group["params"] if p.requires_grad], make)

    def _part_steps(self, group: Any, active: list[Any]) -> None:
        """Parameters that take no part in this step keep their own count from now on."""
        moving = {id(p) for p in active}
        counted = {id(self.state[p]["step"]) for p in active if "step" in self.state[p]}
        for p in group["params"]:
            if id(p) not in moving and p in self.state and id(self.state[p].get("step")) in counted:
                self.state[p]["step"] = self.state[p]["step"].clone()

    def _states(self, params: list[Any], make: Callable[[Any], dict[str, Any]]) -> list[dict[str, Any]]:
        """The state of each parameter, made where there is none. Parameters that start together share one step count."""
        states = []
        fresh: Tensor | None = None
        for p in params:
            state = self.state[p]
            if not state:
                if fresh is None:
                    fresh = tensor(0.0, dtype=float32)
                state["step"] = fresh
                state.update(make(p))
                keep_off_the_tape(state)
            states.append(state)
        return states

    @staticmethod
    def _advance(states: list[dict[str, Any]], touched: list[Tensor]) -> list[Node]:
        """Adds one to every step count; returns the new counts' nodes, one per state."""
        new: dict[int, Node] = {}
        nodes = []
        for state in states:
            step = state["step"]
            node = new.get(id(step))
            if node is None:
                if not isinstance(step, Tensor):  # a state saved by an old torch
                    step = state["step"] = tensor(float(step), dtype=float32)
                node = record(elementwise.add, (read(step), source.number(1.0, step.dtype)))
                step._write(node)
                touched.append(step)
                new[id(step)] = node
            nodes.append(node)
        return nodes


def _check_fused(params: list[Any]) -> None:
    """What torch asks of fused=True. It changes nothing here, where every step is one program."""
    for p in params:
        if p.dtype.kind != "f":
            raise RuntimeError(f"`fused=True` requires all the params to be floating point Tensors, but one is {p.dtype.name}")


def keep_off_the_tape(state: dict[str, Any]) -> None:
    """No gradient is ever asked through an optimiser's state: writes to it need not be remembered as overwriting saved values."""
    for value in state.values():
        if isinstance(value, Tensor):
            value._silent = True


def write_outputs(node: Node, tensors: tuple[Tensor, ...], touched: list[Tensor]) -> None:
    """Stores the outputs of an update op into the tensors they update."""
    inputs = (node,)
    if node.requires_grad:
        node.marks |= IN_PLACE  # it may read the parameter that it overwrites
    for t, attrs, (shape, dtype) in zip(tensors, PROJECTIONS, node.outputs, strict=False):
        t._write(Node(source.project, inputs, attrs, shape, dtype, node.requires_grad))
    touched.extend(tensors)
