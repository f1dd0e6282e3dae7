"""Sizes of pooling windows and the argument record that all pooling kernels share."""

from __future__ import annotations

from dataclasses import dataclass

from monograph.targets.llvm.ir import Fn, Val
from monograph.targets.llvm.kernels.call import Layout, Word
from monograph.targets.llvm.kernels.element import divide

POOL_WORDS = Layout(
    "x*", "y*", "indices*", "h", "w", "out_h", "out_w", "kernel_h", "kernel_w", "stride_h", "stride_w", "pad_h", "pad_w", "dilation_h",
    "dilation_w", "include_pad", "divisor",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class PoolShape:
    """Two-dimensional pooling of `planes` planes (batch x channels); one-dimensional pooling has height 1. Pairs are (height, width)."""

    planes: int
    size: tuple[int, int]
    out: tuple[int, int]
    kernel: tuple[int, int]
    stride: tuple[int, int]
    padding: tuple[int, int] = (0, 0)
    dilation: tuple[int, int] = (1, 1)

    @staticmethod
    def of(
        planes: int,
        size: tuple[int, int],
        kernel: tuple[int, int],
        stride: tuple[int, int],
        padding: tuple[int, int] = (0, 0),
        dilation: tuple[int, int] = (1, 1),
        ceil_mode: bool = False,
    ) -> PoolShape:
        """With the output sizes worked out by torch's rule: in ceil mode the last window must still begin inside the input or its left
        padding."""
        out = []
        for n, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True):
            reach = n + 2 * p - d * (k - 1) - 1
            count = (-(-reach // s) if ceil_mode else reach // s) + 1
            if ceil_mode and (count - 1) * s >= n + p:
                count -= 1
            out.append(count)
        return PoolShape(planes, size, (out[0], out[1]), kernel, stride, padding, dilation)

    @property
    def inputs(self) -> int:
        return self.planes * self.size[0] * self.size[1]

    @property
    def outputs(self) -> int:
        return self.planes * self.out[0] * self.out[1]

    @property
    def taps(self) -> int:
        return self.kernel[0] * self.kernel[1]

    def words(self, x: Word, y: Word, indices: Word = 0, include_pad: bool = True, divisor: int = 0) -> list[Word]:
        """The argument record; `divisor` 0 means the size of the window."""
        (h, w), (oh, ow), (kh, kw) = self.size, self.out, self.kernel
        (sh, sw), (ph, pw), (dh, dw) = self.stride, self.padding, self.dilation
        return POOL_WORDS.fill(
            x=x, y=y, indices=indices, h=h, w=w, out_h=oh, out_w=ow, kernel_h=kh, kernel_w=kw, stride_h=sh, stride_w=sw, pad_h=ph, pad_w=pw,
            dilation_h=dh, dilation_w=dw, include_pad=int(include_pad), divisor=divisor,
        )  # fmt: skip


def window(f: Fn, w: dict[str, Val], axis: str, o: Val) -> tuple[Val, Val, Val]:
    """(start, first, end) of the window of output `o` along "h" or "w": tap k in [first, end) reads start + k * dilation, inside the
    input."""
    start = f.sub(f.mul(o, w[f"stride_{axis}"]), w[f"pad_{axis}"])
    dilation = w[f"dilation_{axis}"]
    first = taps_below(f, f.sub(f.i64(0), start), dilation)
    end = f.smin(taps_below(f, f.sub(w[axis], start), dilation), w[f"kernel_{axis}"])
    return start, f.smin(first, end), end


def taps_below(f: Fn, distance: Val, dilation: Val) -> Val:
    """How many taps k >= 0 have k * dilation < distance."""
    positive = f.icmp("sgt", distance, 0)
    return f.select(positive, divide(f, f.sub(f.add(f.select(positive, distance, f.i64(1)), dilation), 1), dilation), f.i64(0))


def inner_columns(f: Fn, w: dict[str, Val]) -> tuple[Val, Val]:
    """[low, high): the output columns whose whole window lies inside the row."""
    zero = f.i64(0)
    low = divide(f, f.sub(f.add(w["pad_w"], w["stride_w"]), 1), w["stride_w"])
    room = f.sub(f.add(w["w"], w["pad_w"]), f.add(f.mul(f.sub(w["kernel_w"], 1), w["dilation_w"]), 1))
    fits = f.icmp("sge", room, 0)
    high = f.select(fits, f.add(divide(f, f.select(fits, room, zero), w["stride_w"]), 1), zero)
    low = f.smin(low, w["out_w"])
    return low, f.smax(f.smin(high, w["out_w"]), low)
