"""The chain of grad_fns and its hooks, hooks on saved tensors, hooks on several gradients, dual tensors."""

from __future__ import annotations

from typing import Any

import pytest

import monograph as mg
import monograph.autograd.forward_ad as forward_ad
import monograph.nn.functional as F
from monograph.autograd import graph


class Square(mg.autograd.Function):
    """A function with both modes of its own."""

    @staticmethod
    def forward(x: Any) -> Any:
        return x * x

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.save_for_backward(*inputs)
        ctx.save_for_forward(*inputs)

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        (x,) = ctx.saved_tensors
        return 2 * x * g

    @staticmethod
    def jvp(ctx: Any, t: Any) -> Any:
        (x,) = ctx.saved_tensors
        return 2 * x * t * 10  # ten times too much, to see that it is this that is called


def test_hooks_of_a_grad_fn() -> None:
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    y = (x * 3).exp()
    seen: list[Any] = []
    assert isinstance(y.grad_fn, graph.Node) and y.grad_fn.next_functions[0][0].name() == "MulBackward0"
    before = y.grad_fn.register_prehook(lambda g: (g[0] * 2,))
    after = y.grad_fn.register_hook(lambda into, out: seen.append((len(into), out[0].tolist())))
    y.sum().backward(retain_graph=True)
    assert seen == [(1, [2.0, 2.0])] and mg.allclose(x.grad, y * 6)
    before.remove()
    after.remove()
    x.grad = None
    y.grad_fn.register_hook(lambda into, out: tuple(g * 0 for g in into))
    y.sum().backward()
    assert len(seen) == 1 and x.grad.tolist() == [0.0, 0.0]
    y.grad_fn.metadata["note"] = 1
    assert y.grad_fn.metadata == {"note": 1}


def test_hooks_of_the_end_of_the_chain() -> None:
    x = mg.ones(2, requires_grad=True)
    end = (x * 1).grad_fn.next_functions[0][0]
    seen: list[Any] = []
    end.register_prehook(lambda g: (g[0] + 1,))
    end.register_hook(lambda into, out: seen.append(out[0].tolist()))
    (x * 2).sum().backward()
    assert end.variable is x and seen == [[3.0, 3.0]] == [x.grad.tolist()]


def test_a_hook_that_returns_too_many_gradients() -> None:
    x = mg.ones(1, requires_grad=True)
    y = x.exp()
    y.grad_fn.register_hook(lambda into, out: (into[0], into[0]))
    with pytest.raises(RuntimeError, match="returned 2 gradients where 1 are expected"):
        y.backward()


@pytest.mark.parametrize("mode", ["all", "any"])
def test_hooks_on_several_gradients(mode: str) -> None:
    a, b = mg.ones(1, requires_grad=True), mg.ones(1, requires_grad=True)
    seen: list[Any] = []
    handle = graph.register_multi_grad_hook([a, b], seen.append, mode=mode)
    for _ in range(2):
        (a * 2 + b * 3).sum().backward()
    assert len(seen) == 2 and (mode == "any" or [g.item() for g in seen[0]] == [2.0, 3.0])
    handle.remove()
    (a * 2 + b * 3).sum().backward()
    assert len(seen) == 2


def test_saved_tensors_are_packed_and_unpacked() -> None:
    x = mg.tensor([3.0], requires_grad=True)
    calls: list[str] = []
    with graph.saved_tensors_hooks(lambda t: (calls.append("pack"), t.item())[1], lambda v: (calls.append("unpack"), mg.tensor([v]))[1]):
        y = Square.apply(x)
    y.backward()
    assert x.grad.item() == 6 and "unpack" in calls and calls[0] == "pack"
    with graph.save_on_cpu(), graph.allow_mutation_on_saved_tensors():
        Square.apply(x).backward()
    with graph.disable_saved_tensors_hooks("not here"), pytest.raises(RuntimeError, match="not here"), graph.save_on_cpu():
        raise AssertionError("unreachable")


def test_what_the_gradients_of_ops_read_is_packed_too() -> None:
    x, w = mg.tensor([1.0, 2.0], requires_grad=True), mg.tensor([[3.0, 4.0]], requires_grad=True)
    shapes: list[tuple[int, ...]] = []
    with graph.saved_tensors_hooks(lambda t: (shapes.append(tuple(t.shape)), t.tolist())[1], mg.tensor):
        y = (x * x).sum() + F.linear(x, w).sum() + (x + 1).sum()  # a sum reads nothing
    assert sorted(shapes) == [(1, 2), (2,), (2,), (2,)]
    y.backward()
    assert x.grad.tolist() == [6.0, 9.0] and w.grad.tolist() == [[1.0, 2.0]]
    with pytest.raises(RuntimeError, match="second time"):
        y.backward()


