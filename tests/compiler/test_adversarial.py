"""Graphs that are hard on fusion and memory: many operands, deep chains, diamonds, reductions of reductions, memory that is used again.

Each runs fused, node by node, on one thread and on two, and with fresh memory full of garbage: always the same bits, and what NumPy says.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import monograph as mg
import monograph.nn.functional as F
from monograph.core import knobs
from monograph.graph.node import Node
from monograph.ops import elementwise, source
from monograph.passes import fuse
from monograph.targets.cpu.memory_plan import KnownSizes, place, size_of
from monograph.targets.cpu.steps import PlannedStep, Ref
from tests.compiler.program_runner import one_by_one, poisoned, small_grains, threads


def values(function: Any, arrays: list[np.ndarray]) -> list[np.ndarray]:
    result = function(*[mg.tensor(a.copy()) for a in arrays])
    result = result if isinstance(result, tuple | list) else (result,)
    mg.eval(*result)
    return [np.asarray(r.detach().numpy()) for r in result]


def check(function: Any, *shapes: tuple[int, ...], tolerance: float = 1e-5, dtype: str = "float32") -> None:
    arrays = [np.random.default_rng(i).uniform(-2, 2, s).astype(dtype) for i, s in enumerate(shapes)]
    with small_grains():
        with threads(2):
            got = values(function, arrays)
        with knobs.target.scoped("reference"):
            want = values(function, arrays)
        for g, w in zip(got, want, strict=True):
            largest = float(np.abs(w.astype(np.float64)).max(initial=1.0))
            np.testing.assert_allclose(g.astype(np.float64), w.astype(np.float64), rtol=0, atol=tolerance * largest)
        ways = {"one thread": threads(1), "node by node": one_by_one(), "full of NaNs": poisoned(0xFF), "full of 0x3f": poisoned(0x3F)}
        for name, way in ways.items():
            with way:
                again = values(function, arrays)
            assert [a.tobytes() for a in again] == [g.tobytes() for g in got], name


@pytest.fixture(params=[(64, 28), (5, 4)], ids=["units-as-usual", "tiny-units"])
def unit_sizes(request: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many small units depend on each other in more ways than few large ones."""
    nodes, reads = request.param
    monkeypatch.setattr(fuse, "MAX_NODES", nodes)
    monkeypatch.setattr(fuse, "MAX_READS", reads)  # `check` forgets plans that were made before


def diamonds(x: Any) -> list[Any]:
    sums = []
    for _ in range(10):
        s, t = x.sum(1, keepdim=True), x.t().sum(1, keepdim=True)
        x = ((x - s * 1e-2) * (x - t.t() * 1e-2)).tanh()
        sums.append(s)
    return [x, *sums]


def heavy_diamonds(x: Any, w: Any) -> tuple[Any, ...]:
    a = x + 1
    h = a @ w
    b = a * h
    c = a - b.sum(0)
    return (c @ w) + h, a, b.sum(0)


def back_and_forth(x: Any, y: Any) -> tuple[Any, ...]:
    a = x.exp()
    b = y * a.sum(1)[:, None]
    c = a * b.sum(1)[:, None]
    return c.sum(), (a + b).sum(0), b


def through_host(x: Any) -> Any:
    a = x + 1
    s = a.sum(1, keepdim=True)
    b = a * s.sort(0)[0]
    return (b - b.amax(1, keepdim=True)) * a.cumsum(0) + s


def changed_in_place(x: Any) -> Any:
    x[1:5] = x[2:6] * 2
    x.t().mul_(2)
    x[:, ::2].add_(x[:, 1::2])
    x[x > 3] = 0
    return x


def cat_of_sums(x: Any) -> Any:
    s = x.sum(1, keepdim=True)
    return (mg.cat([x * 2, s], 1) + mg.cat([s, x * 3], 1)).sum(1)


