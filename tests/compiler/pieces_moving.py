"""Pieces of random programs that move, pick, order and write elements, look at values midway, and take gradients."""

from __future__ import annotations

import math
from typing import Any

from tests.compiler.accuracy import INTEGERS, Known, added, cast, join, multiplied, rough, settle, summed
from tests.compiler.pieces_computing import SMOOTH
from tests.compiler.program_builder import Builder, Value


def factored(b: Builder, n: int) -> tuple[int, ...]:
    """A random shape of n elements."""
    if n == 0:
        return (b.pick((0, 1, 2)), 0)
    shape = []
    while n > 1 and len(shape) < 3 and not b.chance(4):
        divisors = [d for d in range(1, n + 1) if n % d == 0]
        shape.append(b.pick(divisors))
        n //= shape[-1]
    return (*shape, n) if b.chance(2) else (n, *shape)


def spreads(shape: tuple[int, ...], to: tuple[int, ...]) -> bool:
    """Whether a value of this shape can be broadcast to another shape."""
    return len(shape) <= len(to) and all(n in (1, m) for m, n in zip(reversed(to), reversed(shape), strict=False))


def subscript(b: Builder, shape: tuple[int, ...]) -> str:
    """A basic index: slices with steps, integers, None, an ellipsis."""
    parts = []
    for n in shape:
        kind = b.pick(("all", "all", "cut", "cut", "step", "int"))
        if kind == "all" or n == 0:
            parts.append(":")
        elif kind == "int":
            parts.append(str(b.between(-n, n - 1)))
        else:
            low = b.between(0, n - 1)
            high = b.between(low, n)
            parts.append(f"{low}:{high}" if kind == "cut" else f"{low}:{n}:{b.between(1, 3)}")
    if b.chance(6):
        parts.insert(b.between(0, len(parts)), "None")
    return ", ".join(parts) or "..."


def view(b: Builder) -> object:
    x = b.value()
    if x is None:
        return None
    kind = b.pick(("reshape", "reshape", "index", "index", "permute", "permute", "expand", "unsqueeze", "squeeze", "diagonal", "unfold"))
    if kind == "reshape":
        return b.emit(f"{x.name}.reshape({factored(b, x.size)})", lambda d: None, x)
    if kind == "index":
        return b.emit(f"{x.name}[{subscript(b, x.shape)}]", lambda d: None, x)
    if kind == "permute" and x.ndim > 1:
        left, order = list(range(x.ndim)), []
        while left:
            order.append(left.pop(b.between(0, len(left) - 1)))
        return b.emit(f"{x.name}.permute({tuple(order)})", lambda d: None, x)
    if kind == "expand":
        shape = (*((b.pick((2, 3)),) if b.chance(3) else ()), *(b.pick((2, 5, 9)) if n == 1 else n for n in x.shape))
        return b.emit(f"{x.name}.expand({shape})", lambda d: None, x, writable=False)
    if kind == "unsqueeze":
        return b.emit(f"{x.name}.unsqueeze({b.between(0, x.ndim)})", lambda d: None, x)
    if kind == "squeeze":
        return b.emit(f"{x.name}.squeeze()", lambda d: None, x)
    if kind == "diagonal" and x.ndim > 1:
        return b.emit(f"{x.name}.diagonal({b.between(-1, 1)}, 0, {b.between(1, x.ndim - 1)})", lambda d: None, x)
    if kind == "unfold" and x.ndim and min(x.shape) >= 2:
        return b.emit(f"{x.name}.unfold({b.between(0, x.ndim - 1)}, 2, {b.between(1, 2)})", lambda d: None, x, writable=False)
    return None


def moved(b: Builder) -> object:
    x = b.value(lambda v: v.ndim > 0)
    if x is None:
        return None
    k, d = b.known(x), b.between(0, x.ndim - 1)
    kind = b.pick(("flip", "roll", "pad", "tril", "cat", "stack", "repeat"))
    if kind == "pad":
        pads = [b.between(0, 2) for _ in range(2 * b.between(1, min(2, x.ndim)))]
        return b.emit(f"F.pad({x.name}, {tuple(pads)}, value=1)", lambda t: settle(Known(max(1.0, k.top), k.error, k.fraction), t))
    if kind in ("cat", "stack"):
        free = d if kind == "cat" else -1
        y = b.value(lambda v: v.dtype == x.dtype and v.ndim == x.ndim and all(v.shape[i] == n or i == free for i, n in enumerate(x.shape)))
        both = join(k, b.known(y))  # type: ignore[arg-type]
        return b.emit(f"mg.{kind}([{x.name}, {y.name}], {d})", lambda t: settle(both, t))  # type: ignore[union-attr]
    if kind == "tril" and x.ndim < 2:
        return None
    form = {"flip": f"({d},)", "roll": f"{b.between(-3, 3)}, {d}", "tril": f"{b.between(-1, 1)}", "repeat": "2, " * x.ndim}[kind]
    return b.emit(f"{x.name}.{kind}({form})", lambda t: settle(k, t))


