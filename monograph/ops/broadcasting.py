"""Shape and dtype rules that many ops share, and the two helpers every gradient rule uses: `sum_to` and `lift`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from monograph.core.dtype import bool_
from monograph.core.dtype import dtype as DType
from monograph.core.errors import DTypeError
from monograph.core.shape import Shape, broadcast, same
from monograph.graph.node import Node
from monograph.graph.op import REGISTRY
from monograph.ops.source import constant

Infer = Callable[..., tuple[Shape, DType]]

FLOATING, NUMERIC, INTEGRAL, ANY = "f", "fuic", "uib", "fuicb"
_WORDS = {
    FLOATING: "floating-point",
    "fc": "floating-point or complex",
    "c": "complex",
    NUMERIC: "numeric (not bool)",
    INTEGRAL: "integer or bool",
    "fui": "real (not bool)",
    "ui": "integer",
    "fuib": "real",
}


def sum_to(g: Any, shape: Shape) -> Any:
    """Undoes broadcasting: `g` summed over the dims along which a value of `shape` was repeated; `g` itself when nothing was.

    `sum` and `reshape` are looked up by name: their own gradients need this function.
    """
    have = g.shape
    if same(have, shape):
        return g
    extra = len(have) - len(shape)
    dims = tuple(i for i, s in enumerate(have) if i < extra or (shape[i - extra] == 1 and s != 1))
    if not dims:
        return g
    if not extra:
        return REGISTRY["sum"](g, dims=dims, keepdim=True)
    summed = REGISTRY["sum"](g, dims=dims, keepdim=False)
    return summed if same(summed.shape, shape) else REGISTRY["reshape"](summed, shape=shape)


def lift(value: Any, like: Node) -> Any:
    """A Python number as a 0-d constant of `like`'s dtype; a node is returned as it is."""
    return value if isinstance(value, Node) else constant(value, like.dtype)


def fixed(x: Any) -> bool:
    """Whether no gradient flows to `x`: rules for several inputs then save themselves the work."""
    return not x.requires_grad


def refuse(name: str, d: DType, allowed: str) -> DTypeError:
    """The error for a dtype that an op does not take."""
    fix = "cast the input first, e.g. x.float()" if allowed in (FLOATING, "fc", "c") else "cast the input first, e.g. x.to(int64)"
    return DTypeError(f"{name} expects {_WORDS[allowed]} inputs, got {d.name}: {fix}")


def mismatch(name: str, *nodes: Any) -> DTypeError:
    """The error for inputs of different dtypes."""
    got = ", ".join(f"{n.dtype.name}{list(n.shape)}" for n in nodes)
    return DTypeError(f"{name} expects inputs of the same dtype, got {got}: cast them to a common dtype first")


def common_shape(s: Shape, t: Shape) -> Shape:
    """`broadcast` with the frequent cases first."""
    if s is t or not t or (len(s) == len(t) and s == t):
        return s
    return broadcast(s, t) if s else t


def unary(name: str, allowed: str = FLOATING) -> Infer:
    """The rule of y = f(x): the type of x, which must be of an allowed kind."""

    def infer(attrs: Any, x: Any) -> tuple[Shape, DType]:
        d = x.dtype
        if d.kind not in allowed:
            raise refuse(name, d, allowed)
        return x.shape, d

    return infer


def binary(name: str, allowed: str = ANY) -> Infer:
    """The rule of z = f(x, y): equal dtypes of an allowed kind, shapes broadcast."""
    check = None if allowed == ANY else allowed

    def infer(attrs: Any, x: Any, y: Any) -> tuple[Shape, DType]:
        d = x.dtype
        if d is not y.dtype:
            raise mismatch(name, x, y)
        if check is not None and d.kind not in check:
            raise refuse(name, d, allowed)
        s = x.shape
        t = y.shape
        if s is t or not t or (len(s) == len(t) and s == t):
            return s, d
        return (broadcast(s, t) if s else t), d

    return infer


def ternary(name: str, allowed: str = FLOATING) -> Infer:
    """The rule of an op of three inputs: equal dtypes of an allowed kind, shapes broadcast."""

    def infer(attrs: Any, x: Any, y: Any, z: Any) -> tuple[Shape, DType]:
        d = x.dtype
        if d is not y.dtype or d is not z.dtype:
            raise mismatch(name, x, y, z)
        if d.kind not in allowed:
            raise refuse(name, d, allowed)
        return common_shape(common_shape(x.shape, y.shape), z.shape), d

    return infer


def predicate(name: str, allowed: str = ANY) -> Infer:
    """The rule of a test of one value: bool of x's shape."""

    def infer(attrs: Any, x: Any) -> tuple[Shape, DType]:
        if x.dtype.kind not in allowed:
            raise refuse(name, x.dtype, allowed)
        return x.shape, bool_

    return infer


def comparison(name: str, allowed: str = ANY) -> Infer:
    """The rule of a comparison: equal dtypes, shapes broadcast, bool comes out."""

    def infer(attrs: Any, x: Any, y: Any) -> tuple[Shape, DType]:
        d = x.dtype
        if d is not y.dtype:
            raise mismatch(name, x, y)
        if d.kind not in allowed:
            raise refuse(name, d, allowed)
        s = x.shape
        t = y.shape
        if s is t or not t or (len(s) == len(t) and s == t):
            return s, bool_
        return (broadcast(s, t) if s else t), bool_

    return infer
