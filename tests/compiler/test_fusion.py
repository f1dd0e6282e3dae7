"""How many kernels a piece of code becomes, and what is in them: a fusion that is lost fails here."""

from __future__ import annotations

from typing import Any

import pytest

import monograph as mg
import monograph.nn as nn
import monograph.nn.functional as F
from tests.compiler.planned import plans_of, steps_of, tensors

ROWS = (64, 48)


def kernels(steps: list[tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Steps without the packing of a product's operand, which goes by the same name."""
    return [s for i, s in enumerate(steps) if i + 1 == len(steps) or s != steps[i + 1] or s[0] not in ("matmul", "conv")]


@pytest.mark.parametrize(
    ("function", "shapes"),
    [
        (lambda x, w, b: F.gelu(x * w + b), (ROWS, (48,), (48,))),
        (lambda x: F.softmax(x, -1), (ROWS,)),
        (lambda x: F.softmax(x, 0), (ROWS,)),
        (lambda x: F.log_softmax(x * 2, -1) + 1, (ROWS,)),
        (lambda x, w, b: F.layer_norm(x, (48,), w, b), (ROWS, (48,), (48,))),
        (lambda x, w: x * (x.square().mean(-1, keepdim=True) + 1e-5).rsqrt() * w, (ROWS, (48,))),
        (lambda x: (x - x.mean(1, keepdim=True)) / x.std(1, keepdim=True), (ROWS,)),
        (lambda x, w, b: F.batch_norm(x, mg.zeros(8), mg.ones(8), w, b, training=True), ((16, 8, 12, 12), (8,), (8,))),
        (lambda x, w: F.group_norm(x, 4, w, w), ((8, 16, 6, 6), (16,))),
        (lambda x, y: x.t() + y, ((48, 64), ROWS)),
        (lambda x, y: ((x - y) ** 2).mean(), (ROWS, ROWS)),
        (lambda x: (x.exp() + 1, x.exp().sum(1)), (ROWS,)),
        (lambda x: (x * 2).sum(0), (ROWS,)),
        (lambda x: mg.tril(x) + 1, (ROWS,)),
        (lambda x: F.dropout(F.relu(x + 1), 0.5), (ROWS,)),
        (lambda x, y: x * y.sum(1, keepdim=True).exp() + y, (ROWS, ROWS)),
        (lambda x, w: w[(x.abs() * 3).long()] * 2 + 1, (ROWS, (5,))),
    ],
    ids=[
        "gelu", "softmax", "softmax-columns", "log_softmax", "layer_norm", "rms_norm", "standardise", "batch_norm", "group_norm",
        "transposed", "mse", "value-and-sum", "column-sums", "tril", "dropout", "row-factor", "gather",
    ],
)  # fmt: skip
def test_one_kernel(function: Any, shapes: tuple[tuple[int, ...], ...]) -> None:
    steps = steps_of(function, *shapes)
    assert len(steps) == 1, steps


def test_what_a_softmax_kernel_does() -> None:
    assert steps_of(lambda x: F.softmax(x, -1), ROWS) == [("amax", "sub", "exp", "sum", "reciprocal", "mul")]


def test_an_elementwise_tail_ends_in_the_product() -> None:
    steps = steps_of(lambda x, w, b: F.relu(F.linear(x, w, b)), ROWS, (32, 48), (32,))
    assert kernels(steps) == [("matmul", "add", "relu")]


def test_an_elementwise_tail_ends_in_the_convolution() -> None:
    steps = steps_of(lambda x, w, b: F.relu(F.conv2d(x, w, b, padding=1)), (2, 3, 8, 8), (4, 3, 3, 3), (4,))
    assert kernels(steps) == [("conv", "add", "relu")]


def test_pieces_of_a_cat_are_computed_once_and_copied_into_place() -> None:
    steps = steps_of(lambda x, y: mg.cat([x * 2, y.exp() + 1], 1), ROWS, ROWS)
    assert len(steps) <= 4
    assert sum("exp" in s for s in steps) == 1


def test_attention_is_one_kernel() -> None:
    shape = (2, 4, 16, 8)
    steps = kernels(steps_of(lambda q, k, v: F.scaled_dot_product_attention(q, k, v), shape, shape, shape))
    assert steps == [("scaled_dot_product_attention",)]


def test_attention_of_few_queries_is_two_products_and_one_softmax() -> None:
    shape = (2, 4, 16, 8)
    steps = kernels(steps_of(lambda q, k, v: F.scaled_dot_product_attention(q, k, v), (2, 4, 3, 8), shape, shape))
    assert [s[0] for s in steps] == ["matmul", "mul", "matmul"]
    assert len(steps[1]) == 6


def test_layer_norm_and_its_gradients() -> None:
    def both(x: Any, w: Any, b: Any) -> tuple[Any, ...]:
        for t in (x, w, b):
            t.requires_grad_()
        F.layer_norm(x, (48,), w, b).tanh().sum().backward()
        return x.grad, w.grad, b.grad

    steps = steps_of(both, ROWS, (48,), (48,))
    assert len(steps) == 3, steps
    assert steps[1:] == [("sum",), ("sum",)]


def test_cross_entropy_and_its_gradient() -> None:
    def both(x: Any) -> tuple[Any, ...]:
        x.requires_grad_()
        loss = F.cross_entropy(x, mg.arange(32) % 10)
        loss.backward()
        return loss.detach(), x.grad

    assert len(steps_of(both, (32, 10))) <= 3


def train_steps(model: nn.Module, optimiser: Any, x: Any, y: Any) -> list[tuple[str, ...]]:
    mg.eval(x, y, *model.parameters())

    def step() -> Any:
        optimiser.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        optimiser.step()
        return loss.detach()

    step()
    plans = plans_of(step)
    assert len(plans) == 1, "forward, backward and update are one plan"
    return [s.ops for s in plans[0].steps]


def test_training_step_of_a_perceptron() -> None:
    model = nn.Sequential(nn.Linear(20, 32), nn.ReLU(), nn.Linear(32, 10))
    (x,) = tensors((16, 20))
    steps = train_steps(model, mg.optim.Adam(model.parameters()), x, mg.arange(16) % 10)
    products = [s for s in kernels(steps) if s[0] == "matmul"]
    # Two forward, two weight gradients, one of the hidden layer; an update may stand between a weight's packing and its last product.
    assert 5 <= len(products) <= 6, products
    assert ("matmul", "add", "relu", "le") in products
    assert len(kernels(steps)) <= 16, steps
    assert not [s for s in steps if len(s) == 1 and s[0] in ("add", "mul", "relu", "where")], "single elementwise ops are left over"


def test_training_step_of_a_convolutional_network() -> None:
    model = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(4 * 36, 10))
    (x,) = tensors((8, 1, 12, 12))
    steps = train_steps(model, mg.optim.SGD(model.parameters(), lr=0.1, momentum=0.9), x, mg.arange(8) % 10)
    assert ("conv", "add", "relu", "le") in steps
    assert sum(s[0] == "max_pool" for s in steps) == sum(s[0] == "max_pool_backward" for s in steps) == 1
    assert len(kernels(steps)) <= 18, steps


def test_a_weight_of_every_step_is_packed_once() -> None:
    (plan,) = plans_of(nn.RNN(16, 32), *tensors((20, 4, 16)))
    products = [s for s in plan.steps if s.name.startswith("gemm_") and not s.name.startswith("gemm_pack")]
    packs = [s for s in plan.steps if s.name.startswith("gemm_pack")]
    assert len(products) >= 20
    assert len(packs) == 2  # of the inputs of all steps, and of the recurrent weight


def test_numbers_are_worked_out_together() -> None:
    a, b = mg.tensor(2.0), mg.tensor(3.0)
    mg.eval(a, b)
    (plan,) = plans_of(lambda: (1 - a, (b * 2).sqrt(), a - 5))
    assert len(plan.steps) == 1


def test_no_step_calls_numpy_in_common_models() -> None:
    shape = (2, 4, 16, 8)

    def both(q: Any, k: Any, v: Any) -> tuple[Any, ...]:
        for t in (q, k, v):
            t.requires_grad_()
        F.scaled_dot_product_attention(q, k, v, is_causal=True).square().sum().backward()
        return q.grad, k.grad, v.grad

    (plan,) = plans_of(both, *tensors(shape, shape, shape))
    assert not [s.ops for s in plan.steps if s.kind == "host"]
