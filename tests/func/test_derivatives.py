"""grad, vjp, jvp, Jacobians and Hessians, nested and mapped; functional_call; autograd.functional."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import monograph as mg
from monograph.autograd import functional
from monograph.func import (
    functional_call,
    grad,
    grad_and_value,
    hessian,
    jacfwd,
    jacrev,
    jvp,
    stack_module_state,
    value_and_grad,
    vjp,
    vmap,
)

X, V = np.array([0.3, -1.2, 2.0]), np.array([1.0, 0.5, -2.0])
x, v = mg.tensor(X), mg.tensor(V)


def cubes(a: Any) -> Any:
    return (a**3).sum()


def mixed(a: Any) -> Any:
    return mg.stack([a.prod(), (a * a).sum()])


MIXED_JACOBIAN = np.array([[X[1] * X[2], X[0] * X[2], X[0] * X[1]], 2 * X])


def test_grad_and_its_nesting() -> None:
    np.testing.assert_allclose(grad(cubes)(x).numpy(), 3 * X**2)
    np.testing.assert_allclose(grad(lambda a: grad(cubes)(a).sum())(x).numpy(), 6 * X)
    np.testing.assert_allclose(grad(lambda a: grad(lambda b: grad(cubes)(b).sum())(a).sum())(x).numpy(), np.full(3, 6.0))
    assert not grad(cubes)(x).requires_grad


def test_argnums_aux_and_values() -> None:
    ga, gb = grad(lambda a, b: (a * b * b).sum(), argnums=(0, 1))(x, v)
    np.testing.assert_allclose(ga.numpy(), V**2)
    np.testing.assert_allclose(gb.numpy(), 2 * X * V)
    g, aux = grad(lambda a: (cubes(a), a * 2), has_aux=True)(x)
    np.testing.assert_allclose(aux.numpy(), 2 * X)
    assert not aux.requires_grad
    g, value = grad_and_value(cubes)(x)
    value_again, g_again = value_and_grad(cubes)(x)
    assert value.item() == value_again.item()
    np.testing.assert_array_equal(g.numpy(), g_again.numpy())
    tree = grad(lambda d: (d["a"] * d["b"]).sum())({"a": x, "b": v})
    np.testing.assert_allclose(tree["a"].numpy(), V)
    np.testing.assert_array_equal(grad(lambda a, b: cubes(a), argnums=1)(x, v).numpy(), np.zeros(3))


def test_results_join_the_tape_around() -> None:
    w = mg.tensor(V, requires_grad=True)
    grad(lambda a: (a**2 * w).sum())(x).sum().backward()
    np.testing.assert_allclose(w.grad.numpy(), 2 * X)
    leaf = mg.tensor(X, requires_grad=True)
    grad(cubes)(leaf).sum().backward()
    np.testing.assert_allclose(leaf.grad.numpy(), 6 * X)
    with mg.no_grad():
        np.testing.assert_allclose(grad(cubes)(x).numpy(), 3 * X**2)


def test_products() -> None:
    value, back = vjp(mixed, x)
    np.testing.assert_allclose(back(mg.tensor([1.0, 2.0], dtype=mg.float64))[0].numpy(), np.array([1.0, 2.0]) @ MIXED_JACOBIAN)
    value, along = jvp(mixed, (x,), (v,))
    np.testing.assert_allclose(along.numpy(), MIXED_JACOBIAN @ V)
    assert not value.requires_grad
    assert not along.requires_grad
    _, along = jvp(lambda a, b: {"p": a * b}, (x, v), (v, x))
    np.testing.assert_allclose(along["p"].numpy(), V * V + X * X)


@pytest.mark.parametrize("transform", [jacrev, jacfwd])
def test_jacobians(transform: Any) -> None:
    np.testing.assert_allclose(transform(mixed)(x).numpy(), MIXED_JACOBIAN)
    np.testing.assert_allclose(transform(transform(cubes))(x).numpy(), np.diag(6 * X))
    np.testing.assert_allclose(vmap(transform(mixed))(mg.stack([x, v]))[0].numpy(), MIXED_JACOBIAN)
    both = transform(lambda a, b: a * b.sum(), argnums=(0, 1))(x, v)
    np.testing.assert_allclose(both[0].numpy(), np.eye(3) * V.sum())
    np.testing.assert_allclose(both[1].numpy(), np.repeat(X[:, None], 3, 1))
    _, aux = transform(lambda a: (a**2, a.sum()), has_aux=True)(x)
    np.testing.assert_allclose(aux.item(), X.sum())
    np.testing.assert_allclose(transform(mixed, chunk_size=1)(x).numpy(), MIXED_JACOBIAN)


def test_hessians() -> None:
    expected = np.array([[0, X[2], X[1]], [X[2], 0, X[0]], [X[1], X[0], 0]])
    np.testing.assert_allclose(hessian(lambda a: a.prod())(x).numpy(), expected)
    np.testing.assert_allclose(vmap(hessian(lambda a: a.prod()))(mg.stack([x, x]))[1].numpy(), expected)
    ((aa, ab), (_, bb)) = hessian(lambda a, b: (a * b * b).sum(), argnums=(0, 1))(x, v)
    np.testing.assert_allclose(ab.numpy(), np.diag(2 * V))
    np.testing.assert_allclose(bb.numpy(), np.diag(2 * X))
    np.testing.assert_array_equal(aa.numpy(), np.zeros((3, 3)))


def test_newton_s_method() -> None:
    def valley(z: Any) -> Any:
        return ((z**2 - 2) ** 2).sum() + z.prod()

    a = mg.tensor([1.5, -0.5], dtype=mg.float64)
    for _ in range(20):
        a = a - mg.linalg.solve(hessian(valley)(a), grad(valley)(a))
    np.testing.assert_allclose(grad(valley)(a).numpy(), 0, atol=1e-9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: grad(lambda a: a)(x), "scalar tensor, got tensor with 1 dims"),
        (lambda: grad(lambda a: a.sum())(mg.tensor([1])), "floating dtype"),
        (lambda: grad(cubes, argnums=3)(x), "only 1 positional inputs"),
        (lambda: jvp(cubes, (x,), (v[:2],)), r"tangent of shape \[2\]"),
        (lambda: vjp(mixed, x)[1]((v, v)), "structure of cotangents"),
    ],
)
def test_refusals(call: Any, message: str) -> None:
    with pytest.raises(RuntimeError, match=message):
        call()


# ---- modules ----


def test_functional_call() -> None:
    net = mg.nn.Sequential(mg.nn.Linear(3, 3, bias=False), mg.nn.BatchNorm1d(3))
    before = {k: t.clone() for k, t in net.state_dict().items()}
    params = {"0.weight": mg.eye(3) * 2}
    buffers = {k: t.clone() for k, t in net.named_buffers()}
    functional_call(net, (params, buffers), (mg.randn(5, 3),))
    assert (buffers["1.running_mean"] != before["1.running_mean"]).any()
    for name, t in net.state_dict().items():
        np.testing.assert_array_equal(t.numpy(), before[name].numpy())
    with pytest.raises(RuntimeError, match="unexpected key"):
        functional_call(net, {"nothing": mg.ones(1)}, (mg.randn(5, 3),), strict=True)
    with pytest.raises(ValueError, match="multiple dictionaries"):
        functional_call(net, (params, params), (mg.randn(5, 3),))


def test_tied_weights() -> None:
    net = mg.nn.Sequential(mg.nn.Linear(2, 2, bias=False), mg.nn.Linear(2, 2, bias=False))
    net[1].weight = net[0].weight
    got = functional_call(net, {"0.weight": mg.eye(2) * 3}, (mg.ones(2),))
    np.testing.assert_array_equal(got.numpy(), [9.0, 9.0])


def test_stacked_state() -> None:
    params, buffers = stack_module_state([mg.nn.BatchNorm1d(2) for _ in range(3)])
    assert params["weight"].shape == (3, 2)
    assert params["weight"].requires_grad
    assert buffers["running_mean"].shape == (3, 2)
    with pytest.raises(RuntimeError, match="same class"):
        stack_module_state([mg.nn.ReLU(), mg.nn.Tanh()])


# ---- autograd.functional ----


def test_autograd_functional() -> None:
    np.testing.assert_allclose(functional.jacobian(mixed, x).numpy(), MIXED_JACOBIAN)
    np.testing.assert_allclose(functional.jacobian(mixed, x, vectorize=True, strategy="forward-mode").numpy(), MIXED_JACOBIAN)
    rows = functional.jacobian(lambda a, b: (a * b, a.sum()), (x, v))
    np.testing.assert_allclose(rows[0][1].numpy(), np.diag(X))
    np.testing.assert_allclose(rows[1][0].numpy(), np.ones(3))
    np.testing.assert_allclose(functional.hessian(cubes, x).numpy(), np.diag(6 * X))
    np.testing.assert_allclose(functional.hvp(cubes, x, v)[1].numpy(), 6 * X * V)
    np.testing.assert_allclose(functional.vhp(cubes, x, v)[1].numpy(), 6 * X * V)
    np.testing.assert_allclose(functional.vjp(mixed, x, mg.ones(2, dtype=mg.float64))[1].numpy(), MIXED_JACOBIAN.sum(0))
    np.testing.assert_allclose(functional.jvp(mixed, x, v)[1].numpy(), MIXED_JACOBIAN @ V)
    leaf = mg.tensor(X, requires_grad=True)
    assert functional.jacobian(mixed, leaf, create_graph=True).requires_grad
    assert not functional.jacobian(mixed, leaf).requires_grad


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: functional.vjp(mixed, x), RuntimeError, "v can only be None"),
        (lambda: functional.jvp(mixed, x, v[:2]), RuntimeError, "invalid size"),
        (lambda: functional.hessian(mixed, x), RuntimeError, "single element"),
        (lambda: functional.jacobian(mixed, 3.0), TypeError, "should be a Tensor"),
        (lambda: functional.jacobian(lambda a, b: a * 2, (x, v), strict=True), RuntimeError, "independent of input 1"),
    ],
)
def test_autograd_functional_refusals(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()
