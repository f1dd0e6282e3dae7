"""Elementwise, comparison and activation calls."""

from __future__ import annotations

from parity.cases.describe import Case, Input, floats, mask
from parity.frames import FLOATS, HALVES, INTS, NUMBERS, REAL

SHAPES = ((), (0,), (5,), (3, 4), (2, 3, 5), (4, 0, 2))
SIGNED = tuple(name for name in NUMBERS if name != "uint8")
PAIRS = (((3, 4), (3, 4)), ((3, 4), (4,)), ((3, 1), (1, 4)), ((), (3,)), ((), ()), ((2, 1, 3), (4, 1)), ((0, 3), (3,)), ((2, 0), (1,)))


def of(name: str):
    return lambda t, *xs: getattr(t, name)(*xs)


def functional(name: str, **options):
    return lambda t, *xs: getattr(t.nn.functional, name)(*xs, **options)


def unary(name: str, low: float, high: float, dtypes=(*FLOATS, *HALVES), grad: bool = True, call=None, **more) -> list[Case]:
    call = call or of(name)
    cases = [Case(f"{name} {list(shape)}", call, (Input(shape, low, high),), dtypes, grad, **more) for shape in SHAPES]
    return [*cases, Case(f"{name} at special values", call, (Input((18,), specials=True),), dtypes, False, layouts=("contiguous",), **more)]


def binary(name: str, low: float = -3, high: float = 3, dtypes=(*FLOATS, *HALVES), grad: bool = True, call=None, other=None, **more) -> list[Case]:
    other = other or (low, high)
    return [
        Case(f"{name} {list(a)} {list(b)}", call or of(name), (Input(a, low, high), Input(b, *other)), dtypes, grad, **more) for a, b in PAIRS
    ]


UNARY = [
    *unary("abs", -3, 3, NUMBERS),
    *unary("neg", -3, 3, NUMBERS),
    *unary("sign", -3, 3, NUMBERS),
    *unary("square", -3, 3, (*FLOATS, *INTS)),
    *unary("exp", -5, 5, (*FLOATS, *HALVES, "int64", "bool")),
    *unary("exp2", -5, 5),
    *unary("expm1", -5, 5),
    *unary("log", 0.1, 9, (*FLOATS, *HALVES, "int32")),
    *unary("log2", 0.1, 9),
    *unary("log10", 0.1, 9),
    *unary("log1p", -0.9, 9),
    *unary("sqrt", 0.1, 9, (*FLOATS, *HALVES, "int64")),
    *unary("rsqrt", 0.1, 9),
    *unary("reciprocal", 0.2, 3, (*FLOATS, *HALVES, "int32")),
    *unary("sin", -9, 9),
    *unary("cos", -9, 9),
    *unary("tan", -1, 1),
    *unary("asin", -0.9, 0.9),
    *unary("acos", -0.9, 0.9),
    *unary("atan", -9, 9),
    *unary("sinh", -3, 3),
    *unary("cosh", -3, 3),
    *unary("tanh", -5, 5, (*FLOATS, *HALVES, "int64")),
    *unary("asinh", -5, 5),
    *unary("acosh", 1.1, 5),
    *unary("atanh", -0.9, 0.9),
    *unary("erf", -3, 3),
    *unary("erfc", -3, 3),
    *unary("sigmoid", -8, 8, (*FLOATS, *HALVES, "int64")),
    *unary("floor", -5, 5, NUMBERS),
    *unary("ceil", -5, 5, NUMBERS),
    *unary("round", -5, 5, NUMBERS),
    *unary("trunc", -5, 5, NUMBERS),
    *unary("frac", -5, 5),
    *unary("isnan", -3, 3, REAL, False),
    *unary("isinf", -3, 3, REAL, False),
    *unary("isfinite", -3, 3, REAL, False),
    *unary("nan_to_num", -3, 3, FLOATS),
    *unary("logical_not", -2, 2, REAL, False),
    *unary("bitwise_not", -3, 3, (*INTS, "bool", "float32"), False),
    *unary("relu", -3, 3, NUMBERS),
]

