"""The op record: one statement says all that is true of an op on every target. `define` refuses incomplete records."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from monograph.core.attrs import NO_ATTRS, Attrs, NoAttrs, holds_symbols
from monograph.core.dtype import dtype as DType
from monograph.graph.node import Node, record


class Family(enum.Enum):
    """The families of the vocabulary; each is a file in `ops/`."""

    SOURCE = "source"
    ELEMENTWISE = "elementwise"
    COMPARE = "compare"
    REDUCE = "reduce"
    MOVEMENT = "movement"
    INDEX = "index"
    CONTRACTION = "contraction"
    CONV = "conv"
    POOL = "pool"
    NORM = "norm"
    ATTENTION = "attention"
    LOSS = "loss"
    RANDOM = "random"
    SCAN = "scan"
    SORT = "sort"
    OPTIM = "optim"


class Trait(enum.Enum):
    """Facts about an op that passes use; they stand here and nowhere else."""

    COMMUTATIVE = "commutative"
    ASSOCIATIVE = "associative"
    IDEMPOTENT = "idempotent"  # f(f(x)) = f(x)
    POINTWISE = "pointwise"  # output element i depends on elements i of the (broadcast) inputs only
    VIEW = "view"  # output elements are input elements, moved
    HOLOMORPHIC = "holomorphic"  # complex-differentiable; its vjp is written as for real numbers, `autodiff` conjugates around it
    ALIAS = "alias"  # output = input, only its role differs (leaf, detach)
    IMPURE = "impure"  # not to be merged or removed
    CHECKS_VALUES = "checks values"  # may refuse values when it runs (indices); its user line is remembered
    VOLATILE = "volatile"  # attrs are run-time values, not structure: left out of plan keys


@dataclass(frozen=True)
class NotDifferentiable:
    """Says that an op has no gradient, and why."""

    reason: str


class ViaDecomposition:
    """Says that an op's gradient is that of its decomposition."""


VIA_DECOMPOSITION = ViaDecomposition()


@dataclass(frozen=True)
class Sample:
    """One call of an op for tests, docs and benchmarks: NumPy inputs, attributes; for a bad sample the expected error."""

    inputs: tuple[Any, ...]
    attrs: Attrs = NO_ATTRS
    error: type[Exception] | None = None
    match: str = ""  # a part of the error's message
    grad_inputs: tuple[int, ...] | None = None  # inputs to check gradients of (default: every floating one)
    tolerance: float = 1e-5


class IncompleteRecord(TypeError):  # noqa: N818 - reads as a sentence
    """`define` was given a record that lacks a part."""


ATTRS_KEPT = 4096


def _told_apart(value: Any) -> Any:
    """A key that no other value has, not even an equal one (1, 1.0 and True; 0.0 and -0.0); None for kinds that few records hold."""
    kind = value.__class__
    if kind is float:
        return (kind, value.hex())
    if kind is int or kind is bool or kind is str or kind is DType:
        return (kind, value)
    return value if kind is tuple and all([n.__class__ is int for n in value]) else None


class OpDef:
    """An op. Calling it with nodes and attributes records a node: `ops.sum(x, dims=(0,), keepdim=False)`."""

    __slots__ = (
        "attrs", "checks_values", "decompose", "differentiable", "doc", "family", "holomorphic", "infer", "interned", "is_view", "name",
        "number",
        "reference", "samples",
        "since", "traits", "unview", "vjp",
    )  # fmt: skip

    name: str
    family: Family
    since: int
    attrs: type[Attrs]
    infer: Callable[..., Any]
    reference: Callable[..., Any] | None
    decompose: Callable[..., Any] | None
    vjp: Callable[..., Any] | ViaDecomposition | NotDifferentiable
    traits: frozenset[Trait]
    samples: Callable[[], Iterable[Sample]]
    unview: Callable[..., Any] | None
    doc: str
    differentiable: bool
    checks_values: bool
    holomorphic: bool
    is_view: bool
    interned: dict[Any, Attrs]  # attribute records of recent calls, by their arguments
    number: int

    def __init__(self, **parts: Any) -> None:
        for name, part in parts.items():
            setattr(self, name, part)
        self.differentiable = not isinstance(self.vjp, NotDifferentiable)
        self.checks_values = Trait.CHECKS_VALUES in self.traits
        self.holomorphic = Trait.HOLOMORPHIC in self.traits
        self.is_view = Trait.VIEW in self.traits
        self.interned = {}
        self.number = len(REGISTRY)

    def __repr__(self) -> str:
        return f"<op {self.name}>"

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return (lookup, (self.name,))

    def make_attrs(self, **values: Any) -> Attrs:
        """The attribute record for these values, shared between equal calls."""
        return self.intern(values)

    def intern(self, values: dict[str, Any]) -> Attrs:
        """`make_attrs` of a dictionary: a record made before for the same arguments, where equal arguments are bound to mean the same."""
        make = self.attrs
        if make.PLAIN:
            key: tuple[Any, ...] = (*values, *values.values())
        else:
            told = [_told_apart(v) for v in values.values()]
            if None in told:
                return make(**values)
            key = (*values, *told)
        found = self.interned.get(key)
        if found is None:
            if make is NoAttrs and not values:
                return NO_ATTRS
            found = make(**values)
            if not holds_symbols(found):
                if len(self.interned) >= ATTRS_KEPT:
                    self.interned.clear()
                self.interned[key] = found
        return found

    def __call__(self, *inputs: Node, **values: Any) -> Node:
        return record(self, inputs, self.intern(values) if values or self.attrs is not NoAttrs else NO_ATTRS)


