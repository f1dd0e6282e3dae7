"""Each pass on small graphs, before and after."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import monograph as mg
import monograph.nn.functional as F
from monograph.core import knobs
from monograph.core.dtype import float32, int64
from monograph.core.shape import contiguous_strides
from monograph.graph.node import Node
from monograph.graph.verify import GraphError, verify
from monograph.ops import elementwise, movement, reduce, source
from monograph.passes.decompose import decompose
from monograph.passes.domains import groups, refine, spread, squeeze
from monograph.passes.fuse import fuse
from monograph.passes.graph import Graph
from monograph.passes.pipeline import Pass, optimise, pipeline
from monograph.passes.simplify import simplify
from monograph.passes.split_reductions import split_reductions
from monograph.passes.views import View, broadcast_to, index_view, materialise_reshapes, resolve, restride
from monograph.targets import reference
from monograph.targets.cpu.plan import keeps, kind_of
from tests.compiler.planned import graph_of, ops_of, tensors


def after(change: Any, function: Any, *shapes: tuple[int, ...]) -> list[str]:
    graph = change(graph_of(function, *tensors(*shapes)))
    verify(graph.outputs)
    return ops_of(graph)


# ---- simplify ----


@pytest.mark.parametrize(
    ("function", "left"),
    [
        (lambda x: x * mg.ones(3, 4), []),
        (lambda x: mg.ones(3, 4) * x, []),
        (lambda x: x / mg.ones(3, 4), []),
        (lambda x: x.reshape(12).reshape(2, 6), ["reshape"]),
        (lambda x: x.reshape(12).reshape(3, 4), []),
        (lambda x: x.permute(1, 0).permute(1, 0), []),
        (lambda x: x[:, None].expand(3, 2, 4).expand(3, 2, 4), ["reshape", "expand"]),
        (lambda x: x[None].sum(0), []),
        (lambda x: x[None].sum(0, keepdim=True), ["reshape"]),
        (lambda x: x[:, :], []),
        (lambda x: x.exp() + x.exp(), ["exp", "add"]),
        (lambda x: (x.detach() + x).detach(), ["add"]),
    ],
)
def test_simplify(function: Any, left: list[str]) -> None:
    ops = after(lambda graph: simplify(simplify(graph)), lambda x: function(x.sin()), (3, 4))
    assert ops == ["sin", *left]


def test_simplify_keeps_what_only_looks_like_an_identity() -> None:
    assert after(simplify, lambda x: x * mg.ones(2, 3, 4), (3, 4)).count("mul") == 1  # it broadcasts
    assert "add" in after(simplify, lambda x: x + 0.0, (3,))  # -0.0 + 0.0 is 0.0
    a, b = (source.constant(v, float32) for v in (0.0, -0.0))
    x = source.placeholder((2,), float32)
    graph = simplify(Graph((x,), (), (elementwise.div(x, a), elementwise.div(x, b))))
    assert graph.outputs[0] is not graph.outputs[1], "0.0 and -0.0 are different constants"


def test_random_nodes_are_not_merged_by_accident() -> None:
    got = after(simplify, lambda x: (x + mg.rand(3), x + mg.rand(3)), (3,))
    assert got.count("random_uniform") == 2


# ---- decompose ----


def test_decompose_leaves_primitives_only() -> None:
    graph = graph_of(lambda x, w: F.layer_norm(F.gelu(x), (4,), w, w).logsumexp(1), *tensors((3, 4), (4,)))
    done = decompose(graph, lambda node: False)
    verify(done.outputs)
    assert all(n.op.decompose is None for n in done.nodes())
    before, now = (reference.run(g.outputs, {s: np.full(s.shape, 0.5, "f4") for s in g.sources}) for g in (graph, done))
    np.testing.assert_allclose(before[0], now[0], rtol=1e-5)


def test_decompose_keeps_what_the_target_takes_whole() -> None:
    graph = decompose(graph_of(lambda x: F.softmax(F.gelu(x), -1), *tensors((3, 4))), lambda node: node.op.name == "softmax")
    assert ops_of(graph).count("softmax") == 1
    assert "gelu" not in ops_of(graph)


# ---- split_reductions ----


@pytest.mark.parametrize(
    ("shape", "dims", "reductions"),
    [
        ((1 << 16,), (0,), 2),
        ((256, 512), (0, 1), 2),
        ((2, 1 << 15), (1,), 2),
        ((1000,), (0,), 1),
        ((64, 4096), (1,), 1),  # enough results
        (((1 << 16) + 1,), (0,), 1),  # nothing divides it
        ((64, 3, 32, 32), (0, 2, 3), 2),
    ],
)
def test_long_reductions_are_cut_by_their_shape_alone(shape: tuple[int, ...], dims: tuple[int, ...], reductions: int) -> None:
    def cut(make: Any) -> list[tuple[int, ...]]:
        x = source.placeholder(shape, float32)
        graph = split_reductions(Graph((x,), (), (reduce.sum(make(x), dims=dims, keepdim=False),)))
        verify(graph.outputs)
        return [n.inputs[0].shape for n in graph.nodes() if n.op is reduce.sum]

    plain = cut(lambda x: x)
    assert len(plain) == reductions
    assert plain == cut(elementwise.exp), "what else is in the graph makes no difference"


# ---- views ----


def test_movements_compose_into_one_view() -> None:
    x = source.placeholder((4, 6), float32)
    v = movement.permute(movement.slice(x, starts=(1, 0), steps=(1, 2), lengths=(3, 3)), dims=(1, 0))
    assert resolve(v, {}) == View(x, (3, 3), (2, 6), 6)
    assert resolve(movement.flip(v, dims=(0,)), {}) == View(x, (3, 3), (-2, 6), 10)
    assert resolve(movement.reshape(movement.reshape(x, shape=(24,)), shape=(2, 12)), {}).whole


def test_a_reshape_that_strides_cannot_express_gets_a_copy() -> None:
    x = source.placeholder((4, 6), float32)
    turned = movement.reshape(movement.permute(x, dims=(1, 0)), shape=(24,))
    assert resolve(turned, {}).root is turned
    graph = materialise_reshapes(Graph((x,), (), (turned,)))
    assert [n.op.name for n in graph.nodes()] == ["source", "permute", "clone", "reshape"]
    split = movement.reshape(movement.permute(x, dims=(1, 0)), shape=(3, 2, 4))
    assert materialise_reshapes(Graph((x,), (), (split,))).outputs == (split,)


@pytest.mark.parametrize(
    ("shape", "strides", "new", "expected"),
    [
        ((4, 6), (6, 1), (24,), (1,)),
        ((4, 6), (12, 1), (24,), None),
        ((4, 6), (12, 1), (2, 2, 3, 2), (24, 12, 2, 1)),
        ((4, 1, 6), (6, 99, 1), (2, 12), (12, 1)),
        ((3, 4), (0, 1), (12,), None),
        ((3, 4), (0, 0), (12,), (0,)),
        ((0, 4), (4, 1), (2, 0), contiguous_strides((2, 0))),
    ],
)
def test_restride(shape: Any, strides: Any, new: Any, expected: Any) -> None:
    assert restride(shape, strides, new) == expected


def test_an_index_list_runs_along_its_own_dim() -> None:
    x, i = source.placeholder((5, 3), float32), source.placeholder((3,), int64)
    rows = mg.tensor([0, 1, 2])
    picked = graph_of(lambda x: x[rows], *tensors((5, 3))).outputs[0]
    assert index_view(picked, resolve(picked.inputs[1], {})).strides == (1, 0)
    assert broadcast_to(resolve(i, {}), (3, 3)).strides == (0, 1), "not where broadcasting would put it"
    assert x.shape == (5, 3)


# ---- domains ----


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ((6, 4), (2, 12), (2, 3, 4)),
        ((6, 4), (4, 6), None),
        ((24,), (2, 3, 4), (2, 3, 4)),
        ((0, 3), (0, 3), (0, 3)),
        ((0, 3), (3, 0), None),
        ((), (), ()),
    ],
)
def test_refine(a: Any, b: Any, expected: Any) -> None:
    assert refine(a, b) == expected


def test_groups_and_spread() -> None:
    assert squeeze((1, 6, 1, 4)) == (6, 4)
    assert groups((1, 6, 4), (2, 3, 4)) == [1, 1, 2]
    assert spread((6, 4), (10, 1), (2, 3, 4)) == (30, 10, 1)
    assert spread((6, 4), contiguous_strides((6, 4)), (2, 3, 2, 2)) == contiguous_strides((2, 3, 2, 2))


# ---- fuse ----


def units_of(function: Any, *shapes: tuple[int, ...]) -> list[tuple[str, list[str], tuple[int, ...], frozenset[int]]]:
    graph = optimise(graph_of(function, *tensors(*shapes)), pipeline(keeps))
    return [(u.kind, [n.op.name for n in u.nodes], u.sizes, u.reduced) for u in fuse(graph, kind_of).units]


def test_a_unit_is_a_domain_with_reduced_positions() -> None:
    assert units_of(lambda x: (x * 2).sum(2), (3, 1, 4)) == [("loop", ["mul", "sum"], (3, 4), frozenset({1}))]
    assert units_of(lambda x: (x * 2).sum(1), (3, 1, 4)) == [("loop", ["mul"], (3, 4), frozenset())]  # over a dim of size 1


def test_domains_are_refined_to_what_all_nodes_share() -> None:
    (unit,) = units_of(lambda x: (x + 1).reshape(2, 12) * x.reshape(2, 12), (6, 4))
    assert unit[2] in ((2, 3, 4), (6, 4), (24,), (2, 12))
    shifted = units_of(lambda x: (x + 1).reshape(4, 6).exp().sum(1), (6, 4))
    assert len(shifted) == 2, "6x4 and 4x6 have no common refinement"


def test_a_long_reduction_stays_apart_from_what_would_starve_the_threads() -> None:
    assert len(units_of(lambda x: x - x.exp().sum(), (4, 30000))) > 1
    assert len(units_of(lambda x: x - x.exp().sum(1, keepdim=True), (64, 3000))) == 1


def test_a_value_read_at_another_position_ends_the_unit() -> None:
    assert len(units_of(lambda x: x.exp() + x.exp().flip(0), (5, 4))) == 2
    assert len(units_of(lambda x: x.exp() @ x.exp().t(), (5, 4))) == 2
    assert len(units_of(lambda x: (x * 2)[(x * 2).sum(0).abs().long() % 5], (5, 4))) >= 2


# ---- the pipeline ----


def test_the_order_of_passes_is_checked() -> None:
    graph = graph_of(lambda x: x + 1, *tensors((2,)))
    with pytest.raises(ValueError, match="pass split_reductions needs"):
        optimise(graph, [Pass("split_reductions", split_reductions, needs=frozenset({"primitive"}))])


def test_every_stage_can_be_watched() -> None:
    seen: list[str] = []
    optimise(graph_of(lambda x: F.softmax(x, -1), *tensors((2, 3))), pipeline(keeps), lambda name, graph: seen.append(name))
    assert seen == [p.name for p in pipeline(keeps)]


def test_a_pass_that_breaks_a_graph_is_caught() -> None:
    def broken(graph: Graph) -> Graph:
        (out,) = graph.outputs
        return Graph(graph.sources, graph.scalars, (Node(out.op, out.inputs, out.attrs, (7, 7), out.dtype),))

    with pytest.raises(GraphError, match="is recorded as"), knobs.verify.scoped(True):
        optimise(graph_of(lambda x: x.exp(), *tensors((2,))), [Pass("broken", broken)])
