"""Products: matmul and its relatives, einsum."""

from __future__ import annotations

import math
from typing import Any

from monograph.core.clashes import mixed_products
from monograph.core.dtype import int64, promote
from monograph.core.errors import ArgumentError
from monograph.core.modes import MODES
from monograph.core.shape import normalize_dim
from monograph.graph.node import Node
from monograph.ops import contraction, elementwise, movement, reduce
from monograph.ops.einsum import einsum as einsum_op
from monograph.ops.einsum import parse, sizes_of
from monograph.tensor.autocasting import cast_inputs
from monograph.tensor.core import Tensor
from monograph.tensor.delivery import takes_out
from monograph.tensor.dispatch import apply, emit, read
from monograph.tensor.pointwise import FUNCTIONS, METHODS, deliver, publish


def _same_dtype(a: Node, b: Node) -> None:
    if a.dtype is not b.dtype:
        raise mixed_products("matmul", a, b)


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
        return deliver(emit(contraction.matmul, a, b), out, exact=True)
    if na == 1 and nb == 1:
        if a.shape != b.shape:
            raise RuntimeError(
                f"inconsistent tensor size, expected tensor {list(a.shape)} and src {list(b.shape)} to have the same number of elements"
            )
        return deliver(emit(reduce.sum, elementwise.mul(a, b), dims=(0,), keepdim=False), out, exact=True)
    if na == 1:
        y = contraction.matmul(movement.reshape(a, shape=(1, a.shape[0])), b)
        return deliver(emit(movement.reshape, y, shape=(*y.shape[:-2], y.shape[-1])), out, exact=True)
    y = contraction.matmul(a, movement.reshape(b, shape=(b.shape[0], 1)))
    return deliver(emit(movement.reshape, y, shape=y.shape[:-1]), out, exact=True)


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


def outer(input: Tensor, vec2: Tensor, *, out: Tensor | None = None) -> Tensor:  # noqa: A002
    """All products of the elements of two vectors."""
    for what, x in (("self", input), ("vec2", vec2)):
        if not isinstance(x, Tensor):
            raise TypeError(f"outer(): argument '{what}' must be Tensor, not {type(x).__name__}")
        if x.ndim != 1:
            raise RuntimeError(f"outer: Expected 1-D argument {what}, but got {x.ndim}-D")
    a, b = METHODS["unsqueeze"](input, 1), METHODS["unsqueeze"](vec2, 0)
    return FUNCTIONS["mul"](a, b, out=out)


def einsum(equation: Any, *operands: Any) -> Tensor:
    """Sums of products in Einstein's notation: einsum("bij,bjk->bik", a, b).

    Subscripts may be lists of numbers instead: einsum(a, [0, 1], b, [1, 2], [0, 2]).
    """
    if not isinstance(equation, str):
        equation, operands = _from_lists((equation, *operands))
    group = operands[0] if len(operands) == 1 and isinstance(operands[0], list | tuple) else operands
    equation = equation.replace(" ", "")
    if group and all(isinstance(x, Tensor) and x.dtype.kind in "iub" for x in group) and _sums_one_operand(equation, group):
        group = [x.to(int64) for x in group]
    if len({x.dtype for x in group if isinstance(x, Tensor)}) > 1 and all(isinstance(x, Tensor) for x in group):
        group = _promoted(equation, group)
    return apply(einsum_op, *group, equation=equation)


def _promoted(equation: str, operands: Any) -> Any:
    """Operands of several types in the type that they promote to, where they are multiplied only; as they are where types that differ meet
    in a sum of products, which PyTorch refuses, too.
    """
    labels, output = parse(equation, tuple(x.ndim for x in operands))
    sizes = sizes_of(labels, [x.shape for x in operands], equation)
    own = [{label for label, size in zip(ls, x.shape, strict=True) if size == sizes[label]} for ls, x in zip(labels, operands, strict=True)]
    met, dtype = own[0], operands[0].dtype
    for k in range(1, len(operands)):
        needed = {*output, *(label for ls in labels[k + 1 :] for label in ls)}
        if (met & own[k]) - needed and operands[k].dtype != dtype:
            return operands
        met, dtype = (met | own[k]) & needed, promote(dtype, operands[k].dtype)
    return [x.to(dtype) for x in operands]


def _sums_one_operand(equation: str, operands: Any) -> bool:
    """Whether a dim of one operand alone is summed up: then integers become int64, as in `sum`."""
    left, arrow, right = equation.partition("->")
    terms = left.split(",")
    for term, x in zip(terms, operands, strict=False):
        before, _, after = term.partition("...")
        sizes = dict(zip(before, x.shape, strict=False)) | dict(zip(reversed(after), reversed(x.shape), strict=False))
        for letter, size in sizes.items():
            dropped = letter not in right if arrow else left.count(letter) > 1
            if dropped and (size != 1 or len(terms) == 1) and sum(letter in other for other in terms) == 1:
                return True
    return False


