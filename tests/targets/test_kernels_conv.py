"""Convolution kernels against a plain NumPy reference: strides, paddings, dilations, groups, 1 to 3 dims, dtypes, split ranges."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from monograph.targets.llvm.kernels import conv_plan, conv_weight_plan
from monograph.targets.llvm.kernels.call import BufferRef, Machine, flops
from monograph.targets.llvm.kernels.conv_geometry import ConvShape
from monograph.targets.llvm.kernels.conv_plan import ConvSpec, plan_conv_backward_input, plan_conv_forward
from monograph.targets.llvm.kernels.conv_weight_plan import plan_conv_backward_weight
from monograph.targets.llvm.kernels.epilogue import Epilogue, EpilogueOperand
from monograph.targets.llvm.loop_spec import Instr
from tests.targets.kernel_runner import run

Case = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...], int]
REFS = (BufferRef(0), BufferRef(1), BufferRef(2))
TIGHT = Machine(l1_bytes=8000, l2_bytes=40000, threads=2)  # small caches cut even small problems into many blocks
TOLERANCE = {"float32": 2e-5, "float64": 1e-12, "float16": 4e-3}

# x shape, w shape, stride, padding, dilation, groups
CASES: list[Case] = [
    ((2, 3, 9, 11), (5, 3, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    ((2, 3, 9, 11), (5, 3, 3, 3), (2, 2), (1, 1), (1, 1), 1),
    ((1, 4, 10, 10), (6, 2, 3, 2), (2, 3), (0, 1), (2, 1), 2),
    ((2, 6, 12, 9), (6, 1, 3, 3), (1, 1), (1, 1), (1, 1), 6),
    ((2, 6, 12, 9), (12, 1, 5, 3), (2, 1), (2, 1), (1, 2), 6),
    ((1, 1, 28, 28), (8, 1, 5, 5), (1, 1), (2, 2), (1, 1), 1),
    ((1, 40, 14, 14), (33, 40, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    ((1, 130, 7, 7), (140, 130, 3, 3), (2, 2), (1, 1), (1, 1), 1),
    ((2, 8, 13, 13), (16, 8, 1, 1), (1, 1), (0, 0), (1, 1), 1),
    ((2, 8, 13, 13), (16, 8, 1, 1), (2, 2), (0, 0), (1, 1), 1),
    ((2, 3, 400), (4, 3, 7), (1,), (3,), (1,), 1),
    ((2, 3, 4000), (4, 3, 7), (3,), (3,), (2,), 1),
    ((2, 3, 5, 6, 7), (4, 3, 3, 2, 3), (1, 2, 1), (1, 0, 1), (1, 1, 2), 1),
    ((1, 2, 6, 6, 6), (4, 1, 3, 3, 3), (2, 2, 2), (1, 1, 1), (1, 1, 1), 2),
    ((1, 2, 5, 5), (3, 2, 2, 2), (1, 1), (3, 3), (1, 1), 1),
    ((1, 2, 5, 5), (3, 2, 5, 5), (1, 1), (0, 0), (1, 1), 1),
    ((1, 2, 5, 5), (3, 2, 1, 1), (3, 3), (0, 0), (1, 1), 1),
    ((3, 16, 1, 1), (3, 16, 3, 3), (1, 1), (1, 1), (1, 1), 1),
    ((9, 20, 2, 2), (24, 20, 3, 3), (1, 1), (1, 1), (1, 1), 1),
]
CASES += [
    ((1, 4, 9, 8), (4, 4 // g, 3, 3), (s, s), (p, p), (d, d), g)
    for s, p, d, g in itertools.product((1, 2, 3), (0, 1, 2), (1, 2), (1, 2, 4))
]


@pytest.fixture(autouse=True)
def direct_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """This file is about the direct kernels; those for small planes and depthwise convolutions have files of their own."""
    for module in (conv_plan, conv_weight_plan):
        monkeypatch.setattr(module, "fits", lambda *_: False)
        monkeypatch.setattr(module, "fits_depthwise", lambda *_: False)


def window(taps: tuple[int, ...], s: ConvShape) -> tuple[slice, ...]:
    """The padded inputs that one tap of the kernel meets."""
    steps = zip(taps, s.dilation, s.out, s.stride, strict=True)
    return (slice(None),) * 3 + tuple(slice(t * d, t * d + (n - 1) * step + 1, step) for t, d, n, step in steps)


def reference(x: np.ndarray, w: np.ndarray, dy: np.ndarray, s: ConvShape) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(y, dx, dw) in float64, tap by tap."""
    x, w, dy = (a.astype(np.float64) for a in (x, w, dy))
    n, groups = x.shape[0], s.groups
    need = [
        max(a + p, (o - 1) * st + (k - 1) * d + 1)
        for a, p, o, st, k, d in zip(s.size, s.padding, s.out, s.stride, s.kernel, s.dilation, strict=True)
    ]
    crop = (slice(None), slice(None), *(slice(p, p + a) for p, a in zip(s.padding, s.size, strict=True)))
    padded, dpadded = np.zeros((2, *x.shape[:2], *need))
    padded[crop] = x
    grouped, dgrouped = (a.reshape(n, groups, -1, *need) for a in (padded, dpadded))
    wg, dyg = w.reshape(groups, -1, *w.shape[1:]), dy.reshape(n, groups, -1, *s.out)
    y, dw = np.zeros_like(dyg), np.zeros_like(wg)
    flat = dyg.reshape(*dyg.shape[:3], -1)
    for taps in itertools.product(*map(range, s.kernel)):
        here, weights = window(taps, s), wg[(slice(None),) * 3 + taps]
        y += np.einsum("ngc...,goc->ngo...", grouped[here], weights)
        dgrouped[here] += np.einsum("ngo...,goc->ngc...", dyg, weights)
        part = np.ascontiguousarray(grouped[here]).reshape(n, groups, -1, flat.shape[-1])
        dw[(slice(None),) * 3 + taps] = np.einsum("ngcp,ngop->goc", part, flat)
    return y.reshape(dy.shape), dpadded[crop], dw.reshape(w.shape)


