"""What is computed op by op while samples are made is what a plan computes, to the last bit."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import numpy as np
import pytest

import monograph as mg
from monograph.core.dtype import from_numpy
from monograph.core.modes import MODES
from monograph.engine import evaluator
from monograph.engine.interpreting import EXACT
from monograph.graph.node import Node, record
from monograph.graph.op import OpDef
from monograph.ops import source
from monograph.runtime.buffers import Buffer


@contextlib.contextmanager
def sampling() -> Iterator[None]:
    MODES.now.sampling = True
    try:
        yield
    finally:
        MODES.now.sampling = False


def given(value: object) -> Node:
    array = np.ascontiguousarray(value).reshape(np.shape(value))
    return source.from_value(Buffer.from_array(array), array.shape, from_numpy(array.dtype))


def values(node: Node) -> np.ndarray:
    evaluator.evaluate([node])
    return node.value.array(node.shape, node.dtype.np)


@pytest.mark.parametrize("op", sorted(EXACT, key=lambda op: op.name), ids=lambda op: op.name)
def test_the_same_bits(op: OpDef) -> None:
    rng = np.random.default_rng(0)
    for sample in op.samples():
        inputs = [np.asarray(x) for x in sample.inputs]
        if sample.error is not None or any(x.dtype.kind == "c" for x in inputs):
            continue
        with np.errstate(all="ignore"):
            odd = rng.choice([np.nan, np.inf, -0.0, 1e30])
            hard = [np.where(rng.random(x.shape) < 0.1, odd, x).astype(x.dtype) if x.dtype.kind == "f" else x for x in inputs]
        for arrays in (inputs, hard):
            planned = values(record(op, tuple(given(x) for x in arrays), sample.attrs))
            with sampling():
                by_numpy = values(record(op, tuple(given(x) for x in arrays), sample.attrs))
            assert planned.dtype == by_numpy.dtype and planned.shape == by_numpy.shape
            same = planned.view(np.uint8) if planned.ndim else planned.reshape(1).view(np.uint8)
            other = by_numpy.view(np.uint8) if by_numpy.ndim else by_numpy.reshape(1).view(np.uint8)
            if planned.dtype.kind in "fV" and np.isnan(planned.astype(np.float64)).any():
                np.testing.assert_array_equal(planned.astype(np.float64), by_numpy.astype(np.float64))
            else:
                assert np.array_equal(same, other), sample


def test_what_else_there_is_goes_the_usual_way() -> None:
    x = mg.linspace(-2, 2, 7)
    weight = mg.ones(7, requires_grad=True)
    expected = [x.exp().add(1).tolist(), (weight * 3 + x).tolist(), (x.to(mg.complex64) * 2).tolist()]
    with sampling():
        loss = weight * 3 + x
        assert [x.exp().add(1).tolist(), loss.tolist(), (x.to(mg.complex64) * 2).tolist()] == expected
    loss.sum().backward()
    assert weight.grad.tolist() == [3.0] * 7


def test_values_lie_apart() -> None:
    x = mg.arange(12.0).reshape(3, 4)
    mg.eval(x)
    with sampling():
        whole, part = x.reshape(4, 3).detach().clone(), x[1:].clone()
        assert whole.tolist()[0] == [0, 1, 2] and part.tolist()[0] == [4, 5, 6, 7]
    whole.fill_(7)
    part.numpy()[...] = 5
    assert x.tolist() == np.arange(12.0).reshape(3, 4).tolist()
