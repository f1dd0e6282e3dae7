"""What keeps a step's memory low: the order of units, results in the place of what ends there, picking before computing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import monograph as mg
import monograph.nn.functional as F
from monograph import nn
from monograph.graph.node import Node
from monograph.ops import elementwise, source
from monograph.passes.fuse import Unit
from monograph.passes.schedule import schedule
from monograph.passes.sink_gathers import sink_gathers
from monograph.targets.cpu.steps import PlannedStep, Ref
from monograph.targets.cpu.updates_last import updates_last
from tests.compiler.planned import graph_of, ops_of, plans_of, tensors

MIB = 1 << 20


# ---- the order of units ----


def chain(*wanted: tuple[str, str, int]) -> tuple[list[Unit], dict[Unit, list[Node]], dict[Unit, Node], dict[Node, int]]:
    """Units from (name, names of what it reads, bytes of what it makes)."""
    units, reads, makes, nbytes, made = [], {}, {}, {}, {}
    for number, (name, needs, size) in enumerate(wanted):
        unit = Unit(number, "heavy")
        node = source.placeholder((1,), mg.float32)
        units.append(unit)
        reads[unit] = [made[n] for n in needs]
        made[name] = makes[unit] = node
        nbytes[node] = size
    return units, reads, makes, nbytes


def order_of(*wanted: tuple[str, str, int]) -> str:
    units, reads, makes, nbytes = chain(*wanted)
    found = schedule(units, reads.__getitem__, lambda u: [makes[u]], nbytes.__getitem__)
    return "".join(wanted[units.index(u)][0] for u in found)


def test_what_frees_memory_comes_as_soon_as_it_can() -> None:
    """w stands for the gradient of a weight (0 bytes: an output), recorded after the whole backward pass."""
    assert order_of(("a", "", MIB), ("b", "a", MIB), ("c", "b", MIB), ("d", "c", MIB), ("v", "bc", 0), ("w", "ab", 0)) == "abwcvd"


def test_what_takes_memory_keeps_its_place() -> None:
    assert order_of(("a", "", MIB), ("b", "a", MIB), ("c", "a", 2 * MIB), ("d", "bc", 0)) == "abcd"


def test_small_numbers_are_worked_out_early() -> None:
    assert order_of(("a", "", MIB), ("b", "a", MIB), ("n", "a", 64), ("c", "b", MIB)) == "anbc"


def test_gradients_of_weights_do_not_keep_all_activations() -> None:
    """A deep network's backward pass needs the activations and two gradients of one, not the gradients of all."""
    model = nn.Sequential(*[layer for _ in range(10) for layer in (nn.Linear(256, 256), nn.ReLU())])
    x = mg.randn(512, 256)
    mg.eval(x, *model.parameters())

    def step() -> Any:
        return mg.autograd.grad(model(x).square().sum(), list(model.parameters()))

    (plan,) = plans_of(step)
    assert plan.program.arena_bytes < 14.5 * 512 * 256 * 4


# ---- results in the place of what ends there ----


def test_a_softmax_lies_where_its_scores_lay() -> None:
    a, b = tensors((512, 64), (64, 512))
    mg.eval(a, b)
    (plan,) = plans_of(lambda: ((a @ b).softmax(-1) @ b.t()).softmax(-1) * 2)
    assert plan.program.arena_bytes < 1.5 * 512 * 512 * 4


@pytest.mark.parametrize("dim", [0, 1])
def test_values_are_right_where_memory_is_taken_over(dim: int) -> None:
    def function(x: Any, y: Any) -> Any:
        s = (x @ y).log_softmax(dim)
        t = s - s.exp().sum(dim, keepdim=True) * s.amax(dim, keepdim=True)
        return (t @ y.t()).softmax(dim) + t.sum()

    x, y = (t.double() for t in tensors((70, 30), (30, 50)))
    wide = np.asarray(x.numpy()), np.asarray(y.numpy())
    s = wide[0] @ wide[1]
    s = s - np.log(np.exp(s - s.max(dim, keepdims=True)).sum(dim, keepdims=True)) - s.max(dim, keepdims=True)
    t = s - np.exp(s).sum(dim, keepdims=True) * s.max(dim, keepdims=True)
    e = np.exp(t @ wide[1].T - (t @ wide[1].T).max(dim, keepdims=True))
    np.testing.assert_allclose(function(x, y).numpy(), e / e.sum(dim, keepdims=True) + t.sum(), rtol=1e-10)


# ---- updates ----


def test_an_update_waits_for_the_last_reader_of_the_old_value() -> None:
    old, gradient, loss = (source.placeholder((16,), mg.float32) for _ in range(3))
    new, other = elementwise.exp(old), elementwise.exp(gradient)
    update = PlannedStep(None, [Ref(old), Ref(new)], 1, 1, [old], [new], may_reuse=[(new, old)])  # type: ignore[arg-type]
    reader = PlannedStep(None, [Ref(old), Ref(gradient), Ref(other)], 1, 1, [old, gradient], [other])  # type: ignore[arg-type]
    last = PlannedStep(None, [Ref(loss)], 1, 1, [loss], [])  # type: ignore[arg-type]
    assert updates_last([update, reader, last], [old, gradient, loss], [new, other]) == [reader, update, last]
    uses_new = PlannedStep(None, [Ref(new), Ref(other)], 1, 1, [new], [other])  # type: ignore[arg-type]
    given = [update, uses_new, reader]
    assert updates_last(given, [old, gradient, loss], [new, other]) == given


# ---- picking before computing ----


def test_the_loss_of_a_classifier_picks_from_its_logits() -> None:
    target = mg.arange(64) % 50
    mg.eval(target)
    (plan,) = plans_of(lambda x, y: F.cross_entropy(x @ y, target), *tensors((64, 20), (20, 50)))
    written = [shape for info in plan.steps for shape in info.outputs]
    assert written.count("float32[64, 50]") == 1  # the logits, no log-probabilities


def test_only_what_follows_a_reduction_is_looked_through() -> None:
    index = mg.arange(8)[:, None] % 3

    def shapes(function: Any) -> tuple[list[tuple[int, ...]], list[str]]:
        graph = sink_gathers(graph_of(function, *tensors((8, 40))))
        return [node.inputs[0].shape for node in graph.nodes() if node.op.name == "gather"], ops_of(graph)

    picked, ops = shapes(lambda x: (x - x.amax(1, keepdim=True)).gather(1, index))
    assert picked == [(8, 40)]
    assert ops.index("gather") < ops.index("sub")
    _, ops = shapes(lambda x: (x.exp() * 2).gather(1, index))
    assert ops[-1] == "gather"


def test_picked_values_have_the_same_bits() -> None:
    x = tensors((6, 7, 33))[0]
    index = (mg.arange(42).reshape(6, 7, 1) * 5) % 33
    whole = x.log_softmax(-1)
    mg.eval(whole)
    expected = whole.gather(-1, index).numpy()
    assert (x.log_softmax(-1).gather(-1, index).numpy() == expected).all()
    assert (x.log_softmax(-1).reshape(42, 33).gather(-1, index.reshape(42, 1)).numpy() == expected.reshape(42, 1)).all()
