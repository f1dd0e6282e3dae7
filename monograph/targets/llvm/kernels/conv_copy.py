"""The padded copy of a block of source rows that convolutions read (see `conv_geometry.py`), made in a thread's scratch."""

from __future__ import annotations

from monograph.targets.llvm.ir import Fn, Module, Val
from monograph.targets.llvm.kernels.call import Layout, ensure_function
from monograph.targets.llvm.kernels.element import COMPUTE, at, divide, either, fill_elements, load
from monograph.targets.llvm.kernels.micro import Tile

COPY_NAMES = (
    "source_c", "source_d", "source_h", "size_d", "size_h", "size_w", "depth_taps", "depth_mul", "depth_add", "depth_step", "depth_div",
    "sub_h",
    "sub_w", "pad_h", "pad_w", "pitch", "sub_plane", "plane", "extra_rows", "extra_columns",
)  # fmt: skip
COPY_WORDS = Layout(*COPY_NAMES)


QUIET = 'nounwind noinline "no-builtins"'  # no-builtins: a loop over two elements must not become a call of memset


def copy_run(module: Module, dtype: str, width: int) -> str:
    """Adds `void(dst, src, n)`: n adjacent elements to compute values; the last vector overlaps the one before instead of a slow tail."""
    name = f"run_{dtype}_{width}"

    def build(name: str) -> None:
        f = module.function(name, [("ptr", "dst"), ("ptr", "src"), ("i64", "n")], attrs=QUIET, linkage="internal")
        p = f.param

        def move(i: Val, n: int) -> None:
            f.store(load(f, dtype, at(f, p("src"), i, dtype), n), f.gep(p("dst"), i, COMPUTE[dtype]))

        def vectors() -> None:
            last = f.sub(p("n"), width)
            f.loop(0, last, width, (), lambda i: move(i, width))
            move(last, width)

        either(f, f.icmp("sge", p("n"), width), vectors, lambda: f.loop(0, p("n"), 1, (), lambda i: move(i, 1)))
        f.ret()

    return ensure_function(module, name, build)


def spread_run(module: Module, dtype: str, width: int) -> str:
    """Adds `void(dst, src, n, dst_step, src_step)`: n elements to compute values, with steps; two to one by vectors."""
    name = f"spread_{dtype}"

    def build(name: str) -> None:
        params = [("ptr", "dst"), ("ptr", "src"), ("i64", "n"), ("i64", "dst_step"), ("i64", "src_step")]
        f = module.function(name, params, attrs=QUIET, linkage="internal")
        p = f.param

        def move(_: Val, dst: Val, src: Val) -> list[Val]:
            f.store(load(f, dtype, src), dst)
            return [f.gep(dst, p("dst_step"), COMPUTE[dtype]), at(f, src, p("src_step"), dtype)]

        def every_other(i: Val) -> None:
            source = at(f, p("src"), f.mul(i, 2), dtype)
            even, odd = load(f, dtype, source, width), load(f, dtype, at(f, source, width - 1, dtype), width)
            picked = f.shuffle(even, odd, [*range(0, width, 2), *range(width + 1, 2 * width, 2)])
            f.store(picked, f.gep(p("dst"), i, COMPUTE[dtype]))

        gather = f.binary("and", f.icmp("eq", p("src_step"), 2), f.icmp("eq", p("dst_step"), 1))
        whole = f.select(gather, f.binary("and", p("n"), f.i64(-width)), f.i64(0))
        f.loop(0, whole, width, (), every_other)
        start = f.gep(p("dst"), whole, COMPUTE[dtype]), at(f, p("src"), f.mul(whole, 2), dtype)
        f.loop(whole, p("n"), 1, start, move)
        f.ret()

    return ensure_function(module, name, build)


def zero_run(module: Module, ty: str) -> str:
    """Adds `void(dst, begin, end)`: zeros."""
    name = f"zeros_{ty}"

    def build(name: str) -> None:
        f = module.function(name, [("ptr", "dst"), ("i64", "begin"), ("i64", "end")], attrs=QUIET, linkage="internal")
        fill_elements(f, f.param("dst"), f.param("begin"), f.param("end"), f.const(0, ty))
        f.ret()

    return ensure_function(module, name, build)