ACTIVATIONS = [
    case
    for name, options in (
        ("relu", {}),
        ("gelu", {}),
        ("gelu", {"approximate": "tanh"}),
        ("silu", {}),
        ("leaky_relu", {}),
        ("leaky_relu", {"negative_slope": 0.3}),
        ("elu", {}),
        ("elu", {"alpha": 0.7}),
        ("softplus", {}),
        ("hardtanh", {}),
        ("relu6", {}),
        ("logsigmoid", {}),
        ("hardswish", {}),
        ("hardsigmoid", {}),
        ("mish", {}),
        ("selu", {}),
        ("celu", {}),
        ("softsign", {}),
        ("tanhshrink", {}),
    )
    # torch keeps 1/6 as a float32, also where it computes in float64
    for case in unary(f"F.{name}{options or ''}", -5, 5, call=functional(name, **options), loosen=10.0 if name == "hardsigmoid" else 1.0)
]

BINARY = [
    *binary("add", dtypes=REAL),
    *binary("sub", dtypes=NUMBERS),
    *binary("mul", dtypes=REAL),
    *binary("div", 0.5, 4, dtypes=NUMBERS),
    *binary("floor_divide", -9, 9, NUMBERS, False, other=(1, 4)),
    *binary("remainder", -9, 9, NUMBERS, False, other=(1, 4)),
    *binary("remainder negative", -9, 9, SIGNED, False, other=(-4, -1), call=of("remainder")),
    *binary("fmod", -9, 9, NUMBERS, False, other=(1, 4)),
    *binary("div trunc", -9, 9, NUMBERS, False, other=(1, 4), call=lambda t, a, b: t.div(a, b, rounding_mode="trunc")),
    *binary("div floor", -9, 9, NUMBERS, False, other=(1, 4), call=lambda t, a, b: t.div(a, b, rounding_mode="floor")),
    *binary("pow", 0.3, 3, (*FLOATS, *HALVES), other=(-2, 2)),
    *binary("pow of integers", -3, 3, INTS, False, other=(0, 3), call=of("pow")),
    *binary("maximum", dtypes=NUMBERS),
    *binary("minimum", dtypes=NUMBERS),
    *binary("atan2", 0.1, 3),
    *binary("logaddexp", -4, 4, FLOATS),
    *binary("hypot", 0.1, 4, FLOATS),
    *binary("fmax", dtypes=FLOATS),
    *binary("fmin", dtypes=FLOATS),
    *[case for name in ("eq", "ne", "lt", "le", "gt", "ge") for case in binary(name, -2, 2, REAL, False)],
    *[case for name in ("logical_and", "logical_or", "logical_xor") for case in binary(name, -1, 1, REAL, False)],
    *[case for name in ("bitwise_and", "bitwise_or", "bitwise_xor") for case in binary(name, -5, 5, (*INTS, "bool", "float32"), False)],
    *[case for name in ("bitwise_left_shift", "bitwise_right_shift") for case in binary(name, 0, 5, INTS, False, other=(0, 2))],
]

SPECIAL_PAIRS = [
    Case(
        f"{name} of special values",
        lambda t, a, b, name=name: getattr(t, name)(a.unsqueeze(1), b.unsqueeze(0)),
        (Input((18,), specials=True), Input((18,), specials=True)),
        FLOATS,
        False,
        layouts=("contiguous",),
    )
    for name in "add sub mul div pow maximum minimum atan2 eq ne lt le gt ge logical_and".split()
] + [
    Case(
        f"{name} of special values",
        lambda t, a, b, name=name: getattr(t, name)(a[:13].unsqueeze(1), b.unsqueeze(0)),  # of 1e30 by 1e-30 torch makes NaN
        (Input((18,), specials=True), Input((18,), specials=True)),
        FLOATS,
        False,
        layouts=("contiguous",),
    )
    for name in ("fmod", "remainder", "floor_divide")
]

SCALARS = [
    Case(f"operator {text}", eval(f"lambda t, x: {text}"), (Input((3, 4), 1.1, 4),), NUMBERS, "//" not in text and "%" not in text and "<" not in text)
    for text in (
        *("x + 2", "2 + x", "x + 1.5", "x - 1", "1 - x", "x * 3", "0.5 * x", "x / 2", "1 / x", "x ** 2", "x ** 3", "2 ** x", "x // 2", "7 // x"),
        *("x % 2", "7 % x", "-x", "+x", "abs(x)", "x ** 0.5", "x ** -1.0", "x + True", "x * False", "x < 2", "2 < x", "x ** 0"),
    )
] + [
    Case(f"operator {text}", eval(f"lambda t, x: {text}"), (Input((3, 4), 0, 5),), (*INTS, "bool"), False)
    for text in ("~x", "x & 3", "x | 4", "x ^ 1", "3 & x", "x << 1", "x >> 1", "x == 2", "x != True")
]

