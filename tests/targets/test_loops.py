"""Fused loop kernels against the NumPy interpreter, on random specs, sizes, strides and dtypes."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from monograph.targets.llvm.loop_reference import interpret, numpy_dtype
from monograph.targets.llvm.loop_spec import ELEMENT_BYTES, units
from tests.targets.loops_harness import Builder, run

FLOATS = ("float32", "float64", "float16", "bfloat16")
SIZES = (0, 1, 2, 7, 8, 9, 31, 33, 64, 65, 130, 1000)
LARGEST = 6000


def random_array(rng: random.Random, shape: Sequence[int], dtype: str) -> np.ndarray:
    """Small whole numbers (sums are exact in any order) in memory of any order, with gaps and reversed dims."""
    order = list(range(len(shape)))
    if rng.random() < 0.4:
        rng.shuffle(order)
    steps = [rng.choice((1, 1, 1, 2)) for _ in shape]
    big = [shape[d] * steps[d] for d in order]
    low = 0 if dtype in ("bool", "uint8") else -3
    data = np.array([rng.randint(low, 3) for _ in range(min(97, max(1, int(np.prod(big)))))])
    array = np.resize(data, big).astype(numpy_dtype(dtype)).transpose(np.argsort(order))
    if shape:
        array = array[tuple(slice(None, None, s) for s in steps)]
    flips = tuple(slice(None, None, -1 if rng.random() < 0.15 else 1) for _ in shape)
    return np.asarray(array[flips] if shape else array)


class RandomKernel:
    """A random spec with its arrays."""

    def __init__(self, seed: int) -> None:
        rng = self.rng = random.Random(seed)
        self.kept, self.reduced = rng.choice(
            [(1, 0), (2, 0), (3, 0), (4, 0), (0, 0), (0, 1), (1, 1), (1, 1), (2, 1), (1, 2), (2, 2), (0, 3), (3, 1)]
        )
        vector = rng.choice(["kept", "reduced"]) if self.reduced and self.kept else "reduced" if self.reduced else "kept"
        dims = self.kept + self.reduced
        sizes: list[int] = []
        for _ in range(dims):
            sizes.append(rng.choice([s for s in SIZES if int(np.prod([s, *sizes])) <= LARGEST and (s or rng.random() < 0.3)]))
        rng.shuffle(sizes)
        self.sizes = tuple(sizes)
        b = self.b = Builder(self.kept, self.reduced, vector, spill=rng.random() < 0.5)
        self.pool = rng.sample(sorted(ELEMENT_BYTES), 3)
        for _ in range(rng.randint(1, 3)):
            self.random_load()
        for _ in range(rng.randint(1, 8)):
            self.random_op()
        self.outputs = []
        values = [v for v, i in enumerate(b.instrs) if i.op not in ("store", "const")]
        for v in sorted(set(rng.sample(values, min(len(values), rng.randint(1, 3))) + [values[-1]])):
            self.random_store(v)
        self.spec = b.spec()

    def random_load(self) -> int:
        rng = self.rng
        row = self.reduced > 0 and rng.random() < 0.25
        shape = [1 if rng.random() < 0.2 and s else s for s in self.sizes[: self.kept if row else None]]
        return self.b.load(random_array(rng, shape, rng.choice(self.pool)), row)

    def typed(self, dtype: str) -> int:
        """A value of that dtype: one there is, or one that is cast."""
        rng, b = self.rng, self.b
        candidates = [v for v, i in enumerate(b.instrs) if i.dtype == dtype]
        if candidates and rng.random() < 0.9:
            return rng.choice(candidates)
        if rng.random() < 0.3:
            return b.const(rng.randint(0, 3), dtype)
        # A value outside a narrow type's range would be undefined in NumPy: only safe conversions.
        safe = [v for v, i in enumerate(b.instrs) if np.can_cast(numpy_dtype(i.dtype), numpy_dtype(dtype), "safe") or dtype == "bool"]
        return b.op("cast", rng.choice(safe), dtype=dtype) if safe else b.const(1, dtype)

    def random_op(self) -> None:
        rng, b = self.rng, self.b
        choice = rng.random()
        dtype = rng.choice(self.pool)
        if choice < 0.08 and self.sizes:
            b.add("index", (), "int64", rng.randrange(len(self.sizes)))
        elif choice < 0.4 and self.reduced:
            v = self.typed(dtype)
            kind = rng.choice(["sum", "sum", "max", "min", "any", "all", "argmax", "argmin", "prod"])
            if kind in ("max", "min") and 0 in self.sizes[self.kept :]:
                kind = "sum"
            out = {"any": "bool", "all": "bool", "argmax": "int64", "argmin": "int64"}.get(kind, dtype)
            if kind in ("sum", "prod") and dtype not in FLOATS:
                out = "int64"
            if kind == "prod" and dtype in FLOATS:
                v = b.op("cast", b.op("ne", v, b.const(0, dtype), dtype="bool"), dtype=dtype)
            b.reduce(kind, v, out)
        elif choice < 0.5:
            self.random_load()
        elif choice < 0.6:
            b.op("where", self.typed("bool"), self.typed(dtype), self.typed(dtype), dtype=dtype)
        elif choice < 0.7:
            b.op(rng.choice(["lt", "ge", "eq", "ne"]), self.typed(dtype), self.typed(dtype), dtype="bool")
        elif choice < 0.75:
            b.op("abs", self.typed("float32"))
        else:
            kinds = ["maximum", "minimum"] if dtype == "bool" else ["add", "sub", "maximum", "minimum"]
            b.op(rng.choice(kinds), self.typed(dtype), self.typed(dtype))

    def random_store(self, v: int) -> None:
        rng, b = self.rng, self.b
        full = self.full(v)
        spread = bool(self.reduced) and not full and rng.random() < 0.2
        row = not full and not spread
        shape = self.sizes[: self.kept] if row else self.sizes
        out = random_array(rng, shape, b.instrs[v].dtype)
        b.store(v, out, row, full=spread)
        self.outputs.append(len(b.operands) - 1)

    def full(self, v: int) -> bool:
        i = self.b.instrs[v]
        if i.op == "reduce" or i.op == "const":
            return not self.reduced
        if i.op == "load":
            return "row" not in i.attrs
        if i.op == "index":
            return i.attrs[0] >= self.kept or not self.reduced
        return any(self.full(a) for a in i.args) or not self.reduced

    def results(
        self, cuts: Sequence[int] = (), vector_bytes: int = 32, reference: bool = False, stream: bool = False, off: int | None = None
    ) -> list[np.ndarray]:
        """Runs on fresh copies of the outputs, which begin `off` bytes beside a multiple of 64 (None: anywhere)."""
        memory = list(self.b.memory)
        for o in self.outputs:
            array, strides, extras = memory[o]
            # the same strides, in a block of memory of its own
            span = sum(max(0, (n - 1)) * abs(s) for n, s in zip(array.shape, array.strides, strict=True)) + array.itemsize
            below = sum(max(0, (n - 1)) * -s for n, s in zip(array.shape, array.strides, strict=True) if s < 0)
            raw = np.full(span + 128, 0x33, np.uint8)
            if off is not None:
                below += -(raw.ctypes.data + below) % 64 + off
            memory[o] = (np.ndarray(array.shape, array.dtype, raw.data, below, array.strides), strides, extras)
        if reference:
            interpret(self.spec, self.sizes, memory)
        else:
            run(replace(self.spec, stream=stream), self.sizes, memory, cuts, vector_bytes)
        return [memory[o][0] for o in self.outputs]


def assert_same(got: np.ndarray, expected: np.ndarray) -> None:
    if got.dtype.kind in "iub":
        np.testing.assert_array_equal(got, expected)
    else:
        tolerance = {2: 1e-2, 4: 1e-5, 8: 1e-12}[got.dtype.itemsize]
        np.testing.assert_allclose(got.astype(np.float64), expected.astype(np.float64), rtol=tolerance, atol=0)


@settings(max_examples=120)
@given(seed=st.integers(0, 10**6))
def test_random_kernels_match_the_interpreter(seed: int) -> None:
    kernel = RandomKernel(seed)
    expected = kernel.results(reference=True)
    whole = kernel.results()
    for got, right in zip(whole, expected, strict=True):
        assert_same(got, right)
    count = units(kernel.spec, kernel.sizes)
    cuts = [random.Random(seed).randint(0, count) for _ in range(3)]
    for got, once in zip(kernel.results(cuts), whole, strict=True):
        assert got.tobytes() == once.tobytes(), "the division of units shows in the result"


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), off=st.sampled_from([0, 0, 32, 16, 8]))
def test_storing_past_the_caches_changes_no_result(seed: int, off: int) -> None:
    kernel = RandomKernel(seed)
    cuts = [random.Random(seed).randint(0, units(kernel.spec, kernel.sizes)) for _ in range(2)]
    for got, usual in zip(kernel.results(cuts, stream=True, off=off), kernel.results(), strict=True):
        assert got.tobytes() == usual.tobytes()


@settings(max_examples=40)
@given(seed=st.integers(10**6, 2 * 10**6), vector_bytes=st.sampled_from([16, 64]))
def test_the_width_of_the_vectors_does_not_show(seed: int, vector_bytes: int) -> None:
    kernel = RandomKernel(seed)
    for got, usual in zip(kernel.results(vector_bytes=vector_bytes), kernel.results(), strict=True):
        assert got.tobytes() == usual.tobytes()
