"""What the functions of this room share: operands as nodes, results as tensors, and values that are checked when they are asked for."""

from __future__ import annotations

from typing import Any

from monograph.core.dtype import dtype as DType
from monograph.core.errors import DeviceError, message_of
from monograph.core.modes import MODES
from monograph.engine import evaluator
from monograph.graph.node import Node
from monograph.ops import source
from monograph.ops.matrix_parts import LinAlgError
from monograph.tensor.core import Tensor, wrap
from monograph.tensor.dispatch import cast_node, common_dtype, read
from monograph.tensor.pointwise import deliver

__all__ = ["LinAlgError", "adjoint", "matrix", "outputs", "pair", "settled", "transposed", "write_all"]


def matrix(x: Any, name: str) -> Node:
    """The node of a tensor operand."""
    if not isinstance(x, Tensor):
        raise TypeError(f"linalg_{name}(): argument 'A' (position 1) must be Tensor, not {type(x).__name__}")
    return read(x)


def pair(a: Any, b: Any, name: str) -> tuple[Node, Node]:
    """Two operands, which must have one dtype."""
    x, y = matrix(a, name), matrix(b, name)
    if x.dtype is not y.dtype:
        raise RuntimeError(
            f"linalg.{name}: Expected A and B to have the same dtype, but found A of type {x.dtype.name} and B of type {y.dtype.name}"
        )
    return x, y


def transposed(x: Tensor) -> Tensor:
    """The last two dimensions exchanged."""
    return x.transpose(-2, -1)  # type: ignore[attr-defined]


def adjoint(x: Tensor) -> Tensor:
    """The last two dimensions exchanged, complex numbers conjugated."""
    return x.mH  # type: ignore[attr-defined]


def outputs(node: Node) -> list[Tensor]:
    """The outputs of a node that has several."""
    return [wrap(source.project(node, index=i)) for i in range(len(node.shape))]


def settled(*results: Tensor) -> Any:
    """Computes results that may be refused, so that `try: cholesky(A)` of a caller meets the error here, at his line, as in torch.

    Not inside a capture, whose program computes them, nor for tensors without values.
    """
    if MODES.capture is None:
        try:
            evaluator.evaluate([read(t) for t in results])
        except DeviceError:
            pass
        except LinAlgError as error:
            raise LinAlgError(message_of(error)) from None
    return results[0] if len(results) == 1 else results


def write_all(results: Any, out: Any) -> Any:
    """The end of a function with `out=`: a tensor, or a tuple of them."""
    if out is None:
        return results
    if isinstance(results, Tensor):
        return deliver(results, out)
    return type(results)(*[deliver(r, o) for r, o in zip(results, out, strict=True)])


def promoted(x: Node, y: Node) -> tuple[Node, Node, DType]:
    """Two nodes in their common dtype."""
    d = common_dtype(x, y)
    return cast_node(x, d), cast_node(y, d), d