OTHERS = [
    Case("integers divided by zero: //", lambda t, x: x // t.zeros_like(x), (Input((3,), 1, 9),), INTS, False),
    Case("integers divided by zero: %", lambda t, x: x % t.zeros_like(x), (Input((3,), 1, 9),), INTS, False),
    Case("where", lambda t, c, a, b: t.where(c, a, b), (mask(3, 4), floats(3, 4), floats(4)), REAL),
    Case("where with a scalar", lambda t, c, a: t.where(c, a, 0.0), (mask(3, 4), floats(3, 4)), (*FLOATS, *HALVES)),
    Case("where with two scalars", lambda t, c: t.where(c, 1.0, 0.0), (mask(3, 4),), ("float32",), False),
    Case("where with int scalars", lambda t, c: t.where(c, 1, 0), (mask(3, 4),), ("float32",), False),
    Case("where nonzero", lambda t, c: t.where(c), (mask(3, 4),), ("float32",), False),
    Case("Tensor.where", lambda t, c, a, b: a.where(c, b), (mask(4), floats(3, 4), floats(3, 1)), FLOATS),
    Case("clamp", lambda t, x: t.clamp(x, -1, 2), (floats(3, 4),), NUMBERS),
    Case("clamp min", lambda t, x: x.clamp(min=0), (floats(3, 4),), NUMBERS),
    Case("clamp max", lambda t, x: x.clamp(max=1.5), (floats(3, 4),), (*FLOATS, *HALVES, "int32")),
    Case("clamp by tensors", lambda t, x, lo, hi: t.clamp(x, lo, hi), (floats(3, 4), floats(4, low=-2, high=0), floats(3, 1, low=0, high=2)), FLOATS),
    Case("clip", lambda t, x: t.clip(x, -1.0, 1.0), (floats(5),), FLOATS),
    Case("lerp", lambda t, a, b: t.lerp(a, b, 0.3), (floats(3, 4), floats(3, 4)), FLOATS),
    Case("addcmul", lambda t, a, b, c: t.addcmul(a, b, c, value=0.5), (floats(3, 4), floats(3, 4), floats(4)), FLOATS),
    Case("addcdiv", lambda t, a, b, c: t.addcdiv(a, b, c, value=0.5), (floats(3, 4), floats(3, 4), floats(4, low=1, high=2)), FLOATS),
    Case("add alpha", lambda t, a, b: t.add(a, b, alpha=2), (floats(3, 4), floats(4)), NUMBERS),
    Case("sub alpha", lambda t, a, b: t.sub(a, b, alpha=3), (floats(3, 4), floats(4)), NUMBERS),
    Case("masked_fill", lambda t, x, m: x.masked_fill(m, -1e4), (floats(3, 4), mask(4)), (*FLOATS, *HALVES)),
    Case("masked_fill -inf", lambda t, x, m: x.masked_fill(m == 0, float("-inf")), (floats(3, 4), mask(3, 4)), (*FLOATS, *HALVES)),
    Case("isclose", lambda t, a, b: t.isclose(a, b, atol=0.5), (floats(3, 4), floats(3, 4)), FLOATS, False),
    Case("allclose", lambda t, a: t.allclose(a, a + 1e-9), (floats(3, 4),), FLOATS, False),
    Case("equal", lambda t, a, b: (t.equal(a, a.clone()), t.equal(a, b)), (floats(3, 4), floats(3, 4)), REAL, False),
    Case("rsub", lambda t, a: t.rsub(a, 1), (floats(3, 4),), FLOATS),
    *[
        Case(f"to {name}", lambda t, x, name=name: x.to(getattr(t, name)), (floats(3, 4, low=0, high=100),), REAL, False, layouts=("contiguous", "strided"))
        for name in REAL
    ],
    Case("float int bool methods", lambda t, x: (x.float(), x.double(), x.half(), x.int(), x.long(), x.bool()), (floats(3, 4, low=0),), REAL, False),
    Case("type_as", lambda t, a, m: a.type_as(m), (floats(3, 4), mask(1)), FLOATS, False),
]

CASES = [*UNARY, *ACTIVATIONS, *BINARY, *SPECIAL_PAIRS, *SCALARS, *OTHERS]
