"""Indexed access in loop kernels: gather, scatter, their checks, and what specs are refused."""

from __future__ import annotations

import numpy as np
import pytest

from monograph.targets.llvm.loop_reference import interpret, numpy_dtype
from monograph.targets.llvm.loop_spec import Instr, LoopKernel, Operand, arg_words, units
from tests.targets.loops_harness import Builder, run, text_of

DTYPES = ("float32", "float64", "float16", "bfloat16", "int8", "int64", "bool")


def numbers(shape: tuple[int, ...], dtype: str = "float32") -> np.ndarray:
    return (np.arange(int(np.prod(shape))) % 7 - 2).reshape(shape).astype(numpy_dtype(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_of_a_table(dtype: str) -> None:
    table, index = numbers((11, 37), dtype), np.array([[3], [-1], [0], [10], [-11]])
    out = np.zeros((5, 37), table.dtype)
    b = Builder(2)
    i = b.load(index)
    o = b.operand(table, strides=(0, table.strides[1]), extra=0)
    b.operands[o] = Operand(dtype, "unit", extra=1)
    b.memory[o] = (table, (0, table.strides[1]), ((table.strides[0], 11),))
    b.store(b.add("gather", (i,), dtype, o), out)
    assert run(b.spec(), out.shape, b.memory) == (0, 0)
    np.testing.assert_array_equal(out, table[index[:, 0]])


def gathered(vector: str, kept: int, sizes: tuple[int, ...], dtype: str, index: np.ndarray, second: np.ndarray) -> None:
    """A gather with two indices that change along all dims, stored whole and reduced."""
    table = numbers((5, 6), dtype)
    b = Builder(kept, len(sizes) - kept, vector)
    got = b.gather(table[(None,) * len(sizes)], b.load(index), b.load(second))
    out = np.zeros(sizes, table.dtype)
    b.store(got, out)
    if len(sizes) > kept and dtype in ("float32", "int64"):
        row = np.zeros(sizes[:kept], table.dtype)
        b.store(b.reduce("sum", got), row, row=True)
    error = run(b.spec(), sizes, b.memory)
    expected = [np.zeros_like(a) for a, _, _ in b.memory]
    copies = [(e if o.written else a, s, x) for e, o, (a, s, x) in zip(expected, b.operands, b.memory, strict=True)]
    errors: list[tuple[int, int]] = []
    interpret(b.spec(), sizes, copies, errors)
    for (a, _, _), (e, _, _), o in zip(b.memory, copies, b.operands, strict=True):
        if o.written:
            np.testing.assert_array_equal(a, e)
    assert error == (0, 0) if not errors else error in errors


@pytest.mark.parametrize(
    "vector,kept,sizes", [("kept", 1, (100,)), ("kept", 2, (3, 45)), ("reduced", 1, (4, 45)), ("kept", 1, (70, 9)), ("kept", 2, (2, 10, 3))]
)
@pytest.mark.parametrize("dtype", DTYPES)
def test_gather_with_changing_indices(vector: str, kept: int, sizes: tuple[int, ...], dtype: str) -> None:
    rng = np.random.default_rng(0)
    gathered(vector, kept, sizes, dtype, rng.integers(-5, 5, sizes), rng.integers(-6, 6, sizes))


@pytest.mark.parametrize("vector,kept,sizes", [("kept", 1, (100,)), ("reduced", 1, (4, 45)), ("kept", 1, (70, 9))])
@pytest.mark.parametrize("wrong", [5, -6, 2**40, -(2**62)])
@pytest.mark.parametrize("place", [0, 13, -1])
def test_an_index_out_of_range_is_reported(vector: str, kept: int, sizes: tuple[int, ...], wrong: int, place: int) -> None:
    index = np.zeros(sizes, np.int64)
    index.flat[place] = wrong
    gathered(vector, kept, sizes, "float32", index, np.zeros(sizes, np.int64))


def test_the_ordinal_of_the_gather_is_reported() -> None:
    table, x = numbers((4,)), np.zeros(3, np.int64)
    b = Builder(1)
    good, bad = b.load(x), b.load(np.array([0, 9, 0]))
    first = b.gather(table[None], good)
    second = b.gather(table[None], bad)
    b.store(b.op("add", first, second), np.zeros(3, np.float32))
    assert run(b.spec(), (3,), b.memory) == (2, 9)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "bfloat16", "int32", "bool"])
