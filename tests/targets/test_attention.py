"""Attention computed whole: against the decomposed form in float64, with the same bits for any threads, and without a matrix of scores."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import monograph as mg
import monograph.nn.functional as F
from monograph.core import knobs
from tests.compiler.planned import plans_of

Shape = tuple[int, ...]


def decomposed(q: Any, k: Any, v: Any, mask: Any, causal: bool, scale: float | None) -> Any:
    """softmax(q @ k.T * scale, masked) @ v in simple ops; rows that see nothing are zero."""
    scores = q @ k.transpose(-1, -2) * (q.shape[-1] ** -0.5 if scale is None else scale)
    seen = None
    if causal:
        seen = mg.ones(q.shape[-2], k.shape[-2], dtype=mg.bool).tril()
    elif mask is not None and mask.dtype is mg.bool:
        seen = mask
    elif mask is not None:
        scores = scores + mask
    if seen is None:
        return scores.softmax(-1) @ v
    weights = scores.masked_fill(~seen, -1e300).softmax(-1) * seen
    return weights @ v


def inputs(q: Shape, k: Shape, v: Shape, dtype: Any, turned: bool) -> list[Any]:
    """Leaves, as [..., length, heads, size] where `turned`, so that heads are walked by strides."""
    draw = np.random.default_rng(4)
    found = []
    for shape in (q, k, v):
        array = draw.standard_normal(shape).astype(dtype)
        if turned:
            array = np.ascontiguousarray(np.swapaxes(array, -2, -3))
        found.append(mg.tensor(array).requires_grad_())
    return found


def mask_of(kind: str, q: Shape, k: Shape, dtype: Any) -> Any:
    draw = np.random.default_rng(5)
    if kind == "bool":
        seen = draw.random((q[-2], k[-2])) > 0.3
        seen[2] = False
        return mg.tensor(seen)
    if kind == "keys":
        return mg.tensor(draw.random((q[0], *[1] * (len(q) - 2), k[-2])) > 0.3)
    return mg.tensor(draw.standard_normal((q[-2], k[-2])).astype(dtype))


CASES: list[Any] = [
    ((2, 3, 17, 8), (2, 3, 17, 8), (2, 3, 17, 8), {}),
    ((2, 3, 17, 8), (2, 3, 17, 8), (2, 3, 17, 8), {"causal": True}),
    ((2, 2, 33, 20), (2, 2, 41, 20), (2, 2, 41, 12), {"causal": True, "scale": -0.7}),
    ((2, 2, 41, 5), (2, 2, 9, 5), (2, 2, 9, 3), {"causal": True}),
    ((2, 3, 64, 32), (2, 3, 64, 32), (2, 3, 64, 32), {"causal": True, "turned": True}),
    ((2, 3, 40, 16), (2, 3, 40, 16), (2, 3, 40, 16), {"mask": "bool"}),
    ((4, 3, 20, 16), (4, 3, 37, 16), (4, 3, 37, 16), {"mask": "keys", "turned": True}),
    ((2, 3, 20, 16), (2, 3, 37, 16), (2, 3, 37, 16), {"mask": "float", "turned": True}),
    ((5, 130, 24), (5, 110, 24), (5, 110, 24), {}),
    ((8, 8, 1), (8, 8, 1), (8, 8, 1), {}),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("q", "k", "v", "how"), CASES)
def test_values_and_gradients(q: Shape, k: Shape, v: Shape, how: dict[str, Any], dtype: Any) -> None:
    turned, causal, scale = how.get("turned", False), how.get("causal", False), how.get("scale")
    mask = mask_of(how["mask"], q, k, dtype) if "mask" in how else None
    leaves = inputs(q, k, v, dtype, turned)
    seen = [x.transpose(-2, -3) for x in leaves] if turned else leaves
    y = F.scaled_dot_product_attention(*seen, mask, is_causal=causal, scale=scale)
    g = mg.tensor(np.random.default_rng(6).standard_normal(tuple(y.shape)).astype(dtype))
    (y * g).sum().backward()
    wide = [x.detach().double().requires_grad_() for x in leaves]
    wide_mask = mask if mask is None or mask.dtype is mg.bool else mask.double()
    expected = decomposed(*([x.transpose(-2, -3) for x in wide] if turned else wide), wide_mask, causal, scale)
    (expected * g.double()).sum().backward()
    bound = 2e-5 if dtype is np.float32 else 1e-12
    np.testing.assert_allclose(y.detach().numpy(), expected.detach().numpy(), rtol=bound, atol=bound)
    for mine, theirs in zip(leaves, wide, strict=True):
        np.testing.assert_allclose(mine.grad.numpy(), theirs.grad.numpy(), rtol=bound, atol=bound)


def run(threads: int, compiled: bool = False) -> list[bytes]:
    leaves = inputs((2, 3, 70, 16), (2, 3, 70, 16), (2, 3, 70, 16), np.float32, True)

    def step() -> Any:
        y = F.scaled_dot_product_attention(*[x.transpose(1, 2) for x in leaves], is_causal=True)
        return (y, *mg.autograd.grad((y * y).sum(), leaves))

    before = mg.get_num_threads()
    mg.set_num_threads(threads)
    try:
        return [x.detach().numpy().tobytes() for x in (mg.compile(step) if compiled else step)()]
    finally:
        mg.set_num_threads(before)


def test_bits_depend_on_nothing_but_the_inputs() -> None:
    assert run(1) == run(2) == run(2, compiled=True)


def test_no_matrix_of_scores_is_in_memory() -> None:
    leaves = inputs((2, 4, 200, 16), (2, 4, 200, 16), (2, 4, 200, 16), np.float32, False)

    def step() -> Any:
        y = F.scaled_dot_product_attention(*leaves, is_causal=True)
        return (y, *mg.autograd.grad((y * y).sum(), leaves))

    (plan,) = plans_of(step)
    kinds = [info.kind for info in plan.steps]
    assert kinds.count("scaled_dot_product_attention") == kinds.count("attention_backward") == 1
    assert "matmul" not in kinds
    assert plan.program.arena_bytes < 2 * 4 * 200 * 200 * 4


def test_second_derivatives() -> None:
    """The gradient of a function of the gradient, beside that of the decomposed form."""
    found = []
    for function in (lambda *x: F.scaled_dot_product_attention(*x, is_causal=True), lambda *x: decomposed(*x, None, True, None)):
        leaves = inputs((4, 9, 3), (4, 10, 3), (4, 10, 2), np.float64, False)
        first = mg.autograd.grad(function(*leaves).square().sum(), leaves, create_graph=True)
        found.append(mg.autograd.grad(sum((x * x.sin()).sum() for x in first), leaves))
    for mine, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(mine.numpy(), theirs.numpy(), rtol=1e-10, atol=1e-10)


def test_a_new_length_is_filled_into_the_template() -> None:
    with knobs.verify.scoped(True):
        for length in (24, 40, 56, 33):
            leaves = inputs((4, length, 8), (4, length, 8), (4, length, 8), np.float32, False)
            y = F.scaled_dot_product_attention(*leaves, is_causal=True)
            grads = mg.autograd.grad((y * y).sum(), leaves)
            wide = [x.detach().double().requires_grad_() for x in leaves]
            z = decomposed(*wide, None, True, None)
            for mine, theirs in zip(grads, mg.autograd.grad((z * z).sum(), wide), strict=True):
                np.testing.assert_allclose(mine.numpy(), theirs.numpy(), rtol=2e-5, atol=2e-5)


def test_values_that_are_no_numbers() -> None:
    """NaN of a query stays in its row; an infinite score makes its row NaN, as the decomposed form does."""
    leaves = [x.detach() for x in inputs((1, 9, 8), (1, 9, 8), (1, 9, 8), np.float32, False)]
    leaves[0][0, 3, 0] = float("nan")
    leaves[0][0, 5, 0] = float("inf")
    y = F.scaled_dot_product_attention(*leaves).numpy()[0]
    assert np.isnan(y[3]).all() and np.isnan(y[5]).all()
    assert np.isfinite(np.delete(y, (3, 5), 0)).all()
