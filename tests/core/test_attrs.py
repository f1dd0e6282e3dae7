"""Attribute records: values that print alike and compare exactly."""

from __future__ import annotations

import copy
import pickle

import pytest

from monograph.core import symbol
from monograph.core.attrs import NO_ATTRS, Attrs, attrs
from monograph.core.dtype import float32
from monograph.ops.source import FullAttrs


@attrs
class Pair(Attrs):
    """Two fields, one with a default."""

    first: int
    second: tuple[int, ...] = ()


@attrs
class Triple(Pair):
    """A third field on top."""

    third: float = 0.5


def test_fields_by_position_and_by_name() -> None:
    assert Pair(1, (2,)) == Pair(first=1, second=(2,)) == Pair(second=(2,), first=1)
    assert Pair(1).second == ()
    assert Triple(1, third=2.0).items() == [("first", 1), ("second", ()), ("third", 2.0)]
    assert repr(Pair(1)) == "Pair(first=1, second=())"
    assert Pair(1) != Triple(1)
    with pytest.raises(TypeError, match="first"):
        Pair()  # type: ignore[call-arg]
    with pytest.raises(TypeError):
        Pair(1, (), 3)  # type: ignore[call-arg]


def test_frozen() -> None:
    record = Pair(1)
    with pytest.raises(AttributeError, match="frozen"):
        record.first = 2  # type: ignore[misc]
    with pytest.raises(AttributeError):
        del record.first
    assert not hasattr(record, "__dict__")


def test_numbers_are_told_apart_by_type_and_sign() -> None:
    made = [FullAttrs((), v, float32) for v in (0.0, -0.0, 0, False, 1, 1.0, True, float("nan"))]
    assert len({m.token for m in made}) == len(made)
    assert all((a == b) == (a is b) for a in made for b in made)
    assert FullAttrs((), float("nan"), float32) == FullAttrs((), float("nan"), float32)
    assert FullAttrs((), -0.0, float32).token == FullAttrs((), -0.0, float32).token
    assert hash(FullAttrs((), 2.5, float32)) == hash(FullAttrs((), 2.5, float32))


def test_copies() -> None:
    record = Triple(1, (2, 3), 0.1)
    assert pickle.loads(pickle.dumps(record)) == record == copy.deepcopy(record)
    assert NO_ATTRS.items() == []


def test_symbols_of_two_captures_are_different_values() -> None:
    one = symbol.Scope()
    a = Pair(1, (one.symbol("n", 3),))
    two = symbol.Scope()
    b = Pair(1, (two.symbol("n", 5),))
    assert a.token != b.token
    assert a != b
    assert not one.constraints
    assert not two.constraints


def test_a_list_is_refused_where_it_matters() -> None:
    with pytest.raises(TypeError, match="not hashable"):
        _ = Pair(1, [2]).token  # type: ignore[arg-type]
