"""The padded copy of a block of source rows that convolutions read (see `conv_geometry.py`), made in a thread's scratch."""

from __future__ import annotations

from collections.abc import Callable

from monograph.targets.llvm.ir import Fn, Module, Val
from monograph.targets.llvm.kernels.call import Layout, ensure_function
from monograph.targets.llvm.kernels.element import COMPUTE, at, fill_elements, load
from monograph.targets.llvm.kernels.micro import Tile

COPY_NAMES = (
    "source_c", "source_d", "source_h", "size_d", "size_h", "size_w", "depth_taps", "depth_mul", "depth_add", "depth_step", "depth_div", "sub_h",
    "sub_w", "pad_h", "pad_w", "pitch", "sub_plane", "plane", "extra_rows", "extra_columns",
)  # fmt: skip
COPY_WORDS = Layout(*COPY_NAMES)


def copy_run(module: Module, dtype: str, width: int) -> str:
    """Adds `void(dst, src, n)`: n adjacent elements to compute values; the last vector overlaps the one before instead of a slow tail."""
    name = f"run_{dtype}_{width}"

    def build(name: str) -> None:
        f = module.function(name, [("ptr", "dst"), ("ptr", "src"), ("i64", "n")], attrs="nounwind", linkage="internal")
        p = f.param

        def move(i: Val, n: int) -> None:
            f.store(load(f, dtype, at(f, p("src"), i, dtype), n), f.gep(p("dst"), i, COMPUTE[dtype]))

        def vectors() -> None:
            last = f.sub(p("n"), width)
            f.loop(0, last, width, (), lambda i: move(i, width))
            move(last, width)

        f.if_(f.icmp("sge", p("n"), width), vectors, lambda: f.loop(0, p("n"), 1, (), lambda i: move(i, 1)))
        f.ret()

    return ensure_function(module, name, build)


def copy_planes(module: Module, tile: Tile, dtype: str) -> str:
    """Adds `void(args, dst, src, channels, z, y0, rows, x0)`; `args` begins with COPY_WORDS, `src` is the first channel of the block.

    `dst` gets, for each channel and depth tap, `sub_h` x `sub_w` planes of `rows` + extra rows, followed by zeros for the last taps to read.
    """
    name = f"planes_{dtype}"

    def build(name: str) -> None:
        run = copy_run(module, dtype, tile.lanes)
        params = [("ptr", "args"), ("ptr", "dst"), ("ptr", "src"), ("i64", "channels"), ("i64", "z"), ("i64", "y0"), ("i64", "rows"), ("i64", "x0")]
        f = module.function(name, params, attrs="nounwind noinline", linkage="internal")
        p, w = f.param, COPY_WORDS.read(f, f.param("args"))
        zero = f.const(0, tile.ty)
        height = f.add(p("rows"), w["extra_rows"])

        def zeros(dst: Val, begin: Val, end: Val) -> None:
            fill_elements(f, dst, begin, end, zero)

        def plane(c: Val, t: Val) -> None:
            deep = f.add(f.add(f.mul(p("z"), w["depth_mul"]), w["depth_add"]), f.mul(t, w["depth_step"]))
            depth = f.binary("sdiv", deep, w["depth_div"])
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

                def fill() -> None:
                    zeros(dst, f.i64(0), low)
                    start = at(f, source, f.add(f.mul(y, w["source_h"]), shift), dtype)
                    place, count = f.gep(dst, low, tile.ty), f.sub(high, low)
                    f.if_(
                        f.icmp("eq", w["sub_w"], 1),
                        lambda: f.call("void", run, place, start, count),
                        lambda: every_nth(f, place, start, count, w["sub_w"], lambda ptr: load(f, dtype, ptr), dtype, tile.ty),
                    )
                    zeros(dst, high, w["pitch"])

                f.if_(valid, fill, lambda: zeros(dst, f.i64(0), w["pitch"]))

            f.loop(0, height, 1, (), row)
            tail = f.gep(to, f.mul(height, w["pitch"]), tile.ty)
            zeros(tail, f.i64(0), w["extra_columns"])

        f.loop(0, p("channels"), 1, (), lambda c: f.loop(0, w["depth_taps"], 1, (), lambda t: plane(c, t)))
        f.ret()

    return ensure_function(module, name, build)


def every_nth(f: Fn, dst: Val, src: Val, count: Val, step: Val, fetch: Callable[[Val], Val], dtype: str, ty: str) -> None:
    """dst[i] = src[i * step]."""
    f.loop(0, count, 1, (), lambda i: f.store(fetch(at(f, src, f.mul(i, step), dtype)), f.gep(dst, i, ty)))


def _clamp(f: Fn, value: Val, high: Val) -> Val:
    return f.smin(f.smax(value, 0), high)


def _ceil_div(f: Fn, a: Val, b: Val) -> Val:
    """ceil(a / b) for b > 0 and any a that matters here: negative results are clamped to zero by the caller."""
    return f.select(f.icmp("sgt", a, 0), f.udiv(f.add(a, f.sub(b, 1)), b), f.i64(0))