def _from_lists(arguments: tuple[Any, ...]) -> tuple[str, tuple[Any, ...]]:
    """(equation, operands) of operands that alternate with lists of subscripts (numbers below 52, or Ellipsis)."""

    def letters(subscripts: Any) -> str:
        for n in subscripts:
            if n is not Ellipsis and not 0 <= n < 52:
                raise ArgumentError(f"einsum(): subscripts in subscript list are not within the valid range [0, 52): got {n}")
        return "".join("..." if n is Ellipsis else chr(n + (65 if n < 26 else 71)) for n in subscripts)

    if len(arguments) < 2:
        raise ArgumentError("einsum(): must specify the operands and their subscripts, e.g. einsum(a, [0, 1], b, [1, 2], [0, 2])")
    pairs = len(arguments) // 2
    equation = ",".join(letters(arguments[2 * i + 1]) for i in range(pairs))
    if len(arguments) % 2:
        equation += "->" + letters(arguments[-1])
    return equation, arguments[: 2 * pairs : 2]


def tensordot(a: Any, b: Any, dims: Any = 2, *, out: Tensor | None = None) -> Tensor:
    """The sum of products over the last dims of a and the first of b, or over two lists of dims; a dim of size 1 goes with any size."""
    read(a), read(b)  # refuse what is no tensor
    if isinstance(dims, Tensor):
        dims = dims.tolist()  # type: ignore[attr-defined]
    if isinstance(dims, int):
        if dims < 0:
            raise RuntimeError(f"tensordot expects dims >= 0, but got dims={dims}")
        if dims > min(a.ndim, b.ndim):
            shapes = f"{list(a.shape)} and {list(b.shape)}"
            raise RuntimeError(f"tensordot expects dims < ndim_a or ndim_b, but got dims={dims} for shapes {shapes}")
        left, right = list(range(a.ndim - dims, a.ndim)), list(range(dims))
    else:
        left, right = [normalize_dim(d, a.ndim) for d in dims[0]], [normalize_dim(d, b.ndim) for d in dims[1]]
    if len(left) != len(right):
        raise RuntimeError(f"both dimension lists should have same length, got {left} and {right}")
    for d, e in zip(left, right, strict=True):
        if a.shape[d] == 1 != b.shape[e]:
            b = b.sum(e, keepdim=True, dtype=b.dtype)
        elif b.shape[e] == 1 != a.shape[d]:
            a = a.sum(d, keepdim=True, dtype=a.dtype)
        elif a.shape[d] != b.shape[e]:
            raise RuntimeError(
                f"contracted dimensions need to match, but first has size {a.shape[d]} in dim {d} "
                f"and second has size {b.shape[e]} in dim {e}"
            )
    keep_a = [d for d in range(a.ndim) if d not in left]
    keep_b = [d for d in range(b.ndim) if d not in right]
    shape = [a.shape[d] for d in keep_a] + [b.shape[d] for d in keep_b]
    inner = math.prod(a.shape[d] for d in left)
    x = METHODS["reshape"](METHODS["permute"](a, keep_a + left), (math.prod(a.shape[d] for d in keep_a), inner))
    y = METHODS["reshape"](METHODS["permute"](b, right + keep_b), (inner, math.prod(b.shape[d] for d in keep_b)))
    return deliver(METHODS["reshape"](matmul(x, y), shape), out, exact=True)


def chain_matmul(*matrices: Tensor) -> Tensor:
    """The product of several matrices, from the left."""
    for i, m in enumerate(matrices):
        if not isinstance(m, Tensor):
            raise TypeError(f"expected Tensor as element {i} in argument 0, but got {type(m).__name__}")
        if m.ndim != 2:
            raise RuntimeError(f"Tensor dimension is {m.ndim}, expected 2 instead.")
    result = matrices[0]
    for m in matrices[1:]:
        result = matmul(result, m)
    return result


def trace(input: Tensor) -> Tensor:  # noqa: A002
    """The sum of a matrix's diagonal."""
    if not isinstance(input, Tensor):
        raise TypeError(f"trace(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}")
    if input.ndim != 2:
        raise RuntimeError(f"trace: expected a matrix, but got tensor with dim {input.ndim}")
    return FUNCTIONS["sum"](METHODS["diagonal"](input))


publish("matmul", matmul)
_fixed("mm", 2, 2)
_fixed("bmm", 3, 3)
_fixed("mv", 2, 1)
_fixed("dot", 1, 1)
publish("outer", outer)
publish("trace", trace)
publish("ger", outer)
FUNCTIONS.update(einsum=einsum, tensordot=tensordot, chain_matmul=chain_matmul)


def _rmatmul(self: Tensor, other: Any) -> Any:
    return matmul(other, self) if isinstance(other, Tensor) else NotImplemented


METHODS["__matmul__"] = lambda self, other: matmul(self, other) if isinstance(other, Tensor) else NotImplemented
METHODS["__rmatmul__"] = _rmatmul
FUNCTIONS["tensordot"] = takes_out(FUNCTIONS["tensordot"])
