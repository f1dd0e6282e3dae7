"""What the tests of op records share: the samples, nodes for them, and gradients compared with finite differences in float64."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from monograph import ops
from monograph.autodiff.vjp import gradients
from monograph.core.dtype import float16, from_numpy
from monograph.core.errors import MonographError
from monograph.core.modes import MODES
from monograph.graph.node import Node, record
from monograph.graph.op import REGISTRY, OpDef, Sample
from monograph.ops.reference_math import HALVES
from monograph.ops.source import placeholder, project
from monograph.targets.reference import run

STEP = 1e-5

# All that the room `ops` defines (other rooms may define ops for their own use), and nothing else.
VOCABULARY = {name: op for name, op in REGISTRY.items() if op.infer.__module__.startswith(ops.__name__ + ".")}


def samples(good: bool, ops: Iterable[OpDef] = VOCABULARY.values()) -> tuple[list[tuple[OpDef, Sample]], list[str]]:
    """The good or the bad samples of ops, and their names; the good ones of float64 as complex numbers, too, where an op takes those.

    An op with complex samples of its own gets no others.
    """
    cases = []
    for op in ops:
        own = list(op.samples())
        cases += [(op, s, f"{op.name}-{k}") for k, s in enumerate(own) if (s.error is None) == good]
        if good and not any(np.iscomplexobj(x) for s in own if s.error is None for x in s.inputs):
            made = [(k, _as_complex(op, s)) for k, s in enumerate(own) if s.error is None]
            cases += [(op, s, f"{op.name}-complex-{k}") for k, s in made if s is not None]
    return [(op, s) for op, s, _ in cases], [name for *_, name in cases]


def _as_complex(op: OpDef, sample: Sample) -> Sample | None:
    """The sample with imaginary parts; None if it has no float64 inputs of ordinary size, or the op does not take complex numbers."""
    arrays = inputs_of(sample)
    real = [x for x in arrays if x.dtype.kind == "f" or x.dtype in HALVES]
    if not real or any(x.dtype != np.float64 or not np.all(np.abs(x) < 1e3) for x in real):
        return None
    rng = np.random.default_rng(17)
    turned = tuple(np.asarray(x + 1j * rng.uniform(0.2, 0.7, x.shape)) if x.dtype == np.float64 else x for x in arrays)
    try:
        record(op, tuple(nodes_for(turned)), sample.attrs)
    except (MonographError, TypeError):
        return None
    finally:
        MODES.pending.clear()
    return dataclasses.replace(sample, inputs=turned)


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
    if expected.dtype.kind in "fc":
        np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance * 0.1)
    else:
        np.testing.assert_array_equal(got, expected)


class GradientCase:
    """An op on float64 and complex128 inputs, with a random covector for each of its floating and complex outputs.

    The loss is Re(sum(conj(covector) * output)), whose slope along d is Re(sum(conj(gradient) * d)): torch's gradients of complex values.
    """

    def __init__(self, op: OpDef, sample: Sample) -> None:
        rng = np.random.default_rng(3)
        self.sample = sample
        self.arrays = [x.astype(np.float64) if from_numpy(x.dtype).kind == "f" else x for x in inputs_of(sample)]
        wanted = sample.grad_inputs
        self.tracked = [k for k, x in enumerate(self.arrays) if x.dtype.kind in "fc"] if wanted is None else list(wanted)
        self.nodes = nodes_for(self.arrays, self.tracked)
        node = record(op, tuple(self.nodes), sample.attrs)
        parts = [node] if node.dtype is not None else [project(node, index=k) for k in range(len(node.outputs))]
        self.rng = rng
        self.outputs = [p for p in parts if p.dtype.kind in "fc"]
        self.values = {n: a for n, a in zip(self.nodes, self.arrays, strict=True)}
        self.covectors = self._covectors(self.outputs)

    def _drawn(self, like: Node) -> np.ndarray:
        values = self.rng.normal(size=like.shape)
        return values + 1j * self.rng.normal(size=like.shape) if like.dtype.kind == "c" else values

    def _covectors(self, outputs: list[Node]) -> list[Node]:
        made = nodes_for([np.zeros(p.shape, p.dtype.np) for p in outputs], range(len(outputs)))
        self.values |= {c: np.asarray(self._drawn(c)) for c in made}
        return made

    @property
    def applies(self) -> bool:
        return bool(self.tracked) and bool(self.outputs)

    def check(self, outputs: list[Node], covectors: list[Node], variables: list[Node]) -> list[Node | None]:
        """Compares the gradients of sum(outputs * covectors), along a random direction, with central differences; returns their nodes."""
        found = gradients(outputs, variables, covectors)
        for x, g in zip(variables, found, strict=True):
            direction = self._drawn(x)
            expected = self._slope(outputs, covectors, x, direction)
            if g is None:
                slope = 0.0
            else:
                assert g.shape == x.shape
                assert g.dtype is x.dtype
                slope = float((np.conj(run([g], self.values)[0]) * direction).sum().real)
            np.testing.assert_allclose(slope, expected, rtol=max(self.sample.tolerance, 1e-5), atol=1e-6)
        return found

    def _slope(self, outputs: list[Node], covectors: list[Node], x: Node, direction: np.ndarray) -> float:
        def total(at: np.ndarray) -> float:
            values = {**self.values, x: at}
            return float(sum((a * np.conj(values[c])).sum().real for a, c in zip(run(outputs, values), covectors, strict=True)))

        middle = self.values[x]
        return (total(middle + STEP * direction) - total(middle - STEP * direction)) / (2 * STEP)

    def check_both_orders(self) -> None:
        variables = [self.nodes[k] for k in self.tracked]
        found = [g for g in self.check(self.outputs, self.covectors, variables) if g is not None and g.requires_grad]
        if found:
            second = self._covectors(found)
            self.check(found, second, [*variables, *self.covectors])
