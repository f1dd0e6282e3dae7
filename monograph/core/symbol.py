"""Symbolic sizes: integers that are known only when an exported program runs, such as the batch size.

A `Sym` is a polynomial with integer coefficients over atoms (named symbols, and quotients that do not divide evenly), with a *hint*, the
value it had while the program was captured. Arithmetic stays symbolic; a comparison that the polynomial cannot decide is
answered by the hint and noted as a constraint of its scope, so that whoever uses what was decided can check first that it holds: a saved
program when it runs, a family of plans when it meets another size.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

Monomial = tuple[str, ...]  # sorted atom names, with repetition for powers


class Scope:
    """Symbols of one capture: the hint of every atom, and the constraints met so far.

    `least` is the least value a named size can have. `exact`: no answer is taken for granted, whatever does not follow from `least` is
    noted; else sizes that are symbolic are taken to be larger than one, as torch.export does.
    """

    def __init__(self, least: int = 1, exact: bool = False) -> None:
        self.least, self.exact = least, exact
        self.hints: dict[str, int] = {}
        self.constraints: dict[tuple[str, str, str], None] = {}  # (left, relation, right) of all that was decided by a hint, in order
        self.answers: dict[tuple[Sym, str, Any], bool] = {}
        self._closed = False

    def close(self) -> None:
        """From here on nobody would look at a new constraint: a question that needs one is an error."""
        self._closed = True

    def note(self, left: str, relation: str, right: str) -> None:
        """Adds a constraint."""
        if self._closed:
            raise RuntimeError(f"whether {left} {relation} {right} was asked after the scope of these sizes was closed")
        self.constraints[left, relation, right] = None

    def symbol(self, name: str, hint: int) -> Sym:
        """A new symbol, e.g. the batch size, of value `hint` while capturing."""
        if not re.fullmatch(r"[A-Za-z_]\w*", name):
            raise ValueError(f"a symbolic size needs an identifier as its name, got {name!r}")
        self.hints[name] = hint
        return Sym({(name,): 1}, self)



class Sym:
    """A symbolic integer. Behaves as an int in arithmetic; `int(s)` specialises it to its hint and notes the constraint."""

    __slots__ = ("_hash", "_hint", "scope", "terms")

    def __init__(self, terms: Mapping[Monomial, int], scope: Scope) -> None:
        self.terms = {m: c for m, c in sorted(terms.items()) if c} if len(terms) > 1 else dict(terms)
        self.scope = scope
        self._hash: int | None = None
        self._hint: int | None = None

    # ---- reading ----
    @property
    def hint(self) -> int:
        """The value it had."""
        total = self._hint
        if total is None:
            total, hints = 0, self.scope.hints
            for monomial, coefficient in self.terms.items():
                for atom in monomial:
                    coefficient *= hints[atom]
                total += coefficient
            self._hint = total
        return total

    def __repr__(self) -> str:
        """A Python expression of the names."""
        if not self.terms:
            return "0"
        parts = []
        for monomial, c in self.terms.items():
            factors = [_atom_text(a) for a in monomial]
            parts.append("*".join(([str(c)] if c != 1 or not factors else []) + factors))
        return "(" + "+".join(parts).replace("+-", "-") + ")" if len(parts) > 1 else parts[0]

    def __hash__(self) -> int:
        if self._hash is None:
            self._hash = hash((id(self.scope), *self.terms.items()))
        return self._hash

    # ---- arithmetic ----
    def _make(self, terms: Mapping[Monomial, int]) -> Any:
        made = Sym(terms, self.scope)
        if len(made.terms) > 1:
            return made
        for monomial, c in made.terms.items():
            if not c:
                return 0
            return made if monomial else c
        return 0

    def __add__(self, other: Any) -> Any:
        o = _terms_of(other)
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
        o = _terms_of(other)
        if o is None:
            return NotImplemented
        terms = dict(self.terms)
        for m, c in o.items():
            terms[m] = terms.get(m, 0) - c
        return self._make(terms)

    def __rsub__(self, other: Any) -> Any:
        return (-self) + other

    def __mul__(self, other: Any) -> Any:
        if type(other) is int:
            return 0 if other == 0 else self if other == 1 else Sym({m: c * other for m, c in self.terms.items()}, self.scope)
        o = _terms_of(other)
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
        o = _terms_of(other)
        if o is None:
            return NotImplemented
        exact = _divide(self.terms, o)
        if exact is not None:
            return self._make(exact)
        return self._atom("//", other)

    def __rfloordiv__(self, other: Any) -> Any:
        return _lift(other, self.scope)._atom("//", self)

    def __mod__(self, other: Any) -> Any:
        o = _terms_of(other)
        if o is None:
            return NotImplemented
        if _divide(self.terms, o) is not None:
            return 0
        return self - (self // other) * other

    def __rmod__(self, other: Any) -> Any:
        return _lift(other, self.scope) % self

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
        right = repr(other)
        name = f"[{self!r}{how}{'(' + right + ')' if '*' in right and right[0] != '(' else right}]"
        self.scope.hints[name] = self.hint // hint_of(other)
        return Sym({(name,): 1}, self.scope)

    # ---- comparison: decided by the polynomial, else by the hint with a noted constraint ----
    def _compare(self, relation: str, other: Any) -> bool:
        """The hint's answer, noted."""
        key = (self, relation, other)
        known = self.scope.answers.get(key)
        if known is not None:
            return known
        left, right = self.hint, hint_of(other)
        answer = {"==": left == right, "<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[relation]
        self.scope.note(repr(self), relation if answer else _OPPOSITE[relation], repr(other))
        self.scope.answers[key] = answer
        return answer

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        o = _terms_of(other)
        if o is None or (isinstance(other, Sym) and other.scope is not self.scope):
            return False
        if o == self.terms:
            return True
        difference = self - other  # type: ignore[operator]
        if isinstance(difference, int):
            return difference == 0
        low, high = difference._bounds()
        if (low is not None and low > 0) or (high is not None and high < 0):
            return False
        if isinstance(other, int) and other <= 1 and not self.scope.exact:
            return False  # sizes that are symbolic are taken to be larger than one
        return self._compare("==", other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def _order(self, relation: str, other: Any) -> bool:
        difference = self - other
        if isinstance(difference, Sym):
            low, high = difference._bounds()
            if low is not None and (low > 0 or (low == 0 and relation in (">=", "<"))):
                return relation in (">", ">=")
            if high is not None and (high < 0 or (high == 0 and relation in ("<=", ">"))):
                return relation in ("<", "<=")
            return self._compare(relation, other)
        return {"<": difference < 0, "<=": difference <= 0, ">": difference > 0, ">=": difference >= 0}[relation]

    def _bounds(self) -> tuple[int | None, int | None]:
        """(least, greatest) value that is possible with every named size at its least or above, None where there is no bound."""
        least = self.scope.least
        smallest, rising, falling = 0, True, True
        for monomial, c in self.terms.items():
            value = c
            for atom in monomial:
                if atom[0] == "[":  # a quotient: 0 or more, unless something in it is subtracted
                    if "-" in atom:
                        return None, None
                    value = 0
                else:
                    value *= least
            smallest += value
            if monomial:
                rising, falling = rising and c > 0, falling and c < 0
        return (smallest if rising else None), (smallest if falling else None)

    def __lt__(self, other: Any) -> bool:
        return self._order("<", other)

    def __le__(self, other: Any) -> bool:
        return self._order("<=", other)

    def __gt__(self, other: Any) -> bool:
        return self._order(">", other)

    def __ge__(self, other: Any) -> bool:
        return self._order(">=", other)

    def __bool__(self) -> bool:
        return self != 0

    def __int__(self) -> int:
        self._compare("==", self.hint)
        return self.hint

    __index__ = __int__

    def __float__(self) -> float:
        return float(int(self))


_OPPOSITE = {"==": "!=", "<": ">=", "<=": ">", ">": "<=", ">=": "<"}


def _terms_of(other: Any) -> Mapping[Monomial, int] | None:
    """The polynomial of a size, None if it is none."""
    if isinstance(other, Sym):
        return other.terms
    if isinstance(other, int) and not isinstance(other, bool):
        return {(): other} if other else {}
    return None


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


def function(names: Sequence[str], expression: str) -> Callable[..., Any]:
    """A Python function of sizes from an expression that `Sym` has written in this process (names, numbers, + - * // and comparisons).

    What a file says goes through `evaluate` instead.
    """
    return eval(compile(f"lambda {', '.join(names)}: {expression}", "<sizes>", "eval"), {"__builtins__": {}})  # type: ignore[no-any-return]


def hint_of(size: Any) -> int:
    """The concrete size: an int itself, or a symbol's hint."""
    return size.hint if isinstance(size, Sym) else size
