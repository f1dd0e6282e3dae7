"""Attributes of a node: frozen, hashable records with typed fields, so that equal programs compare equal and print alike.

Not `dataclasses`: sixty of those cost 40 ms of every import, and their `==` cannot tell 1 from 1.0 or True, nor 0.0 from -0.0, which as
the value of a constant are different programs.
"""

from __future__ import annotations

import inspect
import itertools
import operator
from collections.abc import Iterator
from typing import Any, ClassVar, dataclass_transform

import numpy as np

from monograph.core.dtype import dtype
from monograph.core.errors import MonographError
from monograph.core.symbol import Sym

_tokens: dict[Any, int] = {}
_next_token = itertools.count().__next__
TOKENS_KEPT = 100_000


class FrozenError(AttributeError, MonographError):
    """An attribute record was written to."""


class Attrs:
    """Base of all attribute records. A subclass is declared with `@attrs`.

    `FIELDS` names its fields; those in `HIDDEN` are no part of what the program is (a closure to call, say) and are left out of
    comparisons.
    """

    __slots__ = ("_token",)

    _token: int
    FIELDS: ClassVar[tuple[str, ...]] = ()
    DEFAULTS: ClassVar[dict[str, Any]] = {}
    HIDDEN: ClassVar[frozenset[str]] = frozenset()
    PLAIN: ClassVar[bool] = True  # values that compare equal are the same value: no floats among the fields

    def items(self) -> list[tuple[str, Any]]:
        """Field names and values, in order of declaration."""
        return [(name, getattr(self, name)) for name in self.FIELDS]

    def exact(self) -> tuple[Any, ...]:
        """A key that is equal for equal records only, down to the type and the sign of zero of every number."""
        return (type(self), *[_exact(value) for name, value in self.items() if name not in self.HIDDEN])

    @property
    def token(self) -> int:
        """A number that stands for this value: equal tokens mean equal records. What plans are looked up by, since ints hash in no time."""
        try:
            return self._token
        except AttributeError:
            pass
        key = self.exact()
        try:
            token = _tokens.get(key)
        except TypeError as error:
            raise TypeError(
                f"{self!r} holds a value that is not hashable ({error}): attributes are numbers, strings, dtypes and tuples of them"
            ) from None
        if token is None:
            token = _next_token()
            if not holds_symbols(self):  # a symbol of a capture that has ended must not be mistaken for another one
                if len(_tokens) >= TOKENS_KEPT:
                    _tokens.clear()  # numbers are never given twice, so this costs some plans and nothing else
                _tokens[key] = token
        object.__setattr__(self, "_token", token)
        return token

    def sizes(self) -> tuple[int, tuple[int, ...]]:
        """The record without its sizes, as a number (equal for equal ones), and its sizes: all ints from two on, in order.

        Zeros and ones stay: a dim of size one is another program than a dim of any other size.
        """
        try:
            return _outlines[self.token]
        except KeyError:
            pass
        found: list[int] = []
        key = (type(self), *[_outline(value, found) for name, value in self.items() if name not in self.HIDDEN])
        number = _outline_numbers.get(key)
        if len(_outlines) >= TOKENS_KEPT:
            _outlines.clear()
            _outline_numbers.clear()
        if number is None:
            number = _outline_numbers[key] = _next_token()
        made = _outlines[self.token] = number, tuple(found)
        return made

    def with_sizes(self, sizes: Iterator[Any]) -> Attrs:
        """The record with the next of these sizes in place of its own."""
        return type(self)(*[value if name in self.HIDDEN else _filled(value, sizes) for name, value in self.items()])

    def __eq__(self, other: object) -> bool:
        return self is other or (type(self) is type(other) and self.exact() == other.exact())

    def __hash__(self) -> int:
        return hash(self.exact())

    def __repr__(self) -> str:
        return f"{type(self).__qualname__}({', '.join(f'{n}={v!r}' for n, v in self.items())})"

    def __setattr__(self, name: str, value: Any) -> None:
        raise FrozenError(f"cannot assign to field {name!r} of {self!r}: attribute records are frozen, make a new one")

    def __delattr__(self, name: str) -> None:
        raise FrozenError(f"cannot delete field {name!r} of {self!r}: attribute records are frozen")

    def __reduce__(self) -> tuple[Any, ...]:
        return (type(self), tuple([v for _, v in self.items()]))


def holds_symbols(record: Attrs) -> bool:
    """Whether a size among the values is symbolic."""
    return any(isinstance(v, Sym) or (isinstance(v, tuple) and any(isinstance(s, Sym) for s in v)) for _, v in record.items())


def _exact(value: Any) -> Any:
    kind = type(value)
    if kind is int or kind is str or value is None:
        return value
    if kind is tuple:
        return tuple([_exact(v) for v in value])
    if kind is Sym:
        return (Sym, id(value.scope), tuple(value.terms.items()))
    if isinstance(value, float):
        return (float, value.hex())
    if kind is bool or isinstance(value, complex):
        return (kind, repr(value))
    return value


_outlines: dict[int, tuple[int, tuple[int, ...]]] = {}  # of each token
_outline_numbers: dict[Any, int] = {}


