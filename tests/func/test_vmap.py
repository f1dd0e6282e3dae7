"""vmap: in and out dims, nesting, randomness, writes, functions that look at values."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import monograph as mg
import monograph.nn.functional as F
from monograph.func import functional_call, grad, stack_module_state, vmap

rng = np.random.default_rng(0)
X, Y = rng.normal(size=(5, 4)), rng.normal(size=(5, 4))
x, y = mg.tensor(X), mg.tensor(Y)


def test_dims_in_and_out() -> None:
    np.testing.assert_allclose(vmap(mg.dot)(x, y).numpy(), (X * Y).sum(1))
    np.testing.assert_allclose(vmap(mg.dot, in_dims=1)(x, y).numpy(), (X * Y).sum(0))
    np.testing.assert_allclose(vmap(lambda a, b: a + b, in_dims=(0, None))(x, y[0]).numpy(), X + Y[0])
    np.testing.assert_allclose(vmap(lambda a: a * 2, in_dims=-1, out_dims=-1)(x).numpy(), 2 * X)
    doubled, total = vmap(lambda a: (a * 2, a.sum()), out_dims=(1, 0))(x)
    assert doubled.shape == (4, 5)
    assert total.shape == (5,)


def test_trees_and_keywords() -> None:
    got = vmap(lambda d: {"sum": d["a"] + d["b"][0]}, in_dims=({"a": 0, "b": (None,)},))({"a": x, "b": (y[0],)})
    np.testing.assert_allclose(got["sum"].numpy(), X + Y[0])
    assert vmap(lambda a, b=None: a + b)(x, b=y).shape == (5, 5, 4)  # keyword arguments are the same for all


def test_nesting() -> None:
    pairs = vmap(lambda a: vmap(lambda b: mg.dot(a, b))(y))(x)
    np.testing.assert_allclose(pairs.numpy(), X @ Y.T)


def test_chunks() -> None:
    for size in (1, 2, 5, 9):
        np.testing.assert_allclose(vmap(lambda a: (a * a).sum(), chunk_size=size)(x).numpy(), (X * X).sum(1))


def test_the_function_is_recorded_once() -> None:
    calls = []
    vmap(lambda a: calls.append(1) or a * 2)(x)
    assert len(calls) == 1


def test_a_function_that_looks_at_values_is_run_for_every_example() -> None:
    got = vmap(lambda a: a * 2 if a.sum() > 0 else -a)(x)
    np.testing.assert_allclose(got.numpy(), np.where(X.sum(1, keepdims=True) > 0, 2 * X, -X))


def test_randomness() -> None:
    def noisy(a: Any) -> Any:
        return a + mg.rand(4, dtype=mg.float64)

    with pytest.raises(RuntimeError, match="randomness error mode"):
        vmap(noisy)(x)
    same = (vmap(noisy, randomness="same")(x) - x).numpy()
    different = (vmap(noisy, randomness="different")(x) - x).numpy()
    np.testing.assert_allclose(same, np.broadcast_to(same[0], same.shape))
    assert len({tuple(r) for r in different}) == 5
    outside = mg.rand(4, dtype=mg.float64)
    np.testing.assert_allclose(vmap(lambda a: a + outside)(x).numpy(), X + outside.numpy())
    ones = mg.ones(6, 50)
    masks = vmap(lambda a: F.dropout(a), randomness="same")(ones).numpy()
    np.testing.assert_array_equal(masks, np.broadcast_to(masks[0], masks.shape))
    assert len({tuple(r) for r in vmap(lambda a: F.dropout(a), randomness="different")(ones).numpy()}) == 6
    deep = vmap(lambda a: vmap(lambda b: b + mg.rand((), dtype=mg.float64), randomness="different")(a), randomness="different")
    nested = deep(mg.zeros(3, 4, dtype=mg.float64))
    assert len(set(nested.flatten().tolist())) == 12


def test_in_place_work_on_the_examples() -> None:
    def change(a: Any) -> Any:
        b = a.clone()
        b += 1
        b[0] = 5.0
        return b

    expected = X + 1
    expected[:, 0] = 5
    np.testing.assert_allclose(vmap(change)(x).numpy(), expected)
    given = x.clone()
    np.testing.assert_allclose(vmap(lambda a: a.mul_(3).sum())(given).numpy(), 3 * X.sum(1))
    np.testing.assert_allclose(given.numpy(), 3 * X)
    np.testing.assert_allclose(vmap(lambda a: mg.zeros(4, dtype=mg.float64).add_(a))(x).numpy(), X)


def test_a_write_to_a_tensor_from_outside() -> None:
    total = mg.zeros(4, dtype=mg.float64)
    with pytest.raises(RuntimeError, match="from outside of the function"):
        vmap(lambda a: total.add_(a))(x)
    np.testing.assert_array_equal(total.numpy(), np.zeros(4))


def test_gradients_flow_through() -> None:
    w = mg.tensor(Y[0], requires_grad=True)
    (vmap(lambda a: (a * w).sum() ** 2)(x)).sum().backward()
    np.testing.assert_allclose(w.grad.numpy(), 2 * (X @ Y[0]) @ X)


def test_custom_functions() -> None:
    class Triple(mg.autograd.Function):
        @staticmethod
        def forward(ctx: Any, a: Any) -> Any:
            ctx.save_for_backward(a)
            return a * a

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            (a,) = ctx.saved_tensors
            return g * 3 * a

    leaf = mg.tensor(X, requires_grad=True)
    vmap(Triple.apply)(leaf).sum().backward()
    np.testing.assert_allclose(leaf.grad.numpy(), 3 * X)
    np.testing.assert_allclose(vmap(grad(lambda a: Triple.apply(a).sum()))(x).numpy(), 3 * X)


def test_per_sample_gradients_of_a_network() -> None:
    net = mg.nn.Sequential(
        mg.nn.Conv2d(1, 3, 3), mg.nn.ReLU(), mg.nn.MaxPool2d(2), mg.nn.Flatten(), mg.nn.Linear(12, 4), mg.nn.LayerNorm(4)
    )
    params = {k: v.detach() for k, v in net.named_parameters()}
    images, labels = mg.randn(6, 1, 6, 6), mg.tensor([0, 1, 2, 3, 0, 1])

    def loss(p: Any, image: Any, label: Any) -> Any:
        return F.cross_entropy(functional_call(net, p, (image.unsqueeze(0),)), label.unsqueeze(0))

    found = vmap(grad(loss), in_dims=(None, 0, 0))(params, images, labels)
    for i in range(6):
        net.zero_grad()
        F.cross_entropy(net(images[i : i + 1]), labels[i : i + 1]).backward()
        for name, p in net.named_parameters():
            np.testing.assert_allclose(found[name][i].numpy(), p.grad.numpy(), rtol=1e-4, atol=1e-5)


def test_an_ensemble() -> None:
    models = [mg.nn.Linear(4, 2) for _ in range(3)]
    params, buffers = stack_module_state(models)
    batch = mg.randn(7, 4)
    got = vmap(lambda p, b, v: functional_call(models[0], (p, b), (v,)), in_dims=(0, 0, None))(params, buffers, batch)
    for i, model in enumerate(models):
        np.testing.assert_allclose(got[i].detach().numpy(), model(batch).detach().numpy(), rtol=1e-5, atol=1e-6)


def test_in_a_compiled_function() -> None:
    layer = mg.nn.Linear(4, 2)
    step = mg.compile(lambda v: vmap(lambda a: layer(a).sum())(v))
    for scale in (1.0, 2.0):
        v = mg.randn(3, 4) * scale
        np.testing.assert_allclose(step(v).detach().numpy(), layer(v).sum(1).detach().numpy(), rtol=1e-5)
    with mg.no_grad():
        layer.weight.zero_()
    np.testing.assert_allclose(step(mg.ones(3, 4)).detach().numpy(), np.full(3, layer.bias.sum().item()), rtol=1e-5)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: vmap(mg.add)(x, x[:3]), ValueError, r"same size in the mapped dimension, got sizes \[5, 3\]"),
        (lambda: vmap(mg.add, in_dims=None)(x, x), ValueError, "at least one input must be mapped"),
        (lambda: vmap(lambda a: a)(3), ValueError, "non-Tensor"),
        (lambda: vmap(lambda a: 3)(x), ValueError, "must only return Tensors"),
        (lambda: vmap(lambda a: a, in_dims=5)(x), ValueError, "-2 <= in_dim < 2"),
        (lambda: vmap(lambda a, b: a, in_dims=(0,))(x, x), ValueError, "not compatible with the structure of `inputs`"),
        (lambda: vmap(lambda a: a, out_dims=(0, 1))(x), ValueError, "not compatible with the structure of `outputs`"),
        (lambda: vmap(lambda a: a, out_dims=None)(x), ValueError, "out_dim is None"),
        (lambda: vmap(lambda a: a, randomness="some"), RuntimeError, "randomness are"),
        (lambda: vmap(lambda a: a, chunk_size=0), ValueError, "chunk_size"),
        (lambda: vmap(lambda: x)(), ValueError, "got no inputs"),
    ],
)
def test_refusals(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
