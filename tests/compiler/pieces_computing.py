"""Pieces of random programs that compute: elementwise, comparisons, casts, reductions, normalisations, products."""

from __future__ import annotations

import math

from tests.compiler.accuracy import FLOATS, INTEGERS, Known, added, epsilon, join, multiplied, rough, settle, summed
from tests.compiler.program_builder import LARGE, SMALL, Builder, Value

SMOOTH = {  # name -> (slope, top of the result from top of the argument), for |argument| <= 8
    "mg.tanh": (1.0, lambda t: 1.0), "mg.sigmoid": (1.0, lambda t: 1.0), "mg.sin": (1.0, lambda t: 1.0), "mg.cos": (1.0, lambda t: 1.0),
    "mg.erf": (1.2, lambda t: 1.0), "F.gelu": (1.2, lambda t: t), "F.silu": (1.2, lambda t: t), "F.softplus": (1.0, lambda t: t + 1),
    "F.elu": (1.0, lambda t: t), "F.leaky_relu": (1.0, lambda t: t), "F.mish": (1.2, lambda t: t), "F.logsigmoid": (1.0, lambda t: t + 1),
}  # fmt: skip
EXACT_UNARY = ("-{}", "{}.abs()", "F.relu({})", "{}.clamp(-1.5, 1.25)", "{}.clamp(min=0)", "F.relu6({})", "F.hardtanh({})")
JUMPS = ("{}.floor()", "{}.ceil()", "{}.round()", "{}.trunc()", "{}.sign()")
COMPARES = ("<", "<=", ">", ">=", "==", "!=")


def dtype_for(b: Builder) -> str:
    return b.pick(("float32",) * 8 + ("float64", "float16", "bfloat16", "int64", "int32", "uint8", "int8", "bool"))


def random_shape(b: Builder) -> tuple[int, ...]:
    """0 to 4 dims; sizes mostly small, sometimes beyond a vector; now and then an empty dim."""
    ndim = b.pick((0, 1, 1, 2, 2, 2, 2, 3, 3, 4))
    shape = [b.pick(LARGE) if b.chance(3 if ndim < 3 else 6) else b.pick(SMALL) for _ in range(ndim)]
    if shape and b.chance(25):
        shape[b.between(0, ndim - 1)] = 0
    return tuple(shape)


def new_input(b: Builder) -> object:
    near = b.value()
    if near is None or b.chance(3):
        return b.input(random_shape(b), dtype_for(b))
    shape = [1 if b.chance(4) else n for n in near.shape][b.between(0, 1) if near.ndim and b.chance(4) else 0 :]
    return b.input(tuple(shape), near.dtype if b.chance(2) else dtype_for(b))


def fits(a: Value, c: Value) -> bool:
    """Whether two shapes broadcast."""
    return all(m == n or 1 in (m, n) for m, n in zip(reversed(a.shape), reversed(c.shape), strict=False))


def beside(b: Builder, x: Value) -> Value:
    """A new input that broadcasts with x."""
    shape = [1 if b.chance(3) else n for n in x.shape]
    return b.input(
        tuple(shape[b.between(0, len(shape)) :]), x.dtype if b.chance(2) and x.dtype != "bool" else b.pick(("float32", "float64", "int64"))
    )


def smooth(b: Builder) -> object:
    x = b.value(lambda v: v.floating and b.known(v).top <= 8)
    if x is None:
        return None
    k = b.known(x)
    name = b.pick((*SMOOTH, "mg.exp", "mg.square", "mg.log1p", "mg.sqrt", "mg.reciprocal", "mg.rsqrt"))
    if name in SMOOTH:
        slope, top = SMOOTH[name]
        return b.emit(f"{name}({x.name})", lambda d: rough(top(k.top), slope * k.error, d, 8 + 4 * k.top))
    if name == "mg.exp":
        if k.top > 4:
            return None
        e = math.exp(k.top)
        return b.emit(f"mg.exp({x.name})", lambda d: rough(e, e * k.error, d))
    if name == "mg.square":
        return b.emit(f"mg.square({x.name})", lambda d: settle(multiplied(k, k), d))
    t = math.log1p(k.top) if name == "mg.log1p" else k.top + 1
    shift = "" if name == "mg.log1p" else " + 1"
    return b.emit(f"{name}({x.name}.abs(){shift})", lambda d: rough(t, k.error, d, 8))


