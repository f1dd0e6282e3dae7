"""Formulas over LLVM values: `Num` lets the math files write `fma(r, q, 1.0)` and `x * x` instead of instruction calls.

A `Num` is a value together with the function that is being written; Python numbers in a formula become constants of the
same type. Nothing is reordered or contracted: a fused multiply-add happens only where `fma` is written.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

from monograph.targets.llvm.ir import Fn, Val, const, element, is_float, lanes, size_of, vector

Operand = "Num | float | int"


class Num:
    """An SSA value with arithmetic: floats, integers and i1 masks, scalar or vector."""

    __slots__ = ("f", "v")

    def __init__(self, f: Fn, v: Val) -> None:
        self.f, self.v = f, v

    @property
    def ty(self) -> str:
        return self.v.ty

    def like(self, other: Num | float | int) -> Val:
        """The other operand as a value of this one's type."""
        return other.v if isinstance(other, Num) else const(other, self.v.ty)

    def const(self, value: float | int) -> Num:
        return Num(self.f, const(value, self.ty))

    def binary(self, real: str, integer: str, other: Num | float | int, swap: bool = False) -> Num:
        a, b = self.v, self.like(other)
        opcode = real if is_float(self.ty) else integer
        return Num(self.f, self.f.binary(opcode, b, a) if swap else self.f.binary(opcode, a, b))

    def compare(self, real: str, integer: str, other: Num | float | int) -> Num:
        b = self.like(other)
        return Num(self.f, self.f.fcmp(real, self.v, b) if is_float(self.ty) else self.f.icmp(integer, self.v, b))

    def __add__(self, other: Num | float | int) -> Num:
        return self.binary("fadd", "add", other)

    __radd__ = __add__

    def __sub__(self, other: Num | float | int) -> Num:
        return self.binary("fsub", "sub", other)

    def __rsub__(self, other: Num | float | int) -> Num:
        return self.binary("fsub", "sub", other, swap=True)

    def __mul__(self, other: Num | float | int) -> Num:
        return self.binary("fmul", "mul", other)

    __rmul__ = __mul__

    def __truediv__(self, other: Num | float | int) -> Num:
        return self.binary("fdiv", "sdiv", other)

    def __rtruediv__(self, other: Num | float | int) -> Num:
        return self.binary("fdiv", "sdiv", other, swap=True)

    def __neg__(self) -> Num:
        return Num(self.f, self.f.fneg(self.v)) if is_float(self.ty) else self.const(0) - self

    def __and__(self, other: Num | int) -> Num:
        return self.binary("and", "and", other)

    def __or__(self, other: Num | int) -> Num:
        return self.binary("or", "or", other)

    def __xor__(self, other: Num | int) -> Num:
        return self.binary("xor", "xor", other)

    def __invert__(self) -> Num:
        return self ^ (1 if element(self.ty) == "i1" else -1)

    def __lshift__(self, other: Num | int) -> Num:
        return self.binary("shl", "shl", other)

    def __rshift__(self, other: Num | int) -> Num:
        """Arithmetic shift (the sign fills); `lshr` is the logical one."""
        return self.binary("ashr", "ashr", other)

    def lshr(self, other: Num | int) -> Num:
        return self.binary("lshr", "lshr", other)

    def __lt__(self, other: Num | float | int) -> Num:
        return self.compare("olt", "slt", other)

    def __le__(self, other: Num | float | int) -> Num:
        return self.compare("ole", "sle", other)

    def __gt__(self, other: Num | float | int) -> Num:
        return self.compare("ogt", "sgt", other)

    def __ge__(self, other: Num | float | int) -> Num:
        return self.compare("oge", "sge", other)

    def eq(self, other: Num | float | int) -> Num:
        return self.compare("oeq", "eq", other)

    def ne(self, other: Num | float | int) -> Num:
        """Not equal; true for NaN."""
        return self.compare("une", "ne", other)

    def isnan(self) -> Num:
        return Num(self.f, self.f.fcmp("uno", self.v, self.v))

    def cast(self, opcode: str, ty: str) -> Num:
        """`opcode` to the scalar type `ty`, keeping the lanes."""
        return Num(self.f, self.f.cast(opcode, self.v, vector(ty, lanes(self.ty))))


def fma(a: Num, b: Num | float, c: Num | float) -> Num:
    """a * b + c, rounded once."""
    return Num(a.f, a.f.fma(a.v, a.like(b), a.like(c)))


def horner(x: Num, coefficients: Sequence[float], tail: Num | None = None) -> Num:
    """c[0] + c[1] x + c[2] x^2 ... by fused multiply-adds; `tail` stands behind the last coefficient."""
    left = list(coefficients)
    acc = tail if tail is not None else x.const(left.pop())
    while left:
        acc = fma(acc, x, left.pop())
    return acc


def estrin(x: Num, coefficients: Sequence[float]) -> Num:
    """Coefficients[0] + x (coefficients[1] + ...), in pairs: a chain of half the length for one or two operations more.
    It pays for long ones; of short ones `horner` is faster on several registers side by side."""
    parts: list[Num | float] = [*coefficients]
    power = x
    while len(parts) > 1:
        if len(parts) == 3:
            return fma(power, fma(power, parts[2], parts[1]), parts[0])
        pairs = [fma(power, parts[k + 1], parts[k]) for k in range(0, len(parts) - 1, 2)]
        parts = [*pairs, *parts[2 * len(pairs) :]]
        if len(parts) > 1:
            power = power * power
    (value,) = parts
    return value if isinstance(value, Num) else x.const(value)


