"""Where values enter the graph: buffers, scalars, constants; and roles of values: leaf, detach, project."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from monograph.core.attrs import Attrs, Size, attrs
from monograph.core.dtype import dtype as DType
from monograph.core.dtype import float32, int64
from monograph.core.errors import ShapeError
from monograph.core.modes import MODES
from monograph.core.shape import Shape
from monograph.graph.node import Node, record
from monograph.graph.op import Family, NotDifferentiable, Sample, Trait, define

SOURCE = Family.SOURCE


@attrs
class TypeAttrs(Attrs):
    """The type of a source."""

    shape: Shape
    dtype: DType


@attrs
class ScalarAttrs(Attrs):
    """A Python number with its dtype; `provider`, if given, is asked again whenever a captured program runs."""

    value: Any
    dtype: DType
    provider: Callable[[], Any] | None = None


@attrs
class FullAttrs(Attrs):
    """A shape filled with one value."""

    shape: Shape
    value: Any
    dtype: DType


@attrs
class ArangeAttrs(Attrs):
    """start + step * i along one dimension."""

    start: Any
    step: Any
    length: Size
    dtype: DType


@attrs
class ProjectAttrs(Attrs):
    """Which output of a node with several."""

    index: int


def _typed(a: Any, *_: Any) -> tuple[Shape, DType]:
    return a.shape, a.dtype


def _no_samples() -> Iterable[Sample]:
    return ()


def _unreadable(a: Any, *_: Any) -> Any:
    raise RuntimeError("a source has a value or none at all: it is never computed")


NO_INPUT = NotDifferentiable("it has no inputs")

source = define(
    "source", family=SOURCE, attrs=TypeAttrs, infer=_typed, reference=_unreadable, vjp=NO_INPUT, samples=_no_samples, traits=[Trait.IMPURE]
)
source.doc = "A value from outside: an array, a parameter, an input of a saved program."

scalar = define(
    "scalar",
    family=SOURCE,
    attrs=ScalarAttrs,
    infer=lambda a: ((), a.dtype),
    vjp=NO_INPUT,
    traits=[Trait.VOLATILE],
    reference=lambda a: np.asarray(a.value if a.provider is None else a.provider()).astype(a.dtype.np),
    samples=lambda: [Sample((), ScalarAttrs(2.5, float32)), Sample((), ScalarAttrs(-3, int64))],
)

full = define(
    "full",
    family=SOURCE,
    attrs=FullAttrs,
    infer=_typed,
    vjp=NO_INPUT,
    reference=lambda a: (
        np.full(a.shape, a.value).astype(a.dtype.np) if not isinstance(a.value, int) else np.full(a.shape, a.value, a.dtype.np)
    ),
    samples=lambda: [
        Sample((), FullAttrs((2, 3), 1.5, float32)),
        Sample((), FullAttrs((), 7, int64)),
        Sample((), FullAttrs((0, 2), 0, float32)),
    ],
)


def _arange(a: ArangeAttrs) -> np.ndarray:
    i = np.arange(a.length, dtype=np.float64 if a.dtype.kind == "f" else np.int64)
    return (a.start + i * a.step).astype(a.dtype.np)


arange = define(
    "arange",
    family=SOURCE,
    attrs=ArangeAttrs,
    infer=lambda a: ((a.length,), a.dtype),
    reference=_arange,
    vjp=NO_INPUT,
    samples=lambda: [
        Sample((), ArangeAttrs(0, 1, 5, int64)),
        Sample((), ArangeAttrs(1.0, 0.5, 4, float32)),
        Sample((), ArangeAttrs(0, 1, 0, int64)),
    ],
)


def _project(a: ProjectAttrs, x: Any) -> tuple[Shape, DType]:
    return x.shape[a.index]


project = define(
    "project",
    family=SOURCE,
    attrs=ProjectAttrs,
    infer=_project,
    reference=lambda a, x: x[a.index],
    vjp=lambda g, y, a, x: [g],
    samples=_no_samples,
    traits=[Trait.ALIAS],
)
project.doc = "One output of a node with several; gradients of the outputs are gathered by autodiff itself."

leaf = define(
    "leaf",
    family=SOURCE,
    infer=lambda a, x: (x.shape, x.dtype),
    reference=lambda a, x: x,
    vjp=lambda g, y, a, x: [None],
    samples=lambda: [Sample((np.ones((2, 3), np.float32),), grad_inputs=())],
    traits=[Trait.ALIAS],
)
leaf.doc = "A tensor in its role as a leaf of autograd: where a gradient is collected."

clone = define(
    "clone",
    family=SOURCE,
    infer=lambda a, x: (x.shape, x.dtype),
    reference=lambda a, x: x,
    vjp=lambda g, y, a, x: [g],
    samples=lambda: [Sample((np.ones((2, 3), np.float32),))],
    traits=[Trait.ALIAS],
)
clone.doc = "The same value under another identity, so that writes to one tensor never count as writes to the other."


def _revalued(a: Any, x: Node, value: Node) -> tuple[Shape, DType]:
    if x.shape != value.shape or x.dtype is not value.dtype:
        raise ShapeError(
            f"revalued: a value of shape {list(value.shape)} and dtype {value.dtype.name} cannot stand for one of shape "
            f"{list(x.shape)} and dtype {x.dtype.name}"
        )
    return x.shape, x.dtype


revalued = define(
    "revalued",
    family=SOURCE,
    infer=_revalued,
    decompose=lambda a, x, value: clone(value),
    reference=lambda a, x, value: value,
    vjp=lambda g, y, a, x, value: [g, None],
    samples=lambda: [
        Sample((np.ones((2, 3), np.float32), np.zeros((2, 3), np.float32)), grad_inputs=()),
        Sample((np.ones((2, 3), np.float32), np.zeros(3, np.float32)), error=ShapeError, match="cannot stand for one of shape"),
    ],
)
revalued.doc = "Another value with the history of x: what x is after a write to x.data or x.detach()."

detach = define(
    "detach",
    family=SOURCE,
    infer=lambda a, x: (x.shape, x.dtype),
    reference=lambda a, x: x,
    vjp=NotDifferentiable("detach stops gradients by definition"),
    samples=lambda: [Sample((np.ones((2, 3), np.float32),))],
    traits=[Trait.ALIAS],
)


def from_value(value: Any, shape: Shape, dtype: DType) -> Node:
    """A source that holds a materialised value (a `runtime.Buffer`)."""
    node = Node(source, (), TypeAttrs(shape, dtype), shape, dtype)
    node.value = value
    MODES.pending_bytes += getattr(value, "nbytes", 0)
    return node


def placeholder(shape: Shape, dtype: DType) -> Node:
    """A source without a value: an input of a program, or a tensor on device `meta`."""
    return Node(source, (), TypeAttrs(shape, dtype), shape, dtype)


def number(value: Any, dtype: DType, provider: Callable[[], Any] | None = None) -> Node:
    """A 0-d run-time scalar: changing it never makes a new plan."""
    return Node(scalar, (), ScalarAttrs(value, dtype, provider), (), dtype)


def constant(value: Any, dtype: DType, shape: Shape = ()) -> Node:
    """A value that is part of the program's structure (0, 1, 0.5 ...)."""
    return record(full, (), full.intern({"shape": shape, "value": value, "dtype": dtype}))


def zeros_like(x: Node) -> Node:
    """Zeros of x's type."""
    return constant(0, x.dtype, x.shape)
