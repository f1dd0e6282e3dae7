"""Programs that once came out wrong, each as small as it could be made."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import monograph as mg
import monograph.nn.functional as F
from monograph.core import knobs
from tests.compiler.planned import plans_of, tensors
from tests.compiler.program_runner import one_by_one, poisoned


def values(function: Any, *arrays: np.ndarray) -> list[np.ndarray]:
    result = function(*[mg.tensor(a.copy()) for a in arrays])
    result = result if isinstance(result, tuple) else (result,)
    mg.eval(*result)
    return [np.asarray(r.detach().numpy()) for r in result]


def check(function: Any, *shapes: tuple[int, ...], dtype: str = "float32", rtol: float = 1e-5) -> None:
    arrays = [np.random.default_rng(i).uniform(-2, 2, s).astype(dtype) for i, s in enumerate(shapes)]
    got = values(function, *arrays)
    with knobs.target.scoped("reference"):
        want = values(function, *arrays)
    with one_by_one():
        apart = values(function, *arrays)
    for g, w, a in zip(got, want, apart, strict=True):
        np.testing.assert_allclose(g, w, rtol=rtol, atol=1e-5)
        assert g.tobytes() == a.tobytes(), "fused and node by node differ in bits"


def test_counted_numbers_that_are_assembled() -> None:
    # A copy step read the memory of an arange, which has none.
    check(lambda: F.pad(mg.arange(8), (1, 0), value=1))
    check(lambda: mg.cat([mg.arange(3), mg.arange(5)]))
    check(lambda: mg.arange(6).index_add(0, mg.tensor([1, 1]), mg.tensor([5, 7])))

    def written() -> Any:
        x = mg.arange(6)
        x[1:3] = 9
        return x

    check(written)


@pytest.mark.parametrize("columns", [7, 30])
def test_rows_picked_by_the_result_of_a_reduction(columns: int) -> None:
    # The index list was taken for a row value of the same kernel, read along the wrong dim.
    check(lambda x: x[x.argmax(0)], (columns, columns))
    check(lambda x, y: x[y.sum(0).abs().long() % 5] + y, (5, columns), (columns, columns))
    check(lambda x, y: x.index_select(0, y.sum(0).abs().long() % 5) + y, (5, columns), (columns, columns))
    check(lambda x, y: x[y.sum(1).abs().long() % 5] * y, (5, columns), (columns, columns))


LAYOUTS: dict[str, Any] = {
    "slice": lambda x, b: x[1:, 2:],
    "steps": lambda x, b: x[:, ::2],
    "transpose": lambda x, b: x.t(),
    "factor": lambda x, b: x * b,
    "expand": lambda x, b: x[:1].expand(40, 35),
    "flip": lambda x, b: x.flip(1),
    "gather": lambda x, b: x[mg.arange(40) % 7] + b,
    "counted": lambda x, b: x * mg.arange(35) + mg.arange(40)[:, None],
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_sums_do_not_depend_on_how_their_operands_lie(layout: str) -> None:
    # A row that is several dims was accumulated run by run where it could not be walked as one.
    def sums(x: Any, b: Any) -> tuple[Any, ...]:
        v = LAYOUTS[layout](x, b)
        return v.sum(), v.mean(), v.var(), (v * 0.01 + 1).prod(0), v.argmax(), v.amax(), v.exp().log1p().tanh().sin().sum()

    check(sums, (40, 35), (35,))
    check(sums, (40, 35), (35,), dtype="float64")


@pytest.mark.parametrize("shape", [(5, 3, 4), (3, 40, 7), (2, 35, 129)])
def test_sums_over_part_of_the_dims_do_not_depend_on_it_either(shape: tuple[int, ...]) -> None:
    for dims in ((0, 1), (1, 2), (0, 2), (0, 1, 2)):
        check(lambda x, b, dims=dims: ((x * b).sum(dims), x.permute(0, 2, 1).sum(dims), x[:, 1:].exp().sum(dims)), shape, shape[-1:])


def test_dims_on_both_sides_of_a_kept_one_are_not_joined() -> None:
    # An operand without strides in both made them look like one dim.
    check(lambda x: x.expand(6, 5, 7).sum((0, 2)), (1, 5, 1))
    check(lambda x: x.expand(6, 40, 7).sum((0, 2)), (6, 1, 7))


def test_long_products_do_not_depend_on_what_is_fused() -> None:
    # Long expressions kept their partial products in memory and multiplied them in another order.
    def products(x: Any) -> tuple[Any, ...]:
        y = x * 1e-3 + 1
        long = y.tanh() * y.sin() * y.exp() * y.erf() * (y + 1).log() * (y * 2).tanh() * (y + 2).log() + 0.1
        return y.prod(1), (long / long.detach().mean()).prod(1)

    check(products, (3, 9000), rtol=1e-3)


def test_attention_has_no_step_in_python() -> None:
    # A detach inside a decomposition became a call of the reference.
    shape = (2, 2, 8, 4)
    (plan,) = plans_of(F.scaled_dot_product_attention, *tensors(shape, shape, shape))
    assert "host" not in {step.kind for step in plan.steps}


def test_adding_to_a_constant_without_dims() -> None:
    # The reference was called with the constant zero as an address that nothing had written to.
    x = mg.tensor(0.5, dtype=mg.float64, requires_grad=True)
    y = mg.index_select(x, 0, mg.tensor([0]))
    with poisoned(0x3F):
        (gradient,) = mg.autograd.grad(y, x, mg.full(y.shape, 0.66, dtype=mg.float64))
    assert gradient.item() == 0.66