@pytest.mark.usefixtures("unit_sizes")
@pytest.mark.parametrize(
    ("function", "shapes"),
    [
        (diamonds, ((20, 30),)),
        (heavy_diamonds, ((30, 30), (30, 30))),
        (back_and_forth, ((30, 40), (30, 40))),
        (through_host, ((30, 40),)),
        (changed_in_place, ((30, 40),)),
        (lambda x: F.softmax(F.softmax(x, -1), 0), ((30, 40),)),
        (lambda x: (x * x.sum(1, keepdim=True)).sum(0), ((30, 40),)),
        (lambda x: (x - x.mean(1, keepdim=True)).exp().sum(1).log().tanh()[:, None] * x, ((30, 40),)),
        (lambda x: x.sum(2).amax(1).sum(0) * x.mean(), ((6, 7, 8),)),
        (lambda x: (x.sum((1, 2), keepdim=True) + x.amax(2, keepdim=True)).sum((1, 2)), ((6, 7, 8),)),
        (cat_of_sums, ((30, 40),)),
        (lambda x, w: (w * 2 + 1)[(x.abs() * 3).long()] * x + x.sum(1, keepdim=True), ((30, 40), (7,))),
        (lambda x, w: x * w[x.sum(1).abs().long() % 7][:, None], ((30, 40), (7,))),
        (lambda x: F.softmax(x.masked_fill(mg.triu(mg.ones(40, 40), 1).bool(), float("-inf")), -1), ((3, 40, 40),)),
        (lambda x: ((x * mg.arange(40)).permute(1, 0, 2) + mg.arange(30)[:, None]).sum((1, 2)), ((30, 30, 40),)),
        (lambda x: [(x * i).cumsum(0).cumsum(1).sort(0)[0] + (x * (i + 1)).cumsum(1) for i in range(6)], ((33, 50),)),
        (lambda x: ((((x @ x.t()).tanh() @ x).tanh() @ x.t()).tanh() @ x).sum(0), ((32, 50),)),
        (lambda x: (((x > 0) & (x < 1)) | ~(x > -1)).sum(1) * (x > 0).any(), ((30, 40),)),
        (lambda x: (x.sum(1) + x.amax(0)).softmax(0), ((1, 1),)),
        (lambda x: (x[:0].sum(), x[:0].sum(0), x[:, :0].sum(1), x[:, :0].prod(1), x[:0] + x[:0].sum(1, keepdim=True)), ((4, 5),)),
    ],
    ids=[
        "diamonds", "heavy-diamonds", "back-and-forth", "through-host", "in-place", "softmax-of-softmax", "sum-of-sum",
        "row-values-inside", "three-reductions", "reduced-twice", "cat-of-sums", "gather-in-chain", "gather-of-row", "masked-softmax",
        "counted", "arena", "products",
        "truth", "ones", "empty",
    ],
)  # fmt: skip
def test_graphs(function: Any, shapes: tuple[tuple[int, ...], ...]) -> None:
    check(function, *shapes, tolerance=1e-4)


def test_random_numbers_inside_fused_code() -> None:
    def drawn(x: Any) -> tuple[Any, ...]:
        mg.manual_seed(1)
        return (x * mg.rand(30, 40)).sum(1), F.dropout(F.relu(x), 0.5).sum(), (x + mg.randn(40, 30).t()).sum()

    check(drawn, (30, 40), tolerance=1e-4)


def test_more_operands_than_a_unit_takes() -> None:
    check(lambda *xs: sum(xs[1:], xs[0]), *[(37,)] * 100)
    check(lambda *xs: F.softmax(sum(xs[1:], xs[0]), -1), *[(9, 37)] * 60, tolerance=1e-4)


def test_many_outputs_of_one_input() -> None:
    check(lambda x: [x * i + (x * i).sum(1, keepdim=True) for i in range(1, 60)], (9, 37))


def deep(x: Any, length: int) -> Any:
    for i in range(length):
        x = x * 0.999 + 0.01 if i % 2 else x.sin()
    return x


def test_deep_chains() -> None:
    check(lambda x: deep(x, 200), (50,))
    x = mg.tensor(np.linspace(-1, 1, 50, dtype=np.float32))
    got = deep(x, 10_000).numpy()
    with one_by_one():
        apart = deep(x, 200).numpy()
    assert deep(x, 200).numpy().tobytes() == apart.tobytes()
    assert np.ptp(got) < 1e-3, "the chain converges, whatever it starts from"


