"""Accumulators of reductions, written once for scalars and vectors: start, step, merge, finish.

A reduction runs over SLOTS partial results: element i of a row goes to slot i mod SLOTS whatever the vector width is, so that the
width does not show in the bits. Sums and products of floats are cascaded besides: a partial result is moved to a second one every BLOCK
steps, which keeps the rounding error of long sums small, and lets long expressions keep their partial results in memory.
"""

from __future__ import annotations

from collections.abc import Sequence

from monograph.targets.llvm.convert import KINDS, VALUE_TYPES, compute_dtype, convert
from monograph.targets.llvm.ir import Fn, Val, const, is_float, lanes, vector

SLOTS = 32  # partial results of a row
TAIL_SLOTS = 8  # partial results of the part of a row that does not fill SLOTS
BLOCK = 128  # steps after which a cascaded sum moves to its second accumulator
_UNSET = (1 << 63) - 1  # index of an argmax that has seen nothing better than its identity


class Reducer:
    """How one `reduce` accumulates. A partial result is a list of components: one value, or value and index for argmax and argmin."""

    def __init__(self, kind: str, arg_dtype: str, out_dtype: str) -> None:
        self.kind, self.arg_dtype, self.out_dtype = kind, arg_dtype, out_dtype
        self.arg_of_index = kind in ("argmax", "argmin")
        if kind in ("sum", "prod"):
            self.dtype = compute_dtype(out_dtype)
        elif kind in ("any", "all"):
            self.dtype = "bool"
        elif kind in ("max", "min") or self.arg_of_index:
            self.dtype = compute_dtype(arg_dtype)
        else:
            raise ValueError(f"unknown reduction {kind!r}")
        self.dtypes = [self.dtype, "int64"] if self.arg_of_index else [self.dtype]
        self.types = [VALUE_TYPES[d] for d in self.dtypes]
        self.cascaded = kind in ("sum", "prod") and is_float(self.types[0])

    def identity(self, n: int) -> list[Val]:
        """The partial result of no elements, in n lanes."""
        ty = self.types[0]
        low = self.kind in ("max", "argmax")
        if self.kind in ("sum", "any"):
            start: float | int = 0
        elif self.kind in ("prod", "all"):
            start = 1
        elif is_float(ty):
            start = float("-inf") if low else float("inf")
        elif self.dtype == "bool":
            start = 0 if low else 1
        elif KINDS[self.dtype] == "u":
            start = 0 if low else (1 << int(ty[1:])) - 1
        else:
            half = 1 << (int(ty[1:]) - 1)
            start = -half if low else half - 1
        values = [const(start, vector(ty, n))]
        return [*values, const(_UNSET, vector("i64", n))] if self.arg_of_index else values

    def step(self, f: Fn, acc: Sequence[Val], x: Val, index: Val | None) -> list[Val]:
        """Takes in one element a lane; `index` is its position (for argmax and argmin), later than all positions seen by that lane."""
        x = convert(f, x, self.arg_dtype, self.dtype)
        if not self.arg_of_index:
            return self.merge(f, acc, [x])
        assert index is not None
        better = self._better(f, x, acc[0])
        if is_float(x.ty):
            better = f.binary("or", better, f.binary("and", f.fcmp("uno", x, x), f.fcmp("ord", acc[0], acc[0])))
        return [f.select(better, x, acc[0]), f.select(better, index, acc[1])]

    def merge(self, f: Fn, a: Sequence[Val], b: Sequence[Val]) -> list[Val]:
        """The partial result of the elements of both."""
        x, y = a[0], b[0]
        floats = is_float(x.ty)
        if self.kind == "sum":
            return [f.fadd(x, y) if floats else f.binary("or", x, y) if self.dtype == "bool" else f.add(x, y)]
        if self.kind == "prod":
            return [f.fmul(x, y) if floats else f.binary("and", x, y) if self.dtype == "bool" else f.mul(x, y)]
        if self.kind in ("any", "all"):
            return [f.binary("or" if self.kind == "any" else "and", x, y)]
        better = self._better(f, y, x)
        if not self.arg_of_index:
            return [f.select(f.binary("or", better, f.fcmp("uno", y, y)) if floats else better, y, x)]
        if floats:
            nan_x, nan_y = f.fcmp("uno", x, x), f.fcmp("uno", y, y)
            ordered = f.fcmp("ord", x, x)
            better = f.binary("or", better, f.binary("and", nan_y, ordered))
            same = f.binary("or", f.fcmp("oeq", x, y), f.binary("and", nan_x, nan_y))
        else:
            same = f.icmp("eq", x, y)
        better = f.binary("or", better, f.binary("and", same, f.icmp("slt", b[1], a[1])))
        return [f.select(better, y, x), f.select(better, b[1], a[1])]

    def finish(self, f: Fn, acc: Sequence[Val]) -> Val:
        """The reduction's value."""
        if self.arg_of_index:
            return f.select(f.icmp("eq", acc[1], _UNSET), const(0, acc[1].ty), acc[1])
        return convert(f, acc[0], self.dtype, self.out_dtype)

    def _better(self, f: Fn, x: Val, than: Val) -> Val:
        greater = self.kind in ("max", "argmax")
        if is_float(x.ty):
            return f.fcmp("ogt" if greater else "olt", x, than)
        unsigned = KINDS[self.dtype] in "ub"
        return f.icmp(("u" if unsigned else "s") + ("gt" if greater else "lt"), x, than)


def combine_slots(f: Fn, r: Reducer, main: list[list[Val]], rest: list[list[Val]], tail: list[Val]) -> list[Val]:
    """The fixed tree: SLOTS partial results to TAIL_SLOTS by halves, plus those of the rest, to one by halves, plus the tail."""
    main = _halve(f, r, main, TAIL_SLOTS)
    merged = [r.merge(f, a, b) for a, b in zip(main, rest, strict=True)]
    return r.merge(f, _halve(f, r, merged, 1)[0], tail)


def _halve(f: Fn, r: Reducer, parts: list[list[Val]], until: int) -> list[list[Val]]:
    width = lanes(parts[0][0].ty)
    while len(parts) * width > until:
        if len(parts) > 1:
            half = len(parts) // 2
            parts = [r.merge(f, a, b) for a, b in zip(parts[:half], parts[half:], strict=True)]
            continue
        width //= 2
        low, high = range(width), range(width, 2 * width)
        if width == 1:
            parts = [r.merge(f, [f.extract(c, 0) for c in parts[0]], [f.extract(c, 1) for c in parts[0]])]
        else:
            parts = [r.merge(f, [f.shuffle(c, None, low) for c in parts[0]], [f.shuffle(c, None, high) for c in parts[0]])]
    return parts
