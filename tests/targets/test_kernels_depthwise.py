"""Depthwise convolution: forward and both gradients over sizes, strides and dtypes, tails, ranges, memory beside the operands."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import monograph as mg
from monograph.targets.llvm.kernels.call import BufferRef, Machine
from monograph.targets.llvm.kernels.conv_geometry import ConvShape
from monograph.targets.llvm.kernels.conv_plan import ConvSpec, plan_conv_backward_input, plan_conv_forward
from monograph.targets.llvm.kernels.conv_weight_plan import plan_conv_backward_weight
from monograph.targets.llvm.kernels.depthwise_plan import fits_depthwise, plan_depthwise, plan_depthwise_weight
from monograph.targets.llvm.kernels.epilogue import Epilogue, EpilogueOperand
from monograph.targets.llvm.loop_spec import Instr
from tests.targets.kernel_runner import run
from tests.targets.test_kernels_conv import Case, check, reference, tensors

REFS = (BufferRef(0), BufferRef(1), BufferRef(2))
SIZES = [(1, 3), (5, 8), (7, 7), (9, 17), (14, 14), (12, 33)]
SETTINGS = [((3, 3), 1, 1), ((3, 3), 2, 1), ((5, 5), 1, 2), ((5, 5), 2, 2), ((1, 3), 1, 0), ((2, 4), 2, 1), ((3, 3), 2, 0)]


def cases() -> list[Case]:
    out: list[Case] = []
    for (h, w), (kernel, stride, p) in itertools.product(SIZES, SETTINGS):
        padding = (min(p, kernel[0] - 1), p)
        if h + 2 * padding[0] >= kernel[0] and w + 2 * p >= kernel[1]:
            out.append(((2, 3, h, w), (3, 1, *kernel), (stride, stride), padding, (1, 1), 3))
    return out


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_forward_and_both_gradients(dtype: str) -> None:
    machine = Machine()
    for case in cases()[:: 1 if dtype == "float32" else 3]:
        s, x, w, dy = tensors(case, dtype)
        assert fits_depthwise(dtype, s, machine)
        y, dx, dw = (np.full_like(a, np.nan) for a in (dy, x, w))
        run(plan_depthwise(dtype, None, s, False, *REFS, (), machine), x, w, y)
        run(plan_depthwise(dtype, None, s, True, *REFS, (), machine), dy, w, dx)
        run(plan_depthwise_weight(dtype, s, *REFS, machine), x, dy, dw)
        for got, want in zip((y, dx, dw), reference(x, w, dy, s), strict=True):
            check(got, want, dtype)


def test_tail_and_ranges() -> None:
    operands = (EpilogueOperand("float32", "stride", "zero"), EpilogueOperand("float32"))
    instrs = (Instr("add", (0, 1), "float32"), Instr("relu", (3,), "float32"), Instr("add", (4, 2), "float32"))
    tail = Epilogue(instrs, operands, "float32")
    for case in cases()[::5]:
        s, x, w, dy = tensors(case, "float32")
        for backward, first, result in ((False, x, dy), (True, dy, x)):
            plain, got = np.zeros_like(result), np.zeros_like(result)
            skip = np.random.default_rng(1).standard_normal(result.shape).astype(np.float32)
            bias = np.linspace(-1, 1, result.shape[1], dtype=np.float32)
            run(plan_depthwise("float32", None, s, backward, *REFS, (), Machine()), first, w, plain)
            calls = plan_depthwise("float32", tail, s, backward, *REFS, (BufferRef(3), BufferRef(4)), Machine(threads=3))
            run(calls, first, w, got, bias, skip, pieces=3)
            np.testing.assert_array_equal(got, np.maximum(plain + bias.reshape(-1, 1, 1), 0) + skip)


def test_gradient_of_the_weights_in_ranges() -> None:
    s, x, w, dy = tensors(((3, 7, 14, 14), (7, 1, 3, 3), (1, 1), (1, 1), (1, 1), 7), "float32")
    one, many = np.zeros_like(w), np.zeros_like(w)
    run(plan_depthwise_weight("float32", s, *REFS, Machine()), x, dy, one)
    run(plan_depthwise_weight("float32", s, *REFS, Machine(threads=4)), x, dy, many, pieces=5)
    np.testing.assert_array_equal(one, many)


def test_nothing_beside_the_operands_is_used() -> None:
    beside = 64
    refs = [BufferRef(i, 4 * beside) for i in range(3)]
    for case in cases()[::2]:
        s, x, w, dy = tensors(case, "float32")
        plans = (
            (plan_depthwise("float32", None, s, False, *refs, (), Machine()), x, w),
            (plan_depthwise("float32", None, s, True, *refs, (), Machine()), dy, w),
            (plan_depthwise_weight("float32", s, *refs, Machine()), x, dy),
        )
        for (calls, a, b), exact in zip(plans, reference(x, w, dy, s), strict=True):
            arrays = [np.full(v.size + 2 * beside, np.nan, np.float32) for v in (a, b, exact)]
            for wide, v in zip(arrays, (a, b), strict=False):
                wide[beside:-beside] = v.ravel()
            run(calls, *arrays)
            assert np.isnan(arrays[2][:beside]).all()
            assert np.isnan(arrays[2][-beside:]).all()
            check(arrays[2][beside:-beside].reshape(exact.shape), exact, "float32")


def test_what_is_taken() -> None:
    machine = Machine(threads=2)

    def shape(c: int, o: int, kernel: int, stride: int, dilation: int, groups: int, size: int = 14) -> ConvShape:
        return ConvShape.of((2, c, size, size), (o, c // groups, kernel, kernel), (stride,) * 2, (1, 1), (dilation,) * 2, groups)

    taken = shape(8, 8, 3, 2, 1, 8)
    for planner in (plan_conv_forward, plan_conv_backward_input, plan_conv_backward_weight):
        (call,) = planner(ConvSpec("float32"), taken, *REFS, machine=machine)
        assert call.kernel.key[0].startswith("depthwise")
    for other in (shape(8, 16, 3, 1, 1, 8), shape(8, 8, 3, 3, 1, 8), shape(8, 8, 3, 1, 2, 8), shape(8, 8, 3, 1, 1, 4)):
        assert not fits_depthwise("float32", other, machine)
    assert not fits_depthwise("float32", shape(8, 8, 3, 1, 1, 8, size=2000), machine)
    assert not fits_depthwise("int64", taken, machine)


def test_bfloat16() -> None:
    mg.manual_seed(0)
    x, w = mg.randn(2, 6, 15, 9, dtype=mg.bfloat16), mg.randn(6, 1, 3, 3, dtype=mg.bfloat16)
    got = mg.nn.functional.conv2d(x, w, padding=1, groups=6)
    exact = mg.nn.functional.conv2d(x.double(), w.double(), padding=1, groups=6)
    assert got.dtype is mg.bfloat16
    assert (got.double() - exact).abs().max().item() <= 2**-8 * exact.abs().max().item()
