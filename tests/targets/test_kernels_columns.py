"""Convolutions of small planes as one matrix product: all three directions, tails, ranges, and when they are chosen."""

from __future__ import annotations

import numpy as np
import pytest

from monograph.targets.llvm.kernels.call import BufferRef, KernelCall, Machine
from monograph.targets.llvm.kernels.conv_columns_plan import fits, plan_columns_forward, plan_columns_input, plan_columns_weight
from monograph.targets.llvm.kernels.conv_geometry import ConvShape
from monograph.targets.llvm.kernels.conv_plan import ConvSpec, plan_conv_backward_input, plan_conv_forward
from monograph.targets.llvm.kernels.conv_weight_plan import plan_conv_backward_weight
from monograph.targets.llvm.kernels.epilogue import Epilogue, EpilogueOperand
from monograph.targets.llvm.loop_spec import Instr
from tests.targets.kernel_runner import run
from tests.targets.test_kernels_conv import CASES, check, reference, tensors

REFS = (BufferRef(0), BufferRef(1), BufferRef(2))
FLAT = [case for case in CASES if len(case[0]) <= 4]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_forward_and_both_gradients(dtype: str) -> None:
    machine = Machine()
    for case in FLAT:
        s, x, w, dy = tensors(case, dtype)
        y, dx, dw = (np.full_like(a, np.nan) for a in (dy, x, w))
        run(plan_columns_forward(dtype, None, s, *REFS, (), machine), x, w, y)
        run(plan_columns_input(dtype, None, s, *REFS, (), machine), dy, w, dx)
        run(plan_columns_weight(dtype, s, *REFS, machine), x, dy, dw)
        for got, want in zip((y, dx, dw), reference(x, w, dy, s), strict=True):
            check(got, want, dtype)


def test_tail_and_ranges() -> None:
    operands = (EpilogueOperand("float32", "stride", "zero"), EpilogueOperand("float32"))
    instrs = (Instr("add", (0, 1), "float32"), Instr("relu", (3,), "float32"), Instr("add", (4, 2), "float32"))
    tail = Epilogue(instrs, operands, "float32")
    for case in FLAT[:12]:
        s, x, w, dy = tensors(case, "float32")
        for planner, first, result in ((plan_columns_forward, x, dy), (plan_columns_input, dy, x)):
            plain, got = np.zeros_like(result), np.zeros_like(result)
            skip = np.random.default_rng(1).standard_normal(result.shape).astype(np.float32)
            bias = np.linspace(-1, 1, result.shape[1], dtype=np.float32)
            run(planner("float32", None, s, *REFS, (), Machine()), first, w, plain)
            calls = planner("float32", tail, s, *REFS, (BufferRef(3), BufferRef(4)), Machine(threads=3))
            run(calls, first, w, got, bias, skip, pieces=3)
            np.testing.assert_array_equal(got, np.maximum(plain + bias.reshape(-1, *(1,) * len(s.out)), 0) + skip)


def test_nothing_beside_the_operands_is_used() -> None:
    beside = 64
    for case in FLAT[:12]:
        s, x, w, dy = tensors(case, "float32")
        want = reference(x, w, dy, s)
        refs = [BufferRef(i, 4 * beside) for i in range(3)]
        plans = (
            (plan_columns_forward("float32", None, s, *refs, (), Machine()), x, w),
            (plan_columns_input("float32", None, s, *refs, (), Machine()), dy, w),
            (plan_columns_weight("float32", s, *refs, Machine()), x, dy),
        )
        for (calls, a, b), exact in zip(plans, want, strict=True):
            arrays = [np.full(v.size + 2 * beside, np.nan, np.float32) for v in (a, b, exact)]
            for wide, v in zip(arrays, (a, b), strict=False):
                wide[beside:-beside] = v.ravel()
            run(calls, *arrays)
            assert np.isnan(arrays[2][:beside]).all()
            assert np.isnan(arrays[2][-beside:]).all()
            check(arrays[2][beside:-beside].reshape(exact.shape), exact, "float32")


def names(calls: list[KernelCall]) -> set[str]:
    return {call.kernel.key[0] for call in calls}


def test_they_are_chosen_for_small_planes() -> None:
    small = ConvShape.of((16, 256, 4, 4), (512, 256, 3, 3), (2, 2), (1, 1), (1, 1))
    large = ConvShape.of((16, 64, 56, 56), (128, 64, 3, 3), (2, 2), (1, 1), (1, 1))
    spec, machine = ConvSpec("float32"), Machine(threads=2)
    for planner in (plan_conv_forward, plan_conv_backward_input, plan_conv_backward_weight):
        assert "conv_spread" in names(planner(spec, small, *REFS, machine=machine))
        assert "conv_spread" not in names(planner(spec, large, *REFS, machine=machine))


def test_limits() -> None:
    assert not fits("float16", ConvShape.of((1, 8, 4, 4), (8, 8, 3, 3), (1, 1), (1, 1), (1, 1)))
    assert not fits("float32", ConvShape.of((1, 8, 4, 4, 4), (8, 8, 3, 3, 3), (1, 1, 1), (1, 1, 1), (1, 1, 1)))
    assert not fits("float32", ConvShape.of((64, 8, 56, 56), (8, 8, 3, 3), (1, 1), (1, 1), (1, 1)))
