"""Stable sort and selection of the largest or smallest along one axis: `plan_sort`, `plan_topk`.

An array is seen as outer x n x inner with any strides; the n elements at one (outer, inner) place are a *row*, and rows are the units
of work. Every element becomes an unsigned key of its own width whose order is the wanted order: integers with the sign bit flipped;
floats likewise, with the magnitude of negative ones reversed, -0 equal to 0 and NaN above everything (so NaN is last, or first when
descending, as in PyTorch); complemented when descending. Keys travel with the element's index: in one 64-bit word up to 32 bits, else
side by side.

Short rows are sorted by insertion, long ones by radix from the lowest byte (Knuth vol. 3, 5.2.5), leaving out bytes that are the same
in all keys. A selection of at most `SELECTED` elements keeps a sorted list of the best so far; a larger one counts the keys by their
upper bits, leaves out those that cannot be among the first k, and sorts the rest.

Argument record: x, values, indices (0 where not wanted), n, k (elements written of each row), inner, then the element strides over
outer, n and inner of x, of the values and of the indices. Scratch memory: `scratch_bytes`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from monograph.targets.llvm.convert import KINDS, memory_type
from monograph.targets.llvm.ir import Fn, Module, Val, size_of
from monograph.targets.llvm.kernels.call import BufferRef, KernelCall, KernelSource, Word, contiguous_strides, round_up
from monograph.targets.llvm.vecmath_numbers import Num, repeat_while, select

SHORT = 40  # rows up to here are sorted by insertion
SELECTED = 64  # selections up to here keep a sorted list
FILTER_BITS = 11  # upper bits of a key that a filter looks at
LONGEST = 2**31 - 1
GRAIN_ELEMENTS = 8192
X, VALUES, INDICES, N, K, INNER, STRIDES = 0, 1, 2, 3, 4, 5, 6
GUARD = 64  # bytes before the records: the smallest key stands there, so that insertion needs no bound
INFINITY_BITS = {"float32": 0x7F800000, "float64": 0x7FF0000000000000, "float16": 0x7C00, "bfloat16": 0x7F80}

Strides = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class SortSpec:
    """The structure of a sorting kernel."""

    dtype: str
    descending: bool
    method: str  # "insertion", "radix", "select" (keep the best) or "filter" (leave out the hopeless, then radix)
    values: bool
    indices: bool


def plan_sort(
    dtype: str,
    sizes: tuple[int, int, int],
    descending: bool = False,
    x_strides: Strides | None = None,
    out_strides: Strides | None = None,
    values: bool = True,
    indices: bool = True,
) -> list[KernelCall]:
    """Plans a stable sort along the middle of `sizes` = (outer, n, inner).

    Operands: 0 x, 1 the values, 2 the int64 indices; `values=False` (argsort) or `indices=False` leaves one out, and the operand is not
    referred to. Strides count elements; default: contiguous. The values may not overlap x.
    """
    return _plan(dtype, sizes, sizes[1], descending, x_strides, out_strides, values, indices)


def plan_topk(
    dtype: str,
    sizes: tuple[int, int, int],
    k: int,
    largest: bool = True,
    x_strides: Strides | None = None,
    out_strides: Strides | None = None,
    values: bool = True,
    indices: bool = True,
) -> list[KernelCall]:
    """Plans the selection of the k largest (or smallest) along the middle of `sizes`, in order; of equals, the earlier comes first.

    Operands as in `plan_sort`; the results have sizes (outer, k, inner).
    """
    if not 0 <= k <= sizes[1]:
        raise ValueError(f"selected index k out of range: k={k} of {sizes[1]} elements")
    return _plan(dtype, sizes, k, largest, x_strides, out_strides, values, indices)


def _plan(
    dtype: str,
    sizes: tuple[int, int, int],
    k: int,
    descending: bool,
    x_strides: Strides | None,
    out_strides: Strides | None,
    values: bool,
    indices: bool,
) -> list[KernelCall]:
    outer, n, inner = sizes
    if n > LONGEST:
        raise ValueError(f"cannot sort {n} elements of one row: at most {LONGEST}; split the row and merge")
    if not outer * k * inner or not (values or indices):
        return []
    if k < n and k <= SELECTED:
        method = "select"
    elif n <= SHORT:
        method = "insertion"
    else:
        method = "filter" if 4 * k < n else "radix"
    spec = SortSpec(dtype, descending, method, values, indices)
    kernel = KernelSource.make("sort", (spec,), lambda m, name: _Sorter(m, name, spec).emit())
    words: list[Word] = [BufferRef(0), BufferRef(1) if values else 0, BufferRef(2) if indices else 0, n, k, inner]
    result = out_strides or _contiguous((outer, k, inner))
    for s in (x_strides or _contiguous(sizes), result, result):
        words += s
    width = size_of(memory_type(dtype))
    nbytes = outer * inner * (n * width + k * (width * values + 8 * indices))
    return [KernelCall(kernel, words, outer * inner, max(GRAIN_ELEMENTS // n, 1), scratch_bytes(spec, n, k), nbytes=nbytes)]


def _contiguous(sizes: Sequence[int]) -> Strides:
    outer, n, inner = contiguous_strides(sizes)
    return outer, n, inner


def scratch_bytes(spec: SortSpec, n: int, k: int) -> int:
    """Scratch memory of one thread: counters, then one or two arrays of records."""
    records = k if spec.method == "select" else n
    arrays = 2 if spec.method in ("radix", "filter") else 1
    width = size_of(memory_type(spec.dtype))
    return _counter_bytes(spec) + arrays * (GUARD + round_up(records * 8, 64)) * (2 if width == 8 else 1)


def _counter_bytes(spec: SortSpec) -> int:
    return 4 * max(256 * size_of(memory_type(spec.dtype)), 1 << FILTER_BITS if spec.method == "filter" else 0)


class _Sorter:
    """Writes one kernel. A record is a list of values: one word (key above, index below), or a key and an index."""

    def __init__(self, module: Module, name: str, spec: SortSpec) -> None:
        self.f: Fn = module.function(name)
        self.spec = spec
        self.ty = memory_type(spec.dtype)
        self.width = size_of(self.ty)
        self.packed = self.width < 8
        self.args = self.f.param("args")
        self.n, self.k = self.f.word(self.args, N), self.f.word(self.args, K)

    def emit(self) -> None:
        f = self.f
        inner = f.word(self.args, INNER)
        counters = f.param("scratch")
        records = self.k if self.spec.method == "select" else self.n
        array_bytes = f.add(f.mul(f.udiv(f.add(records, 7), 8), 64), GUARD)
        parts = 1 if self.packed else 2
        start = f.gep(counters, _counter_bytes(self.spec) + GUARD)
        copies = 2 if self.spec.method in ("radix", "filter") else 1
        arrays = [f.gep(start, f.mul(array_bytes, i)) for i in range(parts * copies)]
        here, there = arrays[:parts], arrays[parts:]

        def row(unit: Val) -> None:
            outer, at = f.udiv(unit, inner), f.urem(unit, inner)
            x, x_step = self.base(X, STRIDES, self.ty, outer, at)
            if self.spec.method == "select":
                self.select_best(x, x_step, here)
                ordered = here
            elif self.spec.method == "insertion":
                self.insertion(x, x_step, here)
                ordered = here
            elif self.spec.method == "filter":
                count = self.filter(x, x_step, counters, here)
                ordered = self.radix(count, lambda j: self.get(here, j), counters, here, there)
            else:
                ordered = self.radix(self.n, lambda j: self.record(x, x_step, j), counters, here, there)
            self.write(x, x_step, ordered, outer, at)

        f.loop(f.param("begin"), f.param("end"), 1, (), row)
        f.ret()

    def base(self, pointer: int, strides: int, ty: str, outer: Val, inner: Val) -> tuple[Val, Val]:
        """(address of the row's first element, element stride along the row)."""
        f = self.f
        at = f.add(f.mul(outer, f.word(self.args, strides)), f.mul(inner, f.word(self.args, strides + 2)))
        return f.gep(f.word(self.args, pointer, "ptr"), at, ty), f.word(self.args, strides + 1)

    # ---- keys ----
    def key(self, stored: Val) -> Num:
        """The unsigned key of an element."""
        dtype, bits = self.spec.dtype, 8 * self.width
        i = Num(self.f, stored).cast("bitcast", f"i{bits}")
        sign = -(1 << (bits - 1))
        if KINDS[dtype] == "f":
            size = i & ~sign
            i = select(size.eq(0), 0, i)
            ordered = i ^ ((i >> (bits - 1)) | sign)
            key = select(size > INFINITY_BITS[dtype], -1, ordered)
        elif KINDS[dtype] == "i":
            key = i ^ sign
        else:
            key = i
        return ~key if self.spec.descending else key

    def element(self, key: Num, x: Val, step: Val, index: Num) -> Val:
        """The element of a key; zeros and NaNs, whose keys tell less than they do, are fetched."""
        f, dtype, bits = self.f, self.spec.dtype, 8 * self.width
        sign = -(1 << (bits - 1))
        plain = ~key if self.spec.descending else key
        if KINDS[dtype] != "f":
            return (plain ^ sign if KINDS[dtype] == "i" else plain).v
        i = plain ^ ((~plain >> (bits - 1)) | sign)
        fetched = plain.eq(sign) | plain.eq(-1)
        made = i.cast("bitcast", self.ty)
        return f.if_value(fetched.v, lambda: [f.load(self.ty, f.gep(x, f.mul(index.v, step), self.ty))], lambda: [made.v])[0]

    def record(self, x: Val, step: Val, j: Val) -> list[Num]:
        """The record of element j."""
        f = self.f
        key, index = self.key(f.load(self.ty, f.gep(x, f.mul(j, step), self.ty))), Num(f, j)
        return [(key.cast("zext", "i64") << 32) | index] if self.packed else [key, index]

    def parts(self, record: list[Num]) -> tuple[Num, Num]:
        """(key, index) of a record."""
        if not self.packed:
            return record[0], record[1]
        return record[0].lshr(32).cast("trunc", f"i{8 * self.width}"), record[0] & 0xFFFFFFFF

    def get(self, arrays: list[Val], at: Val) -> list[Num]:
        return [Num(self.f, self.f.load("i64", self.f.gep(a, at, "i64"))) for a in arrays]

    def put(self, arrays: list[Val], at: Val, record: list[Num]) -> None:
        for a, part in zip(arrays, record, strict=True):
            self.f.store(part.v, self.f.gep(a, at, "i64"))

    def before(self, a: list[Num], b: list[Num]) -> Num:
        """Whether a's key is below b's; packed records of equal keys go by index, which is the order they come in."""
        return Num(self.f, self.f.icmp("ult", a[0].v, b[0].v))

    # ---- insertion ----
    def slide_in(self, arrays: list[Val], at: Num, record: list[Num]) -> None:
        """Puts a record in its place among the sorted ones before `at`, moving larger ones up."""
        one = at.const(1)

        def shift(j: Num) -> list[Num]:
            self.put(arrays, j.v, self.get(arrays, (j - one).v))
            return [j - one]

        (place,) = repeat_while([at], lambda j: self.before(record, self.get(arrays, (j - one).v)).v, shift)
        self.put(arrays, place.v, record)

    def guard(self, arrays: list[Val]) -> None:
        self.f.store(self.f.i64(0), self.f.gep(arrays[0], -1, "i64"))

    def insertion(self, x: Val, step: Val, arrays: list[Val]) -> None:
        f = self.f
        self.guard(arrays)
        f.loop(0, self.n, 1, (), lambda j: self.slide_in(arrays, Num(f, j), self.record(x, step, j)))

    def select_best(self, x: Val, step: Val, arrays: list[Val]) -> None:
        """The k first records of the row's order: most elements cost one comparison with the worst that is kept."""
        f = self.f
        self.guard(arrays)
        f.loop(0, self.k, 1, (), lambda j: self.slide_in(arrays, Num(f, j), self.record(x, step, j)))
        last = f.sub(self.k, 1)

        def offer(j: Val) -> None:
            record = self.record(x, step, j)
            better = self.before(record, self.get(arrays, last))
            f.if_(better.v, lambda: self.slide_in(arrays, Num(f, last), record))

        f.loop(self.k, self.n, 1, (), offer)

    # ---- radix ----
    def digit(self, record: list[Num], place: int) -> Val:
        shift = 8 * place + (32 if self.packed else 0)
        return (record[0].lshr(shift) & 255).v

    def clear(self, counters: Val, count: int) -> None:
        self.f.loop(0, count, 1, (), lambda j: self.f.store(self.f.const(0, "i32"), self.f.gep(counters, j, "i32")))

    def bump(self, at: Val) -> Val:
        """Adds 1 to a counter; gives what it was."""
        before = self.f.load("i32", at)
        self.f.store(self.f.add(before, 1), at)
        return before

    def filter(self, x: Val, step: Val, counters: Val, here: list[Val]) -> Val:
        """Writes the records whose upper bits are not above those of the k-th, in order; gives their number."""
        f = self.f
        digits = min(FILTER_BITS, 8 * self.width)

        def upper(record: list[Num]) -> Num:
            return (
                self.parts(record)[0].lshr(8 * self.width - digits).cast("zext", "i64") if self.width < 8 else record[0].lshr(64 - digits)
            )

        self.clear(counters, 1 << digits)

        def count(j: Val) -> None:
            self.bump(f.gep(counters, upper(self.record(x, step, j)).v, "i32"))

        f.loop(0, self.n, 1, (), count)

        def more(bucket: Num, total: Num) -> list[Num]:
            return [bucket + 1, total + Num(f, f.load("i32", f.gep(counters, bucket.v, "i32"))).cast("zext", "i64")]

        # the first bucket's end at which k records are reached
        end, _ = repeat_while([Num(f, f.i64(0)), Num(f, f.i64(0))], lambda bucket, total: (total < Num(f, self.k)).v, more)

        def keep(j: Val, kept: Val) -> list[Val]:
            record = self.record(x, step, j)
            self.put(here, kept, record)
            return [f.add(kept, (upper(record) < end).cast("zext", "i64").v)]

        return f.loop(0, self.n, 1, [f.i64(0)], keep)[0]

    def radix(self, size: Val, fetch: Callable[[Val], list[Num]], counters: Val, here: list[Val], there: list[Val]) -> list[Val]:
        """Sorts `size` records that `fetch` gives; returns the arrays they end in."""
        f = self.f
        tables = [f.gep(counters, 256 * place, "i32") for place in range(self.width)]
        self.clear(counters, 256 * self.width)

        def count(j: Val) -> None:
            record = fetch(j)
            self.put(here, j, record)
            for place, table in enumerate(tables):
                self.bump(f.gep(table, self.digit(record, place), "i32"))

        f.loop(0, size, 1, (), count)
        for place, table in enumerate(tables):
            alike = f.load("i32", f.gep(table, self.digit(self.get(here, f.i64(0)), place), "i32"))
            distribute = self._distribution(size, place, table, here, there)
            swapped = f.if_value(f.icmp("eq", f.cast("zext", alike, "i64"), size), _constant([*here, *there]), distribute)
            here, there = swapped[: len(here)], swapped[len(here) :]
        return here

    def _distribution(self, size: Val, place: int, table: Val, source: list[Val], target: list[Val]) -> Callable[[], list[Val]]:
        """One pass: counts become first positions, then every record moves to the next position of its byte."""
        f = self.f

        def accumulate(j: Val, total: Val) -> list[Val]:
            at = f.gep(table, j, "i32")
            count = f.load("i32", at)
            f.store(total, at)
            return [f.add(total, count)]

        def move(j: Val) -> None:
            record = self.get(source, j)
            position = self.bump(f.gep(table, self.digit(record, place), "i32"))
            self.put(target, f.cast("zext", position, "i64"), record)

        def run() -> list[Val]:
            f.loop(0, 256, 1, [f.const(0, "i32")], accumulate)
            f.loop(0, size, 1, (), move)
            return [*target, *source]

        return run

    # ---- results ----
    def write(self, x: Val, step: Val, ordered: list[Val], outer: Val, inner: Val) -> None:
        f = self.f
        values, values_step = self.base(VALUES, STRIDES + 3, self.ty, outer, inner)
        indices, indices_step = self.base(INDICES, STRIDES + 6, "i64", outer, inner)

        def one(j: Val) -> None:
            key, index = self.parts(self.get(ordered, j))
            if self.spec.values:
                f.store(self.element(key, x, step, index), f.gep(values, f.mul(j, values_step), self.ty))
            if self.spec.indices:
                f.store(index.v, f.gep(indices, f.mul(j, indices_step), "i64"))

        f.loop(0, self.k, 1, (), one)


def _constant(values: list[Val]) -> Callable[[], list[Val]]:
    return lambda: values