def _outline(value: Any, found: list[int]) -> Any:
    kind = type(value)
    if kind is int and value > 1:
        found.append(value)
        return int
    if kind is tuple:
        return tuple([_outline(v, found) for v in value])
    return _exact(value)


def _filled(value: Any, sizes: Iterator[Any]) -> Any:
    kind = type(value)
    if kind is int and value > 1:
        return next(sizes)
    return tuple([_filled(v, sizes) for v in value]) if kind is tuple else value


# A size: an int, or a symbol of one. What fields of one and of many are declared as.
Size = Any
SIZES = ("Shape", "Sizes", "tuple[Any, ...]")

# What may stand in a field that is declared so: the class for the message, and all classes that are taken.
EXPECTED: dict[str, tuple[str, tuple[type, ...]]] = {
    "int": ("int", (int, np.integer, Sym)),
    "Size": ("int", (int, np.integer, Sym)),
    "float": ("float", (float, int, np.floating, np.integer, Sym)),
    "bool": ("bool", (bool, np.bool_)),
    "str": ("str", (str,)),
    "DType": ("dtype", (dtype,)),
    "int | None": ("int", (int, np.integer, Sym, type(None))),
    "float | None": ("float", (float, int, np.floating, np.integer, Sym, type(None))),
}


@dataclass_transform(frozen_default=True)
def attrs(cls: type) -> type:
    """Declares an attribute record: frozen and slotted, made by position or by name, equal when all values are."""
    types = dict(cls.__annotations__)
    own = tuple(types)
    inherited: tuple[str, ...] = getattr(cls, "FIELDS", ())
    defaults = dict(getattr(cls, "DEFAULTS", {}))
    body = {name: value for name, value in cls.__dict__.items() if name not in ("__dict__", "__weakref__") and "annot" not in name}
    for name in own:
        if name in body:
            defaults[name] = body.pop(name)
    fields = (*inherited, *(name for name in own if name not in inherited))
    declared = " ".join(str(t) for t in types.values()).replace("tuple[Any, ...]", "")  # sizes: ints, or symbols
    plain = getattr(cls, "PLAIN", True) and not any(word in declared for word in ("float", "Any", "Callable", "complex"))
    body.update(
        __annotations__=types, __slots__=own, FIELDS=fields, DEFAULTS=defaults, PLAIN=plain, __match_args__=fields, __init__=_first_init
    )
    made = type(cls)(cls.__name__, cls.__bases__, body)
    made.__qualname__ = cls.__qualname__
    return made


def _first_init(self: Any, *args: Any, **values: Any) -> None:
    """Writes the class's own `__init__`, when its first record is made: most classes are never needed in a run."""
    cls: Any = next(c for c in type(self).__mro__ if c.__dict__.get("__init__") is _first_init)
    fields, defaults = cls.FIELDS, cls.DEFAULTS
    signature = ", ".join(["self", *(f"{f}=_default_{f}" if f in defaults else f for f in fields)])
    declared = {name: str(kind) for c in reversed(cls.__mro__) for name, kind in inspect.get_annotations(c).items()}
    # The exact class is what comes nearly always: what is something else is looked at.
    lines = [f"    if {f}.__class__ is not _kind_{f}: {f} = _look({f!r}, {f})" for f in fields if declared[f] in EXPECTED]
    for f in (f for f in fields if declared[f] in SIZES):
        lines += [f"    for _s in {f}:", f"        if _s.__class__ is not int: {f} = _look_at_all({f!r}, {f}); break"]
    lines += [f"    _set_{f}(self, {f})" for f in fields] or ["    pass"]
    namespace: dict[str, Any] = {f"_set_{f}": getattr(cls, f).__set__ for f in fields} | {f"_default_{f}": d for f, d in defaults.items()}

    def look(name: str, value: Any) -> Any:
        what, accepted = EXPECTED[declared[name]]
        if isinstance(value, accepted):
            return operator.index(value) if declared[name] == "Size" and isinstance(value, int | np.integer) else value
        return _number(name, value, what)

    def look_at_all(name: str, values: tuple[Any, ...]) -> tuple[Any, ...]:
        return tuple([v if isinstance(v, int | Sym) else _number(name, v, "tuple of ints") for v in values])

    namespace |= {"_look": look, "_look_at_all": look_at_all}
    namespace |= {f"_kind_{f}": EXPECTED[declared[f]][1][0] for f in fields if declared[f] in EXPECTED}
    # As code of this file: what a captured function could read of a library's state is not watched.
    exec(compile("\n".join([f"def __init__({signature}):", *lines]), __file__, "exec"), namespace)
    cls.__init__ = namespace["__init__"]
    cls.__init__(self, *args, **values)


def _number(name: str, value: Any, what: str) -> Any:
    """A number of a foreign class (a tensor that holds one, NumPy's) as Python's."""
    try:
        if what in ("int", "tuple of ints"):
            return operator.index(value)
        if what == "float" and getattr(value, "shape", None) == ():
            return float(value)
    except (TypeError, RuntimeError):
        pass
    raise TypeError(f"argument '{name}' must be {what}, not {type(value).__name__}: {value!r:.80}")


@attrs
class NoAttrs(Attrs):
    """For ops without attributes."""


NO_ATTRS = NoAttrs()
