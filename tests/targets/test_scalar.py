"""The table of elementwise rules: semantics on every dtype, in lanes and as scalars."""

from __future__ import annotations

from collections.abc import Callable

import ml_dtypes
import numpy as np
import pytest

from monograph.targets.llvm.scalar import cost, supports
from monograph.targets.llvm.scalar_rules import RULES
from tests.targets.elementwise_native import NUMPY, run

Array = np.ndarray
INTEGERS = ("int8", "int16", "int32", "int64", "uint8")
FLOATS = ("float32", "float64", "float16", "bfloat16")


def _grid(dtype: str) -> tuple[Array, Array]:
    """All pairs of interesting values of a dtype."""
    if dtype == "bool":
        values = np.array([False, True])
    elif dtype in INTEGERS:
        info = np.iinfo(dtype)
        near = [v for v in (-7, -3, -2, -1, 0, 1, 2, 3, 5, 8, 100) if v >= info.min]
        values = np.array([info.min, info.min + 1, info.max - 1, info.max, *near]).astype(dtype)
    else:
        values = np.array([0.0, -0.0, 1.0, -1.0, 1.5, -2.5, 3.0, 0.375, 1e-3, 100.0, np.inf, -np.inf, np.nan]).astype(NUMPY[dtype])
    a, b = np.meshgrid(values, values)
    return a.ravel(), b.ravel()


def _same(got: Array, want: Array) -> None:
    got, want = (x.astype(np.float64) if x.dtype == NUMPY["bfloat16"] else x for x in (got, want))
    np.testing.assert_array_equal(got, want)


COMPARISONS: dict[str, Callable[..., Array]] = {
    "eq": np.equal,
    "ne": np.not_equal,
    "lt": np.less,
    "le": np.less_equal,
    "gt": np.greater,
    "ge": np.greater_equal,
}
LOGIC: dict[str, Callable[..., Array]] = {"logical_and": np.logical_and, "logical_or": np.logical_or, "logical_xor": np.logical_xor}


@pytest.mark.parametrize("dtype", NUMPY)
def test_comparisons_and_logic(dtype: str) -> None:
    a, b = _grid(dtype)
    for op, reference in (COMPARISONS | LOGIC).items():
        with np.errstate(invalid="ignore"):
            _same(run(op, a, b, out="bool"), reference(a, b))
    _same(run("logical_not", a, out="bool"), a == 0)


