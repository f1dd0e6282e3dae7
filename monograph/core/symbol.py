"""Symbolic sizes: integers that are known only when an exported program runs, such as the batch size.

A `Sym` is a polynomial with integer coefficients over atoms (named symbols, and quotients that do not divide evenly), with a *hint*, the
value it had while the program was captured. Arithmetic stays symbolic; a comparison that the polynomial cannot decide is
answered by the hint and noted as a constraint of the current scope, so that the saved program can check it at run time.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

Monomial = tuple[str, ...]  # sorted atom names, with repetition for powers


class Scope:
    """Symbols of one capture: the hint of every atom, and the constraints met so far."""

    def __init__(self) -> None:
        self.hints: dict[str, int] = {}
        self.constraints: list[tuple[str, str, str]] = []  # (left, relation, right)

    def symbol(self, name: str, hint: int) -> Sym:
        """A new symbol, e.g. the batch size, of value `hint` while capturing."""
        if not re.fullmatch(r"[A-Za-z_]\w*", name):
            raise ValueError(f"a symbolic size needs an identifier as its name, got {name!r}")
        self.hints[name] = hint
        return Sym({(name,): 1}, self)


_scope: ContextVar[Scope | None] = ContextVar("symbol_scope", default=None)


@contextmanager
def scope() -> Any:
    """Opens a scope in which symbols live and constraints are noted."""
    made = Scope()
    token = _scope.set(made)
    try:
        yield made
    finally:
        _scope.reset(token)


class Sym:
    """A symbolic integer. Behaves as an int in arithmetic; `int(s)` specialises it to its hint and notes the constraint."""

    __slots__ = ("scope", "terms")

    def __init__(self, terms: Mapping[Monomial, int], scope: Scope) -> None:
        self.terms = {m: c for m, c in sorted(terms.items()) if c}
        self.scope = scope

    # ---- reading ----
    @property
    def hint(self) -> int:
        total = 0
        for monomial, coefficient in self.terms.items():
            for atom in monomial:
                coefficient *= self.scope.hints[atom]
            total += coefficient
        return total

    def __repr__(self) -> str:
        if not self.terms:
            return "0"
        parts = []
        for monomial, c in self.terms.items():
            factors = [_atom_text(a) for a in monomial]
            parts.append("*".join(([str(c)] if c != 1 or not factors else []) + factors))
        return "(" + "+".join(parts).replace("+-", "-") + ")" if len(parts) > 1 else parts[0]

    def __hash__(self) -> int:
        return hash(tuple(self.terms.items()))

    # ---- arithmetic ----
    def _of(self, other: Any) -> Mapping[Monomial, int] | None:
        if isinstance(other, Sym):
            return other.terms
        if isinstance(other, int) and not isinstance(other, bool):
            return {(): other} if other else {}
        return None

    def _make(self, terms: Mapping[Monomial, int]) -> Any:
        made = Sym(terms, self.scope)
        if not made.terms:
            return 0
        if list(made.terms) == [()]:
            return made.terms[()]
        return made

    def __add__(self, other: Any) -> Any:
        o = self._of(other)
        if o is None:
            return NotImplemented
        terms = dict(self.terms)
        for m, c in o.items():
            terms[m] = terms.get(m, 0) + c
        return self._make(terms)

    __radd__ = __add__

    def __neg__(self) -> Any:
        return self._make({m: -c for m, c in self.terms.items()})

    def __sub__(self, other: Any) -> Any:
        o = self._of(other)
        return NotImplemented if o is None else self + self._make({m: -c for m, c in o.items()})

    def __rsub__(self, other: Any) -> Any:
        return (-self) + other

    def __mul__(self, other: Any) -> Any:
        o = self._of(other)
        if o is None:
            return NotImplemented if not isinstance(other, float) else float(int(self)) * other
        terms: dict[Monomial, int] = {}
        for m, c in self.terms.items():
            for n, d in o.items():
                key = tuple(sorted(m + n))
                terms[key] = terms.get(key, 0) + c * d
        return self._make(terms)

    __rmul__ = __mul__

    def __floordiv__(self, other: Any) -> Any:
        o = self._of(other)
        if o is None:
            return NotImplemented
        exact = _divide(self.terms, o)
        if exact is not None:
            return self._make(exact)
        return self._atom("//", other)

    def __rfloordiv__(self, other: Any) -> Any:
        return _lift(other, self.scope)._atom("//", self)

    def __mod__(self, other: Any) -> Any:
        o = self._of(other)
        if o is None:
            return NotImplemented
        if _divide(self.terms, o) is not None:
            return 0
        return self - (self // other) * other

    def __truediv__(self, other: Any) -> Any:
        return int(self) / other if isinstance(other, int | float | Sym) else NotImplemented

    def __rtruediv__(self, other: Any) -> Any:
        return other / int(self) if isinstance(other, int | float) else NotImplemented

    def __pow__(self, n: int) -> Any:
        result: Any = 1
        for _ in range(n):
            result = result * self
        return result

    def _atom(self, how: str, other: Any) -> Any:
        name = f"[{self!r}{how}{other!r}]"
        right = other.hint if isinstance(other, Sym) else other
        self.scope.hints[name] = self.hint // right
        return Sym({(name,): 1}, self.scope)

    # ---- comparison: decided by the polynomial, else by the hint with a noted constraint ----
    def _compare(self, relation: str, other: Any) -> bool:
        right = other.hint if isinstance(other, Sym) else other
        left = self.hint
        answer = {"==": left == right, "<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[relation]
        noted = (repr(self), relation if answer else _OPPOSITE[relation], repr(other))
        if noted not in self.scope.constraints:
            self.scope.constraints.append(noted)
        return answer

    def __eq__(self, other: object) -> bool:
        o = self._of(other)
        if o is None:
            return False
        difference = self - other
        if isinstance(difference, int):
            return difference == 0
        if isinstance(other, int) and (other <= 1):
            return False  # sizes that are symbolic are taken to be larger than one, as torch.export does
        return self._compare("==", other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def _order(self, relation: str, other: Any) -> bool:
        difference = self - other
        if isinstance(difference, int):
            return {"<": difference < 0, "<=": difference <= 0, ">": difference > 0, ">=": difference >= 0}[relation]
        if isinstance(difference, Sym):
            low, high = difference._bounds()
            if low is not None and (low > 0 or (low == 0 and relation in (">=", "<"))):
                return relation in (">", ">=")
            if high is not None and (high < 0 or (high == 0 and relation in ("<=", ">"))):
                return relation in ("<", "<=")
        return self._compare(relation, other)

    def _bounds(self) -> tuple[int | None, int | None]:
        """(least, greatest) value that is possible with every named size at least 1, None where there is no bound."""
        if any(atom[0] == "[" for monomial in self.terms for atom in monomial):
            return (0, None) if all(c > 0 for c in self.terms.values()) else (None, None)
        constant = sum(self.terms.values())  # every size at its least
        others = [c for monomial, c in self.terms.items() if monomial]
        return (constant if min(others) > 0 else None), (constant if max(others) < 0 else None)

    def __lt__(self, other: Any) -> bool:
        return self._order("<", other)

    def __le__(self, other: Any) -> bool:
        return self._order("<=", other)

    def __gt__(self, other: Any) -> bool:
        return self._order(">", other)

    def __ge__(self, other: Any) -> bool:
        return self._order(">=", other)

    def __bool__(self) -> bool:
        return True

    def __int__(self) -> int:
        self._compare("==", self.hint)
        return self.hint

    __index__ = __int__

    def __float__(self) -> float:
        return float(int(self))


_OPPOSITE = {"==": "!=", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}


def _lift(value: int, scope: Scope) -> Sym:
    return Sym({(): value}, scope)


def _atom_text(atom: str) -> str:
    return "(" + atom[1:-1] + ")" if atom[0] == "[" else atom


def _divide(terms: Mapping[Monomial, int], by: Mapping[Monomial, int]) -> dict[Monomial, int] | None:
    """Exact division by a single term, or None."""
    if len(by) != 1:
        return {(): 1} if dict(terms) == dict(by) else None
    ((divisor, factor),) = by.items()
    result: dict[Monomial, int] = {}
    for monomial, coefficient in terms.items():
        if coefficient % factor:
            return None
        rest = list(monomial)
        for atom in divisor:
            if atom not in rest:
                return None
            rest.remove(atom)
        result[tuple(rest)] = coefficient // factor
    return result


_TOKEN = re.compile(r"\s*(\d+|[A-Za-z_]\w*|//|[-+*()])")


def evaluate(text: str, values: Mapping[str, int]) -> int:
    """The value of a size expression as `repr(Sym)` writes it. Understands + - * // and parentheses only: no code can hide in it."""
    tokens, at = [], 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if not match:
            raise ValueError(f"bad size expression {text!r} at {text[at:]!r}")
        tokens.append(match[1])
        at = match.end()
    position = 0

    def peek() -> str:
        return tokens[position] if position < len(tokens) else ""

    def take() -> str:
        nonlocal position
        position += 1
        return tokens[position - 1]

    def factor() -> int:
        if not peek():
            raise ValueError(f"bad size expression {text!r}: it ends too early")
        token = take()
        if token == "(":
            value = total()
            if not peek() or take() != ")":
                raise ValueError(f"bad size expression {text!r}: unbalanced parenthesis")
            return value
        if token == "-":
            return -factor()
        if token.isdigit():
            return int(token)
        if token not in values:
            raise ValueError(f"size expression {text!r} names {token!r}, which is not one of {sorted(values)}")
        return values[token]

    def product() -> int:
        value = factor()
        while peek() in ("*", "//"):
            value = value * factor() if take() == "*" else value // factor()
        return value

    def total() -> int:
        value = product()
        while peek() in ("+", "-"):
            value = value + product() if take() == "+" else value - product()
        return value

    result = total()
    if peek():
        raise ValueError(f"bad size expression {text!r} at {peek()!r}")
    return result


def hint_of(size: Any) -> int:
    """The concrete size: an int itself, or a symbol's hint."""
    return size.hint if isinstance(size, Sym) else size
