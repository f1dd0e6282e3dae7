"""The micro-kernel that every contraction stands on: one register tile of C, all of k, with run-time strides.

It reads MR rows of A by broadcasting single elements (row i, step k at `a + min(i, rows-1)*rsa + k*csa`) and NV vectors of B per step
(at `b + k*rsb`), so it takes packed panels and plain row-major or transposed matrices alike, at the same speed. Rows past the edge
repeat the last valid row: their results are computed and never stored to C.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from monograph.targets.llvm.ir import Fn, Module, Val, is_float, lanes, size_of, vector
from monograph.targets.llvm.kernels.call import Machine, ensure_function
from monograph.targets.llvm.kernels.element import COMPUTE, either, multiply_add


@dataclass(frozen=True, slots=True)
class Tile:
    """A register tile: `rows` x (`vectors` * `lanes`) accumulators of the LLVM scalar type `ty`."""

    ty: str
    rows: int
    vectors: int
    lanes: int

    @property
    def columns(self) -> int:
        return self.vectors * self.lanes

    @property
    def item(self) -> int:
        """Bytes of one element."""
        return size_of(self.ty)

    @property
    def vector(self) -> str:
        return vector(self.ty, self.lanes)


def tile_for(dtype: str, machine: Machine, rows: int = 0) -> Tile:
    """The tile for a compute type: the most rows that the registers hold with two vectors of columns.

    Or another shape: 1 row of eight vectors, 4 rows of as many as fit, -1: the most rows with a single vector.
    """
    ty = COMPUTE[dtype]
    width = machine.lanes(size_of(ty))
    if rows == 1:
        return Tile(ty, 1, 8, width)
    if rows == 4:
        return Tile(ty, 4, (machine.vector_registers - 1) // 5, width)
    if rows == -1:
        return Tile(ty, machine.vector_registers - 4, 1, width)
    return Tile(ty, (machine.vector_registers - 4) // 2, 2, width)


def tile_step(f: Fn, tile: Tile, accumulators: list[Val], a: list[Val], b: list[Val]) -> list[Val]:
    """One step of k: rank-1 update of the tile by the element addresses `a` and the vectors `b`."""
    out = []
    for i in range(tile.rows):
        row = f.splat(f.load(tile.ty, a[i]), tile.lanes)
        out += [multiply_add(f, row, b[v], accumulators[i * tile.vectors + v]) for v in range(tile.vectors)]
    return out


def tile_start(f: Fn, tile: Tile, c: Val, ldc: Val) -> tuple[list[Val], list[Val]]:
    """The row addresses of a tile in memory (prefetched, they are needed after the loop over k), and zeros to start from."""
    rows = [f.gep(c, f.mul(ldc, i), tile.ty) if i else c for i in range(tile.rows)]
    for row in rows:
        f.prefetch(row, write=True)
        if tile.columns * tile.item > 32:
            f.prefetch(f.gep(row, tile.columns - 1, tile.ty), write=True)
    return rows, [f.const(0, tile.vector)] * (tile.rows * tile.vectors)


def tile_store(f: Fn, tile: Tile, rows: list[Val], accumulators: list[Val], keep: Val) -> None:
    """Writes the tile, or adds it to what is in memory if `keep` is not 0."""
    places = [f.gep(row, v * tile.lanes, tile.ty) for row in rows for v in range(tile.vectors)]

    def add() -> None:
        for place, value in zip(places, accumulators, strict=True):
            old = f.load(tile.vector, place)
            f.store(f.fadd(old, value) if is_float(tile.ty) else f.add(old, value), place)

    def put() -> None:
        for place, value in zip(places, accumulators, strict=True):
            f.store(value, place)

    either(f, f.icmp("ne", keep, 0), add, put)


def opaque(f: Fn, value: Val) -> Val:
    """The same value, of unknown origin to the optimiser: keeps it from turning one index register into dozens of derived pointers."""
    return f.emit(value.ty, f'call {value.ty} asm "", "=r,0"({value.ty} {value})')


def tree_sum(f: Fn, value: Val) -> Val:
    """The sum of all lanes, halves first."""
    while (n := lanes(value.ty)) > 1:
        low, high = f.shuffle(value, None, range(n // 2)), f.shuffle(value, None, range(n // 2, n))
        if n == 2:
            low, high = f.extract(value, 0), f.extract(value, 1)
        value = f.fadd(low, high) if is_float(value.ty) else f.add(low, high)
    return value


def k_loop(f: Fn, k: Val, unroll: int, start: list[Val], steps: Callable[[int], Callable[..., list[Val]]]) -> list[Val]:
    """The loop over k, `unroll` steps at a time. Unrolling far gains under 1 % on wide cores and costs its share of compile time."""
    if unroll == 1:
        return f.loop(0, k, 1, start, steps(1))
    whole = f.sub(k, f.urem(k, f.i64(unroll)))
    state = f.loop(0, whole, unroll, start, steps(unroll))
    return f.loop(whole, k, 1, state, steps(1))


def micro_kernel(module: Module, tile: Tile, unroll: int = 2, gather: bool = False) -> str:
    """Adds `void(a, rsa, csa, rows, b, rsb, k, c, ldc, keep)`; strides in elements. C gets the whole tile; `keep` adds to what is there.

    With `gather`, `rsa` is the address of a table of i32: row i of A begins at `a + table[min(i, rows-1)]`.
    """
    name = f"micro_{tile.ty}_{tile.rows}x{tile.vectors}x{tile.lanes}{'_gather' if gather else ''}"

    def build(name: str) -> None:
        params = [
            ("ptr", "a"),
            ("ptr" if gather else "i64", "rsa"),
            ("i64", "csa"),
            ("i64", "rows"),
            ("ptr", "b"),
            ("i64", "rsb"),
            ("i64", "k"),
        ]
        f = module.function(name, [*params, ("ptr", "c"), ("i64", "ldc"), ("i64", "keep")], attrs="nounwind noinline", linkage="internal")
        p = f.param
        last = f.sub(p("rows"), 1)
        row_of = [f.smin(last, f.i64(i)) for i in range(tile.rows)]
        if gather:
            offsets = [f.cast("sext", f.load("i32", f.gep(p("rsa"), i, "i32")), "i64") for i in row_of]
        else:
            offsets = [f.mul(i, p("rsa")) for i in row_of]
        a = [f.gep(p("a"), offset, tile.ty) for offset in offsets]
        rows, start = tile_start(f, tile, p("c"), p("ldc"))

        def steps(count: int) -> Callable[..., list[Val]]:
            def body(_: Val, at: Val, b: Val, *accumulators: Val) -> list[Val]:
                values = list(accumulators)
                for _step in range(count):
                    vectors = [f.load(tile.vector, f.gep(b, v * tile.lanes, tile.ty)) for v in range(tile.vectors)]
                    values = tile_step(f, tile, values, [f.gep(row, at, tile.ty) for row in a], vectors)
                    at, b = opaque(f, f.add(at, p("csa"))), f.gep(b, p("rsb"), tile.ty)
                return [at, b, *values]

            return body

        state = k_loop(f, p("k"), unroll, [f.i64(0), p("b"), *start], steps)
        tile_store(f, tile, rows, state[2:], p("keep"))
        f.ret()

    return ensure_function(module, name, build)


def tap_kernel(module: Module, tile: Tile, unroll: int = 2) -> str:
    """Adds `void(a, b, taps, k, c, ldc, keep)`: A is a packed tile [k][rows], step k reads B at `b + taps[k]` (a table of i32 offsets)."""
    name = f"taps_{tile.ty}_{tile.rows}x{tile.vectors}x{tile.lanes}"

    def build(name: str) -> None:
        params = [("ptr", "a"), ("ptr", "b"), ("ptr", "taps"), ("i64", "k"), ("ptr", "c"), ("i64", "ldc"), ("i64", "keep")]
        f = module.function(name, params, attrs="nounwind noinline", linkage="internal")
        p = f.param
        rows, start = tile_start(f, tile, p("c"), p("ldc"))

        def steps(count: int) -> Callable[..., list[Val]]:
            def body(k: Val, *accumulators: Val) -> list[Val]:
                values = list(accumulators)
                for step in range(count):
                    b = f.gep(p("b"), f.cast("sext", f.load("i32", f.gep(p("taps"), f.add(k, step), "i32")), "i64"), tile.ty)
                    a = f.gep(p("a"), f.mul(f.add(k, step), tile.rows), tile.ty)
                    vectors = [f.load(tile.vector, f.gep(b, v * tile.lanes, tile.ty)) for v in range(tile.vectors)]
                    values = tile_step(f, tile, values, [f.gep(a, i, tile.ty) for i in range(tile.rows)], vectors)
                return values

            return body

        state = k_loop(f, p("k"), unroll, start, steps)
        tile_store(f, tile, rows, state, p("keep"))
        f.ret()

    return ensure_function(module, name, build)


def dot_kernel(module: Module, tile: Tile) -> str:
    """Adds `void(a, table, csa, rows, b, rsb, k, c, ldc, keep)`: `rows` of dot products, c[i] = sum over k of A[i, k] * b[k],
    all adjacent in k.

    The parameters are those of the gathering micro-kernel with a single column; the strides are not looked at. Lanes are summed in a
    fixed tree.
    """
    name = f"dot_{tile.ty}_{tile.rows}x{tile.lanes}"

    def build(name: str) -> None:
        params = [("ptr", "a"), ("ptr", "table"), ("i64", "csa"), ("i64", "rows"), ("ptr", "b"), ("i64", "rsb"), ("i64", "k")]
        f = module.function(name, [*params, ("ptr", "c"), ("i64", "ldc"), ("i64", "keep")], attrs="nounwind noinline", linkage="internal")
        p = f.param
        last = f.sub(p("rows"), 1)
        places = [f.gep(p("table"), f.smin(last, f.i64(i)), "i32") for i in range(tile.rows)]
        a = [f.gep(p("a"), f.cast("sext", f.load("i32", place), "i64"), tile.ty) for place in places]
        whole = f.binary("and", p("k"), f.i64(-tile.lanes))

        def step(k: Val, *totals: Val, ty: str = tile.vector) -> list[Val]:
            k = opaque(f, k)
            factor = f.load(ty, f.gep(p("b"), k, tile.ty))
            return [multiply_add(f, f.load(ty, f.gep(row, k, tile.ty)), factor, total) for row, total in zip(a, totals, strict=True)]

        vectors = f.loop(0, whole, tile.lanes, [f.const(0, tile.vector)] * tile.rows, step)
        sums = f.loop(whole, p("k"), 1, [tree_sum(f, v) for v in vectors], lambda k, *totals: step(k, *totals, ty=tile.ty))
        to = [f.gep(p("c"), i, tile.ty) for i in range(tile.rows)]
        old = f.if_value(
            f.icmp("ne", p("keep"), 0), lambda: [f.load(tile.ty, place) for place in to], lambda: [f.const(0, tile.ty)] * tile.rows
        )
        for place, total, before in zip(to, sums, old, strict=True):
            f.store(f.fadd(before, total) if is_float(tile.ty) else f.add(before, total), place)
        f.ret()

    return ensure_function(module, name, build)
