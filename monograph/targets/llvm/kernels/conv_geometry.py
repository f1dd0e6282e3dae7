"""The geometry of convolutions: sizes, and how taps become offsets into a padded copy of the source.

Every convolution here reads a *padded copy* of a block of source rows, split into `sub_h` x `sub_w` phase planes (the forward stride), in
which all outputs of one tap lie side by side with stride 1: output position q = row * pitch + column reads `copy[q + offset(tap)]`.
Rows share their padding (the right border of one row is the left border of the next), so the pitch is hardly larger than the output is
wide, and the few positions between two rows are computed for nothing. The gradient of the input is the same kernel over the gradient of
the output, with one set of taps for each of `out_h` x `out_w` phases of the result.
"""

from __future__ import annotations

from dataclasses import dataclass

Sizes = tuple[int, int, int]


def three(values: tuple[int, ...], fill: int) -> Sizes:
    """1, 2 or 3 sizes as depth, height, width."""
    out = (fill,) * (3 - len(values)) + tuple(values)
    return out[0], out[1], out[2]


@dataclass(frozen=True, slots=True)
class ConvShape:
    """Sizes of a convolution in torch's terms (1 to 3 spatial dims): x [batch, channels, *size], w [out_channels, channels/groups,
    *kernel].

    `padding` is what is added at the beginning of each dim; how far the end is padded follows from `out`.
    """

    batch: int
    channels: int
    out_channels: int
    size: tuple[int, ...]
    kernel: tuple[int, ...]
    out: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int = 1

    @staticmethod
    def of(
        x: tuple[int, ...],
        w: tuple[int, ...],
        stride: tuple[int, ...],
        padding: tuple[int, ...],
        dilation: tuple[int, ...],
        groups: int = 1,
    ) -> ConvShape:
        """From the shapes of x and w, with the same padding on both sides."""
        out = tuple((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in zip(x[2:], w[2:], stride, padding, dilation, strict=True))
        return ConvShape(x[0], x[1], w[0], x[2:], w[2:], out, stride, padding, dilation, groups)

    @property
    def flops(self) -> int:
        """Useful operations of the forward pass, which are those of either backward pass too."""
        total = 2 * self.batch * self.out_channels * (self.channels // self.groups)
        for a, b in zip(self.kernel, self.out, strict=True):
            total *= a * b
        return total


@dataclass(frozen=True, slots=True)
class Tap:
    """One position of the kernel: its index in the weights, and where it reads: depth tap, phase plane, shift in rows and columns."""

    index: int
    depth: int
    plane: int
    rows: int
    columns: int


@dataclass(frozen=True, slots=True)
class Phase:
    """Outputs (y * out_h + row, x * out_w + column) and the taps that reach them."""

    row: int
    column: int
    taps: tuple[Tap, ...]


@dataclass(frozen=True, slots=True)
class Geometry:
    """What the source copy and the taps look like. `depth_*`: source depth of output depth z and tap t is (z*mul + add + t*step) / div."""

    source: Sizes
    result: Sizes
    depth_taps: int
    depth_mul: int
    depth_add: int
    depth_step: int
    depth_div: int
    sub_h: int
    sub_w: int
    pad_h: int
    pad_w: int
    out_h: int
    out_w: int
    phases: tuple[Phase, ...]

    @property
    def extra_rows(self) -> int:
        return max((tap.rows for phase in self.phases for tap in phase.taps), default=0)

    @property
    def extra_columns(self) -> int:
        return max((tap.columns for phase in self.phases for tap in phase.taps), default=0)

    def pitch(self, columns: int, whole_rows: bool) -> int:
        """Elements from one row of a phase plane to the next, for blocks of `columns` positions."""
        total = columns + self.extra_columns
        if not whole_rows or self.sub_w > 1:
            return total
        return max(columns, min(total, self.pad_w + self.source[2]), total - self.pad_w)


def forward_geometry(shape: ConvShape) -> Geometry:
    """x is the source, one set of taps."""
    (_, kh, kw), (sd, sh, sw) = three(shape.kernel, 1), three(shape.stride, 1)
    (dd, dh, dw), (pd, ph, pw) = three(shape.dilation, 1), three(shape.padding, 0)
    depth = three(shape.kernel, 1)[0]
    taps = tuple(
        Tap((t * kh + r) * kw + s, t, (r * dh % sh) * sw + s * dw % sw, r * dh // sh, s * dw // sw)
        for t in range(depth)
        for r in range(kh)
        for s in range(kw)
    )
    return Geometry(three(shape.size, 1), three(shape.out, 1), depth, sd, -pd, dd, 1, sh, sw, ph, pw, 1, 1, (Phase(0, 0, taps),))


def backward_geometry(shape: ConvShape) -> Geometry:
    """The gradient of the output is the source; one set of taps for each phase of the stride."""
    (depth, kh, kw), (sd, sh, sw) = three(shape.kernel, 1), three(shape.stride, 1)
    (dd, dh, dw), (pd, ph, pw) = three(shape.dilation, 1), three(shape.padding, 0)
    reach_h = max(0, *(-((a + ph - r * dh) // sh) for a in range(sh) for r in range(kh) if (a + ph - r * dh) % sh == 0), 0)
    reach_w = max(0, *(-((b + pw - s * dw) // sw) for b in range(sw) for s in range(kw) if (b + pw - s * dw) % sw == 0), 0)
    phases = []
    for a in range(sh):
        for b in range(sw):
            taps = tuple(
                Tap((t * kh + r) * kw + s, t, 0, (a + ph - r * dh) // sh + reach_h, (b + pw - s * dw) // sw + reach_w)
                for t in range(depth)
                for r in range(kh)
                for s in range(kw)
                if (a + ph - r * dh) % sh == 0 and (b + pw - s * dw) % sw == 0
            )
            phases.append(Phase(a, b, taps))
    return Geometry(three(shape.out, 1), three(shape.size, 1), depth, 1, pd, -dd, sd, 1, 1, reach_h, reach_w, sh, sw, tuple(phases))
