"""Products: matmul and its relatives, einsum."""

from __future__ import annotations

from typing import Any

from monograph.core.modes import MODES
from monograph.core.shape import normalize_dim
from monograph.graph.node import Node
from monograph.ops import contraction, elementwise, movement, reduce
from monograph.ops.einsum import einsum as einsum_op
from monograph.tensor.autocasting import cast_inputs
from monograph.tensor.core import Tensor
from monograph.tensor.dispatch import apply, emit, read
from monograph.tensor.pointwise import FUNCTIONS, METHODS, add, deliver, publish


def _same_dtype(a: Node, b: Node) -> None:
    if a.dtype is not b.dtype:
        raise RuntimeError(
            f"expected m1 and m2 to have the same dtype, but got: {a.dtype.name} != {b.dtype.name}. Convert one with .to({a.dtype.name})."
        )


def matmul(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:  # noqa: A002
    """The matrix product with torch's rules: vectors, matrices, batches that broadcast."""
    a, b = read(input), read(other)
    if MODES.autocast is not None:
        a, b = cast_inputs(contraction.matmul, (a, b), MODES.autocast)
    _same_dtype(a, b)
    na, nb = len(a.shape), len(b.shape)
    if na == 0 or nb == 0:
        raise RuntimeError(f"both arguments to matmul need to be at least 1D, but they are {na}D and {nb}D")
    if na >= 2 and nb >= 2:
        return deliver(emit(contraction.matmul, a, b), out)
    if na == 1 and nb == 1:
        if a.shape != b.shape:
            raise RuntimeError(
                f"inconsistent tensor size, expected tensor {list(a.shape)} and src {list(b.shape)} to have the same number of elements"
            )
        return deliver(emit(reduce.sum, elementwise.mul(a, b), dims=(0,), keepdim=False), out)
    if na == 1:
        y = contraction.matmul(movement.reshape(a, shape=(1, a.shape[0])), b)
        return deliver(emit(movement.reshape, y, shape=(*y.shape[:-2], y.shape[-1])), out)
    y = contraction.matmul(a, movement.reshape(b, shape=(b.shape[0], 1)))
    return deliver(emit(movement.reshape, y, shape=y.shape[:-1]), out)


def _fixed(name: str, na: int, nb: int) -> Any:
    def function(input: Tensor, mat2: Tensor, *, out: Tensor | None = None) -> Tensor:  # noqa: A002
        a, b = read(input), read(mat2)
        if len(a.shape) != na or len(b.shape) != nb:
            raise RuntimeError(
                f"{name}: expected a {na}D and a {nb}D tensor, got {list(a.shape)} and {list(b.shape)}; matmul (@) takes any"
            )
        if name == "bmm" and a.shape[0] != b.shape[0]:
            raise RuntimeError(
                f"Expected size for first two dimensions of batch2 tensor to be: [{a.shape[0]}, {a.shape[2]}] but got: [{b.shape[0]}, "
                f"{b.shape[1]}]."
            )
        return matmul(input, mat2, out=out)

    function.__doc__ = f"`matmul` of a {na}D and a {nb}D tensor."
    return publish(name, function)


def addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: Any = 1, alpha: Any = 1, out: Tensor | None = None) -> Tensor:  # noqa: A002
    """beta * input + alpha * (mat1 @ mat2)."""
    product = matmul(mat1, mat2)
    scaled = input if beta == 1 else FUNCTIONS["mul"](input, beta)
    return deliver(add(product if alpha == 1 else FUNCTIONS["mul"](product, alpha), scaled), out)


def outer(input: Tensor, vec2: Tensor, *, out: Tensor | None = None) -> Tensor:  # noqa: A002
    """All products of the elements of two vectors."""
    a, b = METHODS["unsqueeze"](input, 1), METHODS["unsqueeze"](vec2, 0)
    return FUNCTIONS["mul"](a, b, out=out)


def einsum(equation: str, *operands: Any) -> Tensor:
    """Sums of products in Einstein's notation, e.g. einsum("bij,bjk->bik", a, b)."""
    group = operands[0] if len(operands) == 1 and isinstance(operands[0], list | tuple) else operands
    return apply(einsum_op, *group, equation=equation.replace(" ", ""))


def tensordot(a: Tensor, b: Tensor, dims: Any = 2) -> Tensor:
    """The sum of products over the last dims of a and the first of b, or over two lists of dims."""
    if isinstance(dims, int):
        left, right = list(range(a.ndim - dims, a.ndim)), list(range(dims))
    else:
        left, right = [normalize_dim(d, a.ndim) for d in dims[0]], [normalize_dim(d, b.ndim) for d in dims[1]]
    keep_a = [d for d in range(a.ndim) if d not in left]
    keep_b = [d for d in range(b.ndim) if d not in right]
    shape = [a.shape[d] for d in keep_a] + [b.shape[d] for d in keep_b]
    inner = 1
    for d in left:
        inner *= a.shape[d]
    x = METHODS["reshape"](METHODS["permute"](a, keep_a + left), (-1, inner))
    y = METHODS["reshape"](METHODS["permute"](b, right + keep_b), (inner, -1))
    return METHODS["reshape"](matmul(x, y), shape)


def chain_matmul(*matrices: Tensor) -> Tensor:
    """The product of several matrices, from the left."""
    result = matrices[0]
    for m in matrices[1:]:
        result = matmul(result, m)
    return result


def cdist(x1: Tensor, x2: Tensor, p: float = 2.0) -> Tensor:
    """Distances between all rows of x1 and x2."""
    difference = METHODS["unsqueeze"](x1, -2) - METHODS["unsqueeze"](x2, -3)
    return FUNCTIONS["norm"](difference, p, -1)


def trace(input: Tensor) -> Tensor:  # noqa: A002
    """The sum of a matrix's diagonal."""
    return FUNCTIONS["sum"](METHODS["diagonal"](input))


publish("matmul", matmul)
_fixed("mm", 2, 2)
_fixed("bmm", 3, 3)
_fixed("mv", 2, 1)
_fixed("dot", 1, 1)
publish("addmm", addmm, in_place=True)
publish("baddbmm", addmm, in_place=True)
publish("outer", outer)
publish("trace", trace)
FUNCTIONS.update(
    einsum=einsum, tensordot=tensordot, cdist=cdist, chain_matmul=chain_matmul, ger=outer, inner=lambda a, b: tensordot(a, b, ([-1], [-1]))
)


def _rmatmul(self: Tensor, other: Any) -> Any:
    return matmul(other, self) if isinstance(other, Tensor) else NotImplemented


METHODS["__matmul__"] = lambda self, other: matmul(self, other) if isinstance(other, Tensor) else NotImplemented
METHODS["__rmatmul__"] = _rmatmul
