"""Elementwise rules of the floating dtypes, written on float32 and float64."""

from __future__ import annotations

from monograph.targets.llvm import vecmath as v
from monograph.targets.llvm.scalar_rules import rule
from monograph.targets.llvm.vecmath_numbers import Num, copysign, fabs, floor, rint, select, sqrt, trunc, unary

rule("neg", "f")(lambda x: -x)
rule("abs", "f")(fabs)
rule("square", "f")(lambda x: x * x)
rule("sqrt", "f", 6)(sqrt)
rule("rsqrt", "f", 12)(lambda x: 1.0 / sqrt(x))
rule("reciprocal", "f", 6)(lambda x: 1.0 / x)
rule("sign", "f", 3)(lambda x: select(x > 0.0, x.const(1.0), select(x < 0.0, x.const(-1.0), 0.0)))
rule("relu", "f")(lambda x: select(x < 0.0, 0.0, x))
rule("floor", "f")(floor)
rule("ceil", "f")(lambda x: unary("ceil", x))
rule("round", "f")(rint)
rule("trunc", "f")(trunc)
rule("frac", "f", 2)(lambda x: x - trunc(x))

rule("exp", "f", 10)(v.exp)
rule("exp2", "f", 9)(v.exp2)
rule("expm1", "f", 14)(v.expm1)
rule("log", "f", 14)(v.log)
rule("log2", "f", 14)(v.log2)
rule("log10", "f", 15)(v.log10)
rule("log1p", "f", 16)(v.log1p)
rule("sigmoid", "f", 16)(v.sigmoid)
rule("log_sigmoid", "f", 26)(v.log_sigmoid)
rule("tanh", "f", 16)(v.tanh)
rule("erf", "f", 16)(v.erf)
rule("gaussian_gate", "f", 16)(v.gaussian_gate)
rule("erfc", "f", 80)(v.erfc)
rule("erfinv", "f", 400)(v.erfinv)
rule("lgamma", "f", 250)(v.lgamma)
rule("digamma", "f", 300)(v.digamma)
rule("sin", "f", 16)(v.sin)
rule("cos", "f", 16)(v.cos)
rule("tan", "f", 60)(v.tan)
rule("asin", "f", 50)(v.asin)
rule("acos", "f", 50)(v.acos)
rule("atan", "f", 50)(v.atan)
rule("sinh", "f", 80)(v.sinh)
rule("cosh", "f", 50)(v.cosh)
rule("asinh", "f", 80)(v.asinh)
rule("acosh", "f", 80)(v.acosh)
rule("atanh", "f", 60)(v.atanh)

rule("add", "f")(lambda a, b: a + b)
rule("sub", "f")(lambda a, b: a - b)
rule("mul", "f")(lambda a, b: a * b)
rule("div", "f", 6)(lambda a, b: a / b)
rule("trunc_divide", "f", 7)(lambda a, b: trunc(a / b))
rule("floor_divide", "f", 50)(v.floor_divide)
rule("remainder", "f", 45)(v.remainder)
rule("fmod", "f", 45)(v.fmod)
rule("pow", "f", 50)(v.pow)
rule("atan2", "f", 70)(v.atan2)
rule("hypot", "f", 30)(v.hypot)
rule("copysign", "f", 3)(copysign)
rule("nextafter", "f", 12)(v.nextafter)
# The inner choice is one instruction of most processors; the outer one goes where b is a constant.
rule("maximum", "f", 3)(lambda a, b: select(b.isnan(), b, select(a < b, b, a)))
rule("minimum", "f", 3)(lambda a, b: select(b.isnan(), b, select(a > b, b, a)))


@rule("fmax", "f", 3)
def _(a: Num, b: Num) -> Num:
    return select(b.isnan(), a, select(a > b, a, b))


@rule("fmin", "f", 3)
def _(a: Num, b: Num) -> Num:
    return select(b.isnan(), a, select(a < b, a, b))