REGISTRY: dict[str, OpDef] = {}

Infer = Callable[..., tuple[Any, Any]]
Vjp = Callable[..., Sequence[Any]]


def define(
    name: str,
    *,
    family: Family,
    infer: Infer,
    samples: Callable[[], Iterable[Sample]],
    vjp: Vjp | ViaDecomposition | NotDifferentiable,
    since: int = 1,
    attrs: type[Attrs] = NoAttrs,
    reference: Callable[..., Any] | None = None,
    decompose: Callable[..., Any] | None = None,
    traits: Iterable[Trait] = (),
    unview: Callable[..., Any] | None = None,
    doc: str = "",
) -> OpDef:
    """Declares an op.

    infer(attrs, *inputs) -> (shape, dtype): inputs have `.shape` and `.dtype`; the only shape and dtype rule; raises our errors. For
    several
        outputs returns (((shape, dtype), ...), None).
    reference(attrs, *arrays) -> array or tuple of arrays: the meaning, in plain NumPy. A primitive has one; a composite may.
    decompose(attrs, *nodes) -> node: the meaning in simpler ops. A composite has one, a primitive does not. For several outputs returns a
    tuple of nodes.
    vjp(g, y, attrs, *xs) -> a list with one node (or None) per input: the vector-Jacobian product, written on nodes. For several outputs g
        is a tuple of nodes or None, and y the tuple node. Of complex values the gradient is torch's, dL/da + i dL/db for x = a + ib: a
        HOLOMORPHIC op's rule is the one for real numbers (autodiff conjugates g and the result), any other's holds as it stands.
    unview(attrs, base, new) -> node: of a VIEW op, `base` with the viewed region replaced by `new` (writes through views).
    samples() -> good and bad `Sample`s; every record is tested with them against everything.

    Raises IncompleteRecord for a record that lacks a part.
    """
    if name in REGISTRY:
        raise IncompleteRecord(f"op {name!r} is defined already")
    if reference is None and decompose is None:
        raise IncompleteRecord(f"op {name!r} has no meaning: give a reference (primitive) or a decompose (composite)")
    if isinstance(vjp, ViaDecomposition) and decompose is None:
        raise IncompleteRecord(f"op {name!r}: a gradient via decomposition needs a decomposition")
    if isinstance(vjp, NotDifferentiable) and not vjp.reason:
        raise IncompleteRecord(f"op {name!r}: say why it is not differentiable")
    if vjp is None or infer is None or samples is None:
        raise IncompleteRecord(f"op {name!r} lacks vjp, infer or samples: silence is not an answer")
    if not (isinstance(attrs, type) and issubclass(attrs, Attrs)):
        raise IncompleteRecord(f"op {name!r}: attrs must be a class declared with @attrs")
    kinds = frozenset(traits)
    if Trait.VIEW in kinds and unview is None:
        raise IncompleteRecord(f"op {name!r} is a view and must say how a write goes through it (unview)")
    op = OpDef(
        name=name, family=family, since=since, attrs=attrs, infer=infer, reference=reference, decompose=decompose, vjp=vjp,
        traits=kinds, samples=samples, unview=unview, doc=doc,
    )  # fmt: skip
    REGISTRY[name] = op
    return op


def lookup(name: str) -> OpDef:
    """The op called `name`; raises KeyError naming close ones."""
    try:
        return REGISTRY[name]
    except KeyError:
        close = [n for n in REGISTRY if n.startswith(name[:4])]
        raise KeyError(f"no op is called {name!r}" + (f"; close: {', '.join(close)}" if close else "")) from None


def is_composite(op: OpDef) -> bool:
    """Whether the op is defined in simpler ops."""
    return op.decompose is not None