def tensors(case: Case, dtype: str) -> tuple[ConvShape, np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    s = ConvShape.of(*case)
    x, w, dy = (rng.standard_normal(shape).astype(dtype) for shape in (case[0], case[1], (case[0][0], case[1][0], *s.out)))
    return s, x, w, dy


def check(got: np.ndarray, want: np.ndarray, dtype: str) -> None:
    assert got.shape == want.shape
    assert np.abs(got.astype(np.float64) - want).max(initial=0) <= TOLERANCE[dtype] * max(1.0, np.abs(want).max(initial=0))


@pytest.mark.parametrize("machine", [Machine(), TIGHT], ids=["large", "tight"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_forward_and_both_gradients(dtype: str, machine: Machine) -> None:
    for case in CASES:
        s, x, w, dy = tensors(case, dtype)
        y, dx, dw = (np.full_like(a, np.nan) for a in (dy, x, w))
        run(plan_conv_forward(ConvSpec(dtype), s, *REFS, machine=machine), x, w, y)
        run(plan_conv_backward_input(ConvSpec(dtype), s, *REFS, machine=machine), dy, w, dx)
        run(plan_conv_backward_weight(ConvSpec(dtype), s, *REFS, machine=machine), x, dy, dw)
        for got, want in zip((y, dx, dw), reference(x, w, dy, s), strict=True):
            check(got, want, dtype)


def test_half_precision() -> None:
    for case in CASES[:8]:
        s, x, w, dy = tensors(case, "float16")
        y, dx, dw = (np.full_like(a, np.nan) for a in (dy, x, w))
        run(plan_conv_forward(ConvSpec("float16"), s, *REFS), x, w, y)
        run(plan_conv_backward_input(ConvSpec("float16"), s, *REFS), dy, w, dx)
        run(plan_conv_backward_weight(ConvSpec("float16"), s, *REFS), x, dy, dw)
        for got, want in zip((y, dx, dw), reference(x, w, dy, s), strict=True):
            check(got, want, "float16")


def test_integers() -> None:
    rng = np.random.default_rng(0)
    x, w = rng.integers(-9, 9, (2, 3, 8, 8)), rng.integers(-9, 9, (5, 3, 3, 3))
    s = ConvShape.of(x.shape, w.shape, (1, 1), (1, 1), (1, 1))
    y = np.zeros((2, 5, 8, 8), np.int64)
    run(plan_conv_forward(ConvSpec("int64"), s, *REFS), x, w, y)
    np.testing.assert_array_equal(y, reference(x, w, y, s)[0])


@pytest.mark.parametrize("case", CASES[:6], ids=str)
def test_bits_do_not_depend_on_ranges(case: Case) -> None:
    s, x, w, dy = tensors(case, "float32")
    for planner, first, second, result in (
        (plan_conv_forward, x, w, dy),
        (plan_conv_backward_input, dy, w, x),
        (plan_conv_backward_weight, x, dy, w),
    ):
        results = []
        for threads, pieces in ((1, 1), (2, 2), (3, 7)):
            out = np.full_like(result, np.nan)
            run(planner(ConvSpec("float32"), s, *REFS, machine=Machine(threads=threads)), first, second, out, pieces=pieces)
            results.append(out)
        np.testing.assert_array_equal(results[0], results[1])
        np.testing.assert_array_equal(results[0], results[2])


@pytest.mark.parametrize("case", [CASES[0], CASES[2], CASES[3], CASES[10], CASES[12]], ids=str)
def test_epilogue_of_bias_activation_and_residual(case: Case) -> None:
    s, x, w, dy = tensors(case, "float32")
    operands = (EpilogueOperand("float32", "stride", "zero"), EpilogueOperand("float32"))
    instrs = (Instr("add", (0, 1), "float32"), Instr("relu", (3,), "float32"), Instr("add", (4, 2), "float32"))
    spec = ConvSpec("float32", Epilogue(instrs, operands, "float32"))
    extra = (BufferRef(3), BufferRef(4))
    for machine in (Machine(), TIGHT):
        for planner, first, result in ((plan_conv_forward, x, dy), (plan_conv_backward_input, dy, x)):
            plain, got, skip = (
                np.zeros_like(result),
                np.zeros_like(result),
                np.random.default_rng(1).standard_normal(result.shape).astype(np.float32),
            )
            bias = np.linspace(-1, 1, result.shape[1], dtype=np.float32)
            run(planner(ConvSpec("float32"), s, *REFS, machine=machine), first, w, plain)
            run(planner(spec, s, *REFS, extra, machine=machine), first, w, got, bias, skip)
            np.testing.assert_array_equal(got, np.maximum(plain + bias.reshape(-1, *(1,) * len(s.out)), 0) + skip)


def test_output_padding_of_a_transposed_convolution() -> None:
    """The last row and column of the result, which no tap reaches, get the tail of zero."""
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((1, 3, 4, 4)).astype(np.float32), rng.standard_normal((3, 2, 2, 2)).astype(np.float32)
    s = ConvShape(1, 2, 3, (12, 12), (2, 2), (4, 4), (3, 3), (0, 0), (1, 1))
    out = np.full((1, 2, 12, 12), np.nan, np.float32)
    run(plan_conv_backward_input(ConvSpec("float32"), s, *REFS), x, w, out)
    want = np.zeros_like(out)
    for r, c in itertools.product(range(2), range(2)):
        want[:, :, r::3, c::3] = np.einsum("nohw,oc->nchw", x, w[:, :, r, c])
    np.testing.assert_allclose(out, want, rtol=1e-5, atol=1e-6)


def test_nothing_to_do() -> None:
    s, x, w, dy = tensors(((0, 3, 5, 5), (4, 3, 3, 3), (1, 1), (1, 1), (1, 1), 1), "float32")
    assert plan_conv_forward(ConvSpec("float32"), s, *REFS) == []
    assert plan_conv_backward_input(ConvSpec("float32"), s, *REFS) == []
    dw = np.full_like(w, np.nan)
    run(plan_conv_backward_weight(ConvSpec("float32"), s, *REFS), x, dy, dw)
    np.testing.assert_array_equal(dw, 0)


def test_useful_operations_are_counted() -> None:
    s = ConvShape.of((32, 64, 56, 56), (64, 64, 3, 3), (1, 1), (1, 1), (1, 1))
    assert flops(plan_conv_forward(ConvSpec("float32"), s, *REFS)) == 2 * 32 * 64 * 56 * 56 * 64 * 9
