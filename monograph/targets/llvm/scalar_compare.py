"""Comparisons, tests, logic, bits, selection: the elementwise rules that do no arithmetic."""

from __future__ import annotations

from monograph.targets.llvm.ir import size_of
from monograph.targets.llvm.scalar_rules import rule
from monograph.targets.llvm.vecmath_numbers import Num, bits, fabs, select

INF = float("inf")


def _unsigned(predicate: str, a: Num, b: Num) -> Num:
    return Num(a.f, a.f.icmp(predicate, a.v, b.v))


rule("eq", "fiub", test=True)(lambda a, b: a.eq(b))
rule("ne", "fiub", test=True)(lambda a, b: a.ne(b))
rule("lt", "fi", test=True)(lambda a, b: a < b)
rule("le", "fi", test=True)(lambda a, b: a <= b)
rule("gt", "fi", test=True)(lambda a, b: a > b)
rule("ge", "fi", test=True)(lambda a, b: a >= b)
rule("lt", "ub", test=True)(lambda a, b: _unsigned("ult", a, b))
rule("le", "ub", test=True)(lambda a, b: _unsigned("ule", a, b))
rule("gt", "ub", test=True)(lambda a, b: _unsigned("ugt", a, b))
rule("ge", "ub", test=True)(lambda a, b: _unsigned("uge", a, b))


def truth(x: Num) -> Num:
    """Not zero (NaN is true)."""
    return x if x.ty.endswith("i1") or x.ty.endswith("i1>") else x.ne(0)


def _false(x: Num) -> Num:
    return x.ne(x)


def _true(x: Num) -> Num:
    return x.eq(x)


rule("isnan", "f", test=True)(lambda x: x.isnan())
rule("isinf", "f", 2, test=True)(lambda x: fabs(x).eq(INF))
rule("isfinite", "f", 2, test=True)(lambda x: fabs(x) < INF)
rule("signbit", "f", test=True)(lambda x: bits(x) < 0)
rule("isnan", "iub", test=True)(_false)
rule("isinf", "iub", test=True)(_false)
rule("isfinite", "iub", test=True)(_true)
rule("signbit", "i", test=True)(lambda x: x < 0)
rule("signbit", "ub", test=True)(_false)

rule("logical_not", "fiub", test=True)(lambda x: ~truth(x))
rule("logical_and", "fiub", 2, test=True)(lambda a, b: truth(a) & truth(b))
rule("logical_or", "fiub", 2, test=True)(lambda a, b: truth(a) | truth(b))
rule("logical_xor", "fiub", 2, test=True)(lambda a, b: truth(a) ^ truth(b))

rule("bitwise_not", "iub")(lambda x: ~x)
rule("bitwise_and", "iub")(lambda a, b: a & b)
rule("bitwise_or", "iub")(lambda a, b: a | b)
rule("bitwise_xor", "iub")(lambda a, b: a ^ b)


def _width(x: Num) -> int:
    return 8 * size_of(x.ty[x.ty.index("i") :].rstrip(">"))


@rule("left_shift", "iu", 3)
def _(a: Num, b: Num) -> Num:
    fits = _unsigned("ult", b, b.const(_width(b)))  # a negative amount is a huge unsigned one
    return select(fits, a << select(fits, b, 0), 0)


@rule("right_shift", "i", 3)
def _(a: Num, b: Num) -> Num:
    last = _width(b) - 1
    return a >> select(_unsigned("ult", b, b.const(last)), b, last)


@rule("right_shift", "u", 3)
def _(a: Num, b: Num) -> Num:
    fits = _unsigned("ult", b, b.const(_width(b)))
    return select(fits, a.lshr(select(fits, b, 0)), 0)
