"""Reductions in loop kernels: multi-pass expressions, order of accumulation, precision, NaN, empty domains."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from monograph.targets.llvm.loop_passes import passes_of
from monograph.targets.llvm.loop_reference import numpy_dtype
from monograph.targets.llvm.loop_spec import may_share, scratch_bytes, units
from tests.targets.loops_harness import Builder, run, text_of

KINDS = ("sum", "prod", "max", "min", "any", "all", "argmax", "argmin")
LAYOUTS = ("reduced", "kept")


def normal(*shape: int, dtype: str = "float32", seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(numpy_dtype(dtype))


def arranged(x: np.ndarray, vector: str) -> np.ndarray:
    """The same values with the vector axis adjacent in memory."""
    return np.ascontiguousarray(x.T).T if vector == "kept" else x


def softmax(x: np.ndarray, vector: str, spill: bool) -> tuple[Builder, np.ndarray]:
    b = Builder(1, 1, vector, spill)
    v = b.load(x)
    e = b.op("exp", b.op("sub", v, b.reduce("max", v)))
    out = np.full_like(x, -1)
    b.store(b.op("div", e, b.reduce("sum", e)), out)
    return b, out


@pytest.mark.parametrize("vector", LAYOUTS)
@pytest.mark.parametrize("shape", [(1, 1), (3, 10), (70, 33), (5, 1000), (65, 64), (64, 5000)])
@pytest.mark.parametrize("spill", [False, True])
def test_softmax(vector: str, shape: tuple[int, int], spill: bool) -> None:
    x = arranged(normal(*shape) * 5, vector)
    b, out = softmax(x, vector, spill)
    spec = b.spec()
    if shape != (1, 1):  # of a single element, the harness makes a broadcast scalar: nothing to spill
        assert bool(passes_of(spec).spilled) == spill
        assert (scratch_bytes(spec, shape) > 0) == spill
    run(spec, shape, b.memory)
    exact = np.exp(x.astype(np.float64) - x.max(1, keepdims=True))
    np.testing.assert_allclose(out, exact / exact.sum(1, keepdims=True), rtol=2e-5, atol=1e-12)
    again, second = softmax(x, vector, not spill)
    run(again.spec(), shape, again.memory)
    assert out.tobytes() == second.tobytes(), "spilling shows in the result"


@pytest.mark.parametrize("vector", LAYOUTS)
def test_variance_and_normalisation_in_one_kernel(vector: str) -> None:
    shape = (66, 41)
    x = arranged(normal(*shape), vector)
    weight, bias, out, mean_out = normal(66, seed=1), normal(66, seed=2), np.zeros_like(x), np.zeros(66, np.float32)
    b = Builder(1, 1, vector)
    v = b.load(x)
    n = b.const(41.0, "float32")
    mean = b.op("div", b.reduce("sum", v), n)
    centred = b.op("sub", v, mean)
    variance = b.op("div", b.reduce("sum", b.op("mul", centred, centred)), n)
    scale = b.op("div", b.load(weight, row=True), b.op("sqrt", b.op("add", variance, b.const(1e-5, "float32"))))
    b.store(b.op("add", b.op("mul", centred, scale), b.load(bias, row=True)), out)
    b.store(mean, mean_out, row=True)
    run(b.spec(), shape, b.memory)
    wide = x.astype(np.float64)
    m = wide.mean(1, keepdims=True)
    expected = (wide - m) / np.sqrt(wide.var(1, keepdims=True) + 1e-5) * weight[:, None] + bias[:, None]
    np.testing.assert_allclose(out, expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(mean_out, m[:, 0], rtol=1e-4, atol=1e-6)


def sums(x: np.ndarray, vector: str, kept: int, company: str, vector_bytes: int = 32) -> np.ndarray:
    """Sums over the last dims, alone or fused with other things."""
    b = Builder(kept, x.ndim - kept, vector)
    v = b.load(x)
    out = np.zeros(x.shape[:kept], x.dtype)
    s = b.reduce("sum", v)
    extra: list[int] = []
    if company == "other reductions":
        extra = [b.reduce("max", v), b.reduce("argmin", v, "int64"), b.reduce("sum", b.op("mul", v, v))]
    elif company == "other widths":
        wide = b.op("cast", v, dtype="float64")
        extra = [b.op("cast", b.reduce("sum", wide), dtype="float32")]
    elif company == "heavy":
        w = v
        for _ in range(6):
            w = b.op("exp", b.op("neg", b.op("abs", w)))
        extra = [b.reduce("sum", w)]
    elif company == "a store":
        b.store(b.op("add", v, v), np.zeros_like(x))
    for e in extra:
        b.store(e, np.zeros(x.shape[:kept], numpy_dtype(b.instrs[e].dtype)), row=True)
    b.store(s, out, row=True)
    if company == "heavy" and vector == "reduced":
        assert "alloca" in text_of(b.spec()), "meant to reach the loop with partial results in memory"
    run(b.spec(), x.shape, b.memory, vector_bytes=vector_bytes)
    return out


@pytest.mark.parametrize("vector", LAYOUTS)
@pytest.mark.parametrize("shape", [(3, 7), (3, 45), (70, 1000), (2, 3, 77), (2, 9, 5000)])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16"])
def test_a_sum_has_the_same_bits_alone_and_fused(vector: str, shape: tuple[int, ...], dtype: str) -> None:
    x = normal(*shape, dtype=dtype)
    alone = sums(x, vector, 1, "")
    companies = ["other reductions", "a store"] + (["other widths", "heavy"] if dtype == "float32" else [])
    for company in companies:
        assert sums(x, vector, 1, company).tobytes() == alone.tobytes(), company
    for vector_bytes in (16, 64):
        assert sums(x, vector, 1, "", vector_bytes).tobytes() == alone.tobytes(), f"{vector_bytes}-byte vectors"
    exact = x.astype(np.float64).reshape(shape[0], -1).sum(1)
    magnitude = np.abs(x.astype(np.float64)).reshape(shape[0], -1).sum(1)
    assert (np.abs(alone.astype(np.float64) - exact) <= magnitude * {2: 5e-3, 4: 2e-7, 8: 1e-15}[x.dtype.itemsize]).all()


@pytest.mark.parametrize("vector", LAYOUTS)
def test_long_sums_stay_precise(vector: str) -> None:
    x = np.full((1, 3_000_001), 0.1, np.float32)
    assert sums(x, vector, 1, "")[0] == pytest.approx(300000.1, rel=5e-5)


def test_column_sums_do_not_depend_on_the_position_of_a_column() -> None:
    column = normal(500)
    x = np.repeat(column[None], 131, 0)
    bits = {s.tobytes() for s in sums(arranged(x, "kept"), "kept", 1, "")}
    assert len(bits) == 1


@pytest.mark.parametrize("vector", LAYOUTS)
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16", "int8", "uint8", "int16", "int32", "int64", "bool"])
def test_every_kind_in_every_dtype(vector: str, dtype: str) -> None:
    rng = np.random.default_rng(3)
    x = rng.integers(0 if dtype in ("uint8", "bool") else -2, 3, (67, 45))
    x = arranged(x.astype(numpy_dtype(dtype)), vector)
    b = Builder(1, 1, vector)
    v = b.load(x)
    wide = x.astype(np.float64)
    expected = {}
    for kind in KINDS:
        out_dtype = {"any": "bool", "all": "bool", "argmax": "int64", "argmin": "int64"}.get(kind, dtype)
        if kind in ("sum", "prod") and not dtype.startswith(("float", "bfloat")):
            out_dtype = "int64"
        out = np.zeros(67, numpy_dtype(out_dtype))
        b.store(b.reduce(kind, v, out_dtype), out, row=True)
        expected[kind] = out, getattr(np, kind)(wide, axis=1)
    run(b.spec(), x.shape, b.memory)
    for kind, (out, right) in expected.items():
        np.testing.assert_array_equal(out.astype(np.float64), right.astype(out.dtype).astype(np.float64), err_msg=kind)


@pytest.mark.parametrize("vector", LAYOUTS)
@pytest.mark.parametrize("size", [1, 7, 8, 40, 100])
def test_nan_and_infinities(vector: str, size: int) -> None:
    rows = []
    for at in {0, size // 2, size - 1}:
        row = normal(size)
        row[at] = np.nan
        rows.append(row)
    rows += [np.full(size, -np.inf), np.full(size, np.inf), np.full(size, np.nan)]
    x = arranged(np.array(rows, np.float32), vector)
    b = Builder(1, 1, vector)
    v = b.load(x)
    outs = {}
    for kind in ("max", "min", "argmax", "argmin", "sum"):
        outs[kind] = np.zeros(len(x), np.int64 if kind.startswith("arg") else np.float32)
        b.store(b.reduce(kind, v, "int64" if kind.startswith("arg") else None), outs[kind], row=True)
    run(b.spec(), x.shape, b.memory)
    for kind, out in outs.items():
        if kind != "sum":
            np.testing.assert_array_equal(out, getattr(np, kind)(x, axis=1), err_msg=kind)
    assert (np.isfinite(outs["sum"]) == np.isfinite(x).all(1)).all()


@pytest.mark.parametrize("vector", LAYOUTS)
def test_arguments_are_flat_within_the_reduced_dims_and_first(vector: str) -> None:
    x = np.random.default_rng(0).integers(0, 4, (9, 5, 11)).astype(np.float32)
    b = Builder(1, 2, vector)
    v = b.load(x)
    high, low = np.zeros(9, np.int64), np.zeros(9, np.int64)
    b.store(b.reduce("argmax", v, "int64"), high, row=True)
    b.store(b.reduce("argmin", v, "int64"), low, row=True)
    run(b.spec(), x.shape, b.memory)
    np.testing.assert_array_equal(high, x.reshape(9, -1).argmax(1))
    np.testing.assert_array_equal(low, x.reshape(9, -1).argmin(1))


@pytest.mark.parametrize("vector", LAYOUTS)
@pytest.mark.parametrize("sizes", [(3, 0), (0, 3), (3, 0, 4), (3, 4, 0)])
def test_empty_domains(vector: str, sizes: tuple[int, ...]) -> None:
    b = Builder(1, len(sizes) - 1, vector)
    x = b.load(np.zeros((1,) * len(sizes), np.float32) if 0 in sizes[1:] else np.zeros(sizes, np.float32))
    outs = {kind: np.full(sizes[0], 7, np.bool_ if kind in ("any", "all") else np.float32) for kind in ("sum", "prod", "any", "all")}
    for kind, out in outs.items():
        b.store(b.reduce(kind, x, "bool" if kind in ("any", "all") else None), out, row=True)
    run(b.spec(), sizes, b.memory)
    for kind, out in outs.items():
        np.testing.assert_array_equal(out, np.full(sizes[0], {"sum": 0, "prod": 1, "any": 0, "all": 1}[kind], out.dtype))


@pytest.mark.parametrize("vector", LAYOUTS)
def test_the_division_of_units_does_not_show(vector: str) -> None:
    shape = (3, 200, 77)
    x = normal(*shape)
    results = set()
    for cuts in ((), (1,), (2, 5), (1, 2, 3, 4, 5, 6, 7, 8, 100, 101)):
        b = Builder(2, 1, vector)
        v = b.load(x)
        out = np.zeros(shape, np.float32)
        b.store(b.op("sub", v, b.reduce("sum", v)), out)
        run(b.spec(), shape, b.memory, cuts)
        results.add(out.tobytes())
    assert len(results) == 1


def test_maps_cut_anywhere_give_the_same_bits() -> None:
    x = normal(301)
    results = set()
    for cuts in ((), *pairwise((1, 2, 7, 8, 65, 130, 300))):
        b = Builder(1)
        out = np.zeros_like(x)
        b.store(b.op("exp", b.op("mul", b.load(x), b.const(0.3, "float32"))), out)
        run(b.spec(), (301,), b.memory, cuts)
        results.add(out.tobytes())
    assert len(results) == 1


def test_which_operands_may_share_memory() -> None:
    x = normal(9, 100)
    b = Builder(1, 1, "reduced")
    v = b.load(x)
    b.store(b.op("add", v, v), np.zeros_like(x))
    b.store(b.op("sub", v, b.reduce("max", v)), np.zeros_like(x))
    b.store(b.op("sub", b.load(normal(9), row=True), b.reduce("max", v)), np.zeros(9, np.float32), row=True)
    spec = b.spec()
    assert not may_share(spec, 1, 0), "the second pass reads what the first has overwritten"
    assert may_share(spec, 2, 0)
    assert not may_share(spec, 4, 0)
    assert may_share(spec, 4, 3)


def test_in_place() -> None:
    x = normal(9, 100)
    expected = x - x.max(1, keepdims=True)
    b = Builder(1, 1, "reduced")
    v = b.load(x)
    b.store(b.op("sub", v, b.reduce("max", v)), x)
    assert may_share(b.spec(), 1, 0)
    run(b.spec(), x.shape, b.memory)
    np.testing.assert_array_equal(x, expected)


def test_units() -> None:
    x = normal(2, 130, 5)
    for vector, count in (("reduced", 260), ("kept", 6)):
        b = Builder(2, 1, vector)
        b.store(b.reduce("sum", b.load(x)), np.zeros((2, 130), np.float32), row=True)
        assert units(b.spec(), x.shape) == count


@pytest.mark.parametrize("vector", LAYOUTS)
def test_text_stays_small(vector: str) -> None:
    b, _ = softmax(normal(4, 4), vector, False)
    assert text_of(b.spec()).count("\n") < 1500
