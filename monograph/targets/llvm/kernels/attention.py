"""Attention in one pass over tiles: scores of a few queries lie in a thread's scratch, never in memory; and its gradient.

Forward: a unit of work is some row tiles of one batch element. The keys are packed once for the unit; a row tile of scores, against all
keys that its queries may see, is multiplied, turned into weights where it lies, and multiplied with the values.

Backward: a unit is one batch element. The scores of a block of queries are computed again (nothing but the result was kept), with them
the gradient of the scores; then the gradients of these queries are finished, and those of keys and values grow by the block's share.
Each row is computed by itself and each sum runs in the order of the queries, so no bit depends on how units were dealt out.
"""

from __future__ import annotations

from dataclasses import dataclass

from monograph.targets.llvm.ir import Fn, Module, Val, vector
from monograph.targets.llvm.kernels.call import KernelSource, Layout, Machine, ensure_function
from monograph.targets.llvm.kernels.element import at, divide, floor_share, split
from monograph.targets.llvm.kernels.gemm_pack import pack_panel
from monograph.targets.llvm.kernels.micro import Tile, micro_kernel, tile_for, tree_sum
from monograph.targets.llvm.scalar import emit_scalar

BATCH_DIMS = 3
OPERANDS = ("q", "k", "v", "mask", "y", "g", "gq", "gk", "gv")
PLACES = ("keys_at", "values_at", "scores_at", "out_at", "share_at", "rows_at", "g_scores_at", "k_rows_at", "q_rows_at", "g_rows_at",
          "gk_at", "gv_at")  # fmt: skip
