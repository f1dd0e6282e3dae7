"""What the tests of op records share: the samples, nodes for them, and gradients compared with finite differences in float64."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from monograph import ops
from monograph.autodiff.vjp import gradients
from monograph.core.dtype import float16, from_numpy
from monograph.graph.node import Node, record
from monograph.graph.op import REGISTRY, OpDef, Sample
from monograph.ops.reference_math import HALVES
from monograph.ops.source import placeholder, project
from monograph.targets.reference import run

STEP = 1e-5

# All that the room `ops` defines (other rooms may define ops for their own use), and nothing else.
VOCABULARY = {name: op for name, op in REGISTRY.items() if op.infer.__module__.startswith(ops.__name__ + ".")}


def samples(good: bool) -> tuple[list[tuple[OpDef, Sample]], list[str]]:
    """The good or the bad samples of all ops, and their names."""
    cases = [(op, s, f"{op.name}-{k}") for op in VOCABULARY.values() for k, s in enumerate(op.samples()) if (s.error is None) == good]
    return [(op, s) for op, s, _ in cases], [name for *_, name in cases]


def inputs_of(sample: Sample) -> list[np.ndarray]:
    return [np.asarray(x) for x in sample.inputs]


def nodes_for(arrays: Sequence[np.ndarray], tracked: Sequence[int] = ()) -> list[Node]:
    """A placeholder for each array; those at the `tracked` positions take gradients."""
    nodes = [placeholder(a.shape, from_numpy(a.dtype)) for a in arrays]
    for k in tracked:
        nodes[k].requires_grad = True
    return nodes


def as_tuple(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def assert_equal(got: np.ndarray, expected: np.ndarray, message: str = "") -> None:
    """Equal values; NaN equals NaN, also in bfloat16, whose NaN NumPy does not know."""
    wide = [a.astype(np.float32) if a.dtype in HALVES else a for a in (got, expected)]
    np.testing.assert_array_equal(*wide, err_msg=message)


def assert_same(got: np.ndarray, expected: np.ndarray, tolerance: float) -> None:
    """Equal types, and values within the tolerance; half precision may differ by a rounding."""
    assert got.shape == expected.shape
    assert got.dtype == expected.dtype
    if expected.dtype in HALVES:
        tolerance = max(tolerance, 2e-3 if expected.dtype == float16.np else 1.6e-2)
        got, expected = got.astype(np.float32), expected.astype(np.float32)
    if expected.dtype.kind == "f":
        np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance * 0.1)
    else:
        np.testing.assert_array_equal(got, expected)


class GradientCase:
    """An op on float64 inputs, with a random covector for each of its floating outputs."""

    def __init__(self, op: OpDef, sample: Sample) -> None:
        rng = np.random.default_rng(3)
        self.sample = sample
        self.arrays = [x.astype(np.float64) if from_numpy(x.dtype).kind == "f" else x for x in inputs_of(sample)]
        wanted = sample.grad_inputs
        self.tracked = [k for k, x in enumerate(self.arrays) if x.dtype.kind == "f"] if wanted is None else list(wanted)
        self.nodes = nodes_for(self.arrays, self.tracked)
        node = record(op, tuple(self.nodes), sample.attrs)
        parts = [node] if node.dtype is not None else [project(node, index=k) for k in range(len(node.outputs))]
        self.outputs = [p for p in parts if p.dtype.kind == "f"]
        self.covectors = nodes_for([np.zeros(p.shape) for p in self.outputs], range(len(self.outputs)))
        self.values = {n: a for n, a in zip(self.nodes, self.arrays, strict=True)}
        self.values |= {c: rng.normal(size=c.shape) for c in self.covectors}
        self.rng = rng

    @property
    def applies(self) -> bool:
        return bool(self.tracked) and bool(self.outputs)

    def check(self, outputs: list[Node], covectors: list[Node], variables: list[Node]) -> list[Node | None]:
        """Compares the gradients of sum(outputs * covectors), along a random direction, with central differences; returns their nodes."""
        found = gradients(outputs, variables, covectors)
        for x, g in zip(variables, found, strict=True):
            direction = self.rng.normal(size=x.shape)
            expected = self._slope(outputs, covectors, x, direction)
            if g is None:
                slope = 0.0
            else:
                assert g.shape == x.shape
                assert g.dtype is x.dtype
                slope = float((run([g], self.values)[0] * direction).sum())
            np.testing.assert_allclose(slope, expected, rtol=max(self.sample.tolerance, 1e-5), atol=1e-6)
        return found

    def _slope(self, outputs: list[Node], covectors: list[Node], x: Node, direction: np.ndarray) -> float:
        def total(at: np.ndarray) -> float:
            values = {**self.values, x: at}
            return float(sum((a * values[c]).sum() for a, c in zip(run(outputs, values), covectors, strict=True)))

        middle = self.values[x]
        return (total(middle + STEP * direction) - total(middle - STEP * direction)) / (2 * STEP)

    def check_both_orders(self) -> None:
        variables = [self.nodes[k] for k in self.tracked]
        found = [g for g in self.check(self.outputs, self.covectors, variables) if g is not None and g.requires_grad]
        if found:
            second = nodes_for([np.zeros(g.shape) for g in found], range(len(found)))
            self.values |= {c: self.rng.normal(size=c.shape) for c in second}
            self.check(found, second, [*variables, *self.covectors])
