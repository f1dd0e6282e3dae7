"""Comparisons, tests, logic and bit operations. Their answers are bools or whole numbers, so none has a gradient."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from monograph.core.errors import DTypeError, MonographError
from monograph.graph.op import Family, NotDifferentiable, OpDef, Sample, Trait, define
from monograph.ops.broadcasting import ANY, INTEGRAL, Infer, binary, comparison, predicate, unary
from monograph.ops.reference_math import plain, testing
from monograph.ops.samples import SPECIAL, WIDE_UNSIGNED, of_two

COMPARE = Family.COMPARE
STEP = NotDifferentiable("its result is a bool, which does not vary smoothly with the inputs")
BITS = NotDifferentiable("it works on the bits of whole numbers")
ORDERED, SHIFTABLE = "fuib", "ui"


def _compare(name: str, function: Callable[..., Any], allowed: str = ORDERED, traits: tuple[Trait, ...] = ()) -> OpDef:
    return define(
        name, family=COMPARE, infer=comparison(name, allowed), reference=testing(function), vjp=STEP, samples=of_two(ints=True),
        traits=(Trait.POINTWISE, *traits),
    )  # fmt: skip


eq = _compare("eq", np.equal, ANY, (Trait.COMMUTATIVE,))
ne = _compare("ne", np.not_equal, ANY, (Trait.COMMUTATIVE,))
lt = _compare("lt", np.less)
le = _compare("le", np.less_equal)
gt = _compare("gt", np.greater)
ge = _compare("ge", np.greater_equal)


def _test_samples(allowed: str) -> Callable[[], Iterable[Sample]]:
    def make() -> Iterable[Sample]:
        yield Sample((np.array(SPECIAL),))
        yield Sample((np.array(SPECIAL[:9], np.float16),))
        yield Sample((np.zeros((0, 2), np.float32),))
        yield Sample((np.asarray(-1.5, np.float32),))
        if allowed == ANY:
            yield Sample((np.array([[0, 3], [-1, 0]]),))
            yield Sample((np.array([True, False]),))
        else:
            yield Sample((np.array([1j]),), error=DTypeError, match="got complex128")

    return make


def _test(name: str, function: Callable[[Any], Any], allowed: str = ANY) -> OpDef:
    return define(
        name, family=COMPARE, infer=predicate(name, allowed), reference=testing(function), vjp=STEP, samples=_test_samples(allowed),
        traits=[Trait.POINTWISE],
    )  # fmt: skip


isnan = _test("isnan", np.isnan)
isinf = _test("isinf", np.isinf)
isfinite = _test("isfinite", np.isfinite)
signbit = _test("signbit", lambda x: np.signbit(x) if x.dtype.kind == "f" else x < 0, "fuib")
logical_not = _test("logical_not", np.logical_not)

_both_ways = (Trait.COMMUTATIVE, Trait.ASSOCIATIVE)
logical_and = _compare("logical_and", np.logical_and, ANY, _both_ways)
logical_or = _compare("logical_or", np.logical_or, ANY, _both_ways)
logical_xor = _compare("logical_xor", np.logical_xor, ANY, _both_ways)


def _bit_samples(shift: bool) -> Callable[[], Iterable[Sample]]:
    def make() -> Iterable[Sample]:
        if shift:
            yield Sample((np.array([[1], [-9], [77]], np.int32), np.array([0, 3, 31], np.int32)))
            yield Sample((np.array([200, 3], np.uint8), np.array([2, 7], np.uint8)))
            for wide in WIDE_UNSIGNED:
                yield Sample((np.array([np.iinfo(wide).max, 3], wide), np.array([2, 9], wide)))
            yield Sample((np.array([True]), np.array([True])), error=DTypeError, match="got bool")
        else:
            yield from of_two(ints=True, floats=False)()
            yield Sample((np.array([True, True, False]), np.array([True, False, False])))
        yield Sample((np.zeros((0,), np.int64), np.asarray(1)))
        yield Sample((np.ones(2), np.ones(2)), error=DTypeError, match="got float64")

    return make


def _bits(name: str, infer: Infer, function: Callable[..., Any], traits: tuple[Trait, ...] = (), shift: bool = False) -> OpDef:
    return define(
        name, family=COMPARE, infer=infer, reference=plain(function), vjp=BITS, samples=_bit_samples(shift),
        traits=(Trait.POINTWISE, *traits),
    )  # fmt: skip


bitwise_not = define(
    "bitwise_not", family=COMPARE, infer=unary("bitwise_not", INTEGRAL), reference=plain(np.invert), vjp=BITS, traits=[Trait.POINTWISE],
    samples=lambda: [Sample((np.array([0, 5, -6]),)), Sample((np.array([True, False]),)),
        Sample((np.ones(2),), error=DTypeError, match="integer or bool")],
)  # fmt: skip
bitwise_and = _bits("bitwise_and", binary("bitwise_and", INTEGRAL), np.bitwise_and, _both_ways)
bitwise_or = _bits("bitwise_or", binary("bitwise_or", INTEGRAL), np.bitwise_or, _both_ways)
bitwise_xor = _bits("bitwise_xor", binary("bitwise_xor", INTEGRAL), np.bitwise_xor, _both_ways)
left_shift = _bits("left_shift", binary("left_shift", SHIFTABLE), np.left_shift, shift=True)
right_shift = _bits("right_shift", binary("right_shift", SHIFTABLE), np.right_shift, shift=True)


DIVIDED_BY_ZERO = "ZeroDivisionError: an integer is divided by 0; mask the divisor first, e.g. y.masked_fill(y == 0, 1)"


def _nonzero(a: Any, x: np.ndarray) -> np.ndarray:
    if not np.all(x):
        raise MonographError(DIVIDED_BY_ZERO)
    return x.copy()


nonzero_divisor = define(
    "nonzero_divisor", family=COMPARE, infer=unary("nonzero_divisor", SHIFTABLE), reference=_nonzero, vjp=BITS,
    traits=[Trait.POINTWISE, Trait.CHECKS_VALUES],
    samples=lambda: [Sample((np.array([[1, -2, 3]]),)), Sample((np.array([1, 255], np.uint8),)), Sample((np.zeros((0,), np.int32),)),
        Sample((np.array([1, 0]),), error=MonographError, match="ZeroDivisionError"),
        Sample((np.ones(2),), error=DTypeError, match="integer")],
    doc="The value itself; an error where it holds a 0. Division of integers by 0 gives 0 without it.",
)  # fmt: skip