def exact_unary(b: Builder) -> object:
    x = b.value(lambda v: v.dtype not in ("bool", "uint8"))
    if x is None:
        return None
    k = b.known(x)
    if b.exact(x) and x.floating and b.chance(3):
        return b.emit(b.pick(JUMPS).format(x.name), lambda d: settle(Known(k.top + 1), d))
    form = b.pick(EXACT_UNARY if x.floating else EXACT_UNARY[:2])
    return b.emit(
        form.format(x.name), lambda d: settle(Known(max(k.top, 1.5), k.error, None if k.fraction is None else max(k.fraction, 3)), d)
    )


def binary(b: Builder) -> object:
    x = b.value(lambda v: v.dtype != "bool")
    if x is None:
        return None
    y = b.value(lambda v: v is not x and fits(x, v) and v.dtype != "bool")
    if y is None or b.chance(3):
        y = beside(b, x)
    sign = b.pick("+-*+-*/M")

    def known(d: str) -> Known | None:
        p, q = b.as_dtype(x, d), b.as_dtype(y, d)
        if p is None or q is None:
            return None
        if sign == "/":
            return rough(p.top, p.error + p.top * q.error, d)
        if sign == "M":
            return settle(join(p, q), d)
        return settle(added(p, q) if sign in "+-" else multiplied(p, q), d)

    if sign == "/":
        return b.emit(f"{x.name} / ({y.name}.abs() + 1)", known) if x.floating and y.floating else None
    if sign == "M":
        return b.emit(f"mg.{b.pick(('maximum', 'minimum'))}({x.name}, {y.name})", known)
    return b.emit(f"{x.name} {sign} {y.name}", known)


def with_number(b: Builder) -> object:
    x = b.value(lambda v: v.dtype != "bool")
    if x is None:
        return None
    if x.floating:
        number = b.pick((0.5, 2, -1, 1, 0.25, 3, 0, -1.5))
        other = Known(abs(number), 0.0, 2)
    else:
        number = b.pick((2, 3, -1, 1, 5, 0)) if x.dtype != "uint8" else b.pick((2, 3, 1))
        other = Known(abs(number))
    sign = b.pick("+-*")
    form = b.pick(("{} {} {}", "{2} {1} {0}"))
    return b.emit(form.format(x.name, sign, number), lambda d: settle((multiplied if sign == "*" else added)(b.known(x), other), d))


def whole(b: Builder) -> object:
    """Ops of whole numbers and truth values."""
    x = b.value(lambda v: not v.floating)
    y = None if x is None else b.value(lambda v: not v.floating and fits(x, v))
    if x is None or y is None:
        return None
    if x.dtype == "bool" and y.dtype == "bool":
        form = b.pick(("{} & {}", "{} | {}", "{} ^ {}", "~{0}", "mg.logical_and({}, {})", "mg.logical_or({}, {})"))
        return b.emit(form.format(x.name, y.name), lambda d: Known(1.0))
    if x.dtype == "bool":
        return None
    form = b.pick(("{} // {n}", "{} % {n}", "{} & {}", "{} | {}", "{} ^ {}", "~{0}", "mg.fmod({}, {n})"))
    if "&" in form or "|" in form or "^" in form:
        if y.dtype == "bool":
            return None
        return b.emit(form.format(x.name, y.name), lambda d: settle(Known(2 * max(b.known(x).top, b.known(y).top) + 1), d))
    return b.emit(form.format(x.name, n=b.pick((2, 3, 7))), lambda d: settle(Known(b.known(x).top + 7), d))


def compare(b: Builder) -> object:
    x = b.value(b.exact)
    y = None if x is None else b.value(lambda v: b.exact(v) and fits(x, v))
    if x is None or y is None:
        return None
    sign = b.pick(COMPARES)
    if b.chance(3) and x.dtype != "bool":
        return b.emit(f"{x.name} {sign} {b.pick((0, 1, 2))}", lambda d: Known(1.0))
    common = b.space["mg"].promote_types(x.tensor.dtype, y.tensor.dtype).name
    if any(k is None or not k.exact for k in (b.as_dtype(x, common), b.as_dtype(y, common))) or not (x.ndim and y.ndim):
        return None
    return b.emit(f"{x.name} {sign} {y.name}", lambda d: Known(1.0))