@pytest.mark.parametrize("op", ["scatter", "scatter_add"])
def test_scatter_of_rows(op: str, dtype: str) -> None:
    """The gradient of an embedding: kept dim = features, reduced dim = tokens."""
    tokens, features = 50, 70
    grad, index = numbers((tokens, features), dtype), np.random.default_rng(0).integers(-11, 11, tokens)
    results = []
    for cuts in ((), (1,)):
        table = np.ones((11, features), grad.dtype)
        b = Builder(1, 1, "kept")
        v = b.load(grad.T)
        i = b.load(index[None, :])
        o = b.operand(table.T[:, :1], written=True)
        b.operands[o] = Operand(dtype, "unit", True, 1)
        b.memory[o] = (table, (table.strides[1], 0), ((table.strides[0], 11),))
        b.add(op, (v, i), dtype, o)
        assert run(b.spec(), (features, tokens), b.memory, cuts) == (0, 0)
        results.append(table)
    expected = np.ones((11, features), grad.dtype)
    for t in range(tokens):
        expected[index[t]] = grad[t] if op == "scatter" else expected[index[t]] + grad[t]
    for table in results:
        np.testing.assert_array_equal(table, expected)


@pytest.mark.parametrize("op", ["scatter", "scatter_add"])
def test_serial_scatter_with_collisions(op: str) -> None:
    n = 203
    x, index = numbers((n,)), np.random.default_rng(1).integers(0, 6, n)
    got, expected = np.zeros(6, np.float32), np.zeros(6, np.float32)
    b = Builder(0, 1, "reduced")
    b.scatter(op, b.load(x), got[None, :], b.load(index))
    spec = b.spec()
    assert units(spec, (n,)) == 1
    run(spec, (n,), b.memory)
    if op == "scatter":
        expected[index] = x
    else:
        np.add.at(expected, index, x)
    np.testing.assert_array_equal(got, expected)


def test_a_scatter_out_of_range_is_reported() -> None:
    got = np.zeros(4, np.float32)
    b = Builder(0, 1, "reduced")
    b.scatter("scatter_add", b.load(np.ones(10, np.float32)), got[None, :], b.load(np.full(10, 4)))
    assert run(b.spec(), (10,), b.memory) == (1, 4)


LOAD, STORE = Instr("load", (), "float32", (0,)), Instr("store", (0,), "float32", (1,))
TWO = (Operand("float32", "unit"), Operand("float32", "unit", True))


@pytest.mark.parametrize(
    "spec,message",
    [
        (LoopKernel(0, 0, "reduced", TWO, (LOAD, STORE)), "no axis to vectorise along"),
        (LoopKernel(0, 1, "kept", TWO, (LOAD, STORE)), "no axis to vectorise along"),
        (LoopKernel(1, 0, "kept", TWO, (LOAD, Instr("add", (0, 1), "float32"))), "arguments must be earlier values"),
        (LoopKernel(1, 0, "kept", TWO, (LOAD, Instr("reduce", (0,), "float32", ("sum",)))), "needs reduced dims"),
        (LoopKernel(1, 0, "kept", TWO, (Instr("index", (), "int64", (1,)),)), "there is no dim 1"),
        (LoopKernel(1, 0, "kept", TWO, (LOAD, Instr("store", (0,), "float32", (2,)))), "there is no operand 2"),
        (LoopKernel(1, 0, "kept", TWO, (Instr("load", (), "int8", (0,)),)), "the operand holds float32, the value is int8"),
        (LoopKernel(1, 0, "kept", TWO, (LOAD, Instr("store", (0,), "float32", (0,)))), "not marked as written"),
        (LoopKernel(1, 0, "kept", TWO, (LOAD, Instr("gather", (0,), "float32", (0,)))), "has 1 indices, operand 0 has 0 extra dims"),
    ],
)
def test_contradictions_are_refused(spec: LoopKernel, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        text_of(spec)


def test_argument_words_are_checked() -> None:
    spec = LoopKernel(1, 0, "kept", TWO, (LOAD, STORE))
    assert arg_words(spec, (5,), [("a", (4,), ()), ("b", (4,), ())]) == [5, "a", 4, "b", 4]
    with pytest.raises(ValueError, match="operands"):
        arg_words(spec, (5,), [("a", (4,), ())])
    with pytest.raises(ValueError, match="needs 1 strides"):
        arg_words(spec, (5,), [("a", (4, 4), ()), ("b", (4,), ())])