def indices(b: Builder, size: int, shape: tuple[int, ...]) -> Value | None:
    """Whole numbers below `size`: of a shape, or now and then one dim of numbers that the program computed."""
    found = b.value(lambda v: v.ndim == 1 and v.dtype in INTEGERS) if len(shape) == 1 and b.chance(2) else None
    if found is None and len(shape) == 1 and b.chance(2):
        x = b.value(lambda v: v.ndim == 2 and v.size > 0 and b.exact(v) and v.dtype != "bool")
        found = x and b.emit(f"{x.name}.argmax({b.between(0, 1)})", lambda d: Known(float(x.size)))
    if found is not None:
        return b.emit(f"{found.name}.long() % {size}", lambda d: Known(float(size)))
    made = b.input(shape, "int64")
    return b.emit(f"{made.name} % {size}", lambda d: Known(float(size)))


def picked(b: Builder) -> object:
    x = b.value(lambda v: v.ndim > 0 and v.size > 0)
    if x is None:
        return None
    k, d = b.known(x), b.between(0, x.ndim - 1)
    kind = b.pick(("index_select", "gather", "index", "index", "mask", "take_along"))
    if kind == "mask":
        m = b.value(lambda v: v.dtype == "bool" and v.ndim > 0 and v.shape == x.shape[: v.ndim])
        return None if m is None else b.emit(f"{x.name}[{m.name}]", lambda t: settle(k, t))
    if kind == "gather":
        shape = tuple(b.between(1, 5) if i == d else b.between(1, n) for i, n in enumerate(x.shape))
    else:
        shape = (b.pick((1, 3, 6, 20)),)
    i = indices(b, x.shape[d], shape)
    if i is None:
        return None
    if kind == "index":
        lead = ":, " * d
        return b.emit(f"{x.name}[{lead}{i.name}]", lambda t: settle(k, t))
    if kind == "take_along":
        return b.emit(f"mg.take_along_dim({x.name}.flatten(), {i.name} % {x.size})", lambda t: settle(k, t))
    return b.emit(f"{x.name}.{kind}({d}, {i.name})", lambda t: settle(k, t))


def added_at(b: Builder) -> object:
    """Out of place scatters."""
    x = b.value(lambda v: v.ndim > 0 and v.size > 0 and v.dtype in ("float32", "float64", "int64", "int32"))
    if x is None:
        return None
    d = b.between(0, x.ndim - 1)
    i = indices(b, x.shape[d], (b.pick((1, 3, 6)),))
    if i is None:
        return None
    count = i.size
    y = b.input((*x.shape[:d], count, *x.shape[d + 1 :]), x.dtype)
    total = added(b.known(x), summed(b.known(y), count))
    return b.emit(f"{x.name}.index_add({d}, {i.name}, {y.name})", lambda t: settle(total, t))


def ordered(b: Builder) -> object:
    x = b.value(lambda v: v.ndim > 0 and v.size > 0 and b.exact(v) and v.dtype != "bool")
    if x is None:
        return None
    d = b.between(0, x.ndim - 1)
    part, known = b.pick(((0, b.known(x)), (1, Known(float(x.shape[d])))))
    if b.chance(2):
        return b.emit(f"{x.name}.sort({d}, stable=True)[{part}]", lambda t: settle(known, t))
    # Which of equal elements topk names is not promised: only its values are looked at.
    return b.emit(f"{x.name}.topk({b.between(1, x.shape[d])}, {d})[0]", lambda t: settle(b.known(x), t))


def written(b: Builder) -> object:
    """A value changed in place, whole or through a fresh or old view."""
    x = b.value(lambda v: v.writable and v.dtype != "bool")
    if x is None:
        return None
    k = b.known(x)
    kind = b.pick(("number", "number", "view", "view", "view", "mask", "index", "unary", "transposed"))
    if kind == "unary":
        form = b.pick(("neg_", "abs_", "zero_", "relu_") if x.dtype != "uint8" else ("zero_",))
        return b.change(f"{x.name}.{form}()", x, k)
    if kind == "number":
        sign, number = b.pick("+-*"), b.pick((2, 1, 3))
        return b.change(f"{x.name} {sign}= {number}", x, settle((multiplied if sign == "*" else added)(k, Known(number)), x.dtype))
    if kind == "transposed" and x.ndim > 1:
        return b.change(f"{x.name}.transpose(0, -1).mul_(2)", x, settle(multiplied(k, Known(2.0)), x.dtype))
    if kind == "mask":
        m = b.value(lambda v: v.dtype == "bool" and v.ndim > 0 and v.shape == x.shape[: v.ndim])
        return None if m is None else b.change(f"{x.name}[{m.name}] = {b.pick((0, 1, 2))}", x, settle(Known(2.0), x.dtype))
    if kind == "index" and x.ndim and x.size:
        at = b.between(1, 4)
        rows = [b.between(0, x.shape[0] - 1) for _ in range(at)]
        return b.change(f"{x.name}[mg.tensor({sorted(set(rows))})] = {b.pick((0, 1, 3))}", x, settle(Known(3.0), x.dtype))
    key = subscript(b, x.shape)
    part = Value("", x.tensor[eval(f"subscript[{key}]", {"subscript": _Subscript()})], x.place)
    y = b.value(lambda v: spreads(v.shape, part.shape))
    if y is None:
        return None
    other = cast(b.known(y), y.dtype, x.dtype)
    if other is None:
        return None
    sign = b.pick(("=", "+=", "*=", "="))
    result = other if sign == "=" else settle((added if sign == "+=" else multiplied)(k, other), x.dtype)
    return b.change(f"{x.name}[{key}] {sign} {y.name}.to(mg.{x.dtype})", x, result)


