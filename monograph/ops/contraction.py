"""Products that sum over a common dimension: matmul, and in terms of it linear, addmm, dot, outer. Einsum: `einsum.py`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from monograph.core.attrs import Attrs, attrs
from monograph.core.clashes import mixed_products
from monograph.core.dtype import dtype as DType
from monograph.core.errors import DTypeError, ShapeError
from monograph.core.explain import explained, feature_fix, marked
from monograph.core.shape import Shape, broadcast
from monograph.graph.node import Node
from monograph.graph.op import VIA_DECOMPOSITION, Family, Sample, Trait, define
from monograph.ops.broadcasting import sum_to
from monograph.ops.elementwise import mul
from monograph.ops.precision import half_in_single
from monograph.ops.reduce import sum as sum_dims
from monograph.ops.views import permute, reshape

CONTRACTION = Family.CONTRACTION


def transpose_last(x: Node) -> Node:
    """x with its last two dimensions exchanged."""
    n = len(x.shape)
    return permute(x, dims=(*range(n - 2), n - 1, n - 2))


def rows(x: Node) -> Node:
    """x as a matrix: all dimensions but the last flattened into one."""
    if len(x.shape) == 2:
        return x
    n: Any = 1
    for s in x.shape[:-1]:
        n = n * s
    return reshape(x, shape=(n, x.shape[-1]))


def same_number_type(what: str, *xs: Any) -> DType:
    """The common dtype of the operands of a product; raises DTypeError when they differ or cannot be multiplied and summed."""
    d = xs[0].dtype
    for x in xs:
        if x.dtype is not d:
            raise mixed_products(what, *xs)
    if d.kind == "b":
        raise DTypeError(f"\"{what}\" not implemented for 'bool'; convert the operands first, e.g. x.to(float32)")
    return d


# ---------------------------------------------------------------- matmul


def _matmul_type(a: Attrs, x: Any, y: Any) -> tuple[Shape, DType]:
    s, t = x.shape, y.shape
    if len(s) < 2 or len(t) < 2:
        raise ShapeError(
            f"matmul takes operands with at least 2 dimensions, got shapes {list(s)} and {list(t)}; reshape a vector to a row or a column"
        )
    d = x.dtype
    if d is not y.dtype or d.kind == "b":
        same_number_type("matmul", x, y)
    if s[-1] != t[-2]:
        if len(s) == 2 and len(t) == 2:
            message = f"mat1 and mat2 shapes cannot be multiplied ({s[0]}x{s[1]} and {t[0]}x{t[1]})"
        else:
            message = f"Expected size for first two dimensions of batch2 tensor to be: [{t[0]}, {s[-1]}] but got: [{t[0]}, {t[-2]}]."
        raise ShapeError(explained(message, _transpose_fix(s, t), a=marked(s, -1), b=marked(t, -2)))
    if len(s) == 2 and len(t) == 2:
        return (s[0], t[1]), d
    return (*broadcast(s[:-2], t[:-2]), s[-2], t[-1]), d


def _transpose_fix(s: Shape, t: Shape) -> str:
    if s[-1] == t[-1]:
        return "did you mean a @ b.mT?"
    if s[-2] == t[-2]:
        return "did you mean a.mT @ b?"
    if s[-2] == t[-1]:
        return "did you mean b @ a?"
    return "the last size of a must be the last but one of b"


def _matmul_gradient(g: Node, y: Node, a: Attrs, x: Node, w: Node) -> list[Node | None]:
    gx = sum_to(matmul(g, transpose_last(w)), x.shape)
    if len(w.shape) == 2 and len(x.shape) > 2:  # one tall product instead of a batch of small ones that are then summed
        return [gx, matmul(transpose_last(rows(x)), rows(g))]
    return [gx, sum_to(matmul(transpose_last(x), g), w.shape)]


def _pair(*shapes: Shape, dtype: Any = np.float64, seed: int = 0) -> tuple[np.ndarray, ...]:
    draw = np.random.default_rng(seed)
    return tuple((draw.standard_normal(s) * (1 if np.dtype(dtype).kind != "i" else 5)).astype(dtype) for s in shapes)


def _matmul_samples() -> Iterable[Sample]:
    for s, t in [
        ((2, 3), (3, 4)), ((1, 1), (1, 1)), ((5, 2, 3), (3, 4)), ((2, 3), (5, 3, 4)), ((2, 1, 2, 3), (3, 3, 2)), ((4, 2, 3), (4, 3, 2)),
        ((0, 3), (3, 4)), ((2, 0), (0, 4)), ((0, 2, 3), (0, 3, 1)),
    ]:  # fmt: skip
        yield Sample(_pair(s, t))
    yield Sample(_pair((3, 4), (4, 2), dtype=np.float32), tolerance=1e-4)
    yield Sample(_pair((3, 4), (4, 2), dtype=np.float16), tolerance=1e-2, grad_inputs=())
    yield Sample(_pair((3, 4), (4, 2), dtype=np.int64))
    yield Sample(_pair((2, 3), (4, 5)), error=ShapeError, match=r"mat1 and mat2 shapes cannot be multiplied \(2x3 and 4x5\)")
    yield Sample(_pair((2, 3), (4, 3)), error=ShapeError, match=r"did you mean a @ b\.mT\?")
    yield Sample(
        _pair((2, 2, 3), (2, 4, 5)), error=ShapeError, match=r"Expected size for first two dimensions of batch2 tensor to be: \[2, 3\]"
    )
    yield Sample(_pair((2, 2, 3), (4, 3, 5)), error=ShapeError, match=r"must match the size of tensor b \(4\)")
    yield Sample(_pair((3,), (3, 4)), error=ShapeError, match="at least 2 dimensions")
    yield Sample(
        (np.ones((2, 3)), np.ones((3, 2), np.float32)),
        error=DTypeError,
        match="expected m1 and m2 to have the same dtype, but got: float64 != float32",
    )
    yield Sample((np.ones((2, 3), bool), np.ones((3, 2), bool)), error=DTypeError, match="not implemented for 'bool'")


matmul = define(
    "matmul", family=CONTRACTION, infer=_matmul_type, reference=half_in_single(lambda a, x, y: np.matmul(x, y)), vjp=_matmul_gradient,
    traits=[Trait.HOLOMORPHIC],
    samples=_matmul_samples, doc="Matrix product of the last two dimensions, [..., m, k] @ [..., k, n]; the leading ones broadcast.",
)  # fmt: skip


# ---------------------------------------------------------------- linear


def _linear_type(a: Attrs, x: Any, w: Any, b: Any = None) -> tuple[Shape, DType]:
    s, t = x.shape, w.shape
    if len(t) != 2 or not s:
        raise ShapeError(f"linear takes an input of at least 1 dimension and a weight [out, in], got shapes {list(s)} and {list(t)}")
    if x.dtype is not w.dtype or x.dtype.kind == "b" or (b is not None and b.dtype is not x.dtype):
        same_number_type("linear", x, w, *([] if b is None else [b]))
    if s[-1] != t[1]:
        first: Any = 1
        for n in s[:-1]:
            first = first * n
        fix = f"the last dimension of the input ({s[-1]}) must be in_features ({t[1]}): nn.Linear({s[-1]}, {t[0]}) would take it"
        raise ShapeError(
            explained(
                f"mat1 and mat2 shapes cannot be multiplied ({first}x{s[-1]} and {t[1]}x{t[0]})",
                feature_fix(s, t[1], fix), input=marked(s, -1), weight=marked(t, -1),
            )
        )  # fmt: skip
    if b is not None and b.shape != (t[0],) and b.shape != ():
        raise ShapeError(f"the bias of linear must have shape [{t[0]}] (the weight is {list(t)}), got {list(b.shape)}")
    return (*s[:-1], t[0]), x.dtype


def _linear(a: Attrs, x: Node, w: Node, b: Node | None = None) -> Node:
    y = matmul(reshape(x, shape=(1, x.shape[0])) if len(x.shape) == 1 else rows(x), transpose_last(w))
    if b is not None:
        y = y + b
    return y if len(x.shape) == 2 else reshape(y, shape=(*x.shape[:-1], w.shape[0]))


def _linear_gradient(g: Node, y: Node, a: Attrs, x: Node, w: Node, b: Node | None = None) -> list[Node | None]:
    g2 = reshape(g, shape=(1, g.shape[0])) if len(g.shape) == 1 else rows(g)
    x2 = reshape(x, shape=(1, x.shape[0])) if len(x.shape) == 1 else rows(x)
    gx = matmul(g2, w)
    gx = gx if len(x.shape) == 2 else reshape(gx, shape=x.shape)
    gw = matmul(transpose_last(g2), x2)
    if b is None:
        return [gx, gw]
    return [gx, gw, sum_dims(g2, dims=(0,), keepdim=False) if b.shape else sum_to(g2, ())]


def _linear_samples() -> Iterable[Sample]:
    for s in [(2, 3), (3,), (2, 4, 3), (0, 3)]:
        yield Sample(_pair(s, (5, 3), (5,)))
        yield Sample(_pair(s, (5, 3)))
    yield Sample(_pair((2, 0), (5, 0), (5,)))
    yield Sample(_pair((2, 3), (4, 3), (4,), dtype=np.float32), tolerance=1e-4)
    yield Sample(_pair((2, 3), (5, 4)), error=ShapeError, match=r"mat1 and mat2 shapes cannot be multiplied \(2x3 and 4x5\)")
    yield Sample(_pair((2, 3), (5, 3), (4,)), error=ShapeError, match=r"bias of linear must have shape \[5\]")
    yield Sample((np.ones((2, 3)), np.ones((4, 3), np.float32)), error=DTypeError, match="but got float64 and float32")


linear = define(
    "linear", family=CONTRACTION, infer=_linear_type, decompose=_linear, vjp=_linear_gradient, samples=_linear_samples,
    traits=[Trait.HOLOMORPHIC],
    doc="x @ w.T + b for x [..., in], w [out, in] and, if given, b [out].",
)  # fmt: skip


# ---------------------------------------------------------------- addmm, dot, outer


@attrs
class AddmmAttrs(Attrs):
    """The factors of the added matrix and of the product."""

    beta: float = 1
    alpha: float = 1


def _addmm_type(a: AddmmAttrs, c: Any, x: Any, y: Any) -> tuple[Shape, DType]:
    if len(x.shape) != 2 or len(y.shape) != 2:
        raise ShapeError(f"mat1 and mat2 of addmm must be matrices, got shapes {list(x.shape)} and {list(y.shape)}")
    shape, d = _matmul_type(a, x, y)
    same_number_type("addmm", c, x)
    if broadcast(c.shape, shape) != shape:
        raise ShapeError(f"the input of addmm, {list(c.shape)}, does not expand to the product's shape {list(shape)}")
    return shape, d


def _addmm(a: AddmmAttrs, c: Node, x: Node, y: Node) -> Node:
    product = matmul(x, y) if a.alpha == 1 else matmul(x, y) * a.alpha
    if a.beta == 0:  # as in BLAS: NaN in a matrix that does not count does not spread
        return product
    return product + (c if a.beta == 1 else c * a.beta)


def _addmm_samples() -> Iterable[Sample]:
    yield Sample(_pair((2, 4), (2, 3), (3, 4)), AddmmAttrs())
    yield Sample(_pair((4,), (2, 3), (3, 4)), AddmmAttrs(0.5, -2.0))
    yield Sample(_pair((), (2, 3), (3, 4)), AddmmAttrs(2.0, 1))
    yield Sample((np.full((2, 4), np.nan), *_pair((2, 3), (3, 4))), AddmmAttrs(0, 1), grad_inputs=(1, 2))
    yield Sample(_pair((2, 4), (2, 3), (3, 4), dtype=np.int64), AddmmAttrs(2, 3))
    yield Sample(_pair((2, 4), (2, 3), (4, 4)), AddmmAttrs(), error=ShapeError, match=r"cannot be multiplied \(2x3 and 4x4\)")
    yield Sample(_pair((3, 2, 4), (2, 3), (3, 4)), AddmmAttrs(), error=ShapeError, match="does not expand")


addmm = define(
    "addmm", family=CONTRACTION, attrs=AddmmAttrs, infer=_addmm_type, decompose=_addmm, vjp=VIA_DECOMPOSITION, samples=_addmm_samples,
    doc="beta * c + alpha * (x @ y); c broadcasts; beta = 0 leaves c out altogether.",
)  # fmt: skip


def _dot_type(a: Attrs, x: Any, y: Any) -> tuple[Shape, DType]:
    if len(x.shape) != 1 or len(y.shape) != 1:
        raise ShapeError(f"1D tensors expected, but got {len(x.shape)}D and {len(y.shape)}D tensors; use matmul for matrices")
    same_number_type("dot", x, y)
    if x.shape != y.shape:
        raise ShapeError(
            f"inconsistent tensor size, expected tensor {list(x.shape)} and src {list(y.shape)} to have the same number of elements, "
            f"but got {x.shape[0]} and {y.shape[0]} elements respectively"
        )
    return (), x.dtype


def _dot_samples() -> Iterable[Sample]:
    yield Sample(_pair((4,), (4,)))
    yield Sample(_pair((0,), (0,)))
    yield Sample(_pair((4,), (4,), dtype=np.int32))
    yield Sample(_pair((4,), (3,)), error=ShapeError, match="to have the same number of elements, but got 4 and 3")
    yield Sample(_pair((4, 1), (4,)), error=ShapeError, match="1D tensors expected, but got 2D and 1D tensors")


dot = define(
    "dot", family=CONTRACTION, infer=_dot_type, decompose=lambda a, x, y: sum_dims(mul(x, y), dims=(0,), keepdim=False),
    vjp=lambda g, y, a, u, v: [g * v, g * u], samples=_dot_samples, traits=[Trait.HOLOMORPHIC], doc="Sum of products of two vectors.",
)  # fmt: skip


def _outer_type(a: Attrs, x: Any, y: Any) -> tuple[Shape, DType]:
    if len(x.shape) != 1 or len(y.shape) != 1:
        raise ShapeError(f"outer: Expected 1-D argument self and vec2, but got {len(x.shape)}-D and {len(y.shape)}-D")
    if x.dtype is not y.dtype:
        same_number_type("outer", x, y)
    return (x.shape[0], y.shape[0]), x.dtype


outer = define(
    "outer", family=CONTRACTION, infer=_outer_type, decompose=lambda a, x, y: mul(reshape(x, shape=(x.shape[0], 1)), y),
    vjp=VIA_DECOMPOSITION,
    samples=lambda: [
        Sample(_pair((3,), (4,))), Sample(_pair((0,), (4,))), Sample(_pair((2,), (4,), dtype=np.int64)),
        Sample(_pair((3, 1), (4,)), error=ShapeError, match="Expected 1-D argument"),
    ], doc="Every product of an element of x with an element of y.",
)  # fmt: skip