def test_outputs_that_are_inputs_or_each_other() -> None:
    check(lambda x: (x, x.t(), x[1:], x.expand(2, 3, 4), mg.zeros(3), mg.arange(5)), (3, 4))

    def same(x: Any) -> tuple[Any, ...]:
        y = x + 1
        return y, y, y.t(), y.reshape(-1)

    check(same, (3, 4))


@pytest.mark.parametrize("shape", [(3, 20_000), (257, 391), (40_000,)])
def test_large_reductions(shape: tuple[int, ...]) -> None:
    last = (len(shape) - 1,)

    def sums(x: Any, b: Any) -> tuple[Any, ...]:
        return (x * b).sum(), x.sum(last), F.gelu(x + b).exp().tanh().sum(), (x.flip(0) * b).amax(), x.var()

    check(sums, shape, shape[-1:])


def test_batch_norm_of_large_and_odd_shapes() -> None:
    def normalised(x: Any) -> Any:
        return (x - x.mean((0, 2, 3), keepdim=True)) / (x.var((0, 2, 3), keepdim=True) + 0.1).sqrt()

    check(normalised, (16, 8, 20, 20))
    check(normalised, (33, 3, 15, 15))
    check(lambda x, y: (x * y).sum((0, 2, 3)), (16, 8, 20, 20), (1, 8, 1, 20))


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_products_of_views(dtype: str) -> None:
    tolerance = 4e-3 if dtype == "float16" else 1e-5
    check(lambda x, y: (x.t() @ y.t(), x[:, ::2].t() @ y.t()[:, 1:]), (70, 60), (90, 70), dtype=dtype, tolerance=tolerance)
    check(lambda x, y: x.permute(0, 2, 1, 3) @ y.permute(0, 2, 3, 1), (3, 20, 4, 16), (3, 20, 4, 16), dtype=dtype, tolerance=tolerance)
    five = (3, 9, 2, 4, 8)
    check(lambda x, y: x.permute(2, 0, 3, 1, 4) @ y.permute(2, 0, 3, 4, 1), five, five, dtype=dtype, tolerance=tolerance)
    check(lambda x, y, b: F.gelu(x @ y.t() + b).t().sum(0), (33, 300), (40, 300), (40,), dtype=dtype, tolerance=tolerance)


# ---- the memory plan ----


def planned(count: int, seed: int) -> tuple[list[PlannedStep], Node]:
    """Steps of random elementwise nodes, each of which may write over an input that dies."""
    rng = np.random.default_rng(seed)
    x = source.placeholder((16,), mg.float32)
    nodes, steps = [x], []
    for _ in range(count):
        n = int(rng.integers(1, 9)) * 16
        inputs = [nodes[int(rng.integers(max(0, len(nodes) - 5), len(nodes)))] for _ in range(2)]
        node = elementwise.exp(source.placeholder((n,), mg.float32))
        same = [i for i in inputs if i.shape == node.shape]
        words = [Ref(i) for i in inputs] + [Ref(node)]
        steps.append(PlannedStep(None, words, 1, 1, inputs, [node], may_reuse=[(node, i) for i in same]))  # type: ignore[arg-type]
        nodes.append(node)
    return steps, x


@pytest.mark.parametrize("seed", range(20))
def test_no_value_is_placed_over_one_that_is_still_needed(seed: int) -> None:
    steps, x = planned(60, seed)
    offsets, total = place(steps, {x}, KnownSizes())
    last = {node: i for i, step in enumerate(steps) for node in (*step.reads, *step.writes)}
    first = {step.writes[0]: i for i, step in enumerate(steps)}
    placed = list(first)
    for k, a in enumerate(placed):
        assert offsets[a] >= 0 and offsets[a] + size_of(a) <= total and offsets[a] % 64 == 0
        for b in placed[k + 1 :]:
            apart = offsets[a] + size_of(a) <= offsets[b] or offsets[b] + size_of(b) <= offsets[a]
            taken_over = last[a] == first[b] and (b, a) in steps[first[b]].may_reuse and offsets[a] == offsets[b]
            assert apart or last[a] < first[b] or last[b] < first[a] or taken_over