def test_gradients_are_computed_from_what_unpacking_returns() -> None:
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    with graph.saved_tensors_hooks(lambda t: t * 2, lambda t: t):
        y = (x * x).sum()
    assert mg.autograd.grad(y, x)[0].tolist() == [4.0, 8.0]
    with graph.saved_tensors_hooks(lambda t: t, lambda t: t):
        y = (x**3).sum()
    (g,) = mg.autograd.grad(y, x, create_graph=True)
    assert mg.autograd.grad(g.sum(), x)[0].tolist() == [6.0, 12.0]
    with graph.saved_tensors_hooks(lambda t: None, lambda nothing: nothing):
        y = (x * x).sum()
    with pytest.raises(TypeError, match="expected to be a Tensor"):
        y.backward()


def test_copies_of_saved_values_may_be_overwritten_around() -> None:
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    with graph.allow_mutation_on_saved_tensors():
        a = x * 1
        b = (a * a).sum()
        a.add_(1)
        b.backward()
    assert x.grad.tolist() == [2.0, 4.0]


def test_dual_tensors() -> None:
    with forward_ad.dual_level():
        x = forward_ad.make_dual(mg.tensor([1.0, 2.0]), mg.tensor([1.0, 10.0]))
        primal, tangent = forward_ad.unpack_dual((x * x).cumsum(0))
        assert primal.tolist() == [1.0, 5.0] and tangent.tolist() == [2.0, 42.0] and not tangent.requires_grad
        assert forward_ad.unpack_dual(mg.ones(1)).tangent is None
        with pytest.raises(RuntimeError, match="Nested forward mode"):
            forward_ad.enter_dual_level()
        with pytest.raises(RuntimeError, match=r"tangent of shape \[3\]"):
            forward_ad.make_dual(mg.ones(2), mg.ones(3))
    with pytest.raises(RuntimeError, match="no level exists"):
        forward_ad.make_dual(mg.ones(1), mg.ones(1))


def test_a_tangent_is_differentiable() -> None:
    x = mg.tensor(3.0, requires_grad=True)
    with forward_ad.dual_level():
        tangent = forward_ad.unpack_dual(forward_ad.make_dual(x, mg.tensor(1.0)) ** 3).tangent
    assert tangent.item() == 27 and mg.autograd.grad(tangent, x)[0].item() == 18


def test_a_functions_own_jvp_is_called() -> None:
    assert mg.func.jvp(Square.apply, (mg.tensor(3.0),), (mg.tensor(1.0),))[1].item() == 60
    y, derivative = mg.func.linearize(lambda x: x.sin(), mg.zeros(2))
    assert (
        y.tolist() == [0.0, 0.0] and derivative(mg.ones(2)).tolist() == [1.0, 1.0] and derivative(mg.full((2,), 3.0)).tolist() == [3.0, 3.0]
    )
    with pytest.raises(RuntimeError, match=r"tangent of float32\[3\]"):
        derivative(mg.ones(3))


def test_forward_mode_agrees_with_reverse_mode() -> None:
    layer = mg.nn.Sequential(mg.nn.Linear(3, 4), mg.nn.LayerNorm(4), mg.nn.GELU(), mg.nn.Linear(4, 2), mg.nn.Softmax(-1)).double()
    x = mg.rand(2, 3, dtype=mg.float64)
    assert mg.allclose(mg.func.jacfwd(layer)(x), mg.func.jacrev(layer)(x))
    parts = mg.func.jvp(lambda v: v.max(1), (x,), (mg.ones(2, 3, dtype=mg.float64),))[1]
    assert parts[0].tolist() == [1.0, 1.0]


def test_gradient_edges() -> None:
    x = mg.ones(2, requires_grad=True)
    values, _ = (x * 2).max(0)
    assert graph.get_gradient_edge(x).node.variable is x and graph.get_gradient_edge(values).output_nr == 0
    before = x._version
    graph.increment_version(x)
    assert x._version == before + 1
    with pytest.raises(RuntimeError, match="does not require"):
        graph.get_gradient_edge(mg.ones(1))
