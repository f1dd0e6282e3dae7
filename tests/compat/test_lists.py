"""torch._foreach_*, torch.futures, torch.profiler, folding of batch norms: small things that packages need."""

from __future__ import annotations

import pytest

import monograph as mg
from monograph.compat.flattened import _flatten_dense_tensors, _reorder_tensors_as, _take_tensors, _unflatten_dense_tensors
from monograph.compat.foreach import LISTS
from monograph.compat.futures import Future, collect_all, wait_all
from monograph.nn.utils.fusion import fuse_conv_bn_eval, fuse_linear_bn_eval
from monograph.optim.for_subclasses import _group_tensors_by_device_and_dtype
from monograph.profiler import profile, record_function


def test_lists_of_tensors() -> None:
    a, b = [mg.ones(3), mg.full((2,), 4.0)], [mg.full((3,), 2.0), mg.full((2,), 3.0)]
    assert [t.tolist() for t in mg._foreach_add(a, b, alpha=2)] == [[5.0] * 3, [10.0] * 2]
    assert [t.tolist() for t in mg._foreach_mul(a, [2, 3])] == [[2.0] * 3, [12.0] * 2]
    assert [t.tolist() for t in mg._foreach_maximum(a, 2)] == [[2.0] * 3, [4.0] * 2]
    assert [t.tolist() for t in mg._foreach_minimum(a, b)] == [[1.0] * 3, [3.0] * 2]
    assert [t.tolist() for t in mg._foreach_addcdiv(a, b, b, value=3)] == [[4.0] * 3, [7.0] * 2]
    assert [t.tolist() for t in mg._foreach_lerp(a, b, 0.5)] == [[1.5] * 3, [3.5] * 2]
    assert [t.tolist() for t in mg._foreach_pow(2.0, a)] == [[2.0] * 3, [16.0] * 2]
    assert [round(t.item(), 4) for t in mg._foreach_norm(a)] == [1.7321, 5.6569]
    same = mg._foreach_sqrt_(a)
    assert same[1] is a[1] and a[1].tolist() == [2.0, 2.0]
    mg._foreach_copy_(a, b)
    mg._foreach_clamp_max_(a, 2.5)
    assert [t.tolist() for t in a] == [[2.0] * 3, [2.5] * 2]
    mg._foreach_zero_(a)
    assert not any(t.any() for t in a)


def test_lists_of_tensors_are_checked() -> None:
    with pytest.raises(RuntimeError, match="same number of tensors, got 1 and 2"):
        mg._foreach_add([mg.ones(1)], [1.0, 2.0])
    with pytest.raises(RuntimeError, match="at least one tensor"):
        mg._foreach_sqrt([])
    with pytest.raises(TypeError, match="tuple of Tensors"):
        mg._foreach_sqrt(mg.ones(2))
    assert all(hasattr(mg, name) for name in LISTS)


def test_groups_of_tensors() -> None:
    a, b = mg.ones(2), mg.ones(2, dtype=mg.float64)
    groups = _group_tensors_by_device_and_dtype([[a, b, a], [b, a, b]], with_indices=True)
    assert [places for _, places in groups.values()] == [[0, 2], [1]]


def test_folding_batch_norms() -> None:
    x = mg.linspace(-1, 1, 2 * 3 * 5 * 5).reshape(2, 3, 5, 5)
    for conv in (mg.nn.Conv2d(3, 4, 3), mg.nn.ConvTranspose2d(3, 4, 3, bias=False)):
        norm = mg.nn.BatchNorm2d(4)
        norm(conv(x))
        conv.eval(), norm.eval()
        fused = fuse_conv_bn_eval(conv, norm, transpose=isinstance(conv, mg.nn.ConvTranspose2d))
        mg.testing.assert_close(fused(x), norm(conv(x)), rtol=1e-4, atol=1e-5)
    linear, norm1 = mg.nn.Linear(5, 4), mg.nn.BatchNorm1d(4)
    norm1(linear(x[:, 0, 0]))
    linear.eval(), norm1.eval()
    mg.testing.assert_close(fuse_linear_bn_eval(linear, norm1)(x[:, 0, 0]), norm1(linear(x[:, 0, 0])), rtol=1e-4, atol=1e-5)
    with pytest.raises(AssertionError, match="only for eval"):
        fuse_linear_bn_eval(linear, norm1.train())


def test_futures() -> None:
    first, second = Future(), Future()
    doubled = first.then(lambda done: done.value() * 2)
    both = collect_all([first, second])
    first.set_result(3)
    assert doubled.wait() == 6 and not both.done()
    second.set_exception(ValueError("lost"))
    assert both.done() and first.wait() == 3
    with pytest.raises(ValueError, match="lost"):
        wait_all([first, second])
    with pytest.raises(RuntimeError, match="only be marked completed once"):
        first.set_result(4)


def test_profile_counts_named_ranges() -> None:
    with profile() as seen:
        for _ in range(3):
            with record_function("inner"):
                mg.ones(2).sum().item()
    assert {event.key: event.count for event in seen.key_averages() if event.kind == "range"} == {"inner": 3}
    assert "inner" in seen.key_averages().table(sort_by="cpu_time_total")


def test_lists_as_one_vector() -> None:
    parts = [mg.tensor([[1.0, 2.0]]), mg.tensor(3.0), mg.zeros(0, 2), mg.tensor([4.0])]
    flat = _flatten_dense_tensors(parts)
    assert flat.tolist() == [1.0, 2.0, 3.0, 4.0]
    back = _unflatten_dense_tensors(flat, parts)
    assert [t.tolist() for t in back] == [t.tolist() for t in parts]
    back[1].mul_(10)
    assert flat.tolist() == [1.0, 2.0, 30.0, 4.0]
    with pytest.raises(RuntimeError, match="non-empty"):
        _flatten_dense_tensors([])
    mixed = [mg.ones(2), mg.ones(2, dtype=mg.float64), mg.ones(2), mg.ones(2)]
    groups = list(_take_tensors(mixed, 16))
    assert [(len(g), g[0].dtype) for g in groups] == [(2, mg.float32), (1, mg.float32), (1, mg.float64)]
    assert [t.dtype for t in _reorder_tensors_as([t for g in groups for t in g], mixed)] == [t.dtype for t in mixed]


def test_states_of_other_devices() -> None:
    from monograph.utils import checkpoint as cp  # noqa: PLC0415

    assert cp.get_device_states(mg.ones(2)) == ([], [])
    cp.set_device_states([], [])
    with pytest.raises(RuntimeError, match="no device 0"):
        cp.set_device_states([0], [None])
    x = mg.ones(2, requires_grad=True)
    y, n = cp.detach_variable((x * 2, 3))
    assert y.is_leaf and y.requires_grad and n == 3
    with pytest.raises(RuntimeError, match="Only tuple"):
        cp.detach_variable([x])
    with pytest.warns(UserWarning, match="None of the inputs"):
        cp.check_backward_validity([mg.ones(1)])
