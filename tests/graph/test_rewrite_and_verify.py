"""Rewriting and verifying graphs."""

from __future__ import annotations

from typing import Any

import pytest

from monograph.core.dtype import float32, float64
from monograph.core.modes import MODES
from monograph.graph.node import Node, topological
from monograph.graph.rewrite import apart, rebuild
from monograph.graph.verify import GraphError, verify
from monograph.ops import elementwise, reduce, source
from monograph.runtime.buffers import Buffer


def _chain(n: int) -> tuple[Node, Node]:
    x = source.placeholder((2,), float32)
    with apart():
        y = x
        for _ in range(n):
            y = elementwise.neg(y)
    return x, y


def test_nothing_replaced_is_the_same_graph() -> None:
    _, y = _chain(5)
    assert rebuild([y], lambda n, i: None) == [y]


def test_replacing_an_input_rebuilds_what_depends_on_it() -> None:
    x, y = _chain(20000)
    z = source.placeholder((2,), float64)
    pending = len(MODES.pending)
    (new,) = rebuild([y], lambda n, i: z if n is x else None)
    assert new.dtype is float64 and len(MODES.pending) == pending
    assert len(topological([new])) == 20001
    assert not new.requires_grad


def test_replacing_by_rule_and_sharing() -> None:
    x = source.placeholder((2,), float32)
    with apart():
        a = elementwise.neg(elementwise.neg(x))
        b = elementwise.add(a, a)

    def cancel(node: Node, inputs: tuple[Node, ...]) -> Node | None:
        if node.op is elementwise.neg and inputs[0].op is elementwise.neg:
            return inputs[0].inputs[0]
        return None

    (new,) = rebuild([b], cancel)
    assert new.inputs == (x, x)


def test_values_are_leaves() -> None:
    x, y = _chain(2)
    y.value = Buffer(8)
    with apart():
        z = elementwise.neg(y)
    (new,) = rebuild([z], lambda n, i: source.placeholder((2,), float32) if n is x else None)
    assert new is z


def test_verify_accepts_and_levels() -> None:
    x, y = _chain(3)
    verify([y], 2, [x])
    verify([y])
    with pytest.raises(GraphError, match="placeholder without a value"):
        verify([y], 1, [])
    y.inputs[0].shape = (3,)
    verify([y], 1)
    verify([y], 0)
    with pytest.raises(GraphError, match="its op's rule says"):
        verify([y], 2)


def test_verify_names_cycles_and_bad_nodes() -> None:
    _, y = _chain(3)
    y.inputs[0].inputs = (y,)
    with pytest.raises(GraphError, match="cycle"):
        verify([y])
    x = source.placeholder((2, 3), float32)
    with apart():
        s = reduce.sum(x, dims=(0,), keepdim=False)
    s.attrs = type(s.attrs)((5,), False)  # type: ignore[call-arg]
    with pytest.raises(GraphError):
        verify([s], 2)
    foreign: Any = type("FakeOp", (), {"name": "nothing"})()
    with pytest.raises(GraphError, match="not in the vocabulary"):
        verify([Node(foreign, (), s.attrs, (), float32)])
