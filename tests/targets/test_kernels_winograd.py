"""Winograd's convolution: results and their error against float64, edges, tails, memory beside the operands, when it is chosen."""

from __future__ import annotations

import numpy as np
import pytest

import monograph as mg
from monograph.core import knobs
from monograph.targets.llvm.kernels import winograd_plan
from monograph.targets.llvm.kernels.call import BufferRef, Machine
from monograph.targets.llvm.kernels.conv_geometry import ConvShape
from monograph.targets.llvm.kernels.conv_plan import ConvSpec, plan_conv_forward
from monograph.targets.llvm.kernels.epilogue import Epilogue, EpilogueOperand
from monograph.targets.llvm.kernels.winograd import ERROR_BOUND
from monograph.targets.llvm.kernels.winograd_plan import Plane, choose, plan_winograd
from monograph.targets.llvm.loop_spec import Instr
from tests.targets.kernel_runner import run
from tests.targets.test_kernels_conv import reference

REFS = (BufferRef(0), BufferRef(1), BufferRef(2))
TIGHT = Machine(l1_bytes=8000, l2_bytes=40000)  # small caches: sums in many parts
# batch, source channels, height, width, result channels, padding
CASES = [
    (2, 3, 9, 11, 5, (1, 1)),
    (1, 8, 5, 5, 7, (0, 2)),
    (3, 16, 7, 7, 20, (1, 1)),
    (2, 300, 6, 14, 24, (1, 0)),
    (16, 5, 2, 2, 9, (1, 1)),
    (1, 1, 3, 3, 1, (0, 0)),
    (2, 4, 1, 40, 3, (2, 2)),
    (1, 24, 33, 30, 13, (1, 1)),
]


def problem(
    case: tuple[int, int, int, int, int, tuple[int, int]], backward: bool
) -> tuple[Plane, ConvShape, np.ndarray, np.ndarray, np.ndarray]:
    """(plane, shape, what is read, weights, the exact result)."""
    n, c, h, w, o, padding = case
    shape = ConvShape.of((n, c, h, w), (o, c, 3, 3), (1, 1), padding, (1, 1))
    rng = np.random.default_rng(0)
    x, weights, dy = (rng.standard_normal(s).astype(np.float32) for s in ((n, c, h, w), (o, c, 3, 3), (n, o, *shape.out)))
    y, dx, _ = reference(x, weights, dy, shape)
    if backward:
        plane = Plane(n, o, c, shape.out, (h, w), (2 - padding[0], 2 - padding[1]), True)
        return plane, shape, dy, weights, dx
    return Plane(n, c, o, (h, w), shape.out, padding, False), shape, x, weights, y


@pytest.mark.parametrize("backward", [False, True], ids=["forward", "input"])
@pytest.mark.parametrize("m", [2, 4])
def test_error_is_within_the_bound(m: int, backward: bool) -> None:
    for case in CASES:
        plane, _, source, weights, want = problem(case, backward)
        for machine in (Machine(), TIGHT):
            got = np.full(want.shape, np.nan, np.float32)
            run(plan_winograd(m, None, plane, *REFS, (), machine), source, weights, got)
            assert np.abs(got - want).max() <= ERROR_BOUND[m] * np.sqrt(9 * plane.reduced)


@pytest.mark.parametrize("channels", [16, 64, 512])
def test_error_grows_as_the_root_of_the_channels(channels: int) -> None:
    plane, _, source, weights, want = problem((2, channels, 12, 12, 12, (1, 1)), False)
    for m, bound in ERROR_BOUND.items():
        got = np.zeros(want.shape, np.float32)
        run(plan_winograd(m, None, plane, *REFS, (), Machine()), source, weights, got)
        error = np.abs(got - want)
        assert error.max() <= bound * np.sqrt(9 * channels)
        assert np.sqrt(np.square(error).mean()) <= bound / 5 * np.sqrt(9 * channels)


@pytest.mark.parametrize("m", [2, 4])
def test_bits_do_not_depend_on_how_the_work_is_divided(m: int, monkeypatch: pytest.MonkeyPatch) -> None:
    plane, _, source, weights, want = problem((4, 40, 15, 13, 20, (1, 1)), False)
    results = []
    for threads, panels, pieces in ((1, 1, 1), (2, 3, 5), (2, 0, 1), (3, 2, 7)):  # 0: stage by stage
        monkeypatch.setattr(winograd_plan, "whole_panels", lambda *_, panels=panels: panels or 1)
        monkeypatch.setattr(winograd_plan, "UNITS_PER_THREAD", 0 if panels else 1000)
        got = np.full(want.shape, np.nan, np.float32)
        calls = plan_winograd(m, None, plane, *REFS, (), Machine(threads=threads))
        assert len(calls) == (2 if panels else 4)
        run(calls, source, weights, got, pieces=pieces)
        results.append(got)
    for got in results[1:]:
        np.testing.assert_array_equal(got, results[0])


