"""Every op record batched: what the rules record for three examples at once is what the op gives for each of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import monograph.linalg
import monograph.special  # noqa: F401 - fills the vocabulary
from monograph.autodiff.batching import Batch
from monograph.core.dtype import from_numpy
from monograph.core.modes import MODES
from monograph.graph.node import Node, record
from monograph.graph.op import REGISTRY, Family, OpDef, Sample
from monograph.ops import source
from monograph.targets.reference import run

SIZE = 3
LEFT_OUT = ("source", "scalar", "project", "custom_function", "leaf")
# Ops whose rules need not cover every case: there the examples are computed one by one.
MAY_LOOP = {
    "scatter",
    "scatter_add",
    "scatter_reduce",
    "gather",
    "sort",
    "topk",
    "cummax",
    "cummin",
    "index_add",
    "index_select",
    "ldl_solve",
}


@pytest.fixture(autouse=True)
def _off_the_tape() -> Iterator[None]:
    before, MODES.grad = MODES.grad, False
    yield
    MODES.grad = before
    MODES.pending.clear()


def fits(sample: Sample) -> bool:
    return sample.error is None and bool(sample.inputs) and all(np.asarray(x).dtype.kind in "fiub" for x in sample.inputs)


OPS = [
    op
    for op in REGISTRY.values()
    if op.family is not Family.RANDOM and op.name not in LEFT_OUT and op.infer.__module__.startswith("monograph.ops")
]


def varied(a: np.ndarray, i: int) -> np.ndarray:
    """The i-th example: other values of the same kind, indices among those that are valid."""
    if i and a.dtype.kind == "f" and a.size and np.isfinite(a.astype(np.float32)).all():
        return (a * (1 + (0.01 if a.dtype.itemsize == 2 else 0.0003) * i)).astype(a.dtype)  # small steps: 0.999 must stay below one
    return np.roll(a, i) if a.dtype.kind in "iu" and a.ndim else a


def compare(op: OpDef, sample: Sample, flags: tuple[bool, ...]) -> int:
    """Compares the batch with its examples; returns how many ops were computed one by one."""
    arrays = [np.asarray(x) for x in sample.inputs]
    inputs = [source.placeholder(a.shape, from_numpy(a.dtype)) for a in arrays]
    node = record(op, tuple(inputs), sample.attrs)
    outputs = [node] if node.dtype is not None else [source.project(node, index=i) for i in range(len(node.outputs))]
    batch, values = Batch(SIZE), dict[Node, Any]()
    for one, a, flag in zip(inputs, arrays, flags, strict=True):
        if flag:
            stack = np.stack([varied(a, i) for i in range(SIZE)])
            many = source.placeholder(stack.shape, one.dtype)
            values[many] = stack
            batch.place(one, many)
        else:
            values[one] = a
    loops = [0]
    plain = batch._one_by_one
    batch._one_by_one = lambda *a: (loops.__setitem__(0, loops[0] + 1), plain(*a))[1]  # type: ignore[method-assign]
    batch.run(outputs)
    results = []
    for o in outputs:
        new, flag = batch.value(o)
        value = run([new], values)[0]
        results.append(value if flag else np.broadcast_to(value, (SIZE, *value.shape)))
    for i in range(SIZE):
        own = {one: varied(a, i) if flag else a for one, a, flag in zip(inputs, arrays, flags, strict=True)}
        for result, expected in zip(results, run(outputs, own), strict=True):
            half = expected.dtype.itemsize == 2
            tolerance = 2e-2 if half else 1e-4 if expected.dtype == np.float32 else 1e-7
            kind = np.complex128 if expected.dtype.kind == "c" else np.float64
            np.testing.assert_allclose(result[i].astype(kind), expected.astype(kind), rtol=tolerance, atol=1e-2 if half else 1e-6)
    return loops[0]


@pytest.mark.parametrize("op", OPS, ids=lambda op: op.name)
def test_batched_record(op: OpDef) -> None:
    for sample in op.samples():
        if not fits(sample):
            continue
        n = len(sample.inputs)
        choices = {(True,) * n, *[tuple(i == j for j in range(n)) for i in range(n)]}
        for flags in sorted(choices):
            try:
                loops = compare(op, sample, flags)
            except IndexError:
                continue  # a rolled index is out of range: the op refuses it, batched or not
            assert not loops or op.name in MAY_LOOP, f"{op.name} has no rule for {flags}"
