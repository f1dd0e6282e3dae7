"""The Fourier ops against all that is asked of records: type rule, gradients of both orders, errors; and on the CPU target."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

import monograph as mg
from monograph.core.modes import MODES
from monograph.graph.node import record
from monograph.graph.op import OpDef, Sample
from monograph.ops.fourier import fft_c2c, fft_c2r, fft_r2c
from monograph.targets.reference import apply
from tests.ops.record_checks import GradientCase, inputs_of, nodes_for
from tests.targets.test_cpu_records import check

OPS = (fft_c2c, fft_r2c, fft_c2r)
GOOD = [(op, s) for op in OPS for s in op.samples() if s.error is None]
BAD = [(op, s) for op in OPS for s in op.samples() if s.error is not None]
good = pytest.mark.parametrize(("op", "sample"), GOOD, ids=[f"{op.name}-{i}" for i, (op, _) in enumerate(GOOD)])


@pytest.fixture(autouse=True)
def _forget_recorded_nodes() -> Iterator[None]:
    yield
    MODES.pending.clear()


@good
def test_infer_tells_the_type_of_the_meaning(op: OpDef, sample: Sample) -> None:
    arrays = inputs_of(sample)
    node = record(op, tuple(nodes_for(arrays)), sample.attrs)
    result = apply(op, sample.attrs, *arrays)
    assert (result.shape, result.dtype) == (node.shape, node.dtype.np)


@good
def test_gradients_of_both_orders_are_finite_differences(op: OpDef, sample: Sample) -> None:
    case = GradientCase(op, sample)
    if case.applies:
        case.check_both_orders()


@good
def test_the_gradient_is_the_adjoint(op: OpDef, sample: Sample) -> None:
    """<y, F x> = <F* y, x>, in real numbers."""
    x = inputs_of(sample)[0]
    if not x.size or not np.isfinite(x).all():
        return
    t = mg.tensor(x, requires_grad=True)
    y = record(op, (t._read(),), sample.attrs)
    rng = np.random.default_rng(2)
    g = rng.normal(size=y.shape) + (1j * rng.normal(size=y.shape) if y.dtype.is_complex else 0)
    back = op.vjp(mg.tensor(g.astype(y.dtype.np))._node, y, sample.attrs, t._node)[0]
    pulled = apply(back.op, back.attrs, g.astype(y.dtype.np))
    left = np.vdot(g, apply(op, sample.attrs, x)).real
    np.testing.assert_allclose(np.vdot(pulled, x).real, left, rtol=1e-4)
    assert pulled.dtype == x.dtype


@good
def test_the_cpu_computes_what_the_reference_means(op: OpDef, sample: Sample) -> None:
    check(op, sample, None, rtol=max(2e-5, sample.tolerance), atol=max(1e-6, sample.tolerance))


@pytest.mark.parametrize(("op", "sample"), BAD, ids=[f"{op.name}-{i}" for i, (op, _) in enumerate(BAD)])
def test_bad_samples_raise_errors_that_teach(op: OpDef, sample: Sample) -> None:
    assert sample.error is not None
    with pytest.raises(sample.error, match=sample.match):
        record(op, tuple(nodes_for(inputs_of(sample))), sample.attrs)
