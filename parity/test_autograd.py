"""Programs about gradients: leaves, accumulation, hooks, higher orders, overwritten values, custom functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from parity.frames import compare

PROGRAMS: list[Callable[..., Any]] = []


def program(function: Callable[..., Any]) -> Callable[..., Any]:
    PROGRAMS.append(function)
    return function


def leaf(t: Any, *shape: int) -> Any:
    count = 1
    for size in shape:
        count *= size
    return (t.arange(count, dtype=t.float64).reshape(shape) / 4 + 0.5).requires_grad_()


@program
def accumulates(t):
    x = leaf(t, 3)
    (x * 2).sum().backward()
    (x * x).sum().backward()
    return x.grad


@program
def zeroed_by_hand(t):
    x = leaf(t, 3)
    (x * 2).sum().backward()
    x.grad.zero_()
    (x**3).sum().backward()
    first = x.grad.clone()
    x.grad = None
    x.sum().backward()
    return first, x.grad


@program
def used_twice(t):
    x = leaf(t, 3)
    y = x.exp()
    (y * y + y).sum().backward()
    return x.grad


@program
def flags(t):
    x = leaf(t, 3)
    y = x * 2
    z = y.detach()
    i = t.arange(3)
    with t.no_grad():
        w = x * 2
    return [
        x.is_leaf, y.is_leaf, z.is_leaf, x.requires_grad, y.requires_grad, z.requires_grad, w.requires_grad, i.requires_grad,
        y.grad_fn is None, x.grad_fn is None, x.grad is None, t.is_grad_enabled(),
    ]  # fmt: skip


@program
def grad_of_an_integer(t):
    return t.arange(3).requires_grad_()


@program
def backward_needs_a_scalar(t):
    (leaf(t, 3) * 2).backward()


@program
def backward_with_a_vector(t):
    x = leaf(t, 3)
    (x * 2).backward(t.tensor([1.0, 2.0, 3.0], dtype=t.float64))
    return x.grad


@program
def backward_with_a_wrong_shape(t):
    (leaf(t, 3) * 2).backward(t.ones(2, dtype=t.float64))


@program
def backward_twice(t):
    x = leaf(t, 3)
    y = (x.exp() * x).sum()
    y.backward()
    y.backward()


@program
def backward_twice_retained(t):
    x = leaf(t, 3)
    y = (x.exp() * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    return x.grad


@program
def backward_of_a_constant(t):
    t.ones(3).sum().backward()


@program
def overwritten_saved_value(t):
    x = leaf(t, 3)
    y = x.exp()
    y.mul_(2)
    y.sum().backward()
    return x.grad


@program
def overwritten_input_that_was_saved(t):
    x = leaf(t, 3)
    w = t.ones(3, dtype=t.float64)
    y = x * w
    w.add_(1)
    y.sum().backward()


@program
def overwritten_value_that_was_not_saved(t):
    x = leaf(t, 3)
    y = x + 1
    y.mul_(2)
    y[0] = 5
    y.sum().backward()
    return x.grad


@program
def inplace_on_a_leaf(t):
    leaf(t, 3).add_(1)


@program
def inplace_on_a_view_of_a_leaf(t):
    leaf(t, 3)[0].mul_(2)


@program
def inplace_on_a_leaf_without_grad(t):
    x = leaf(t, 3)
    with t.no_grad():
        x.sub_(0.1)
    return x, x.requires_grad, x.is_leaf


@program
def inplace_in_the_graph(t):
    x = leaf(t, 4)
    y = x.clone()
    y[1:3] *= 3
    y[0] = x[3] * x[2]
    (y * y).sum().backward()
    return x.grad, y


@program
def write_to_a_view_of_an_intermediate(t):
    x = leaf(t, 2, 3)
    y = x * 2
    row = y[1]
    row.mul_(x[0])
    (y.sum() + row.sum()).backward()
    return x.grad


@program
def overwritten_with_a_constant(t):
    x = leaf(t, 3)
    y = x * 2
    y.fill_(1)
    y.sum().backward()
    return x.grad, y.requires_grad


@program
def written_off_the_tape(t):
    x = leaf(t, 3)
    y = x * 2
    with t.no_grad():
        y.zero_()
    z = x * 2
    z.detach().zero_()
    (y + z).sum().backward()
    return x.grad, y


@program
def copy_is_differentiable(t):
    x = leaf(t, 3)
    y = t.zeros(3, dtype=t.float64)
    y.copy_(x * x)
    y.sum().backward()
    return x.grad, y.requires_grad


@program
def second_order(t):
    x = leaf(t, 3)
    (g,) = t.autograd.grad((x**3).sum(), x, create_graph=True)
    (h,) = t.autograd.grad(g.sum(), x)
    return g, h


@program
def third_order_through_backward(t):
    x = leaf(t, 2)
    (g,) = t.autograd.grad(x.sin().sum(), x, create_graph=True)
    (h,) = t.autograd.grad(g.sum(), x, create_graph=True)
    h.sum().backward()
    return x.grad


@program
def gradient_penalty(t):
    w = leaf(t, 3, 2)
    x = leaf(t, 4, 3)
    out = (x @ w).tanh().sum()
    (g,) = t.autograd.grad(out, x, create_graph=True)
    ((g.norm(2, dim=1) - 1) ** 2).mean().backward()
    return w.grad


@program
def grad_of_several(t):
    x, y = leaf(t, 3), leaf(t, 3)
    return t.autograd.grad([(x * y).sum(), (x + y * y).sum()], [x, y])


@program
def grad_of_an_unused(t):
    x, y = leaf(t, 3), leaf(t, 3)
    t.autograd.grad((x * 2).sum(), [x, y])


@program
def grad_of_an_unused_allowed(t):
    x, y = leaf(t, 3), leaf(t, 3)
    a, b = t.autograd.grad((x * 2).sum(), [x, y], allow_unused=True)
    return a, b is None


@program
def retain_grad(t):
    x = leaf(t, 3)
    y = x * 2
    y.retain_grad()
    (y**2).sum().backward()
    return y.grad, x.grad


@program
def tensor_hook(t):
    x = leaf(t, 3)
    seen = []
    y = x * 2
    y.register_hook(lambda g: seen.append(g.clone()))
    x.register_hook(lambda g: g * 10)
    (y**2).sum().backward()
    return x.grad, seen


@program
def removed_hook(t):
    x = leaf(t, 3)
    handle = x.register_hook(lambda g: g * 10)
    handle.remove()
    x.sum().backward()
    return x.grad


@program
def detach_cuts(t):
    x = leaf(t, 3)
    (x * x.detach()).sum().backward()
    return x.grad


@program
def no_grad_as_a_decorator(t):
    @t.no_grad()
    def f(x):
        return x * 2

    return f(leaf(t, 3)).requires_grad, t.is_grad_enabled()


@program
def enable_grad_inside_no_grad(t):
    x = leaf(t, 3)
    with t.no_grad(), t.enable_grad():
        y = x * 2
    with t.set_grad_enabled(False):
        z = x * 2
    return y.requires_grad, z.requires_grad


@program
def inference_mode(t):
    with t.inference_mode():
        y = leaf(t, 3) * 2
    return y, y.requires_grad


@program
def requires_grad_false_on_an_intermediate(t):
    (leaf(t, 3) * 2).requires_grad_(False)


@program
def numpy_of_a_tensor_with_grad(t):
    leaf(t, 3).numpy()


@program
def custom_function(t):
    class Cube(t.autograd.Function):
        @staticmethod
        def forward(ctx, x, scale):
            ctx.save_for_backward(x)
            ctx.scale = scale
            return x**3 * scale

        @staticmethod
        def backward(ctx, grad):
            (x,) = ctx.saved_tensors
            return grad * 3 * x**2 * ctx.scale, None

    x = leaf(t, 3)
    y = Cube.apply(x, 2.0)
    y.sum().backward()
    return y, x.grad


@program
def straight_through(t):
    class Round(t.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x.round()

        @staticmethod
        def backward(ctx, grad):
            return grad

    x = leaf(t, 5)
    (Round.apply(x) * x).sum().backward()
    return x.grad


@program
def custom_function_with_two_outputs(t):
    class Both(t.autograd.Function):
        @staticmethod
        def forward(ctx, a, b):
            ctx.save_for_backward(a, b)
            return a * b, a + b

        @staticmethod
        def backward(ctx, g1, g2):
            a, b = ctx.saved_tensors
            return g1 * b + g2, g1 * a + g2

    a, b = leaf(t, 3), leaf(t, 3)
    p, s = Both.apply(a, b)
    (p * s).sum().backward()
    return a.grad, b.grad


@program
def gradient_at_kinks(t):
    x = t.tensor([-1.0, 0.0, 1.0], requires_grad=True)
    kinks = (x.relu(), x.abs(), x.clamp(0, 1), t.maximum(x, t.zeros(3)), x.sign(), t.nn.functional.leaky_relu(x))
    sum(kink.sum() for kink in kinks).backward()
    return x.grad


@program
def gradient_of_ties(t):
    x = t.tensor([[2.0, 2.0, 1.0], [0.0, 3.0, 3.0]], requires_grad=True)
    (x.amax(1).sum() + x.max()).backward()
    return x.grad


@program
def gradient_of_ties_with_indices(t):
    x = t.tensor([[2.0, 2.0, 1.0], [0.0, 3.0, 3.0]], requires_grad=True)
    x.max(1).values.sum().backward()
    return x.grad


@program
def gradient_where_infinite(t):
    x = t.tensor([0.0, 1.0, 4.0], requires_grad=True)
    (x.sqrt().sum() + (x * 0 + 1).log().sum()).backward()
    return x.grad


@program
def gradient_through_where_with_nan(t):
    x = t.tensor([-1.0, 4.0], requires_grad=True)
    t.where(x > 0, x.sqrt(), t.zeros(2)).sum().backward()
    return x.grad


@program
def gradient_of_a_power_at_zero(t):
    x = t.tensor([0.0, 2.0], requires_grad=True)
    (x**2 + x**1 + x**0 + x**3.0).sum().backward()
    return x.grad


@program
def mixed_dtypes(t):
    x = t.ones(3, requires_grad=True)
    y = t.ones(3, dtype=t.float64, requires_grad=True)
    (x * y + x.to(t.float64)).sum().backward()
    return x.grad, y.grad


@program
def broadcast_gradients(t):
    a, b, c = leaf(t, 2, 1, 3), leaf(t, 4, 1), leaf(t)
    (a * b + c).sum().backward()
    return a.grad, b.grad, c.grad


@program
def functional_jacobian_by_rows(t):
    x = leaf(t, 3)
    y = x.cumsum(0) * x
    return t.stack([t.autograd.grad(y[i], x, retain_graph=True)[0] for i in range(3)])


@program
def deep_chain(t):
    x = leaf(t, 2)
    y = x
    for _ in range(3000):
        y = y * 1.0001
    y.sum().backward()
    return x.grad


@program
def parameters_and_manual_sgd(t):
    model = t.nn.Linear(3, 2, dtype=t.float64)
    with t.no_grad():
        for p in model.parameters():
            p.copy_(t.arange(p.numel(), dtype=t.float64).reshape(p.shape) / 7)
    x = leaf(t, 4, 3)
    for _ in range(3):
        loss = model(x).square().mean()
        loss.backward()
        with t.no_grad():
            for p in model.parameters():
                p -= 0.1 * p.grad
        model.zero_grad()
    return loss, list(model.parameters()), model.weight.grad is None


@pytest.mark.parametrize("function", PROGRAMS, ids=lambda function: function.__name__)
def test_program(function: Callable[..., Any]) -> None:
    problem = compare(function)
    assert not problem, problem