def copy_planes(module: Module, tile: Tile, dtype: str) -> str:
    """Adds `void(args, dst, src, channels, z, y0, rows, x0)`; `args` begins with COPY_WORDS, `src` is the first channel of the block.

    `dst` gets, for each channel and depth tap, `sub_h` x `sub_w` planes of `rows` + extra rows, followed by zeros for the last taps to
    read.
    """
    name = f"planes_{dtype}"

    def build(name: str) -> None:
        run, spread, zeros = copy_run(module, dtype, tile.lanes), spread_run(module, dtype, tile.lanes), zero_run(module, tile.ty)
        params = [
            ("ptr", "args"),
            ("ptr", "dst"),
            ("ptr", "src"),
            ("i64", "channels"),
            ("i64", "z"),
            ("i64", "y0"),
            ("i64", "rows"),
            ("i64", "x0"),
        ]
        f = module.function(name, params, attrs="nounwind noinline", linkage="internal")
        p, w = f.param, COPY_WORDS.read(f, f.param("args"))
        height = f.add(p("rows"), w["extra_rows"])
        plain = f.icmp("eq", w["sub_w"], 1)
        none = f.i64(0)

        def plane(c: Val, t: Val) -> None:
            deep = f.add(f.add(f.mul(p("z"), w["depth_mul"]), w["depth_add"]), f.mul(t, w["depth_step"]))
            depth = f.cast("sext", f.binary("sdiv", f.cast("trunc", deep, "i32"), f.cast("trunc", w["depth_div"], "i32")), "i64")
            on_grid = f.icmp("eq", f.mul(depth, w["depth_div"]), deep)
            inside = f.binary("and", on_grid, f.icmp("ult", depth, w["size_d"]))
            source = at(f, p("src"), f.add(f.mul(c, w["source_c"]), f.mul(depth, w["source_d"])), dtype)
            to = f.gep(p("dst"), f.mul(f.add(f.mul(c, w["depth_taps"]), t), w["plane"]), tile.ty)
            f.loop(0, w["sub_h"], 1, (), lambda py: f.loop(0, w["sub_w"], 1, (), lambda px: sub_plane(source, to, inside, py, px)))

        def sub_plane(source: Val, to: Val, inside: Val, py: Val, px: Val) -> None:
            to = f.gep(to, f.mul(f.add(f.mul(py, w["sub_w"]), px), w["sub_plane"]), tile.ty)
            # columns of the copy that lie in the source: x = (x0 + column) * sub_w + px - pad_w in [0, size_w)
            left = f.sub(w["pad_w"], px)
            first = _ceil_div(f, left, w["sub_w"])
            end = _ceil_div(f, f.add(left, w["size_w"]), w["sub_w"])
            low = _clamp(f, f.sub(first, p("x0")), w["pitch"])
            high = f.smax(_clamp(f, f.sub(end, p("x0")), w["pitch"]), low)
            shift = f.sub(f.mul(f.add(p("x0"), low), w["sub_w"]), left)

            def row(r: Val) -> None:
                y = f.sub(f.add(f.mul(f.add(p("y0"), r), w["sub_h"]), py), w["pad_h"])
                dst = f.gep(to, f.mul(r, w["pitch"]), tile.ty)
                valid = f.binary("and", inside, f.icmp("ult", y, w["size_h"]))
                begin = f.select(valid, low, w["pitch"])
                count = f.sub(f.select(valid, high, w["pitch"]), begin)
                start = at(f, source, f.add(f.mul(y, w["source_h"]), shift), dtype)
                place = f.gep(dst, begin, tile.ty)
                f.call("void", zeros, dst, none, begin)
                either(
                    f,
                    plain,
                    lambda: f.call("void", run, place, start, count),
                    lambda: f.call("void", spread, place, start, count, f.i64(1), w["sub_w"]),
                )
                f.call("void", zeros, dst, f.add(begin, count), w["pitch"])

            f.loop(0, height, 1, (), row)
            f.call("void", zeros, f.gep(to, f.mul(height, w["pitch"]), tile.ty), none, w["extra_columns"])

        f.loop(0, p("channels"), 1, (), lambda c: f.loop(0, w["depth_taps"], 1, (), lambda t: plane(c, t)))
        f.ret()

    return ensure_function(module, name, build)


def _clamp(f: Fn, value: Val, high: Val) -> Val:
    return f.smin(f.smax(value, 0), high)


def _ceil_div(f: Fn, a: Val, b: Val) -> Val:
    """ceil(a / b) for b > 0 and any a that matters here: negative results are clamped to zero by the caller."""
    return f.select(f.icmp("sgt", a, 0), divide(f, f.add(a, f.sub(b, 1)), b), f.i64(0))
