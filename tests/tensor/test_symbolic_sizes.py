"""Sizes that are known only when a program runs flow through shape code without being asked for their value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import monograph as mg
import monograph.nn.functional as F
from monograph.core import symbol
from monograph.core.dtype import float32
from monograph.ops import source
from monograph.tensor.core import wrap

KEEP = [
    ("x.view(x.size(0), -1)", "[batch, 12]"),
    ("x.reshape(-1, 12)", "[batch, 12]"),
    ("x.reshape(x.shape[0] * 4, 3)", "[4*batch, 3]"),
    ("x.flatten(1)", "[batch, 12]"),
    ("x.flatten()", "[12*batch]"),
    ("x[:, 0]", "[batch, 3]"),
    ("x[0]", "[4, 3]"),
    ("x[-1]", "[4, 3]"),
    ("x[1:]", "[(-1+batch), 4, 3]"),
    ("x[:, 1:3, None]", "[batch, 2, 1, 3]"),
    ("x[:, [0, 1]]", "[batch, 2, 3]"),
    ("x + mg.ones(3)", "[batch, 4, 3]"),
    ("x + mg.ones(4, 1)", "[batch, 4, 3]"),
    ("x * 2 + x", "[batch, 4, 3]"),
    ("x.sum((1, 2))", "[batch]"),
    ("x.mean()", "[]"),
    ("x.sum() / x.shape[0]", "[]"),
    ("mg.zeros(x.shape[0] * 2, 3)", "[2*batch, 3]"),
    ("mg.ones(5).expand(x.size(0), 5)", "[batch, 5]"),
    ("x.permute(2, 0, 1).transpose(0, 1)", "[batch, 3, 4]"),
    ("x.transpose(1, 2).reshape(x.size(0), 12)", "[batch, 12]"),
    ("mg.cat([x, x])", "[2*batch, 4, 3]"),
    ("mg.stack([x, x])", "[2, batch, 4, 3]"),
    ("x.chunk(2, 1)[0]", "[batch, 2, 3]"),
    ("F.linear(x.flatten(1), mg.ones(5, 12), mg.ones(5))", "[batch, 5]"),
    ("F.softmax(x, -1)", "[batch, 4, 3]"),
    ("F.layer_norm(x, (3,))", "[batch, 4, 3]"),
    ("F.max_pool2d(x.unsqueeze(1), 2)", "[batch, 1, 2, 1]"),
    ("mg.einsum('bij,bkj->bik', x, x)", "[batch, 4, 4]"),
    ("x.max(1).values", "[batch, 3]"),
    ("F.cross_entropy(x[:, 0], mg.zeros(x.size(0), dtype=mg.int64))", "[]"),
    ("x.clone().add_(1)", "[batch, 4, 3]"),
    ("mg.arange(x.size(0))", "[batch]"),
]


@pytest.mark.parametrize("hint", [4, 8])
@pytest.mark.parametrize(("code", "shape"), KEEP)
def test_no_constraint_is_noted(code: str, shape: str, hint: int) -> None:
    scope = symbol.Scope()
    x = wrap(source.placeholder((scope.symbol("batch", hint), 4, 3), float32))
    y = eval(code, {"mg": mg, "F": F, "x": x})
    assert str(list(y.shape)) == shape
    assert not scope.constraints


def test_a_gradient_sums_to_its_own_shape() -> None:
    w, b = mg.ones(12, 5, requires_grad=True), mg.ones(5, requires_grad=True)
    scope = symbol.Scope()
    x = wrap(source.placeholder((scope.symbol("batch", 5), 12), float32))
    found = mg.autograd.grad(((x @ w + b).relu() ** 2).mean(), [w, b])
    assert [tuple(g.shape) for g in found if g is not None] == [(12, 5), (5,)]
    assert not scope.constraints


@pytest.mark.parametrize("use", [int, range, lambda n: [0] * n])
def test_python_that_needs_the_number_fixes_it(use: Callable[[Any], Any]) -> None:
    scope = symbol.Scope()
    use(scope.symbol("n", 3))
    assert list(scope.constraints) == [("n", "==", "3")]
