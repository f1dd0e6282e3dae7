"""What is known of a value without computing it: how large it can be, whether it is exact, how far two right targets may differ on it.

Exact values are multiples of 2**-fraction, small enough that no order of summation rounds: every target must give the same numbers, and
ops that jump (comparisons, sorts, rounding) may be applied to them. Other values carry a bound on the difference.
"""

from __future__ import annotations

from dataclasses import dataclass

PRECISION = {"float16": 11, "bfloat16": 8, "float32": 24, "float64": 53}
LARGEST = {"float16": 2.0**10, "bfloat16": 2.0**20, "float32": 2.0**20, "float64": 2.0**20}
INTEGER_BITS = {"uint8": 8, "int8": 8, "int16": 16, "int32": 32, "int64": 64}
FLOATS = tuple(PRECISION)
INTEGERS = tuple(INTEGER_BITS)


@dataclass(frozen=True)
class Known:
    """|value| <= top; two targets differ by at most `error`; `fraction`: of an exact float, bits after the point (None: not exact)."""

    top: float
    error: float = 0.0
    fraction: int | None = 0

    @property
    def exact(self) -> bool:
        return self.fraction is not None


def epsilon(dtype: str) -> float:
    """The spacing of a float dtype at 1."""
    return 2.0 ** (1 - PRECISION[dtype])


def settle(known: Known | None, dtype: str) -> Known | None:
    """The same knowledge of a result of this dtype: exact only if it fits; None if it may grow too large to say anything useful."""
    if known is None:
        return None
    if dtype == "bool":
        return Known(1.0)
    if dtype in INTEGER_BITS:
        wraps = known.top >= 2.0 ** (INTEGER_BITS[dtype] - 1)  # the same on all targets
        return Known(2.0 ** INTEGER_BITS[dtype]) if wraps else known
    if known.top > LARGEST[dtype]:
        return None
    if known.fraction is not None and known.top * 2.0**known.fraction <= 2.0 ** (PRECISION[dtype] - 1):
        return Known(known.top, 0.0, known.fraction)
    return Known(known.top, known.error + 2 * epsilon(dtype) * known.top, None)


def rough(top: float, error: float, dtype: str, steps: float = 4.0) -> Known | None:
    """A rounded result: `error` comes from the inputs, `steps` roundings are its own."""
    return settle(Known(top, error + steps * epsilon(dtype) * top, None), dtype)


def cast(known: Known, old: str, new: str) -> Known | None:
    """Knowledge of a value after a cast; None where the cast may go differently on different targets."""
    if new == old:
        return known
    if new == "bool":
        return Known(1.0) if known.exact else None
    if new in INTEGER_BITS and old in PRECISION:
        small = known.top < 2.0 ** (min(INTEGER_BITS[new], 31) - 1)
        return Known(known.top) if known.exact and small and new != "uint8" else None
    return settle(known, new)


def join(a: Known, b: Known) -> Known:
    """What is known of a storage that holds some of both."""
    fraction = None if a.fraction is None or b.fraction is None else max(a.fraction, b.fraction)
    return Known(max(a.top, b.top), max(a.error, b.error), fraction)


def added(a: Known, b: Known) -> Known:
    """Of a sum or difference."""
    fraction = None if a.fraction is None or b.fraction is None else max(a.fraction, b.fraction)
    return Known(a.top + b.top, a.error + b.error, fraction)


def multiplied(a: Known, b: Known) -> Known:
    """Of a product."""
    fraction = None if a.fraction is None or b.fraction is None else a.fraction + b.fraction
    return Known(a.top * b.top, a.top * b.error + b.top * a.error + a.error * b.error, fraction)


def summed(a: Known, count: int) -> Known:
    """Of a sum of `count` such values."""
    return Known(a.top * max(1, count), a.error * max(1, count), a.fraction)