@pytest.mark.parametrize("dtype", FLOATS)
def test_float_arithmetic_rounds_every_op(dtype: str) -> None:
    a, b = _grid(dtype)
    with np.errstate(all="ignore"):
        for op, reference in {
            "add": np.add,
            "sub": np.subtract,
            "mul": np.multiply,
            "div": np.divide,
            "maximum": np.maximum,
            "minimum": np.minimum,
        }.items():
            _same(
                run(op, a, b),
                reference(a.astype(np.float64), b.astype(np.float64)).astype(np.float32 if dtype != "float64" else dtype).astype(a.dtype),
            )
        wide = a.astype(np.float64)
        for op, unary in {
            "neg": np.negative,
            "abs": np.abs,
            "floor": np.floor,
            "ceil": np.ceil,
            "round": np.rint,
            "trunc": np.trunc,
            "square": np.square,
            "sqrt": np.sqrt,
        }.items():
            _same(run(op, a), unary(wide).astype(a.dtype))
        for op, test in {"isnan": np.isnan, "isinf": np.isinf, "isfinite": np.isfinite, "signbit": np.signbit}.items():
            real = ~np.isnan(wide) | (op != "signbit")
            _same(run(op, a, out="bool")[real], test(wide)[real])
        _same(run("fmax", a, b), np.fmax(wide, b.astype(np.float64)).astype(a.dtype))
        _same(run("fmin", a, b), np.fmin(wide, b.astype(np.float64)).astype(a.dtype))
    _same(run("sign", a), np.where(np.isnan(wide), 0, np.sign(wide)).astype(a.dtype))  # PyTorch: the sign of NaN is 0
    _same(run("relu", a), np.where(wide < 0, 0, wide).astype(a.dtype))
    _same(run("round", np.array([0.5, 1.5, 2.5, -0.5], a.dtype)), np.array([0, 2, 2, -0.0], a.dtype))


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integer_arithmetic_wraps_and_never_traps(dtype: str) -> None:
    a, b = _grid(dtype)
    with np.errstate(all="ignore"):
        for op, reference in {"add": np.add, "sub": np.subtract, "mul": np.multiply, "maximum": np.maximum, "minimum": np.minimum}.items():
            _same(run(op, a, b), reference(a, b))
        for op in ("neg", "abs", "sign", "square"):
            _same(run(op, a), {"neg": np.negative, "abs": np.abs, "sign": np.sign, "square": np.square}[op](a))
    lowest, bits = np.iinfo(dtype).min, np.iinfo(dtype).bits

    def wrap(v: int) -> int:
        v &= (1 << bits) - 1
        return v - (1 << bits) if lowest < 0 and v >> (bits - 1) else v

    def each(python: Callable[[int, int], int]) -> Array:
        return np.array([wrap(python(x, y)) if y else 0 for x, y in zip(a.tolist(), b.tolist(), strict=True)], a.dtype)

    _same(run("floor_divide", a, b), each(lambda x, y: x // y))
    _same(run("remainder", a, b), each(lambda x, y: x % y))
    _same(run("div", a, b, attrs=("trunc",)), each(lambda x, y: abs(x) // abs(y) * (1 if (x < 0) == (y < 0) else -1)))
    _same(run("fmod", a, b), each(lambda x, y: abs(x) % abs(y) * (-1 if x < 0 else 1)))


@pytest.mark.parametrize("dtype", INTEGERS)
def test_all_quotients_of_small_integers(dtype: str) -> None:
    a, b = np.meshgrid(
        np.arange(-128, 128) if dtype != "uint8" else np.arange(256), np.concatenate([np.arange(-128, 0), np.arange(1, 128)]) % 256
    )
    a, b = a.ravel().astype(dtype), np.where(b > 127, b - 256, b).ravel().astype(dtype)
    with np.errstate(all="ignore"):
        _same(run("floor_divide", a, b), a // b)
        _same(run("remainder", a, b), a % b)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_shifts_and_bits(dtype: str) -> None:
    a, b = _grid(dtype)
    bits = np.iinfo(dtype).bits
    signed = np.iinfo(dtype).min < 0
    wide, amount = a.astype(object), b.astype(object)
    left = [(x << s) & ((1 << bits) - 1) if 0 <= s < bits else 0 for x, s in zip(wide, amount, strict=True)]
    left = [v - (1 << bits) if signed and v >> (bits - 1) else v for v in left]
    right = [x >> s if 0 <= s < bits else (-1 if x < 0 else 0) for x, s in zip(wide, amount, strict=True)]
    _same(run("left_shift", a, b), np.array(left, dtype))
    _same(run("right_shift", a, b), np.array(right, dtype))
    for op, reference in {"bitwise_and": np.bitwise_and, "bitwise_or": np.bitwise_or, "bitwise_xor": np.bitwise_xor}.items():
        _same(run(op, a, b), reference(a, b))
    _same(run("bitwise_not", a), ~a)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_integer_powers(dtype: str) -> None:
    a, b = _grid(dtype)
    bits = np.iinfo(dtype).bits

    def power(x: int, n: int) -> int:
        if n < 0:
            return 1 if x == 1 else ((-1) ** (n % 2) if x == -1 else 0)
        v = pow(x, n, 1 << bits)
        return v - (1 << bits) if dtype != "uint8" and v >> (bits - 1) else v

    _same(run("pow", a, b), np.array([power(x, n) for x, n in zip(a.tolist(), b.tolist(), strict=True)], dtype))


def test_bool_arithmetic() -> None:
    a, b = _grid("bool")
    _same(run("add", a, b), a | b)
    _same(run("mul", a, b), a & b)
    _same(run("maximum", a, b), a | b)
    _same(run("pow", a, b), a | ~b)
    _same(run("bitwise_not", a), ~a)


@pytest.mark.parametrize("target", NUMPY)
@pytest.mark.parametrize("source", NUMPY)
def test_casts(source: str, target: str) -> None:
    a, _ = _grid(source)
    if source in FLOATS and target in INTEGERS:
        a = a[np.isfinite(a)]
    if source == "float64" and target == "float16":
        want = a.astype(np.float32).astype(np.float16)
    elif target == "uint8" and source in FLOATS:
        want = a.astype(np.int32).astype(np.uint8)
    else:
        with np.errstate(all="ignore"):
            want = (a.astype(np.float32) if target == "bfloat16" else a).astype(NUMPY[target])
    _same(run("cast", a, out=target), want)


def test_casts_of_what_does_not_fit_are_defined() -> None:
    for dtype in (np.float32, np.float64):
        x = np.array([np.nan, np.inf, -np.inf, 3e9, -3e9, 2.0**31, -(2.0**31), 300.0, -1.5, 1e20], dtype)
        low = -(2**31)
        assert run("cast", x, out="int32").tolist() == [low, low, low, low, low, low, low, 300, -1, low]
        assert run("cast", x, out="uint8").tolist() == [0, 0, 0, 0, 0, 0, 0, 44, 255, 0]
        low = -(2**63)
        assert run("cast", x, out="int64").tolist() == [low, low, low, 3 * 10**9, -3 * 10**9, 2**31, -(2**31), 300, -1, low]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_rounding_to_sixteen_bits(dtype: str) -> None:
    draw = np.random.default_rng(0)
    x = np.concatenate(
        [draw.integers(0, 2**32, 30_000, dtype=np.uint32).view(np.float32), draw.uniform(-70000, 70000, 10_000).astype(np.float32)]
    )
    with np.errstate(all="ignore"):
        _same(run("cast", x, out=dtype), x.astype(NUMPY[dtype]))
    every = np.arange(1 << 16, dtype=np.uint16).view(NUMPY[dtype])
    _same(run("cast", every, out="float32"), every.astype(np.float32))
    with np.errstate(all="ignore"):
        _same(run("exp", every), np.exp(every.astype(np.float64)).astype(np.float32).astype(NUMPY[dtype]))


@pytest.mark.parametrize("dtype", NUMPY)
def test_where(dtype: str) -> None:
    a, b = _grid(dtype)
    cond = np.arange(len(a)) % 3 == 0
    _same(run("where", cond, a, b, out=dtype), np.where(cond, a, b))


def test_operands_are_brought_to_the_result_dtype() -> None:
    x = np.arange(-8, 8, dtype=np.int64)
    _same(run("sqrt", np.abs(x), out="float32"), np.sqrt(np.abs(x)).astype(np.float32))
    _same(run("div", x, np.full_like(x, 3), out="float32"), (x.astype(np.float32) / np.float32(3)))
    _same(run("add", x, x.astype(np.float32) / 2, out="float32"), (x * 1.5).astype(np.float32))
    _same(run("lt", x, x.astype(np.float32) + 0.5, out="bool"), np.ones(16, bool))


def test_queries() -> None:
    assert supports("exp", ("float32",)) and supports("exp", ("bfloat16",)) and supports("where", ("bool", "int8", "int8"))
    assert (
        not supports("sub", ("bool", "bool"))
        and not supports("bitwise_and", ("float32", "float32"))
        and not supports("nonsense", ("float32",))
    )
    assert cost("add") < cost("exp") < cost("pow") and cost("random_bits") > cost("exp")
    assert all(cost(op) >= 0 for op, _ in RULES)


def test_an_op_without_a_rule_says_so() -> None:
    with pytest.raises(NotImplementedError, match=r"no LLVM rule for sub\(bool, bool\) -> bool"):
        run("sub", np.ones(2, bool), np.ones(2, bool))


def test_bfloat16_is_what_ml_dtypes_says() -> None:
    a = np.array([1.0, 3.140625, -1e18], ml_dtypes.bfloat16)
    _same(run("mul", a, a), (a.astype(np.float32) * a.astype(np.float32)).astype(ml_dtypes.bfloat16))
