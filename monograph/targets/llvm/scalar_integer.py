"""Integer arithmetic: wraps on overflow and never traps. A division or remainder by zero gives 0; who wants an error raises it before.

Quotients of up to 32 bits are taken in floating point, which vectors have and which is exact here: for |a| < 2^24 in float32 (2^53 in
float64) the rounded quotient never crosses an integer that the true one does not reach.
"""

from __future__ import annotations

from monograph.targets.llvm.ir import element, size_of
from monograph.targets.llvm.scalar_rules import rule
from monograph.targets.llvm.vecmath_numbers import Num, any_lane, outline, repeat_while, select

rule("nonzero_divisor", "iu", 1)(lambda x: x)  # inside a loop kernel it is checked (`loop_index.refuse_zeros`)
rule("add", "iu")(lambda a, b: a + b)
rule("sub", "iu")(lambda a, b: a - b)
rule("mul", "iu", 2)(lambda a, b: a * b)
rule("add", "b")(lambda a, b: a | b)
rule("mul", "b")(lambda a, b: a & b)
rule("neg", "iu")(lambda x: -x)
rule("abs", "i", 2)(lambda x: select(x < 0, -x, x))
rule("abs", "ub", 0)(lambda x: x)
rule("square", "iu", 2)(lambda x: x * x)
rule("square", "b", 0)(lambda x: x)
rule("sign", "i", 2)(lambda x: select(x > 0, x.const(1), x >> (8 * size_of(element(x.ty)) - 1)))
rule("sign", "u", 2)(lambda x: select(x.ne(0), x.const(1), 0))
rule("sign", "b", 0)(lambda x: x)
rule("relu", "i")(lambda x: select(x > 0, x, 0))
rule("relu", "u", 0)(lambda x: x)
for _name in ("floor", "ceil", "round", "trunc"):
    rule(_name, "iu", 0)(lambda x: x)


def _pick(predicate: str, a: Num, b: Num) -> Num:
    return select(Num(a.f, a.f.icmp(predicate, a.v, b.v)), a, b)


for _name in ("maximum", "fmax"):
    rule(_name, "i")(lambda a, b: _pick("sgt", a, b))
    rule(_name, "u")(lambda a, b: _pick("ugt", a, b))
    rule(_name, "b")(lambda a, b: a | b)
for _name in ("minimum", "fmin"):
    rule(_name, "i")(lambda a, b: _pick("slt", a, b))
    rule(_name, "u")(lambda a, b: _pick("ult", a, b))
    rule(_name, "b")(lambda a, b: a & b)


def _quotient(a: Num, b: Num, signed: bool) -> tuple[Num, Num]:
    """(a / b truncated, the divisor used): where b is 0, and where the quotient would overflow, the divisor is 1."""
    unfit = b.eq(0)
    if signed:
        lowest = -(1 << (8 * size_of(element(a.ty)) - 1))
        unfit = unfit | (a.eq(lowest) & b.eq(-1))
    divisor = select(unfit, 1, b)
    ty = element(a.ty)
    if ty == "i64":
        return Num(a.f, a.f.binary("sdiv" if signed else "udiv", a.v, divisor.v)), divisor
    real = "double" if ty == "i32" else "float"
    to_real = "sitofp" if signed else "uitofp"
    quotient = a.cast(to_real, real) / divisor.cast(to_real, real)
    return quotient.cast("fptosi" if signed or ty != "i32" else "fptoui", "i32").cast("trunc", ty), divisor


def _truncated(a: Num, b: Num, signed: bool) -> Num:
    return select(b.eq(0), 0, _quotient(a, b, signed)[0])


rule("trunc_divide", "i", 16)(lambda a, b: _truncated(a, b, True))
rule("trunc_divide", "u", 16)(lambda a, b: _truncated(a, b, False))
rule("floor_divide", "u", 16)(lambda a, b: _truncated(a, b, False))


@rule("floor_divide", "i", 18)
def _(a: Num, b: Num) -> Num:
    q, divisor = _quotient(a, b, True)
    rest = a - q * divisor
    below = rest.ne(0) & ((rest ^ divisor) < 0)
    return select(b.eq(0), 0, select(below, q - 1, q))


@rule("remainder", "i", 18)
def _(a: Num, b: Num) -> Num:
    q, divisor = _quotient(a, b, True)
    rest = a - q * divisor
    return select(rest.ne(0) & ((rest ^ divisor) < 0), rest + divisor, rest)


def _rest(a: Num, b: Num, signed: bool) -> Num:
    q, divisor = _quotient(a, b, signed)
    return a - q * divisor


rule("fmod", "i", 18)(lambda a, b: _rest(a, b, True))
rule("fmod", "u", 18)(lambda a, b: _rest(a, b, False))
rule("remainder", "u", 18)(lambda a, b: _rest(a, b, False))


def _power(a: Num, b: Num) -> list[Num]:
    """By squaring, as long as any lane has bits of its exponent left."""

    def step(result: Num, base: Num, left: Num) -> list[Num]:
        return [select((left & 1).ne(0), result * base, result), base * base, left.lshr(1)]

    result, _, _ = repeat_while([a.const(1), a, b], lambda result, base, left: any_lane(left.ne(0)), step)
    return [result]


def _whole_power(a: Num, b: Num) -> Num:
    return outline(a.f, "int_pow", _power, [a, b], [a.ty])[0]


@rule("pow", "i", 60)
def _(a: Num, b: Num) -> Num:
    positive = _whole_power(a, select(b < 0, 0, b))
    alternating = select((b & 1).eq(0), a.const(1), -1)
    negative = select(a.eq(1), a.const(1), select(a.eq(-1), alternating, 0))
    return select(b < 0, negative, positive)


rule("pow", "u", 60)(_whole_power)
rule("pow", "b", 2)(lambda a, b: a | ~b)
