"""Symbolic sizes: what follows from the polynomial, what is noted, and that an expression's text means what the size is."""

from __future__ import annotations

import pytest

from monograph.core.symbol import Scope, Sym, evaluate, hint_of


def test_quotients_print_as_they_are_computed() -> None:
    scope = Scope()
    a, b = scope.symbol("a", 37), scope.symbol("b", 3)
    values = {"a": 50, "b": 4}
    for size, real in ((a // (2 * b), 50 // 8), ((a - 1) // 2 + 1, 49 // 2 + 1), (a % b, 50 % 4), (a // b * b, 48), (-(-a // 8), 7)):
        assert evaluate(repr(size), values) == real
        assert eval(repr(size), {}, dict(values)) == real


def test_what_the_least_size_decides_is_not_noted() -> None:
    scope = Scope(least=2, exact=True)
    n = scope.symbol("n", 5)
    assert n != 1
    assert n * 4 != 4
    assert n > 1
    assert n - 1 > 0
    assert bool(n)
    assert not scope.constraints


def test_an_exact_scope_takes_nothing_for_granted() -> None:
    scope = Scope(least=2, exact=True)
    n = scope.symbol("n", 5)
    assert n - 1 != 1
    assert list(scope.constraints) == [("(-1+n)", "!=", "1")]
    assert n // 2 != 0
    assert list(scope.constraints)[1] == ("(n//2)", "!=", "0")


def test_a_question_is_noted_once() -> None:
    scope = Scope()
    n = scope.symbol("n", 5)
    for _ in range(3):
        assert n < 100
    assert list(scope.constraints) == [("n", "<", "100")]


def test_a_closed_scope_answers_only_what_is_known() -> None:
    scope = Scope(least=2, exact=True)
    n = scope.symbol("n", 5)
    assert n < 100
    scope.close()
    assert n < 100
    assert n + 1 > n
    with pytest.raises(RuntimeError, match="after the scope of these sizes was closed"):
        int(n)


def test_equal_polynomials_are_equal_and_hash_alike() -> None:
    scope = Scope()
    n = scope.symbol("n", 5)
    assert n * 2 + n == 3 * n
    assert hash(n * 2 + n) == hash(3 * n)
    assert isinstance(3 * n, Sym)
    assert 3 * n - n * 2 - n == 0
    assert hint_of(3 * n) == 15
    assert hint_of(7) == 7
    assert not scope.constraints