WORDS = Layout(
    *(f"{x}*" for x in OPERANDS), *(f"{x}_{s}" for x in OPERANDS for s in ("row", "col", "b0", "b1", "b2")), "queries", "keys", "size",
    "v_size", "scale", "batch1", "batch2", "groups", "block", *PLACES,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class AttentionSpec:
    """The structure of an attention: `mask` is "none", "bool" or the dtype of numbers that are added; `adjacent` says whose columns are
    (of q, k, v, mask and g, as letters)."""

    dtype: str
    mask: str
    causal: bool
    adjacent: str


def forward_kernel(spec: AttentionSpec, machine: Machine) -> KernelSource:
    """y = softmax(q @ k.T * scale, masked) @ v."""
    tile = tile_for(spec.dtype, machine)
    return KernelSource.make("attention", (spec, tile), lambda module, name: _emit(module, name, spec, tile, backward=False))


def backward_kernel(spec: AttentionSpec, machine: Machine) -> KernelSource:
    """The gradients of q, k and v, from g (that of y), y and the inputs."""
    tile = tile_for(spec.dtype, machine)
    return KernelSource.make("attention_backward", (spec, tile), lambda module, name: _emit(module, name, spec, tile, backward=True))


def _emit(module: Module, name: str, spec: AttentionSpec, tile: Tile, backward: bool) -> None:
    parts = _Parts(module, spec, tile)
    f = module.function(name)
    w = WORDS.read(f, f.param("args"))
    kernel = _Kernel(f, w, spec, tile, parts)
    f.loop(f.param("begin"), f.param("end"), 1, (), kernel.backward if backward else kernel.forward)
    f.ret()


class _Parts:
    """The functions that a kernel calls."""

    def __init__(self, module: Module, spec: AttentionSpec, tile: Tile) -> None:
        self.micro = micro_kernel(module, tile)
        self.weights = _weights(module, spec, tile)
        self.turned = {x: pack_panel(module, tile, spec.dtype, "k" if x in spec.adjacent else "none") for x in "kv"}
        self.straight = {x: pack_panel(module, tile, spec.dtype, "n" if x in spec.adjacent else "none") for x in "kvqg"}


class _Kernel:
    """One kernel's body."""

    def __init__(self, f: Fn, w: dict[str, Val], spec: AttentionSpec, tile: Tile, parts: _Parts) -> None:
        self.f, self.w, self.spec, self.tile, self.parts = f, w, spec, tile, parts
        self.key_panels = self.panels(w["keys"])
        self.ld = f.mul(self.key_panels, tile.columns)  # of a row of scores
        self.scale = f.cast("fptrunc", f.cast("bitcast", w["scale"], "double"), tile.ty)
        self.place = {name: f.gep(f.param("scratch"), w[name]) for name in PLACES}

    # ---- addresses ----
    def panels(self, columns: Val) -> Val:
        return divide(self.f, self.f.add(columns, self.tile.columns - 1), self.tile.columns)

    def dtype_of(self, x: str) -> str:
        return self.spec.mask if x == "mask" else self.spec.dtype

    def bases(self, batch: Val) -> dict[str, Val]:
        """The operands at a batch index."""
        f, w = self.f, self.w
        rest, i2 = split(f, batch, w["batch2"])
        i0, i1 = split(f, rest, w["batch1"])
        out = {}
        for x in OPERANDS:
            if x != "mask" or self.spec.mask != "none":
                offset = f.add(f.add(f.mul(i0, w[f"{x}_b0"]), f.mul(i1, w[f"{x}_b1"])), f.mul(i2, w[f"{x}_b2"]))
                out[x] = at(f, w[x], offset, self.dtype_of(x))
        return out

    def row(self, x: str, base: Val, i: Val) -> Val:
        return at(self.f, base, self.f.mul(i, self.w[f"{x}_row"]), self.dtype_of(x))

    # ---- packing ----
    def pack_turned(self, x: str, base: Val, to: Val, size: Val, used: Val) -> None:
        """Rows of x as columns: panels [size][columns], one after another."""
        f, w, tile = self.f, self.w, self.tile

        def panel(p: Val) -> None:
            j = f.mul(p, tile.columns)
            columns = f.smin(f.i64(tile.columns), f.sub(used, j))
            dst = f.gep(to, f.mul(j, size), tile.ty)
            f.call("void", self.parts.turned[x], dst, self.row(x, base, j), w[f"{x}_col"], w[f"{x}_row"], size, columns)

        f.loop(0, self.panels(used), 1, (), panel)

    def pack_straight(self, x: str, base: Val, to: Val, size: Val, rows: Val) -> None:
        """Rows of x in panels of columns, [rows][columns]."""
        f, w, tile = self.f, self.w, self.tile

        def panel(p: Val) -> None:
            j = f.mul(p, tile.columns)
            columns = f.smin(f.i64(tile.columns), f.sub(size, j))
            src = at(f, base, f.mul(j, w[f"{x}_col"]), self.spec.dtype)
            f.call("void", self.parts.straight[x], f.gep(to, f.mul(j, rows), tile.ty), src, w[f"{x}_row"], w[f"{x}_col"], rows, columns)

        f.loop(0, self.panels(size), 1, (), panel)

    def multiply(self, a: Val, rsa: Val, csa: Val, rows: Val, panels: Val, b: Val, k: Val, c: Val, ldc: Val, keep: Val) -> None:
        """One row tile against panels that each hold k rows."""
        f, tile = self.f, self.tile

        def panel(p: Val) -> None:
            j = f.mul(p, tile.columns)
            to, from_ = f.gep(c, j, tile.ty), f.gep(b, f.mul(j, k), tile.ty)
            f.call("void", self.parts.micro, a, rsa, csa, rows, from_, f.i64(tile.columns), k, to, ldc, keep)

        f.loop(0, panels, 1, (), panel)

    # ---- one row tile of weights ----
    def seen(self, first: Val, rows: Val) -> Val:
        """How many keys the queries from `first` on look at."""
        return self.f.smin(self.w["keys"], self.f.add(first, rows)) if self.spec.causal else self.w["keys"]

    def zeroed(self, used: Val) -> Val:
        """Up to where a row of weights is written: what its block sees, and the rest of the row tile of keys that this ends in."""
        f, tile = self.f, self.tile
        return f.smin(self.ld, f.mul(divide(f, f.add(used, tile.rows + tile.lanes - 2), tile.lanes), tile.lanes))

    def weigh(self, base: dict[str, Val], first: Val, rows: Val, scores: Val, shares: Val, used: Val) -> None:
        """Weights of a row tile of queries before their division by their sums; the factors that do this go to `shares`.

        Behind what a query sees there are zeros, up to where the last query of its block looks (`used`).
        """
        f, w, tile = self.f, self.w, self.tile
        limit = self.seen(first, rows)
        q = self.row("q", base["q"], first)
        self.multiply(
            q, w["q_row"], w["q_col"], rows, self.panels(limit), self.place["keys_at"], w["size"], scores, self.ld, f.i64(0)
        )  # (panels of keys hold `size` rows each)

        def one(i: Val) -> None:
            query = f.add(first, i)
            n = self.seen(query, f.i64(1))
            line = f.gep(scores, f.mul(i, self.ld), tile.ty)
            mask = self.row("mask", base["mask"], query) if self.spec.mask != "none" else Val("null", "ptr")
            end = self.zeroed(used)
            share = f.call(tile.ty, self.parts.weights, line, n, end, self.scale, mask, w["mask_col"])
            assert share is not None
            f.store(share, f.gep(shares, i, tile.ty))

        f.loop(0, rows, 1, (), one)

    # ---- forward ----
    def forward(self, u: Val) -> None:
        f, w, tile = self.f, self.w, self.tile
        batch, group = split(f, u, w["groups"])
        base = self.bases(batch)
        tiles = divide(f, f.add(w["queries"], tile.rows - 1), tile.rows)
        t0, t1 = (floor_share(f, tiles, f.add(group, d), w["groups"]) for d in (0, 1))
        most = self.seen(f.mul(t0, tile.rows), f.mul(f.sub(t1, t0), tile.rows))
        self.pack_turned("k", base["k"], self.place["keys_at"], w["size"], most)
        # Values are packed to the length that every row tile can read: panels of `most` rows.
        self.pack_straight("v", base["v"], self.place["values_at"], w["v_size"], most)
        scores, out, shares = self.place["scores_at"], self.place["out_at"], self.place["share_at"]
        v_panels = self.panels(w["v_size"])
        ldo = f.mul(v_panels, tile.columns)

        def row_tile(t: Val) -> None:
            first = f.mul(t, tile.rows)
            rows = f.smin(f.i64(tile.rows), f.sub(w["queries"], first))
            used = self.seen(first, rows)
            self.weigh(base, first, rows, scores, shares, used)

            def panel(p: Val) -> None:
                j = f.mul(p, tile.columns)
                from_ = f.gep(self.place["values_at"], f.mul(j, most), tile.ty)
                to = f.gep(out, j, tile.ty)
                f.call("void", self.parts.micro, scores, self.ld, f.i64(1), rows, from_, f.i64(tile.columns), used, to, ldo, f.i64(0))

            f.loop(0, v_panels, 1, (), panel)
            self.put_rows(out, ldo, "y", base["y"], first, rows, w["v_size"], shares)

        f.loop(t0, t1, 1, (), row_tile)

    def put_rows(self, src: Val, ld: Val, x: str, base: Val, first: Val, rows: Val, size: Val, shares: Val | None) -> None:
        """Rows of scratch to the rows of a result, each times its factor if there are any. A result's columns are adjacent."""
        f, tile = self.f, self.tile
        whole = f.binary("and", size, f.i64(-tile.lanes))

        def one(i: Val) -> None:
            line, to = f.gep(src, f.mul(i, ld), tile.ty), self.row(x, base, f.add(first, i))
            share = f.load(tile.ty, f.gep(shares, i, tile.ty)) if shares is not None else None

            def put(j: Val, n: int) -> None:
                value = f.load(vector(tile.ty, n), f.gep(line, j, tile.ty))
                f.store(value if share is None else f.fmul(value, f.splat(share, n)), f.gep(to, j, tile.ty))

            f.loop(0, whole, tile.lanes, (), lambda j: put(j, tile.lanes))
            f.loop(whole, size, 1, (), lambda j: put(j, 1))

        f.loop(0, rows, 1, (), one)

    # ---- backward ----
    def backward(self, u: Val) -> None:
        f, w, tile, place = self.f, self.w, self.tile, self.place
        base = self.bases(u)
        keys, size, v_size = w["keys"], w["size"], w["v_size"]
        self.pack_turned("k", base["k"], place["keys_at"], size, keys)
        self.pack_turned("v", base["v"], place["values_at"], v_size, keys)
        self.pack_straight("k", base["k"], place["k_rows_at"], size, keys)
        ldk, ldv = (f.mul(self.panels(n), tile.columns) for n in (size, v_size))
        key_tiles = divide(f, f.add(keys, tile.rows - 1), tile.rows)
        for name, ld in (("gk_at", ldk), ("gv_at", ldv)):
            self.clear(place[name], f.mul(f.mul(key_tiles, tile.rows), ld))

        def block(b: Val) -> None:
            first = f.mul(b, w["block"])
            rows = f.smin(w["block"], f.sub(w["queries"], first))
            used = self.seen(first, rows)
            tiles = divide(f, f.add(rows, tile.rows - 1), tile.rows)
            f.loop(0, tiles, 1, (), lambda t: self.query_tile(base, first, rows, f.mul(t, tile.rows), used, ldk))
            self.pack_straight("q", self.row("q", base["q"], first), place["q_rows_at"], size, rows)
            self.pack_straight("g", self.row("g", base["g"], first), place["g_rows_at"], v_size, rows)

            def key_tile(t: Val) -> None:
                j = f.mul(t, tile.rows)
                m = f.smin(f.i64(tile.rows), f.sub(keys, j))
                for a, n, panels, to, ld in (
                    ("scores_at", v_size, "g_rows_at", "gv_at", ldv), ("g_scores_at", size, "q_rows_at", "gk_at", ldk),
                ):  # fmt: skip
                    weights = f.gep(place[a], j, tile.ty)
                    grown = f.gep(place[to], f.mul(j, ld), tile.ty)
                    self.multiply(weights, f.i64(1), self.ld, m, self.panels(n), place[panels], rows, grown, ld, f.i64(1))

            f.loop(0, divide(f, f.add(used, tile.rows - 1), tile.rows), 1, (), key_tile)

        f.loop(0, divide(f, f.add(w["queries"], f.sub(w["block"], 1)), w["block"]), 1, (), block)
        self.put_rows(place["gk_at"], ldk, "gk", base["gk"], f.i64(0), keys, size, None)
        self.put_rows(place["gv_at"], ldv, "gv", base["gv"], f.i64(0), keys, v_size, None)

    def clear(self, place: Val, count: Val) -> None:
        """Zeros, whole vectors of them."""
        f, tile = self.f, self.tile
        f.loop(0, count, tile.lanes, (), lambda i: f.store(f.const(0, tile.vector), f.gep(place, i, tile.ty)))

    def query_tile(self, base: dict[str, Val], block: Val, in_block: Val, i0: Val, used: Val, ldk: Val) -> None:
        """A row tile of weights and of the gradients of their scores, and the gradient of its queries."""
        f, w, tile, place = self.f, self.w, self.tile, self.place
        first = f.add(block, i0)
        rows = f.smin(f.i64(tile.rows), f.sub(in_block, i0))
        offset = f.mul(i0, self.ld)
        weights, g_scores = (f.gep(place[name], offset, tile.ty) for name in ("scores_at", "g_scores_at"))
        limit = self.seen(first, rows)
        self.weigh(base, first, rows, weights, place["share_at"], used)
        g = self.row("g", base["g"], first)
        self.multiply(g, w["g_row"], w["g_col"], rows, self.panels(limit), place["values_at"], w["v_size"], g_scores, self.ld, f.i64(0))
        end = self.zeroed(used)

        def one(i: Val) -> None:
            query = f.add(first, i)
            share = f.load(tile.ty, f.gep(place["share_at"], i, tile.ty))
            own = self.dot("g", base["g"], "y", base["y"], query)
            line, g_line = (f.gep(p, f.mul(i, self.ld), tile.ty) for p in (weights, g_scores))
            n = self.seen(query, f.i64(1))
            stop = f.mul(divide(f, f.add(n, tile.lanes - 1), tile.lanes), tile.lanes)

            def columns(j: Val) -> None:
                p, q = f.gep(line, j, tile.ty), f.gep(g_line, j, tile.ty)
                weight = f.fmul(f.load(tile.vector, p), f.splat(share, tile.lanes))
                pulled = f.fsub(f.load(tile.vector, q), f.splat(own, tile.lanes))
                f.store(weight, p)
                f.store(f.fmul(f.fmul(weight, pulled), f.splat(self.scale, tile.lanes)), q)

            f.loop(0, stop, tile.lanes, (), columns)
            f.loop(stop, end, tile.lanes, (), lambda j: f.store(f.const(0, tile.vector), f.gep(g_line, j, tile.ty)))
            # Lanes behind the last key hold what the edge of a panel repeats: they must not count either.
            f.loop(n, stop, 1, (), lambda j: f.store(f.const(0, tile.ty), f.gep(g_line, j, tile.ty)))

        f.loop(0, rows, 1, (), one)
        out = place["out_at"]

        def panel(p: Val) -> None:
            j = f.mul(p, tile.columns)
            from_ = f.gep(place["k_rows_at"], f.mul(j, w["keys"]), tile.ty)
            to = f.gep(out, j, tile.ty)
            f.call("void", self.parts.micro, g_scores, self.ld, f.i64(1), rows, from_, f.i64(tile.columns), limit, to, ldk, f.i64(0))

        f.loop(0, self.panels(w["size"]), 1, (), panel)
        self.put_rows(out, ldk, "gq", base["gq"], first, rows, w["size"], None)

    def dot(self, x: str, a: Val, y: str, b: Val, row: Val) -> Val:
        """The product of a row of x with that of y."""
        f, w, ty = self.f, self.w, self.tile.ty
        a, b = self.row(x, a, row), self.row(y, b, row)

        def step(j: Val, total: Val) -> list[Val]:
            left = f.load(ty, f.gep(a, f.mul(j, w[f"{x}_col"]), ty))
            return [f.fma(left, f.load(ty, f.gep(b, f.mul(j, w[f"{y}_col"]), ty)), total)]

        return f.loop(0, w["v_size"], 1, [f.const(0, ty)], step)[0]


def _weights(module: Module, spec: AttentionSpec, tile: Tile) -> str:
    """Adds `ty(row, n, end, scale, mask, mask_col)`: n scores become exp(score * scale - the largest), what follows up to `end` zero.

    Returns one over their sum; 1 where no key takes part (all scores are -inf).
    """
    masked = spec.mask != "none"

    def build(name: str) -> None:
        ty, width, vec = tile.ty, tile.lanes, tile.vector
        params = [("ptr", "row"), ("i64", "n"), ("i64", "end"), (ty, "scale"), ("ptr", "mask"), ("i64", "mask_col")]
        f = module.function(name, params, ret=ty, attrs="nounwind noinline", linkage="internal")
        p, low = f.param, float("-inf")
        row, n = p("row"), p("n")
        stop = f.mul(divide(f, f.add(n, width - 1), width), width)
        whole = f.binary("and", n, f.i64(-width))
        f.loop(n, stop, 1, (), lambda j: f.store(f.const(low, ty), f.gep(row, j, ty)))

        def larger(j: Val, most: Val, lanes: int) -> list[Val]:
            place = f.gep(row, j, ty)
            value = f.fmul(f.load(vector(ty, lanes), place), f.splat(p("scale"), lanes))
            if masked:
                value = _masked(f, spec, value, f.gep(p("mask"), f.mul(j, p("mask_col")), "i8" if spec.mask == "bool" else ty), lanes)
            f.store(value, place)
            return [f.select(f.fcmp("ogt", value, most), value, most)]

        def exponential(j: Val, total: Val) -> list[Val]:
            place = f.gep(row, j, ty)
            e = emit_scalar(f, "exp", (), spec.dtype, [f.fsub(f.load(vec, place), f.splat(top, width))], (spec.dtype,))
            f.store(e, place)
            return [f.fadd(total, e)]

        vectors = whole if not masked or "m" in spec.adjacent else f.i64(0)
        most = _largest(f, f.loop(0, vectors, width, [f.const(low, vec)], lambda j, m: larger(j, m, width))[0])
        rest = f.loop(vectors, n, 1, [f.const(low, ty)], lambda j, m: larger(j, m, 1))[0]
        top = f.select(f.fcmp("ogt", rest, most), rest, most)
        if masked:
            top = f.select(f.fcmp("oeq", top, f.const(low, ty)), f.const(0, ty), top)
        total = tree_sum(f, f.loop(0, stop, width, [f.const(0, vec)], exponential)[0])
        f.loop(stop, p("end"), width, (), lambda j: f.store(f.const(0, vec), f.gep(row, j, ty)))
        if masked:
            total = f.select(f.fcmp("oeq", total, f.const(0, ty)), f.const(1, ty), total)
        f.ret(f.fdiv(f.const(1, ty), total))

    return ensure_function(module, f"weights_{tile.ty}_{tile.lanes}", build)


def _masked(f: Fn, spec: AttentionSpec, value: Val, place: Val, lanes: int) -> Val:
    if spec.mask == "bool":
        seen = f.icmp("ne", f.load(vector("i8", lanes), place), 0)
        return f.select(seen, value, f.const(float("-inf"), value.ty))
    return f.fadd(value, f.load(value.ty, place))


def _largest(f: Fn, value: Val) -> Val:
    """The largest lane."""
    n = int(value.ty[1 : value.ty.index(" ")]) if value.ty[0] == "<" else 1
    best = f.extract(value, 0) if n > 1 else value
    for lane in range(1, n):
        x = f.extract(value, lane)
        best = f.select(f.fcmp("ogt", x, best), x, best)
    return best
