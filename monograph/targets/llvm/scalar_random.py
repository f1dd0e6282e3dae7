"""Elementwise rules of random numbers: the value of an element follows from its index, a key and a counter offset.

    random_bits(index, key, offset) -> int64 (the 32 bits, not negative) or int32 (the same bits)
    random_uniform(index, key, offset) -> a float in [0, 1)
    random_normal(index, key, offset) -> a float
    random_integers(index, key, offset, low, high) -> an integer in [low, high)
    random_bernoulli(index, key, offset, probability) -> bool (or 0/1 of another dtype)

index, key, offset, low and high are int64. The formulas are in `philox`, their meaning in `monograph.ops.philox_reference`.
"""

from __future__ import annotations

from collections.abc import Callable

from monograph.targets.llvm import philox
from monograph.targets.llvm.convert import NARROW, cast_number, compute_dtype, narrow, widen
from monograph.targets.llvm.ir import Fn, Val
from monograph.targets.llvm.vecmath_numbers import Num

Emitter = Callable[[Fn, str, list[Num], tuple[str, ...]], Num]


def _bits(f: Fn, out_dtype: str, args: list[Num], in_dtypes: tuple[str, ...]) -> Num:
    word = philox.bits32(f, *args)
    return word if out_dtype == "int32" else cast_number(word.cast("zext", "i64"), "int64", out_dtype)


def _uniform(f: Fn, out_dtype: str, args: list[Num], in_dtypes: tuple[str, ...]) -> Num:
    return narrow(philox.uniform(f, args[0], args[1], args[2], out_dtype), out_dtype)


def _normal(f: Fn, out_dtype: str, args: list[Num], in_dtypes: tuple[str, ...]) -> Num:
    return narrow(philox.normal(f, args[0], args[1], args[2], compute_dtype(out_dtype)), out_dtype)


def _integers(f: Fn, out_dtype: str, args: list[Num], in_dtypes: tuple[str, ...]) -> Num:
    return cast_number(philox.integers(f, *args), "int64", out_dtype)


def _bernoulli(f: Fn, out_dtype: str, args: list[Num], in_dtypes: tuple[str, ...]) -> Num:
    index, key, offset, probability = args
    dtype = in_dtypes[-1]
    p = widen(probability, dtype) if dtype in (*NARROW, "float32", "float64") else cast_number(probability, dtype, "float32")
    return cast_number(philox.bernoulli(f, index, key, offset, p), "bool", out_dtype)


EMITTERS: dict[str, Emitter] = {
    "random_bits": _bits,
    "random_uniform": _uniform,
    "random_normal": _normal,
    "random_integers": _integers,
    "random_bernoulli": _bernoulli,
}
COSTS = {"random_bits": 60, "random_uniform": 65, "random_normal": 110, "random_integers": 90, "random_bernoulli": 65}


def emit_random(f: Fn, op: str, out_dtype: str, args: list[Val], in_dtypes: tuple[str, ...]) -> Val:
    """Writes one random op on values that all have the same lanes."""
    return EMITTERS[op](f, out_dtype, [Num(f, a) for a in args], in_dtypes).v
