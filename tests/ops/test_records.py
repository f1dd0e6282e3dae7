"""Every op record against everything: type rule, decomposition, gradients of both orders, traits, attributes, errors of bad samples."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from monograph.autodiff.vjp import gradients
from monograph.core.dtype import dtype as DType
from monograph.core.errors import ShapeError
from monograph.core.modes import MODES
from monograph.graph.node import record
from monograph.graph.op import REGISTRY, NotDifferentiable, OpDef, Sample, Trait
from monograph.targets.reference import apply, run
from tests.ops.record_checks import VOCABULARY, GradientCase, as_tuple, assert_equal, assert_same, inputs_of, nodes_for, samples

GOOD, GOOD_NAMES = samples(good=True)
BAD, BAD_NAMES = samples(good=False)
every_good_sample = pytest.mark.parametrize(("op", "sample"), GOOD, ids=GOOD_NAMES)
every_bad_sample = pytest.mark.parametrize(("op", "sample"), BAD, ids=BAD_NAMES)
every_op = pytest.mark.parametrize("op", VOCABULARY.values(), ids=VOCABULARY)


@pytest.fixture(autouse=True)
def _forget_recorded_nodes() -> Iterator[None]:
    yield
    MODES.pending.clear()


def having(trait: Trait) -> Any:
    cases = [(case, name) for case, name in zip(GOOD, GOOD_NAMES, strict=True) if trait in case[0].traits]
    return pytest.mark.parametrize(("op", "sample"), [c for c, _ in cases], ids=[n for _, n in cases])


@every_good_sample
def test_infer_tells_the_type_of_the_meaning(op: OpDef, sample: Sample) -> None:
    arrays = inputs_of(sample)
    before = [a.copy() for a in arrays]
    node = record(op, tuple(nodes_for(arrays)), sample.attrs)
    results = as_tuple(apply(op, sample.attrs, *arrays))
    assert [(r.shape, r.dtype) for r in results] == [(shape, d.np) for shape, d in node.outputs]
    for a, b in zip(arrays, before, strict=True):
        assert_equal(a, b, "the reference changed its input")


BOTH = [(c, n) for c, n in zip(GOOD, GOOD_NAMES, strict=True) if c[0].reference is not None and c[0].decompose is not None]


@pytest.mark.parametrize(("op", "sample"), [c for c, _ in BOTH], ids=[n for _, n in BOTH])
def test_decomposition_means_what_the_reference_means(op: OpDef, sample: Sample) -> None:
    arrays = inputs_of(sample)
    nodes = nodes_for(arrays)
    decomposed = as_tuple(op.decompose(sample.attrs, *nodes))
    results = run(decomposed, dict(zip(nodes, arrays, strict=True)))
    with np.errstate(all="ignore"):
        expected = as_tuple(op.reference(sample.attrs, *arrays))
    for got, want in zip(results, expected, strict=True):
        assert_same(got, np.asarray(want), sample.tolerance)


SMOOTH = [(c, n) for c, n in zip(GOOD, GOOD_NAMES, strict=True) if c[0].differentiable]


@pytest.mark.parametrize(("op", "sample"), [c for c, _ in SMOOTH], ids=[n for _, n in SMOOTH])
def test_gradients_of_both_orders_are_finite_differences(op: OpDef, sample: Sample) -> None:
    case = GradientCase(op, sample)
    if case.applies:
        case.check_both_orders()


@every_bad_sample
def test_bad_samples_raise_errors_that_teach(op: OpDef, sample: Sample) -> None:
    with pytest.raises(sample.error, match=sample.match):
        arrays = inputs_of(sample)
        record(op, tuple(nodes_for(arrays)), sample.attrs)
        apply(op, sample.attrs, *arrays)


def _is_canonical(value: Any) -> bool:
    if isinstance(value, tuple):
        return all(_is_canonical(v) for v in value)
    return value is None or callable(value) or type(value) in (int, float, bool, str, complex) or isinstance(value, DType)


@every_good_sample
def test_attributes_are_hashable_and_canonical(op: OpDef, sample: Sample) -> None:
    a = sample.attrs
    assert isinstance(a, op.attrs)
    again = type(a)(**dict(a.items()))
    assert again == a
    assert hash(again) == hash(a)
    assert all(_is_canonical(value) for _, value in a.items()), a
    names = [name for name, _ in a.items()]
    if names:
        with pytest.raises(AttributeError):
            setattr(a, names[0], None)


@having(Trait.COMMUTATIVE)
def test_commutative_ops_commute(op: OpDef, sample: Sample) -> None:
    x, y = inputs_of(sample)
    first, second = apply(op, sample.attrs, x, y), apply(op, sample.attrs, y, x)
    if first.dtype.kind == "c":  # where a complex product is fused, the order shows in the last bit
        assert_same(first, second, 1e-14)
    else:
        assert_equal(first, second)


@having(Trait.IDEMPOTENT)
def test_idempotent_ops_change_nothing_the_second_time(op: OpDef, sample: Sample) -> None:
    once = apply(op, sample.attrs, *inputs_of(sample))
    assert_equal(apply(op, sample.attrs, once), once)


@having(Trait.POINTWISE)
def test_pointwise_ops_look_at_one_element_at_a_time(op: OpDef, sample: Sample) -> None:
    arrays = inputs_of(sample)
    whole = apply(op, sample.attrs, *arrays)
    assert whole.shape == np.broadcast_shapes(*[a.shape for a in arrays])
    spread = [np.broadcast_to(a, whole.shape).reshape(-1) for a in arrays]
    for k in range(0, whole.size, max(whole.size // 4, 1)):
        assert_equal(apply(op, sample.attrs, *[a[k : k + 1] for a in spread]), whole.reshape(-1)[k : k + 1])


@having(Trait.VIEW)
def test_a_write_through_a_view_reaches_the_base(op: OpDef, sample: Sample) -> None:
    (x,) = inputs_of(sample)
    seen = apply(op, sample.attrs, x)
    base, new = nodes_for([x, seen])
    if op.name == "expand" and seen.size != x.size:
        with pytest.raises(ShapeError, match="clone"):
            op.unview(sample.attrs, base, new)
        return
    written = op.unview(sample.attrs, base, new)
    assert_equal(run([written], {base: x, new: seen})[0], x, "writing back what was read changes nothing")
    places = apply(op, sample.attrs, np.arange(x.size).reshape(x.shape))
    if len(np.unique(places)) == places.size:  # no element is shown twice
        other = np.arange(seen.size).reshape(seen.shape).astype(seen.dtype)
        result = run([written], {base: x, new: other})[0]
        assert_equal(apply(op, sample.attrs, result), other)


@every_op
def test_every_record_has_good_and_bad_samples(op: OpDef) -> None:
    mine = list(op.samples())
    if op.name in ("source", "project"):
        return
    assert any(s.error is None for s in mine)
    takes_inputs = any(s.inputs for s in mine)
    accepts_anything = op.name in ("leaf", "detach", "clone", "cast", "isnan", "isinf", "isfinite", "logical_not")
    assert accepts_anything or not takes_inputs or any(s.error is not None for s in mine), "say what a wrong call looks like"
    assert all(s.match for s in mine if s.error is not None)


@every_op
def test_reasons_for_having_no_gradient_are_sentences(op: OpDef) -> None:
    if isinstance(op.vjp, NotDifferentiable):
        assert len(op.vjp.reason.split()) >= 3


def test_ties_share_the_gradient_of_an_extremum() -> None:
    x = np.array([[1.0, 3.0, 3.0], [2.0, 2.0, 2.0]])
    (node,) = nodes_for([x], [0])
    top = REGISTRY["amax"](node, dims=(1,), keepdim=False)
    seed = nodes_for([np.zeros(2)])[0]
    (g,) = gradients([top], [node], [seed])
    (got,) = run([g], {node: x, seed: np.array([1.0, 3.0])})
    np.testing.assert_allclose(got, [[0, 0.5, 0.5], [1, 1, 1]])
