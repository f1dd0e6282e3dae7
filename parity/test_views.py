"""Programs with views and in-place writes: every view sees every write, in both frameworks alike."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from parity.frames import compare

PROGRAMS: list[Callable[..., Any]] = []


def program(function: Callable[..., Any]) -> Callable[..., Any]:
    PROGRAMS.append(function)
    return function


def base(t: Any) -> Any:
    return t.arange(24, dtype=t.float32).reshape(2, 3, 4)


@program
def write_to_a_slice(t):
    x = base(t)
    y = x[0]
    y[1] = -1
    return x, y


@program
def write_to_the_base(t):
    x = base(t)
    y = x[:, 1:, ::2]
    x.mul_(2)
    return x, y


@program
def chain_of_views(t):
    x = base(t)
    y = x.permute(2, 0, 1)[1:3].select(1, 0)
    y += 100
    return x, y


@program
def view_of_a_view_of_a_view(t):
    x = base(t)
    a = x.view(6, 4)
    b = a.t()
    c = b[1]
    c.zero_()
    a[0, 0] = 7
    return x, a, b, c


@program
def reshape_of_a_transpose_copies(t):
    x = base(t)
    y = x.transpose(0, 1).reshape(6, 4)
    y.fill_(9)
    return x, y


@program
def reshape_of_contiguous_is_a_view(t):
    x = base(t)
    y = x.reshape(-1)
    y[5] = -5
    return x


@program
def flatten_is_a_view_where_it_can_be(t):
    x = base(t)
    x.flatten(1)[0, 0] = 50
    x.transpose(1, 2).flatten(1)[0, 0] = 60
    return x


@program
def contiguous_returns_itself(t):
    x = base(t)
    x.contiguous()[0] = 0
    x.transpose(0, 1).contiguous()[0] = 5
    return x


@program
def unsqueeze_squeeze(t):
    x = base(t)
    x.unsqueeze(0).squeeze()[1, 1] += 1000
    return x


@program
def split_and_chunk_are_views(t):
    x = base(t)
    a, b = x.split([1, 3], dim=2)
    a.add_(100)
    for part in x.chunk(2, dim=0):
        part[0] = -part[0]
    b.zero_()
    return x


@program
def unbind_is_a_view(t):
    x = base(t)
    first, second = x.unbind(0)
    first.copy_(second)
    return x


@program
def diagonal_is_a_view(t):
    x = t.zeros(3, 3)
    x.diagonal().fill_(2)
    return x


@program
def narrow_and_select(t):
    x = base(t)
    x.narrow(2, 1, 2).select(0, 1).mul_(-1)
    return x


@program
def clone_does_not_alias(t):
    x = base(t)
    y = x.clone()
    y += 1
    return x, y


@program
def detach_aliases(t):
    x = base(t)
    x.detach()[0, 0] = 99
    return x


@program
def data_aliases(t):
    x = base(t)
    x.data.mul_(3)
    x.data[0] = 1
    return x


@program
def advanced_indexing_copies(t):
    x = base(t)
    y = x[:, [0, 2]]
    y.zero_()
    z = x[x > 5]
    z.zero_()
    return x, y, z


@program
def expanded_reads(t):
    x = t.arange(3.0).unsqueeze(1)
    y = x.expand(3, 4)
    x[0] = 10
    return y, y.sum(1)


@program
def write_into_expanded_memory(t):
    x = t.arange(3.0).unsqueeze(1)
    x.expand(3, 4).add_(1)
    return x


@program
def overlapping_source_and_destination(t):
    x = t.arange(6.0)
    x[1:] = x[:-1].clone()
    return x


@program
def inplace_with_itself(t):
    x = base(t)
    x += x
    x.mul_(x)
    x[0] -= x[0]
    return x


@program
def inplace_with_its_own_transpose(t):
    x = t.arange(9.0).reshape(3, 3)
    x += x.t().clone()
    return x


@program
def inplace_keeps_the_dtype(t):
    x = t.ones(3)
    x += t.ones(3, dtype=t.float64)
    y = t.ones(3, dtype=t.int32)
    y *= 2
    return x, y


@program
def inplace_cannot_go_down(t):
    x = t.ones(3, dtype=t.int32)
    x += 1.5
    return x


@program
def inplace_cannot_grow(t):
    x = t.ones(3)
    x += t.ones(2, 3)
    return x


@program
def inplace_broadcasts_the_other(t):
    x = t.ones(2, 3)
    x += t.arange(3.0)
    x *= 2
    x /= t.tensor([[2.0], [4.0]])
    x -= 1
    x **= 2
    return x


@program
def a_row_of_in_place_ops(t):
    x = t.linspace(-2, 2, 9)
    x.abs_().add_(0.5).log_().clamp_(min=-0.2).exp_().sqrt_().neg_().relu_().sigmoid_().tanh_()
    return x


@program
def copy_converts_and_broadcasts(t):
    x = t.zeros(2, 3)
    x.copy_(t.tensor([1, 2, 3]))
    x[1].copy_(t.tensor([True, False, True]))
    return x


@program
def out_argument(t):
    y = t.empty(3)
    z = t.add(t.arange(3.0), 1, out=y)
    return y, z, z is y


@program
def out_into_a_view(t):
    x = t.zeros(2, 3)
    t.mul(t.arange(3.0), 2, out=x[1])
    return x


@program
def metadata_of_views(t):
    x = base(t)
    y = x.permute(2, 0, 1)[1:, :, ::2]
    return y.stride(), y.storage_offset(), y.is_contiguous(), y.t if False else y.shape, y.contiguous().stride()


@program
def same_memory(t):
    x = base(t)
    return x.data_ptr() == x.view(-1).data_ptr(), x[1].data_ptr() - x.data_ptr(), x.clone().data_ptr() == x.data_ptr()


@program
def masked_writes_through_views(t):
    x = base(t)
    x[1].masked_fill_(x[1] > 15, 0)
    x[0][x[0] < 3] = -7
    x[:, 0][:, 1:3] = t.tensor([[1.0, 2.0], [3.0, 4.0]])
    return x


@program
def scatter_and_index_in_place(t):
    x = t.zeros(3, 4)
    x.scatter_(1, t.tensor([[0], [1], [2]]), 5.0)
    x.index_add_(0, t.tensor([0, 0, 2]), t.ones(3, 4))
    x.t()[1].index_fill_(0, t.tensor([2]), -3)
    x.index_copy_(1, t.tensor([3]), t.full((3, 1), 8.0))
    return x


@program
def swap_by_slices(t):
    x = t.arange(6.0)
    x[0:3], x[3:6] = x[3:6].clone(), x[0:3].clone()
    return x


@program
def loop_of_updates(t):
    x = t.zeros(5)
    history = []
    for i in range(5):
        x[i] = i
        x += x.mean()
        history.append(x.clone())
    return t.stack(history), x


@program
def numpy_shares_memory_one_way(t):
    x = t.arange(4.0)
    array = x.numpy()
    before = float(array[0])
    y = t.from_numpy(array.copy())
    return before, y, array.dtype.name


@program
def resize_free_reuse_of_a_buffer(t):
    buffer = t.zeros(2, 3)
    total = t.zeros(3)
    for i in range(4):
        buffer.fill_(i)
        buffer[1].add_(buffer[0] * i)
        total.add_(buffer.sum(0))
    return buffer, total


@program
def view_with_a_dtype(t):
    return t.tensor([1.0, 2.0]).view(t.int32)


@program
def unfold_is_a_view(t):
    x = t.arange(6.0)
    x.unfold(0, 2, 2).mul_(10)
    return x


@program
def views_of_nothing(t):
    x = t.zeros(0, 3)
    x += 1
    x[:, 1] = 5
    return x, x.t(), x.view(-1), x.reshape(3, 0)


@program
def versions_count_writes(t):
    x = t.zeros(3)
    v = [x._version]
    x.add_(1)
    v.append(x._version)
    x[0].mul_(2)
    v.append(x._version)
    _ = x + 1
    v.append(x._version)
    return v


@program
def set_attribute_data(t):
    x = t.zeros(3)
    y = x.view(3, 1)
    x.data = t.ones(3)
    return x, y


@program
def data_of_a_buffer(t):
    flat = t.arange(6.0)
    a, b = t.zeros(2, 2, requires_grad=True), t.zeros(2, requires_grad=True)
    a.data, b.data = flat[:4].view(2, 2), flat[4:]
    flat.mul_(3)
    a.data.add_(1)
    (a.sum() * b).sum().backward()
    with t.no_grad():
        b.sub_(b.grad)
    return flat, a, b, a.grad, b.grad


@program
def data_taken_twice(t):
    x, y = t.arange(4.0), t.zeros(2, 4)
    x.data = y[1]
    x[0] = 5
    x.data = y[0]
    x[1] = 6
    y.add_(1)
    return x, y


@program
def data_in_the_middle_of_a_graph(t):
    x = t.arange(4.0, requires_grad=True)
    y = x * 3
    y.data = t.full((4,), 5.0)
    (y * y).sum().backward()
    return x.grad, y


@pytest.mark.parametrize("function", PROGRAMS, ids=lambda function: function.__name__)
def test_program(function: Callable[..., Any]) -> None:
    problem = compare(function)
    assert not problem, problem