@pytest.mark.parametrize("backward", [False, True], ids=["forward", "input"])
def test_tail_of_bias_activation_and_residual(backward: bool) -> None:
    operands = (EpilogueOperand("float32", "stride", "zero"), EpilogueOperand("float32"))
    instrs = (Instr("add", (0, 1), "float32"), Instr("relu", (3,), "float32"), Instr("add", (4, 2), "float32"))
    tail = Epilogue(instrs, operands, "float32")
    for case in (CASES[0], CASES[2], CASES[7]):
        plane, _, source, weights, want = problem(case, backward)
        bias = np.linspace(-1, 1, want.shape[1], dtype=np.float32)
        skip = np.random.default_rng(1).standard_normal(want.shape).astype(np.float32)
        for m in (2, 4):
            for threads in (1, 1000):
                plain, got = np.zeros(want.shape, np.float32), np.zeros(want.shape, np.float32)
                run(plan_winograd(m, None, plane, *REFS, (), Machine()), source, weights, plain)
                calls = plan_winograd(m, tail, plane, *REFS, (BufferRef(3), BufferRef(4)), Machine(threads=threads))
                run(calls, source, weights, got, bias, skip)
                np.testing.assert_array_equal(got, np.maximum(plain + bias.reshape(-1, 1, 1), 0) + skip)


@pytest.mark.parametrize("threads", [1, 1000], ids=["whole", "staged"])
def test_nothing_beside_the_operands_is_used(threads: int) -> None:
    for case in CASES:
        plane, _, source, weights, want = problem(case, False)
        for m in (2, 4):
            beside = 64
            arrays = []
            for a in (source, weights, np.zeros(want.shape, np.float32)):
                wide = np.full(a.size + 2 * beside, np.nan, np.float32)
                wide[beside:-beside] = a.ravel()
                arrays.append(wide)
            refs = [BufferRef(i, 4 * beside) for i in range(3)]
            run(plan_winograd(m, None, plane, *refs, (), Machine(threads=threads)), *arrays)
            result = arrays[2]
            assert np.isnan(result[:beside]).all()
            assert np.isnan(result[-beside:]).all()
            got = result[beside:-beside].reshape(want.shape)
            assert np.abs(got - want).max() <= ERROR_BOUND[m] * np.sqrt(9 * plane.reduced)


def test_it_is_chosen_where_it_pays_only() -> None:
    machine = Machine(winograd=True)

    def chosen(*case: int) -> bool:
        n, c, size, o = case
        shape = ConvShape.of((n, c, size, size), (o, c, 3, 3), (1, 1), (1, 1), (1, 1))
        names = [call.kernel.key[0] for call in plan_conv_forward(ConvSpec("float32"), shape, *REFS, machine=machine)]
        return any(name.startswith("winograd") for name in names)

    assert chosen(16, 64, 56, 64)
    assert chosen(1, 256, 14, 256)
    assert not chosen(16, 3, 56, 64)  # too little is summed up
    assert not chosen(16, 64, 56, 2)
    plane = Plane(16, 64, 64, (56, 56), (56, 56), (1, 1), False)
    assert choose(plane, 1e18, machine) == 4
    assert choose(plane, 1e18, Machine(vector_bytes=16, winograd=True)) == 0


def test_other_convolutions_are_left_to_others() -> None:
    for kernel, stride, dilation, groups in (((3, 3), 2, 1, 1), ((3, 3), 1, 2, 1), ((3, 3), 1, 1, 2), ((5, 5), 1, 1, 1), ((3, 1), 1, 1, 1)):
        shape = ConvShape.of((8, 64, 30, 30), (64, 64 // groups, *kernel), (stride,) * 2, (1, 1), (dilation,) * 2, groups)
        for dtype in ("float32", "float64"):
            calls = plan_conv_forward(ConvSpec(dtype), shape, *REFS, machine=Machine(winograd=True))
            assert not any(call.kernel.key[0].startswith("winograd") for call in calls)


def test_the_knob_switches_it_off() -> None:
    mg.manual_seed(0)
    x, w = mg.randn(2, 64, 24, 24), mg.randn(64, 64, 3, 3)
    exact = mg.nn.functional.conv2d(x.double(), w.double(), padding=1).numpy()
    fast = mg.nn.functional.conv2d(x, w, padding=1).numpy()
    with knobs.winograd.scoped(False):
        direct = mg.nn.functional.conv2d(x, w, padding=1).numpy()
    again = mg.nn.functional.conv2d(x, w, padding=1).numpy()
    np.testing.assert_array_equal(fast, again)
    assert (fast != direct).any()
    assert np.abs(direct - exact).max() < np.abs(fast - exact).max() <= ERROR_BOUND[4] * 24


def test_fused_and_compiled_results_have_the_same_bits() -> None:
    mg.manual_seed(0)
    x, w, b, skip = mg.randn(2, 64, 24, 24), mg.randn(64, 64, 3, 3), mg.randn(64), mg.randn(2, 64, 24, 24)

    def layer(x: mg.Tensor, skip: mg.Tensor) -> mg.Tensor:
        return mg.nn.functional.relu(mg.nn.functional.conv2d(x, w, b, padding=1) + skip)

    y = mg.nn.functional.conv2d(x, w, padding=1)
    y.numpy()
    z = y + b.reshape(1, -1, 1, 1)
    z.numpy()
    apart = mg.nn.functional.relu(z + skip).numpy()
    np.testing.assert_array_equal(layer(x, skip).numpy(), apart)
    np.testing.assert_array_equal(mg.compile(layer)(x, skip).numpy(), apart)
