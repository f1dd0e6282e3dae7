"""A small writer of LLVM IR text: the only place where IR syntax is spelled out.

`Module` collects functions, declarations and constants; `Fn` writes one function. A value is a `Val`, a string with its LLVM
type; vectors are written explicitly, so nothing depends on LLVM's auto-vectoriser. Loops are written in functional style with
carried values (`Fn.loop`), so the text is in SSA form from the start.

    m = Module()
    f = m.function("axpy", [("ptr", "args"), ("i64", "begin"), ("i64", "end"), ("ptr", "scratch")])
    x = f.load("ptr", f.gep(f.param("args"), 0, "i64"))
    f.loop(f.param("begin"), f.param("end"), 1, (), lambda i: ...)
    f.ret()
    text = m.text()
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence

SCALARS = {"float": 4, "double": 8, "half": 2, "bfloat": 2, "i1": 1, "i8": 1, "i16": 2, "i32": 4, "i64": 8, "ptr": 8}


class Val(str):
    """An SSA value or constant: its text, with its LLVM type in `.ty`."""

    ty: str

    def __new__(cls, text: str, ty: str) -> Val:
        self = super().__new__(cls, text)
        self.ty = ty
        return self


def lanes(ty: str) -> int:
    """How many lanes a type has (1 for a scalar)."""
    return int(ty[1 : ty.index(" ")]) if ty[0] == "<" else 1


def element(ty: str) -> str:
    """The scalar type of a vector type (a scalar type is its own element)."""
    return ty[ty.index("x ") + 2 : -1] if ty[0] == "<" else ty


def vector(ty: str, n: int) -> str:
    """The type of n lanes of the scalar type `ty` (n = 1 is the scalar itself)."""
    return ty if n == 1 else f"<{n} x {ty}>"


def size_of(ty: str) -> int:
    """Bytes of a scalar or vector type in memory (i1 counts as one byte a lane: bools are stored as i8)."""
    return SCALARS[element(ty)] * lanes(ty)


def is_float(ty: str) -> bool:
    return element(ty) in ("float", "double", "half", "bfloat")


def literal(value: float | int | bool, ty: str) -> str:
    """The text of a scalar constant, exact to the bit for floats."""
    if ty == "float":
        rounded = struct.unpack("<f", struct.pack("<f", value))[0] if math.isfinite(value) and abs(value) <= 3.4028235677973366e38 else float(value)
        return "0x%016X" % struct.unpack("<Q", struct.pack("<d", rounded))[0]
    if ty == "double":
        return "0x%016X" % struct.unpack("<Q", struct.pack("<d", float(value)))[0]
    if ty == "half":
        return "0xH%04X" % struct.unpack("<H", struct.pack("<e", float(value)))[0]
    if ty == "bfloat":
        bits = struct.unpack("<I", struct.pack("<f", float(value)))[0]
        bits = bits + 0x7FFF + ((bits >> 16) & 1) if math.isfinite(value) else bits
        return "0xR%04X" % ((bits >> 16) & 0xFFFF)
    if ty == "i1":
        return "true" if value else "false"
    return str(int(value))


def const(value: float | int | bool, ty: str) -> Val:
    """A constant of a scalar or vector type (a vector gets the value in every lane)."""
    if ty[0] != "<":
        return Val(literal(value, ty), ty)
    text = literal(value, element(ty))
    return Val("<" + ", ".join([f"{element(ty)} {text}"] * lanes(ty)) + ">", ty)


class Fn:
    """One function under construction. Every emitting method returns the new `Val`."""

    def __init__(self, name: str, params: Sequence[tuple[str, str]], ret: str = "void", attrs: str = "nounwind", linkage: str = "") -> None:
        self.name, self.ret_ty, self.attrs, self.linkage = name, ret, attrs, linkage
        self.params = {p: Val(f"%{p}", ty) for ty, p in params}
        self.signature = ", ".join(f"{ty}{' noundef' if ty == 'ptr' else ''} %{p}" for ty, p in params)
        self.lines: list[str] = ["entry:"]
        self.block = "entry"
        self.count = 0

    def param(self, name: str) -> Val:
        return self.params[name]

    def text(self) -> str:
        body = "\n".join(line if line.endswith(":") else "  " + line for line in self.lines)
        return f"define {self.linkage} {self.ret_ty} @{self.name}({self.signature}) {self.attrs} {{\n{body}\n}}\n"

    # ---- raw lines ----
    def line(self, text: str) -> None:
        self.lines.append(text)

    def emit(self, ty: str, text: str) -> Val:
        """`%vN = text`, of type `ty`."""
        self.count += 1
        name = f"%v{self.count}"
        self.lines.append(f"{name} = {text}")
        return Val(name, ty)

    def label(self, hint: str = "b") -> str:
        self.count += 1
        return f"{hint}{self.count}"

    def start(self, label: str) -> None:
        """Begins a basic block (the previous one must have been ended by a branch)."""
        self.lines.append(label + ":")
        self.block = label

    def br(self, label: str) -> None:
        self.line(f"br label %{label}")

    def cond_br(self, cond: Val, yes: str, no: str) -> None:
        self.line(f"br i1 {cond}, label %{yes}, label %{no}")

    def ret(self, value: Val | None = None) -> None:
        self.line("ret void" if value is None else f"ret {value.ty} {value}")

    # ---- constants ----
    def const(self, value: float | int | bool, ty: str) -> Val:
        return const(value, ty)

    def i64(self, value: int) -> Val:
        return Val(str(value), "i64")

    def as_i64(self, value: Val | int) -> Val:
        return self.i64(value) if isinstance(value, int) else value

    # ---- arithmetic: two operands of one type ----
    def binary(self, opcode: str, a: Val, b: Val) -> Val:
        return self.emit(a.ty, f"{opcode} {a.ty} {a}, {b}")

    def fadd(self, a: Val, b: Val) -> Val:
        return self.binary("fadd", a, b)

    def fsub(self, a: Val, b: Val) -> Val:
        return self.binary("fsub", a, b)

    def fmul(self, a: Val, b: Val) -> Val:
        return self.binary("fmul", a, b)

    def fdiv(self, a: Val, b: Val) -> Val:
        return self.binary("fdiv", a, b)

    def fneg(self, a: Val) -> Val:
        return self.emit(a.ty, f"fneg {a.ty} {a}")

    def fma(self, a: Val, b: Val, c: Val) -> Val:
        return self.intrinsic("fma", a.ty, a, b, c)

    def add(self, a: Val, b: Val | int) -> Val:
        return self.binary("add", a, self._same(b, a))

    def sub(self, a: Val, b: Val | int) -> Val:
        return self.binary("sub", a, self._same(b, a))

    def mul(self, a: Val, b: Val | int) -> Val:
        return self.binary("mul", a, self._same(b, a))

    def udiv(self, a: Val, b: Val | int) -> Val:
        return self.binary("udiv", a, self._same(b, a))

    def urem(self, a: Val, b: Val | int) -> Val:
        return self.binary("urem", a, self._same(b, a))

    def _same(self, value: Val | int, like: Val) -> Val:
        return value if isinstance(value, Val) else const(value, like.ty)

    def icmp(self, pred: str, a: Val, b: Val | int) -> Val:
        return self.emit(vector("i1", lanes(a.ty)), f"icmp {pred} {a.ty} {a}, {self._same(b, a)}")

    def fcmp(self, pred: str, a: Val, b: Val) -> Val:
        return self.emit(vector("i1", lanes(a.ty)), f"fcmp {pred} {a.ty} {a}, {b}")

    def select(self, cond: Val, a: Val, b: Val) -> Val:
        return self.emit(a.ty, f"select {cond.ty} {cond}, {a.ty} {a}, {b.ty} {b}")

    def smin(self, a: Val, b: Val | int) -> Val:
        b = self._same(b, a)
        return self.select(self.icmp("slt", a, b), a, b)

    def smax(self, a: Val, b: Val | int) -> Val:
        b = self._same(b, a)
        return self.select(self.icmp("sgt", a, b), a, b)

    def cast(self, opcode: str, a: Val, ty: str) -> Val:
        """zext, sext, trunc, fpext, fptrunc, sitofp, uitofp, fptosi, fptoui, bitcast, ptrtoint, inttoptr."""
        return a if a.ty == ty else self.emit(ty, f"{opcode} {a.ty} {a} to {ty}")

    def intrinsic(self, name: str, ty: str, *args: Val) -> Val:
        """Calls `@llvm.<name>.<suffix of ty>`; the declaration is implied (LLVM knows its intrinsics by name)."""
        suffix = {"float": "f32", "double": "f64", "half": "f16", "bfloat": "bf16"}.get(element(ty), element(ty))
        n = lanes(ty)
        full = f"llvm.{name}.{f'v{n}' if n > 1 else ''}{suffix}"
        module_declares = ", ".join(a.ty for a in args)
        self.declares.add(f"declare {ty} @{full}({module_declares})")
        return self.emit(ty, f"call {ty} @{full}(" + ", ".join(f"{a.ty} {a}" for a in args) + ")")

    declares: set[str] = set()

    def call(self, ret: str, name: str, *args: Val) -> Val | None:
        text = f"call {ret} @{name}(" + ", ".join(f"{a.ty} {a}" for a in args) + ")"
        if ret == "void":
            self.line(text)
            return None
        return self.emit(ret, text)

    # ---- memory ----
    def gep(self, base: Val, index: Val | int, elem: str = "i8") -> Val:
        """Address of `base[index]`, counting in elements of `elem`."""
        return self.emit("ptr", f"getelementptr inbounds {elem}, ptr {base}, i64 {self.as_i64(index)}")

    def load(self, ty: str, ptr: Val, align: int | None = None, extra: str = "") -> Val:
        align = align if align is not None else SCALARS[element(ty)]
        return self.emit(ty, f"load {ty}, ptr {ptr}, align {align}{extra}")

    def store(self, value: Val, ptr: Val, align: int | None = None, extra: str = "") -> None:
        align = align if align is not None else SCALARS[element(value.ty)]
        self.line(f"store {value.ty} {value}, ptr {ptr}, align {align}{extra}")

    def word(self, args: Val, index: int, ty: str = "i64") -> Val:
        """Word `index` of a kernel's argument record (8-byte words), read as `ty` (i64, ptr, double or float)."""
        return self.load(ty, self.gep(args, index, "i64"), 8)

    def prefetch(self, ptr: Val, write: bool = False, locality: int = 3) -> None:
        self.declares.add("declare void @llvm.prefetch.p0(ptr, i32, i32, i32)")
        self.line(f"call void @llvm.prefetch.p0(ptr {ptr}, i32 {int(write)}, i32 {locality}, i32 1)")

    # ---- vectors ----
    def splat(self, a: Val, n: int) -> Val:
        if n == 1 or a.ty[0] == "<":
            return a
        ty = vector(a.ty, n)
        if a[0] != "%":
            return Val("<" + ", ".join([f"{a.ty} {a}"] * n) + ">", ty)
        one = self.emit(ty, f"insertelement {ty} poison, {a.ty} {a}, i64 0")
        return self.emit(ty, f"shufflevector {ty} {one}, {ty} poison, <{n} x i32> zeroinitializer")

    def shuffle(self, a: Val, b: Val | None, indices: Sequence[int]) -> Val:
        mask = ", ".join(f"i32 {i}" for i in indices)
        other = "poison" if b is None else b
        return self.emit(vector(element(a.ty), len(indices)), f"shufflevector {a.ty} {a}, {a.ty} {other}, <{len(indices)} x i32> <{mask}>")

    def extract(self, a: Val, lane: int | Val) -> Val:
        return self.emit(element(a.ty), f"extractelement {a.ty} {a}, i64 {lane}")

    def insert(self, a: Val, x: Val, lane: int | Val) -> Val:
        return self.emit(a.ty, f"insertelement {a.ty} {a}, {x.ty} {x}, i64 {lane}")

    def iota(self, n: int, ty: str = "i64") -> Val:
        """0, 1, 2 ... n-1 (a scalar 0 for n = 1)."""
        return const(0, ty) if n == 1 else Val("<" + ", ".join(f"{ty} {i}" for i in range(n)) + ">", vector(ty, n))

    # ---- control flow ----
    def loop(
        self,
        lo: Val | int,
        hi: Val | int,
        step: Val | int,
        init: Sequence[Val],
        body: Callable[..., Sequence[Val] | None],
        unroll: bool = False,
    ) -> list[Val]:
        """`for i in range(lo, hi, step)` (i64, step > 0) with carried values: `body(i, *carried)` returns their next values.

        Returns the carried values after the loop. LLVM's own vectoriser is kept off; its unroller too unless `unroll`.
        """
        lo, hi, step = self.as_i64(lo), self.as_i64(hi), self.as_i64(step)
        head, inside, done = self.label("head"), self.label("body"), self.label("done")
        before = self.block
        self.br(head)
        self.start(head)
        at = len(self.lines)
        self.count += 1
        i = Val(f"%i{self.count}", "i64")
        carried = []
        for v in init:
            self.count += 1
            carried.append(Val(f"%c{self.count}", v.ty))
        self.cond_br(self.icmp("slt", i, hi), inside, done)
        self.start(inside)
        after = list(body(i, *carried) or ())
        assert len(after) == len(carried), "a loop body returns as many values as it carries"
        following = self.add(i, step)
        latch = self.block
        self.line(f"br label %{head}, !llvm.loop !{1 if unroll else 0}")
        phis = [f"{i} = phi i64 [ {lo}, %{before} ], [ {following}, %{latch} ]"]
        phis += [f"{c} = phi {c.ty} [ {v}, %{before} ], [ {a}, %{latch} ]" for c, v, a in zip(carried, init, after, strict=True)]
        self.lines[at:at] = phis
        self.start(done)
        return carried

    def if_(self, cond: Val, then: Callable[[], None], otherwise: Callable[[], None] | None = None) -> None:
        """Runs `then` (or `otherwise`) for its side effects."""
        yes, no, done = self.label("then"), self.label("else"), self.label("fi")
        self.cond_br(cond, yes, no if otherwise else done)
        self.start(yes)
        then()
        self.br(done)
        if otherwise:
            self.start(no)
            otherwise()
            self.br(done)
        self.start(done)

    def if_value(self, cond: Val, then: Callable[[], Sequence[Val]], otherwise: Callable[[], Sequence[Val]]) -> list[Val]:
        """`then()` or `otherwise()`, each giving the same number of values of the same types."""
        yes, no, done = self.label("then"), self.label("else"), self.label("fi")
        self.cond_br(cond, yes, no)
        self.start(yes)
        a, from_yes = list(then()), ""
        from_yes = self.block
        self.br(done)
        self.start(no)
        b = list(otherwise())
        from_no = self.block
        self.br(done)
        self.start(done)
        return [self.emit(x.ty, f"phi {x.ty} [ {x}, %{from_yes} ], [ {y}, %{from_no} ]") for x, y in zip(a, b, strict=True)]


KERNEL_PARAMS = (("ptr", "args"), ("i64", "begin"), ("i64", "end"), ("ptr", "scratch"))


class Module:
    """Functions, declarations and constants that are compiled together."""

    def __init__(self) -> None:
        self.functions: list[Fn] = []
        self.declares: set[str] = set()
        self.globals: list[str] = []

    def function(self, name: str, params: Sequence[tuple[str, str]] = KERNEL_PARAMS, ret: str = "void", attrs: str = "nounwind", linkage: str = "") -> Fn:
        fn = Fn(name, params, ret, attrs, linkage)
        fn.declares = self.declares
        self.functions.append(fn)
        return fn

    def declare(self, text: str) -> None:
        self.declares.add(text)

    def text(self) -> str:
        tail = '!0 = distinct !{!0, !2, !3}\n!1 = distinct !{!1, !2}\n!2 = !{!"llvm.loop.vectorize.enable", i1 false}\n!3 = !{!"llvm.loop.unroll.disable"}\n'
        return "\n".join([*self.globals, *(f.text() for f in self.functions), *sorted(self.declares), tail])