def select(cond: Num, a: Num | float | int, b: Num | float | int) -> Num:
    like = a if isinstance(a, Num) else b
    assert isinstance(like, Num), "select needs at least one value that has a type"
    return Num(cond.f, cond.f.select(cond.v, like.like(a), like.like(b)))


def unary(name: str, x: Num) -> Num:
    return Num(x.f, x.f.intrinsic(name, x.ty, x.v))


def fabs(x: Num) -> Num:
    return unary("fabs", x)


def sqrt(x: Num) -> Num:
    return unary("sqrt", x)


def floor(x: Num) -> Num:
    return unary("floor", x)


def trunc(x: Num) -> Num:
    return unary("trunc", x)


def rint(x: Num) -> Num:
    """Nearest integer, halves to even."""
    return unary("roundeven", x)


def bits(x: Num) -> Num:
    """The bit pattern of a float as an integer of the same width."""
    return x.cast("bitcast", f"i{8 * size_of(element(x.ty))}")


def from_bits(i: Num) -> Num:
    return i.cast("bitcast", {"i16": "half", "i32": "float", "i64": "double"}[element(i.ty)])


def sign_mask(ty: str) -> int:
    return -(1 << (8 * size_of(element(ty)) - 1))


def with_sign_of(magnitude: Num, x: Num) -> Num:
    """Ors the sign bit of x into a value that is not negative."""
    return from_bits(bits(magnitude) | (bits(x) & sign_mask(x.ty)))


def copysign(magnitude: Num, x: Num) -> Num:
    return with_sign_of(fabs(magnitude), x)


def at_most(x: Num, limit: float) -> Num:
    """min(x, limit); a NaN stays."""
    return select(x > limit, limit, x)


def at_least(x: Num, limit: float) -> Num:
    """max(x, limit); a NaN stays."""
    return select(x < limit, limit, x)


def any_lane(mask: Num) -> Val:
    """A scalar i1: is any lane of the mask set?"""
    n = lanes(mask.ty)
    if n == 1:
        return mask.v
    return mask.f.icmp("ne", mask.f.cast("bitcast", mask.v, f"i{n}"), 0)


def outline(f: Fn, name: str, body: Callable[..., Sequence[Num]], args: Sequence[Num], results: Sequence[str]) -> list[Num]:
    """Calls `body` as a function of its own, written once in the module: for long or rarely taken code.

    `results` are the LLVM types of what `body(*args)` returns. The text goes among the module's declarations, so a caller
    needs nothing but the function it is writing. `name` and the argument types identify the body.
    """
    full = f"mg_{name}_{'_'.join(f'{lanes(a.ty)}{element(a.ty)}' for a in args)}"
    ret = results[0] if len(results) == 1 else "{ " + ", ".join(results) + " }"
    text, needs = _outlined(full, body, tuple(a.ty for a in args), ret)
    f.declares.add(text)
    f.declares.update(needs)
    value = f.call(ret, full, *(a.v for a in args))
    assert value is not None
    if len(results) == 1:
        return [Num(f, value)]
    return [Num(f, f.emit(ty, f"extractvalue {ret} {value}, {i}")) for i, ty in enumerate(results)]


@functools.cache
def _outlined(name: str, body: Callable[..., Sequence[Num]], types: tuple[str, ...], ret: str) -> tuple[str, frozenset[str]]:
    f = Fn(name, [(ty, f"a{i}") for i, ty in enumerate(types)], ret, "nounwind noinline", "internal")
    f.declares = set()
    values = [n.v for n in body(*(Num(f, f.param(f"a{i}")) for i in range(len(types))))]
    if len(values) == 1:
        f.ret(values[0])
        return f.text(), frozenset(f.declares)
    packed = Val("poison", ret)
    for i, v in enumerate(values):
        packed = f.emit(ret, f"insertvalue {ret} {packed}, {v.ty} {v}, {i}")
    f.ret(packed)
    return f.text(), frozenset(f.declares)


def repeat_while(init: Sequence[Num], test: Callable[..., Val], body: Callable[..., Sequence[Num]]) -> list[Num]:
    """`while test(*values): values = body(*values)`, tested before the first round; `test` gives a scalar i1."""
    f = init[0].f
    head, inside, done = f.label("head"), f.label("body"), f.label("done")
    before = f.block
    f.br(head)
    f.start(head)
    at = len(f.lines)
    carried = []
    for n in init:
        f.count += 1
        carried.append(Num(f, Val(f"%c{f.count}", n.ty)))
    f.cond_br(test(*carried), inside, done)
    f.start(inside)
    after = list(body(*carried))
    latch = f.block
    f.br(head)
    f.lines[at:at] = [f"{c.v} = phi {c.ty} [ {i.v}, %{before} ], [ {a.v}, %{latch} ]" for c, i, a in zip(carried, init, after, strict=True)]
    f.start(done)
    return carried
