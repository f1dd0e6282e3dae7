"""The derivative of a function at a point, as a function of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from monograph.autodiff.jvp import push_forward
from monograph.core import trees
from monograph.core.modes import MODES
from monograph.func.derivatives import _Linearised
from monograph.ops import source
from monograph.tensor.core import wrap
from monograph.tensor.dispatch import read


def linearize(func: Callable[..., Any], *primals: Any) -> tuple[Any, Callable[..., Any]]:
    """(func(*primals), the function's derivative there: from tangents to the Jacobian-vector product, as often as wanted).

    >>> import monograph as mg
    >>> y, derivative = mg.func.linearize(lambda x: x * x, mg.tensor(3.0))
    >>> derivative(mg.tensor(1.0)).item(), derivative(mg.tensor(2.0)).item()
    (6.0, 12.0)
    """
    point = _Linearised(func, primals, "linearize", False)
    structure = point.inputs

    def derivative(*tangents: Any) -> Any:
        along, same = trees.flatten(tangents)
        if same != structure:
            raise RuntimeError(f"linearize: Expected the tangents {same} to have the same structure as the primals {structure}")
        directions = [read(t) for t in along]
        for d, v in zip(directions, point.variables, strict=True):
            if d.shape != v.shape or d.dtype is not v.dtype:
                raise RuntimeError(f"linearize: a tangent of {d.dtype.name}{list(d.shape)} for a primal of {v.dtype.name}{list(v.shape)}")
        enabled = MODES.grad
        MODES.grad = enabled and (point.nested or any(d.requires_grad for d in directions))
        try:
            found = push_forward(point.outputs, point.variables, directions)
            made = [source.zeros_like(o) if g is None else g for o, g in zip(point.outputs, found, strict=True)]
        finally:
            MODES.grad = enabled
        return trees.unflatten(point.structure, [wrap(m) for m in made])

    return point.value, derivative
