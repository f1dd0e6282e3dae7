"""A small writer of LLVM IR text: the only place where IR syntax is spelled out.

`Module` collects functions, declarations and constants; `Fn` writes one function. A value is a `Val`, a string with its LLVM
type; vectors are written explicitly, so nothing depends on LLVM's auto-vectoriser. Loops are written in functional style with
carried values (`Fn.loop`), so the text is in SSA form from the start. What does not change in a loop is written before it, and what is
there already is not written again: that costs a dict look-up here, and a good part of LLVM's compile time if it is left to LLVM.

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


# The depth of values whose place is not known: nothing that uses them is moved.
UNKNOWN_DEPTH = 1 << 30
# Operations that may trap, so that they must stay under the conditions they are written in.
TRAPPING = frozenset(("udiv", "sdiv", "urem", "srem"))
PURE_INTRINSICS = frozenset(
    ("fma", "sqrt", "fabs", "floor", "ceil", "trunc", "rint", "roundeven", "nearbyint", "copysign", "minnum", "maxnum")
    + ("minimum", "maximum", "smin", "smax", "umin", "umax", "abs", "ctpop", "ctlz", "cttz", "fshl", "fshr")
)


class Val(str):
    """An SSA value or constant: its text; `ty` is its LLVM type, `depth` the number of loops (`Fn.loop`) around its definition."""

    ty: str
    depth: int = UNKNOWN_DEPTH

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
        fits = math.isfinite(value) and abs(value) <= 3.4028235677973366e38
        rounded = struct.unpack("<f", struct.pack("<f", value))[0] if fits else float(value)
        return f"0x{struct.unpack('<Q', struct.pack('<d', rounded))[0]:016X}"
    if ty == "double":
        return f"0x{struct.unpack('<Q', struct.pack('<d', float(value)))[0]:016X}"
    if ty == "half":
        return f"0xH{struct.unpack('<H', struct.pack('<e', float(value)))[0]:04X}"
    if ty == "bfloat":
        bits = struct.unpack("<I", struct.pack("<f", float(value)))[0]
        bits = bits + 0x7FFF + ((bits >> 16) & 1) if math.isfinite(value) else bits
        return f"0xR{(bits >> 16) & 0xFFFF:04X}"
    if ty == "i1":
        return "true" if value else "false"
    return str(int(value))


def const(value: float | int | bool, ty: str) -> Val:
    """A constant of a scalar or vector type (a vector gets the value in every lane)."""
    if ty[0] != "<":
        return Val(literal(value, ty), ty)
    return Val(f"splat ({element(ty)} {literal(value, element(ty))})", ty)


def _placed(value: Val, depth: int) -> Val:
    value.depth = depth
    return value


class Fn:
    """One function under construction. Every emitting method returns the new `Val`."""

    def __init__(self, name: str, params: Sequence[tuple[str, str]], ret: str = "void", attrs: str = "nounwind", linkage: str = "") -> None:
        self.name, self.ret_ty, self.attrs, self.linkage = name, ret, attrs, linkage
        self.params = {p: _placed(Val(f"%{p}", ty), 0) for ty, p in params}
        self.signature = ", ".join(f"{ty}{' noundef' if ty == 'ptr' else ''} %{p}" for ty, p in params)
        self.lines: list[str] = ["entry:"]
        self.block = "entry"
        self.count = 0
        self.declares: set[str] = set()
        self.known: dict[str, Val] = {}  # what the open block has computed already: text -> value
        self.outside: list[tuple[list[str], dict[str, Val]]] = []  # lines and known values of the blocks before the open loops

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
        return _placed(Val(name, ty), len(self.outside))

    def pure(self, ty: str, text: str, *operands: Val) -> Val:
        """`emit` for an operation that depends on nothing but its operands and never traps: written outside all loops that it does not
        change in, and only once a block."""
        depth = 0
        for v in operands:
            if v.depth > depth and v[0] == "%":
                depth = v.depth
        if depth < len(self.outside):
            lines, known = self.outside[depth]
        else:
            lines, known, depth = self.lines, self.known, len(self.outside)
        found = known.get(text)
        if found is None:
            self.count += 1
            found = known[text] = Val(f"%v{self.count}", ty)
            found.depth = depth
            lines.append(f"{found} = {text}")
        return found

    def label(self, hint: str = "b") -> str:
        self.count += 1
        return f"{hint}{self.count}"

    def start(self, label: str, known: dict[str, Val] | None = None) -> None:
        """Begins a basic block (the previous one must have been ended by a branch). `known`: values computed on every way to it."""
        self.lines.append(label + ":")
        self.block = label
        self.known = {} if known is None else known

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
        text = f"{opcode} {a.ty} {a}, {b}"
        return self.emit(a.ty, text) if opcode in TRAPPING else self.pure(a.ty, text, a, b)

    def fadd(self, a: Val, b: Val) -> Val:
        return self.binary("fadd", a, b)

    def fsub(self, a: Val, b: Val) -> Val:
        return self.binary("fsub", a, b)

    def fmul(self, a: Val, b: Val) -> Val:
        return self.binary("fmul", a, b)

    def fdiv(self, a: Val, b: Val) -> Val:
        return self.binary("fdiv", a, b)

    def fneg(self, a: Val) -> Val:
        return self.pure(a.ty, f"fneg {a.ty} {a}", a)

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
        b = self._same(b, a)
        return self.pure(vector("i1", lanes(a.ty)), f"icmp {pred} {a.ty} {a}, {b}", a, b)

    def fcmp(self, pred: str, a: Val, b: Val) -> Val:
        return self.pure(vector("i1", lanes(a.ty)), f"fcmp {pred} {a.ty} {a}, {b}", a, b)

    def select(self, cond: Val, a: Val, b: Val) -> Val:
        return self.pure(a.ty, f"select {cond.ty} {cond}, {a.ty} {a}, {b.ty} {b}", cond, a, b)

    def smin(self, a: Val, b: Val | int) -> Val:
        b = self._same(b, a)
        return self.select(self.icmp("slt", a, b), a, b)

    def smax(self, a: Val, b: Val | int) -> Val:
        b = self._same(b, a)
        return self.select(self.icmp("sgt", a, b), a, b)

    def cast(self, opcode: str, a: Val, ty: str) -> Val:
        """zext, sext, trunc, fpext, fptrunc, sitofp, uitofp, fptosi, fptoui, bitcast, ptrtoint, inttoptr."""
        return a if a.ty == ty else self.pure(ty, f"{opcode} {a.ty} {a} to {ty}", a)

    def intrinsic(self, name: str, ty: str, *args: Val) -> Val:
        """Calls `@llvm.<name>.<suffix of ty>`; the declaration is implied (LLVM knows its intrinsics by name)."""
        suffix = {"float": "f32", "double": "f64", "half": "f16", "bfloat": "bf16"}.get(element(ty), element(ty))
        n = lanes(ty)
        full = f"llvm.{name}.{f'v{n}' if n > 1 else ''}{suffix}"
        module_declares = ", ".join(a.ty for a in args)
        self.declares.add(f"declare {ty} @{full}({module_declares})")
        text = f"call {ty} @{full}(" + ", ".join(f"{a.ty} {a}" for a in args) + ")"
        return self.pure(ty, text, *args) if name in PURE_INTRINSICS else self.emit(ty, text)

    def call(self, ret: str, name: str, *args: Val) -> Val | None:
        text = f"call {ret} @{name}(" + ", ".join(f"{a.ty} {a}" for a in args) + ")"
        if ret == "void":
            self.line(text)
            return None
        return self.emit(ret, text)

    # ---- memory ----
    def gep(self, base: Val, index: Val | int, elem: str = "i8") -> Val:
        """Address of `base[index]`, counting in elements of `elem`."""
        index = self.as_i64(index)
        return self.pure("ptr", f"getelementptr inbounds {elem}, ptr {base}, i64 {index}", base, index)

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
        one = self.pure(ty, f"insertelement {ty} poison, {a.ty} {a}, i64 0", a)
        return self.pure(ty, f"shufflevector {ty} {one}, {ty} poison, <{n} x i32> zeroinitializer", one)

    def shuffle(self, a: Val, b: Val | None, indices: Sequence[int]) -> Val:
        mask = ", ".join(f"i32 {i}" for i in indices)
        other = Val("poison", a.ty) if b is None else b
        text = f"shufflevector {a.ty} {a}, {a.ty} {other}, <{len(indices)} x i32> <{mask}>"
        return self.pure(vector(element(a.ty), len(indices)), text, a, other)

    def extract(self, a: Val, lane: int | Val) -> Val:
        at = self.i64(lane) if isinstance(lane, int) else lane
        return self.pure(element(a.ty), f"extractelement {a.ty} {a}, i64 {at}", a, at)

    def insert(self, a: Val, x: Val, lane: int | Val) -> Val:
        at = self.i64(lane) if isinstance(lane, int) else lane
        return self.pure(a.ty, f"insertelement {a.ty} {a}, {x.ty} {x}, i64 {at}", a, x, at)

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

        Returns the carried values after the loop. The test stands at the end of the body (and once before the loop), as fast code has it.
        LLVM's own vectoriser is kept off; its unroller too unless `unroll`.
        """
        lo, hi, step = self.as_i64(lo), self.as_i64(hi), self.as_i64(step)
        inside, done = self.label("loop"), self.label("done")
        before = self.block
        self.outside.append((self.lines, self.known))
        self.lines = []
        self.start(inside)
        self.count += 1
        i = _placed(Val(f"%i{self.count}", "i64"), len(self.outside))
        carried = []
        for v in init:
            self.count += 1
            carried.append(_placed(Val(f"%c{self.count}", v.ty), len(self.outside)))
        after = list(body(i, *carried) or ())
        assert len(after) == len(carried), "a loop body returns as many values as it carries"
        following = self.add(i, step)
        latch = self.block
        again = self.icmp("slt", following, hi)
        self.line(f"br i1 {again}, label %{inside}, label %{done}, !llvm.loop !{1 if unroll else 0}")
        phis = [f"{i} = phi i64 [ {lo}, %{before} ], [ {following}, %{latch} ]"]
        phis += [f"{c} = phi {c.ty} [ {v}, %{before} ], [ {a}, %{latch} ]" for c, v, a in zip(carried, init, after, strict=True)]
        label, *rest = self.lines
        self.lines, known = self.outside.pop()
        self.cond_br(self.icmp("slt", lo, hi), inside, done)
        self.lines += [label, *phis, *rest]
        self.start(done, known)
        return [self.emit(v.ty, f"phi {v.ty} [ {v}, %{before} ], [ {a}, %{latch} ]") for v, a in zip(init, after, strict=True)]

    def if_(self, cond: Val, then: Callable[[], None], otherwise: Callable[[], None] | None = None) -> None:
        """Runs `then` (or `otherwise`) for its side effects."""
        yes, no, done = self.label("then"), self.label("else"), self.label("fi")
        self.cond_br(cond, yes, no if otherwise else done)
        known = self.known
        self.start(yes, known.copy())
        then()
        self.br(done)
        if otherwise:
            self.start(no, known.copy())
            otherwise()
            self.br(done)
        self.start(done, known)

    def if_value(self, cond: Val, then: Callable[[], Sequence[Val]], otherwise: Callable[[], Sequence[Val]]) -> list[Val]:
        """`then()` or `otherwise()`, each giving the same number of values of the same types."""
        yes, no, done = self.label("then"), self.label("else"), self.label("fi")
        self.cond_br(cond, yes, no)
        known = self.known
        self.start(yes, known.copy())
        a, from_yes = list(then()), ""
        from_yes = self.block
        self.br(done)
        self.start(no, known.copy())
        b = list(otherwise())
        from_no = self.block
        self.br(done)
        self.start(done, known)
        return [self.emit(x.ty, f"phi {x.ty} [ {x}, %{from_yes} ], [ {y}, %{from_no} ]") for x, y in zip(a, b, strict=True)]


KERNEL_PARAMS = (("ptr", "args"), ("i64", "begin"), ("i64", "end"), ("ptr", "scratch"))


LOOP_METADATA = """\
!0 = distinct !{!0, !2, !3}
!1 = distinct !{!1, !2}
!2 = !{!"llvm.loop.vectorize.enable", i1 false}
!3 = !{!"llvm.loop.unroll.disable"}
!4 = !{i32 1}
"""
STREAMED = ", !nontemporal !4"  # of a store: past the caches (it must be aligned)


class Module:
    """Functions, declarations and constants that are compiled together."""

    def __init__(self) -> None:
        self.functions: list[Fn] = []
        self.declares: set[str] = set()
        self.globals: list[str] = []

    def function(
        self, name: str, params: Sequence[tuple[str, str]] = KERNEL_PARAMS, ret: str = "void", attrs: str = "nounwind", linkage: str = ""
    ) -> Fn:
        fn = Fn(name, params, ret, attrs, linkage)
        fn.declares = self.declares
        self.functions.append(fn)
        return fn

    def declare(self, text: str) -> None:
        self.declares.add(text)

    def text(self) -> str:
        return "\n".join([*self.globals, *(f.text() for f in self.functions), *sorted(self.declares), LOOP_METADATA])
