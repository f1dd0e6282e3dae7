"""torch.autograd.forward_ad: dual tensors, which carry a tangent through the ops of a level.

>>> import monograph as mg
>>> import monograph.autograd.forward_ad as fwAD
>>> with fwAD.dual_level():
...     y = fwAD.make_dual(mg.tensor(3.0), mg.tensor(1.0)) ** 2
...     fwAD.unpack_dual(y).tangent.item()
6.0
"""

from __future__ import annotations

from collections import namedtuple
from typing import Any

from monograph.autodiff.jvp import push_forward
from monograph.core.modes import MODES
from monograph.graph.node import Node, record
from monograph.ops import source
from monograph.tensor.core import Tensor, wrap
from monograph.tensor.dispatch import read

UnpackedDualTensor = namedtuple("UnpackedDualTensor", ["primal", "tangent"])


class _Level:
    """The duals made since the level was entered: nodes known to nobody else, and the tangents along which they move."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.tangents: list[Node] = []
        self.plain: list[bool] = []


_levels: list[_Level] = []


def enter_dual_level() -> int:
    """Begins a level; there is one at a time. Returns its number. `dual_level` is the context manager."""
    if _levels:
        raise RuntimeError("Nested forward mode AD is not supported at the moment; monograph.func.jvp nests")
    _levels.append(_Level())
    return len(_levels) - 1


def exit_dual_level(*, level: int | None = None) -> None:
    """Ends the level: its tangents are forgotten."""
    if not _levels or (level is not None and level != len(_levels) - 1):
        raise RuntimeError("Trying to exit a forward AD level that was not the last one that was created. This is not supported.")
    _levels.pop()


class dual_level:  # noqa: N801 - torch's name
    """Within the block dual tensors can be made and unpacked."""

    def __enter__(self) -> int:
        return enter_dual_level()

    def __exit__(self, *error: object) -> None:
        exit_dual_level()


def _node(t: Tensor) -> Node:
    before, MODES.grad = MODES.grad, True
    try:
        return read(t)
    finally:
        MODES.grad = before


def make_dual(tensor: Tensor, tangent: Tensor, *, level: int | None = None) -> Tensor:
    """A tensor with the value of `tensor` that moves along `tangent`, which has its shape and dtype."""
    if not _levels:
        raise RuntimeError("Trying to create a dual Tensor for forward AD but no level exists, make sure to enter_dual_level() first.")
    if tensor.dtype.kind not in "fc" or tangent.dtype.kind not in "fc":
        raise ValueError(f"Expected primal and tangent to be floating point or complex, but got: {tensor.dtype} and {tangent.dtype}")
    if tuple(tensor.shape) != tuple(tangent.shape):
        raise RuntimeError(f"make_dual: a tangent of shape {list(tangent.shape)} for a primal of shape {list(tensor.shape)}")
    if tensor.dtype is not tangent.dtype:
        raise RuntimeError(f"make_dual: a tangent of dtype {tangent.dtype.name} for a primal of dtype {tensor.dtype.name}")
    before, MODES.grad = MODES.grad, True
    try:
        node = record(source.clone, (read(tensor),))
    finally:
        MODES.grad = before
    here = _levels[-1]
    here.plain.append(not node.requires_grad)
    node.requires_grad = True
    here.nodes.append(node)
    here.tangents.append(_node(tangent))
    return wrap(node)


def unpack_dual(tensor: Any, *, level: int | None = None) -> UnpackedDualTensor:
    """(primal, tangent) of a tensor; the tangent is None if it does not depend on a dual of this level."""
    if not _levels:
        return UnpackedDualTensor(tensor, None)
    here = _levels[-1]
    node = _node(tensor)
    (moved,) = push_forward([node], here.nodes, here.tangents) if node.requires_grad and here.nodes else [None]
    if moved is None:
        return UnpackedDualTensor(tensor, None)
    primal, tangent = wrap(node), wrap(moved)
    if all(here.plain):  # nothing but duals makes it differentiable
        primal, tangent = primal.detach(), tangent.detach()
    return UnpackedDualTensor(primal, tangent)


__all__ = ["UnpackedDualTensor", "dual_level", "enter_dual_level", "exit_dual_level", "make_dual", "unpack_dual"]