def where(b: Builder) -> object:
    m = b.value(lambda v: v.dtype == "bool")
    x = None if m is None else b.value(lambda v: fits(m, v))
    y = None if x is None else b.value(lambda v: fits(m, v) and fits(x, v))
    if m is None or x is None or y is None:
        return None

    def known(d: str) -> Known | None:
        p, q = b.as_dtype(x, d), b.as_dtype(y, d)
        if p is None or q is None:
            return None
        return settle(join(p, q), d)

    if b.chance(3) and x.dtype != "bool":
        return b.emit(
            f"{x.name}.masked_fill({m.name}, 1)", lambda d: settle(Known(max(b.known(x).top, 1), b.known(x).error, b.known(x).fraction), d)
        )
    return b.emit(f"mg.where({m.name}, {x.name}, {y.name})", known)


def convert(b: Builder) -> object:
    x = b.value()
    if x is None:
        return None
    new = b.pick((*FLOATS, *INTEGERS, "bool", "float32", "float32"))
    if new == x.dtype:  # the same tensor, not a new one
        return None
    return b.emit(f"{x.name}.to(mg.{new})", lambda d: b.as_dtype(x, d))


def some_dims(b: Builder, x: Value) -> tuple[int, ...]:
    return tuple(d for d in range(x.ndim) if not b.chance(2)) or (b.between(0, x.ndim - 1),)


def reduction(b: Builder) -> object:
    x = b.value(lambda v: v.ndim > 0 or b.chance(4))
    if x is None:
        return None
    k = b.known(x)
    dims = some_dims(b, x) if x.ndim and not b.chance(4) else None
    count = math.prod(x.shape[d] for d in (dims if dims is not None else range(x.ndim)))
    keep = b.chance(2)
    args = "" if dims is None else f"dim={dims}, keepdim={keep}"
    kind = b.pick(("sum", "sum", "sum", "mean", "amax", "amin", "any", "all", "arg", "prod", "var", "logsumexp"))
    if kind == "sum":
        return b.emit(f"{x.name}.sum({args})", lambda d: settle(summed(k, count), d))
    if kind in ("amax", "amin") and count and x.dtype != "bool":
        return b.emit(f"{x.name}.{kind}({args})", lambda d: settle(k, d))
    if kind in ("any", "all"):
        return b.emit(f"{x.name}.{kind}({args})", lambda d: Known(1.0)) if k.exact else None
    if kind == "arg" and k.exact and x.size and x.dtype != "bool":
        at = f"dim={b.between(0, x.ndim - 1)}, keepdim={keep}" if x.ndim and b.chance(2) else ""
        return b.emit(f"{x.name}.{b.pick(('argmax', 'argmin'))}({at})", lambda d: Known(float(max(1, x.size))))
    if kind == "prod" and count <= 4 and x.ndim:
        at = b.between(0, x.ndim - 1)
        if x.shape[at] > 4:
            return None
        result = Known(1.0)
        for _ in range(x.shape[at]):
            result = multiplied(result, Known(max(1.0, k.top), k.error, k.fraction))
        return b.emit(f"{x.name}.prod({at})", lambda d: settle(result, d))
    if not x.floating or not count:
        return None
    if kind == "mean":
        return b.emit(
            f"{x.name}.mean({args})", lambda d: rough(k.top, k.error, d, 8 + count if x.dtype not in ("float16", "bfloat16") else 8)
        )
    if kind == "var" and count > 1 and k.top <= 16:
        return b.emit(f"{x.name}.var({args})", lambda d: rough(4 * k.top**2, 8 * k.top * k.error, d, 8 + math.sqrt(count)))
    if kind == "logsumexp" and dims is not None and k.top <= 8:
        return b.emit(f"{x.name}.logsumexp({args})", lambda d: rough(k.top + math.log(count), k.error, d, 16 + 4 * k.top))
    return None


def normalisation(b: Builder) -> object:
    x = b.value(lambda v: v.floating and v.ndim > 0 and v.size > 0 and b.known(v).top <= 8)
    if x is None:
        return None
    k = b.known(x)
    name = b.pick(("softmax", "log_softmax", "layer_norm"))
    if name == "layer_norm":
        n = math.prod(tail := x.shape[-b.between(1, x.ndim) :])
        return b.emit(
            f"F.layer_norm({x.name}, {tail}, eps=0.5)",
            lambda d: rough(math.sqrt(n), 8 * (1 + k.top) * (k.error + 8 * epsilon(d) * (1 + k.top) ** 2), d, 16 + math.sqrt(n)),
        )
    top = 1.0 if name == "softmax" else 2 * k.top + math.log(x.size)
    return b.emit(f"F.{name}({x.name}, dim={b.between(-x.ndim, x.ndim - 1)})", lambda d: rough(top, 3 * k.error, d, 16 + 4 * k.top))


