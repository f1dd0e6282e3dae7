"""`autograd.Function.vmap`: a function's own rule for batches, inside of `func.vmap`."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pytest

import monograph as mg
from monograph.func import grad, vmap

X = mg.arange(6.0).reshape(2, 3)


class Cube(mg.autograd.Function):
    """x ** 3 for one example, ten times that for a batch, to see which is called."""

    seen: ClassVar[list[Any]] = []

    @staticmethod
    def forward(x: mg.Tensor) -> mg.Tensor:
        return x**3

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.save_for_backward(*inputs)

    @staticmethod
    def backward(ctx: Any, g: mg.Tensor) -> mg.Tensor:
        return g * 3 * ctx.saved_tensors[0] ** 2

    @staticmethod
    def vmap(info: Any, in_dims: Any, x: mg.Tensor) -> Any:
        Cube.seen.append((info.batch_size, info.randomness, in_dims, tuple(x.shape)))
        return Cube.apply(x) * 10, in_dims[0]


def test_the_rule_gets_the_whole_batch() -> None:
    Cube.seen.clear()
    assert vmap(Cube.apply)(X).equal(10 * X**3)
    assert vmap(Cube.apply, in_dims=1, out_dims=1)(X).equal(10 * X**3)
    assert vmap(vmap(Cube.apply))(X).equal(100 * X**3)
    assert Cube.seen[0] == (2, "error", (0,), (2, 3)) and len(Cube.seen) == 4
    assert vmap(lambda v: v + Cube.apply(mg.ones(3)))(X).equal(X + 1)  # nothing differs between the examples
    assert len(Cube.seen) == 4


def test_gradients_inside_are_the_functions_own_and_those_outside_the_rules() -> None:
    assert vmap(grad(lambda v: Cube.apply(v).sum()))(X).equal(3 * X**2)
    assert grad(lambda x: vmap(Cube.apply)(x).sum())(X).equal(30 * X**2)
    assert grad(lambda x: vmap(grad(lambda v: Cube.apply(v).sum()))(x).sum())(X).equal(6 * X)


class Host(mg.autograd.Function):
    """Products on the host, where rules of ours cannot follow; two outputs, one of which all examples share."""

    @staticmethod
    def forward(x: mg.Tensor, y: mg.Tensor, factor: int) -> Any:
        return mg.from_numpy(x.numpy() * y.numpy() * factor), y * 2

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        pass

    @staticmethod
    def vmap(info: Any, in_dims: Any, x: mg.Tensor, y: mg.Tensor, factor: int) -> Any:
        assert in_dims == (0, None, None)
        return (mg.from_numpy(np.ascontiguousarray(x.numpy() * y.numpy() * factor).T.copy()), y * 2), (-1, None)


def test_rules_on_the_host_and_outputs_that_do_not_differ() -> None:
    product, double = vmap(lambda v: Host.apply(v, mg.ones(3), 2))(X)
    assert product.equal(X * 2) and double.equal(mg.full((2, 3), 2.0))


def test_wrong_rules() -> None:
    class Both(Cube):
        generate_vmap_rule = True

    class Bare(Cube):
        @staticmethod
        def vmap(info: Any, in_dims: Any, x: mg.Tensor) -> Any:
            return x

    assert Both.apply(X).equal(X**3)
    with pytest.raises(RuntimeError, match="both generate_vmap_rule=True and an overridden vmap"):
        vmap(Both.apply)(X)
    with pytest.raises(RuntimeError, match="Expected the vmap staticmethod to have two returns"):
        vmap(Bare.apply)(X)