class _Subscript:
    """`_Subscript()[...]` is the index itself."""

    def __getitem__(self, key: Any) -> Any:
        return key


def looked_at(b: Builder) -> object:
    """A value observed midway."""
    x = b.value()
    if x is None:
        return None
    b.look(b.pick(("{}.tolist()", "mg.eval({})", "str({})", "bool(({0} == {0}).all())")).format(x.name))
    return True


DIFFERENTIABLE = "smooth smooth exp square sum softmax layer_norm view times slice index matmul cumsum cat".split()


def gradient(b: Builder) -> object:
    """backward() through a few ops: the gradient is a new value."""
    x = b.value(lambda v: v.dtype in ("float32", "float64") and 0 < v.size <= 600 and b.known(v).top <= 4)
    if x is None:
        return None
    k = b.known(x)
    w, y, g = b.fresh(), b.fresh(), b.fresh()
    lines, shape, slope, top = [f"{w} = {x.name}.detach().clone().requires_grad_()", f"{y} = {w}"], x.shape, 1.0, k.top
    for _ in range(b.between(1, 4)):
        kind = b.pick(DIFFERENTIABLE)
        last = shape[-1] if shape else 1
        if kind == "smooth" and top <= 8:
            name = b.pick([n for n in SMOOTH if n not in ("F.leaky_relu", "F.elu")])
            lines.append(f"{y} = {name}({y})")
            top, slope = SMOOTH[name][1](top), slope * SMOOTH[name][0]
        elif kind == "exp" and top <= 4:
            lines.append(f"{y} = {y}.exp()")
            top = math.exp(top)
            slope *= top
        elif kind == "square":
            lines.append(f"{y} = {y} * {y}")
            slope, top = slope * 2 * top, top * top
        elif kind == "sum" and shape:
            d = b.between(0, len(shape) - 1)
            lines.append(f"{y} = {y} - {y}.{b.pick(('sum', 'mean'))}({d}, keepdim=True)")
            slope, top = slope * (1 + shape[d]), top * (1 + shape[d])
        elif kind == "softmax" and shape:
            lines.append(f"{y} = F.softmax({y}, -1)")
            slope, top = slope * 2, 1.0
        elif kind == "layer_norm" and shape:
            lines.append(f"{y} = F.layer_norm({y}, ({last},), eps=0.5)")
            slope, top = slope * 4, math.sqrt(last)
        elif kind == "view":
            shape = (last, math.prod(shape[:-1]))
            lines.append(f"{y} = {y}.reshape(-1, {last}).t()")
        elif kind == "slice" and shape and shape[0] > 1:
            lines.append(f"{y} = {y}[1:]")
            shape = (shape[0] - 1, *shape[1:])
        elif kind == "index" and shape:
            lines.append(f"{y} = {y}[mg.tensor([0, 0, {shape[0] - 1}])]")
            shape, slope = (3, *shape[1:]), slope * 2
        elif kind == "matmul" and len(shape) == 2:
            lines.append(f"{y} = {y} @ {y}.t()")
            shape, slope, top = (shape[0], shape[0]), slope * 2 * shape[0] * top * last, top * top * last
        elif kind == "cumsum" and shape:
            lines.append(f"{y} = {y}.cumsum(0)")
            slope, top = slope * shape[0], top * shape[0]
        elif kind == "cat" and shape:
            lines.append(f"{y} = mg.cat([{y}, {y}.tanh()], 0)")
            shape, slope = (2 * shape[0], *shape[1:]), slope * 2
        elif kind == "times":
            other = b.value(lambda v, shape=shape: v.dtype == x.dtype and b.known(v).top <= 4 and spreads(v.shape, shape))
            if other is not None:
                lines.append(f"{y} = {y} * {other.name}.detach().clone()")
                slope, top = slope * 4, top * 4
    if slope * (1 + top) > 1e5:
        return None
    weights = f"mg.arange({y}.numel(), dtype={y}.dtype).reshape({y}.shape).sin()"
    lines += [f"({y} * {weights}).{b.pick(('sum', 'mean'))}().backward()", f"{g} = {w}.grad"]
    result = rough(slope, 20 * slope * (1 + top) * k.error, x.dtype, 200 * (1 + top))
    if result is None:
        return None
    b.held[len(b.held)] = result
    for line in lines:
        exec(line, b.space)
        b.write(line)
    b.values.append(Value(g, b.space[g], len(b.held) - 1))
    return True


MOVING = ((view, 9), (moved, 4), (picked, 4), (added_at, 1), (ordered, 2), (written, 8), (looked_at, 1), (gradient, 2))