def running(b: Builder) -> object:
    x = b.value(lambda v: v.ndim > 0 and v.dtype != "bool")
    if x is None:
        return None
    d = b.between(0, x.ndim - 1)
    return b.emit(f"{x.name}.cumsum({d})", lambda dtype: settle(summed(b.known(x), x.shape[d]), dtype))


def product(b: Builder) -> object:
    x = b.value(lambda v: v.floating and v.ndim > 0)
    if x is None:
        return None

    def matches(v: Value) -> bool:
        if v.dtype != x.dtype or v.ndim == 0:
            return False
        if min(x.shape[-2:]) == 1 or v.ndim == 1 or x.ndim == 1 or v.shape[-1] == 1:
            # The order of summation of a single row or column depends on how the matrix lies: only exact ones come out the same.
            if not (b.exact(x) and b.exact(v)):
                return False
        inner = v.shape[-2] if v.ndim > 1 else v.shape[0]
        lead = zip(reversed(x.shape[:-2]), reversed(v.shape[:-2]), strict=False)
        return inner == x.shape[-1] and all(m == n or 1 in (m, n) for m, n in lead)

    y = b.value(matches)
    if y is None or b.chance(2):
        shape = (*(x.shape[:-2] if b.chance(3) else ()), x.shape[-1], b.pick((1, 2, 3, 8, 17, 33)))
        y = b.input(shape, x.dtype)
        if not matches(y):
            return None
    return b.emit(f"{x.name} @ {y.name}", lambda d: settle(summed(multiplied(b.known(x), b.known(y)), x.shape[-1]), d))


def window(b: Builder) -> object:
    """Convolutions and pools over the last one or two dims."""
    x = b.value(lambda v: v.dtype in ("float32", "float64") and v.ndim in (3, 4) and min(v.shape) > 0)
    if x is None:
        return None
    k, n = b.known(x), x.ndim - 2
    kernel = tuple(b.between(1, min(3, size)) for size in x.shape[2:])
    if b.chance(2):
        w = b.input((b.pick((1, 2, 5, 8)), x.shape[1], *kernel), x.dtype)
        count = math.prod(w.shape[1:])
        form = f"F.conv{n}d({x.name}, {w.name}, stride={b.between(1, 2)}, padding={b.between(0, 1)})"
        return b.emit(form, lambda d: settle(summed(multiplied(k, b.known(w)), count), d))
    if b.chance(2):
        return b.emit(f"F.max_pool{n}d({x.name}, {kernel}, stride={b.between(1, 2)})", lambda d: settle(k, d))
    return b.emit(f"F.avg_pool{n}d({x.name}, {kernel})", lambda d: rough(k.top, k.error, d, 16))


def drawn(b: Builder) -> object:
    """Random numbers of the framework's own generator."""
    shape = random_shape(b)
    if b.chance(2):
        return b.emit(f"mg.rand({shape})", lambda d: rough(1.0, 0.0, d))
    return b.emit(f"mg.randint(-5, 6, {shape})", lambda d: Known(6.0))


def made(b: Builder) -> object:
    """Values without inputs."""
    n = b.pick(SMALL + LARGE)
    forms = (
        "mg.arange({})",
        "mg.arange(0, {}, 2, dtype=mg.float32)",
        "mg.ones({}, 3)",
        "mg.full(({},), 0.5)",
        "mg.zeros({}, dtype=mg.int32)",
    )
    return b.emit(b.pick(forms).format(n), lambda d: settle(Known(float(n), 0.0, 1), d))


COMPUTING = (
    (new_input, 2), (smooth, 4), (exact_unary, 3), (binary, 8), (with_number, 4), (whole, 2), (compare, 3), (where, 3), (convert, 2),
    (reduction, 8), (normalisation, 3), (running, 1), (product, 3), (window, 1), (drawn, 1), (made, 1),
)  # fmt: skip
