"""The signature of an exported program: names of arguments, and which of their sizes stay open."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from monograph.core.errors import ArgumentError, ShapeError
from monograph.core.symbol import Sym
from monograph.engine.export import Symbol


class Dim:
    """A size that differs from call to call: `Dim("batch", min=1, max=64)`. One object (or name) used twice means equal sizes."""

    AUTO: Any
    DYNAMIC: Any
    STATIC: Any = None

    def __init__(self, name: str, *, min: int | None = None, max: int | None = None) -> None:  # noqa: A002 - torch's names
        if not isinstance(name, str) or not name.isidentifier():
            raise ArgumentError(f"a Dim needs an identifier as its name, got {name!r}")
        if min is not None and max is not None and min > max:
            raise ArgumentError(f"Dim {name}: min={min} is larger than max={max}")
        self.name, self.min, self.max = name, min, max
        self.__name__ = name

    def __repr__(self) -> str:
        limits = "".join(f", {k}={v}" for k, v in (("min", self.min), ("max", self.max)) if v is not None)
        return f"Dim({self.name!r}{limits})"


class _Auto:
    def __repr__(self) -> str:
        return "Dim.DYNAMIC"


Dim.AUTO = Dim.DYNAMIC = _Auto()


def dims(*names: str, min: int | None = None, max: int | None = None) -> tuple[Dim, ...]:  # noqa: A002 - torch's names
    """Several Dims of one range."""
    return tuple(Dim(name, min=min, max=max) for name in names)


def argument_names(function: Any, args: tuple[Any, ...]) -> list[str]:
    """Names of the positional arguments."""
    try:
        parameters = list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        parameters = []
    names: list[str] = []
    for p in parameters:
        if len(names) == len(args):
            break
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD):
            names.append(p.name)
        elif p.kind is p.VAR_POSITIONAL:
            names += [f"{p.name}_{i}" for i in range(len(args) - len(names))]
    return names + [f"args_{i}" for i in range(len(names), len(args))]


def leaf_labels(names: Sequence[str], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[str]:
    found: list[str] = []

    def walk(label: str, value: Any) -> None:
        if isinstance(value, dict):
            for k, v in value.items():
                walk(f"{label}.{k}", v)
        elif type(value) in (list, tuple) or (isinstance(value, tuple) and hasattr(value, "_fields")):
            for i, v in enumerate(value):
                walk(f"{label}.{i}", v)
        else:
            found.append("".join(c if c.isalnum() or c in "_." else "_" for c in label))

    for name, value in [*zip(names, args, strict=True), *kwargs.items()]:
        walk(name, value)
    if len(set(found)) != len(found):
        raise ArgumentError(f"the arguments' names are not unique: {found}")
    return found


def leaf_dims(dynamic_shapes: Any, names: Sequence[str], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> list[Any]:
    """What dynamic_shapes says of each argument leaf."""
    every = [*zip(names, args, strict=True), *kwargs.items()]
    given: dict[str, Any]
    if dynamic_shapes is None:
        given = {}
    elif isinstance(dynamic_shapes, dict):
        given = dynamic_shapes
        strange = [k for k in given if k not in dict(every)]
        if strange:
            raise ArgumentError(f"dynamic_shapes names {strange[0]!r}, which is no argument: they are {', '.join(n for n, _ in every)}")
    elif isinstance(dynamic_shapes, tuple | list):
        if len(dynamic_shapes) != len(every):
            raise ArgumentError(f"dynamic_shapes has {len(dynamic_shapes)} entries for {len(every)} arguments")
        given = dict(zip([n for n, _ in every], dynamic_shapes, strict=True))
    else:
        raise TypeError(f"dynamic_shapes is a dict by argument name or a tuple in order, got {type(dynamic_shapes).__name__}")
    found: list[Any] = []

    def walk(value: Any, says: Any) -> None:
        if isinstance(value, dict):
            for k, v in value.items():
                walk(v, None if says is None else says.get(k))
        elif type(value) in (list, tuple) or (isinstance(value, tuple) and hasattr(value, "_fields")):
            for i, v in enumerate(value):
                walk(v, None if says is None else says[i])
        else:
            found.append(says)

    for name, value in every:
        walk(value, given.get(name))
    return found


def size_of(label: str, d: int, n: int, dims_of: Any, symbols: dict[str, Symbol], scope: Any) -> Any:
    says = None
    if isinstance(dims_of, Mapping):
        says = dims_of.get(d)
    elif isinstance(dims_of, tuple | list):
        says = dims_of[d] if d < len(dims_of) else None
    if says is None or isinstance(says, int):
        return n
    if isinstance(says, _Auto):
        says = Dim(f"s{len(symbols)}")
    if not isinstance(says, Dim):
        raise TypeError(f"dimension {d} of {label}: expected a Dim or None, got {says!r}")
    if n < 2:
        raise ShapeError(
            f"dimension {d} of {label} is to be dynamic, but its example has size {n}: export with an example of at least 2, "
            f"0 and 1 are special sizes"
        )
    if (says.min is not None and n < says.min) or (says.max is not None and n > says.max):
        raise ShapeError(f"dimension {d} of {label} has size {n}, outside of {says!r}")
    known = symbols.get(says.name)
    if known is None:
        symbols[says.name] = Symbol(says.name, n, says.min, says.max)
        return scope.symbol(says.name, n)
    if known.example != n:
        raise ShapeError(f"{says.name} is {known.example} elsewhere but {n} in dimension {d} of {label}: equal Dims mean equal sizes")
    return Sym({(says.name,): 1}, scope)
