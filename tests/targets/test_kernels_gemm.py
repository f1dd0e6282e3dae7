"""Matrix multiplication kernels against NumPy: sizes around every edge, any strides, batches, dtypes, epilogues, split ranges."""

from __future__ import annotations

import itertools

import ml_dtypes
import numpy as np
import pytest

from monograph.targets.llvm.kernels.call import BufferRef, KernelCall, Machine, flops, traffic
from monograph.targets.llvm.kernels.epilogue import Epilogue, EpilogueOperand
from monograph.targets.llvm.kernels.gemm import GemmSpec
from monograph.targets.llvm.kernels.gemm_plan import Matrix, plan_gemm
from monograph.targets.llvm.loop_spec import Instr
from tests.targets.kernel_runner import Prepared, run

SIZES = (0, 1, 5, 6, 7, 16, 17, 100)
NUMPY = {"float16": np.float16, "bfloat16": ml_dtypes.bfloat16}
TOLERANCE = {"float32": 2e-6, "float64": 1e-14, "float16": 2e-3, "bfloat16": 1e-2}


def matrix(array: np.ndarray, operand: int) -> Matrix:
    """The last two dims of an array as rows and columns, the others as the batch."""
    strides = [s // array.itemsize for s in array.strides]
    return Matrix(
        BufferRef(operand), strides[-2], strides[-1], tuple(0 if n == 1 else s for n, s in zip(array.shape[:-2], strides, strict=False))
    )


def random(shape: tuple[int, ...], dtype: str, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if dtype.startswith(("int", "uint", "bool")):
        return rng.integers(0, 2 if dtype == "bool" else 100, shape).astype(dtype)
    return rng.standard_normal(shape).astype(NUMPY.get(dtype, dtype))


def multiply(a: np.ndarray, b: np.ndarray, dtype: str, machine: Machine | None = None, pieces: int = 1) -> np.ndarray:
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    c = np.zeros((*batch, a.shape[-2], b.shape[-1]), a.dtype)
    c[...] = 77
    views = [matrix(np.broadcast_to(x, (*batch, *x.shape[-2:])), i) for i, x in enumerate((a, b, c))]
    run(plan_gemm(GemmSpec(dtype), a.shape[-2], b.shape[-1], a.shape[-1], *views, batch=batch, machine=machine), a, b, c, pieces=pieces)
    return c


def close(got: np.ndarray, a: np.ndarray, b: np.ndarray, dtype: str) -> None:
    if got.dtype.kind in "iu":
        np.testing.assert_array_equal(got, a @ b)
        return
    want = a.astype(np.float64) @ b.astype(np.float64)
    bound = np.abs(a).astype(np.float64) @ np.abs(b).astype(np.float64)
    assert np.all(np.abs(got.astype(np.float64) - want) <= TOLERANCE[dtype] * (bound + 1e-30))


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16", "int32"])
@pytest.mark.parametrize("layout", ["NN", "NT", "TN", "TT"])
def test_sizes_around_the_edges(dtype: str, layout: str) -> None:
    for m, n, k in (
        itertools.product(SIZES, SIZES, SIZES) if dtype == "float32" else itertools.product((1, 6, 17), (1, 16, 17, 40), (0, 7, 33))
    ):
        a = random((m, k), dtype) if layout[0] == "N" else random((k, m), dtype).T
        b = random((k, n), dtype, 1) if layout[1] == "N" else random((n, k), dtype, 1).T
        close(multiply(a, b, dtype), a, b, dtype)


@pytest.mark.parametrize("dtype", ["int8", "int16", "uint8", "int64", "float64", "bool"])
def test_dtypes(dtype: str) -> None:
    for m, n, k in ((7, 33, 300), (1, 40, 9), (40, 1, 9), (13, 5, 64)):
        a, b = random((m, k), dtype), random((k, n), dtype, 1)
        if dtype == "bool":
            np.testing.assert_array_equal(multiply(a, b, dtype), a @ b)
        else:
            close(multiply(a, b, dtype), a, b, dtype)


@pytest.mark.parametrize("m, n, k", [(200, 130, 1000), (70, 600, 400), (1, 3000, 50), (1, 50, 3000), (900, 1, 700), (300, 300, 1)])
def test_larger_than_every_block(m: int, n: int, k: int) -> None:
    small = Machine(l1_bytes=8 << 10, l2_bytes=32 << 10, threads=4)
    for machine in (None, small):
        a, b = random((m, k), "float32"), random((k, n), "float32", 1)
        close(multiply(a, b, "float32", machine), a, b, "float32")
        close(multiply(a, random((n, k), "float32", 1).T, "float32", machine), a, random((n, k), "float32", 1).T, "float32")


def test_strided_views() -> None:
    base = random((60, 90), "float32")
    a, b = base[::2, ::3], random((90, 80), "float32", 1)[1:61:2, ::4]
    close(multiply(a, b, "float32"), a, b, "float32")
    row = base[3:4, ::3]
    close(multiply(row, b, "float32"), row, b, "float32")
    flipped = b[:, ::-1]
    c = np.zeros((30, 20), np.float32)
    view = Matrix(BufferRef(1, (flipped.__array_interface__["data"][0] - b.__array_interface__["data"][0])), b.strides[0] // 4, -4)
    run(plan_gemm(GemmSpec("float32"), 30, 20, 30, matrix(a, 0), view, matrix(c, 2)), a, b, c)
    close(c, a, flipped, "float32")


@pytest.mark.parametrize(
    "shapes",
    [((4, 5, 6), (4, 6, 7)), ((3, 1, 9, 20), (1, 4, 20, 17)), ((2, 3, 8, 10), (10, 33)), ((0, 3, 4), (0, 4, 2)), ((5, 1, 30), (5, 30, 40))],
)
def test_batches(shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    a, b = random(shapes[0], "float32"), random(shapes[1], "float32", 1)
    np.testing.assert_allclose(multiply(a, b, "float32"), a @ b, rtol=1e-5, atol=1e-5)


def test_attention_heads_without_copies() -> None:
    q, k = random((2, 10, 3, 16), "float32"), random((2, 12, 3, 16), "float32", 1)
    a, b = q.transpose(0, 2, 1, 3), k.transpose(0, 2, 3, 1)
    np.testing.assert_allclose(multiply(a, b, "float32"), a @ b, rtol=1e-5, atol=1e-5)


def test_too_many_batch_dims_are_refused() -> None:
    a = random((2, 3, 2, 3, 4, 5), "float32").transpose(3, 2, 1, 0, 4, 5)
    with pytest.raises(ValueError, match="make an operand contiguous"):
        multiply(a, random((3, 2, 3, 2, 5, 6), "float32", 1), "float32")


@pytest.mark.parametrize("m, n, k", [(64, 130, 300), (1, 500, 64), (500, 1, 64), (333, 40, 700)])
def test_bits_do_not_depend_on_ranges_or_threads(m: int, n: int, k: int) -> None:
    a, b = random((m, k), "float32"), random((k, n), "float32", 1)
    want = multiply(a, b, "float32", Machine(threads=1))
    for threads, pieces in ((2, 2), (4, 3), (8, 100)):
        np.testing.assert_array_equal(multiply(a, b, "float32", Machine(threads=threads), pieces), want)


def bias_relu(dtype: str) -> Epilogue:
    operands = (EpilogueOperand(dtype, "zero", "unit"), EpilogueOperand(dtype, "stride", "unit"))
    return Epilogue((Instr("add", (0, 1), dtype), Instr("relu", (3,), dtype), Instr("add", (4, 2), dtype)), operands, dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("m, n, k", [(7, 21, 5), (64, 128, 784), (1, 40, 30), (40, 1, 30), (12, 32, 0)])
def test_epilogue_gives_the_bits_of_separate_steps(dtype: str, m: int, n: int, k: int) -> None:
    a, b, bias, skip = random((m, k), dtype), random((k, n), dtype, 1), random((n,), dtype, 2), random((m, n), dtype, 3)
    plain = multiply(a, b, dtype)
    operands = [Matrix(BufferRef(3), 0, 1), Matrix(BufferRef(4), n, 1)]
    for machine in (Machine(), Machine(l1_bytes=4096, l2_bytes=16384, threads=3)):
        got, plain = np.zeros_like(plain), multiply(a, b, dtype, machine)
        run(
            plan_gemm(GemmSpec(dtype, bias_relu(dtype)), m, n, k, matrix(a, 0), matrix(b, 1), matrix(got, 2), operands, machine=machine),
            a,
            b,
            got,
            bias,
            skip,
        )
        np.testing.assert_array_equal(got, np.maximum(plain + bias, 0) + skip)


def test_accumulating_into_the_output() -> None:
    a, b, c = random((20, 30), "float32"), random((30, 25), "float32", 1), random((20, 25), "float32", 2)
    add = Epilogue((Instr("add", (0, 1), "float32"),), (EpilogueOperand("float32"),), "float32")
    want = multiply(a, b, "float32") + c
    run(plan_gemm(GemmSpec("float32", add), 20, 25, 30, matrix(a, 0), matrix(b, 1), matrix(c, 2), [matrix(c, 2)]), a, b, c)
    np.testing.assert_array_equal(c, want)


def test_second_output_mask_and_other_dtype() -> None:
    operands = (EpilogueOperand("bool"), EpilogueOperand("float32", "stride", "zero"))
    instrs = (
        Instr("const", (), "float32", (0.0,)),
        Instr("gt", (0, 3), "bool"),
        Instr("mul", (0, 2), "float32"),
        Instr("cast", (5,), "float64"),
    )
    spec = GemmSpec("float32", Epilogue(instrs, operands, "float64", stores=((4, 0),)))
    a, b, scale = random((9, 30), "float32"), random((30, 25), "float32", 1), random((9, 1), "float32", 2)
    mask, c = np.zeros((9, 25), np.uint8), np.zeros((9, 25))
    run(
        plan_gemm(spec, 9, 25, 30, matrix(a, 0), matrix(b, 1), matrix(c, 2), [matrix(mask, 3), Matrix(BufferRef(4), 1, 0)]),
        a,
        b,
        c,
        mask,
        scale,
    )
    plain = multiply(a, b, "float32")
    np.testing.assert_array_equal(mask, plain > 0)
    np.testing.assert_array_equal(c, (plain * scale).astype(np.float64))


def test_nan_and_infinity_pass_through() -> None:
    a, b = random((8, 20), "float32"), random((20, 18), "float32", 1)
    a[2, 3], b[5, 7] = np.inf, np.nan
    got = multiply(a, b, "float32")
    with np.errstate(invalid="ignore"):
        want = a @ b
    np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
    np.testing.assert_array_equal(np.isinf(got), np.isinf(want))


def test_keys_names_and_estimates() -> None:
    def plan(m: int, threads: int = 1) -> list[KernelCall]:
        return plan_gemm(
            GemmSpec("float32"),
            m,
            32,
            64,
            Matrix(BufferRef(0), 64, 1),
            Matrix(BufferRef(1), 32, 1),
            Matrix(BufferRef(2), 32, 1),
            machine=Machine(threads=threads),
        )

    small, large = plan(8), plan(4000)
    assert small[-1].kernel == large[-1].kernel and small[-1].kernel.name == large[-1].kernel.name, "sizes are not part of the key"
    assert flops(large) == 2 * 4000 * 32 * 64
    assert traffic(large) >= 4 * (4000 * 64 + 64 * 32 + 4000 * 32)
    assert Prepared(small, [np.zeros(8 * 64, np.float32), np.zeros(64 * 32, np.float32), np.zeros(8 * 32, np.float32)]).steps
