"""Every op record through the compiler: the CPU's plan gives what the reference gives."""

from __future__ import annotations

import numpy as np
import pytest

import monograph.tensor  # noqa: F401 - fills the vocabulary
from monograph.core import dtype as dtypes
from monograph.graph.node import Node, record
from monograph.graph.op import REGISTRY, OpDef, Sample
from monograph.ops import source
from monograph.runtime.buffers import Buffer
from monograph.targets import reference
from monograph.targets.cpu.plan import CpuPlan


def good_samples() -> list[tuple[OpDef, Sample]]:
    return [(op, s) for op in REGISTRY.values() if op is not source.scalar for s in op.samples() if s.error is None]


CASES = good_samples()


def build(op: OpDef, sample: Sample, dtype: np.dtype | None = None) -> tuple[list[Node], list[np.ndarray], list[Node]]:
    arrays = [np.asarray(x) for x in sample.inputs]
    if dtype is not None:
        arrays = [a.astype(dtype) if a.dtype.kind == "f" else a for a in arrays]
    nodes = [source.placeholder(a.shape, dtypes.from_numpy(a.dtype)) for a in arrays]
    node = record(op, tuple(nodes), sample.attrs)
    outputs = [node] if node.dtype is not None else [source.project(node, index=i) for i in range(len(node.shape))]
    return nodes, arrays, outputs


def buffer_of(array: np.ndarray) -> Buffer:
    buffer = Buffer(max(1, array.nbytes))
    buffer.array(array.shape, array.dtype)[...] = array
    return buffer


def check(op: OpDef, sample: Sample, dtype: np.dtype | None, rtol: float, atol: float) -> None:
    nodes, arrays, outputs = build(op, sample, dtype)
    expected = reference.run(outputs, dict(zip(nodes, arrays, strict=True)))
    plan = CpuPlan(nodes, [], outputs)
    results = plan.run([buffer_of(a) for a in arrays], [])
    for node, buffer, want in zip(outputs, results, expected, strict=True):
        got = buffer.array(node.shape, node.dtype.np)
        if node.dtype.kind in "fc":
            np.testing.assert_allclose(got.astype(np.complex128 if node.dtype.kind == "c" else np.float64), want, rtol=rtol, atol=atol)
        else:
            np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("case", range(len(CASES)), ids=[f"{op.name}-{i}" for i, (op, _) in enumerate(CASES)])
def test_native_equals_reference(case: int) -> None:
    op, sample = CASES[case]
    check(op, sample, None, rtol=max(2e-5, sample.tolerance), atol=max(1e-6, sample.tolerance))
