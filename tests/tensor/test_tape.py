"""TensorFlow's GradientTape on the same graph."""

from __future__ import annotations

import pytest

import monograph as mg


def test_watched_tensors() -> None:
    x = mg.tensor(3.0)
    with mg.GradientTape() as tape:
        tape.watch(x)
        y = x * x
    assert tape.gradient(y, x).item() == 6.0
    assert not x.requires_grad
    assert tape.watched_variables() == (x,)


def test_variables_need_no_watch_and_sources_keep_their_structure() -> None:
    p = {"w": mg.tensor([1.0, 2.0], requires_grad=True), "b": mg.tensor(0.5, requires_grad=True)}
    with mg.GradientTape() as tape:
        loss = (p["w"] * 3 + p["b"]).sum()
    found = tape.gradient(loss, p)
    assert found["w"].tolist() == [3.0, 3.0]
    assert found["b"].item() == 2.0
    assert p["w"].grad is None


def test_once_unless_persistent() -> None:
    x = mg.tensor(2.0)
    with mg.GradientTape() as tape:
        tape.watch(x)
        y = x**3
    assert tape.gradient(y, x).item() == 12.0
    with pytest.raises(RuntimeError, match="persistent=True"):
        tape.gradient(y, x)
    with mg.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = x**3
        z = y * 2
    assert tape.gradient(y, x).item() == 12.0
    assert tape.gradient(z, x).item() == 24.0


def test_nested_tapes_give_second_derivatives() -> None:
    x = mg.tensor(2.0)
    with mg.GradientTape() as outer:
        outer.watch(x)
        with mg.GradientTape() as inner:
            inner.watch(x)
            y = x**3
        first = inner.gradient(y, x)
    assert first.item() == 12.0
    assert outer.gradient(first, x).item() == 12.0


def test_unconnected_sources_and_output_gradients() -> None:
    x, other = mg.tensor([1.0, 2.0]), mg.tensor(1.0)
    with mg.GradientTape(persistent=True) as tape:
        tape.watch([x, other])
        y = x * 2
    assert tape.gradient(y, other) is None
    assert tape.gradient(y, other, unconnected_gradients="zero").item() == 0.0
    assert tape.gradient(y, x, output_gradients=mg.tensor([1.0, 10.0])).tolist() == [2.0, 20.0]
    assert tape.gradient([y, x * 0], x).tolist() == [2.0, 2.0]


def test_only_tensors_are_watched() -> None:
    with mg.GradientTape() as tape, pytest.raises(TypeError, match="takes tensors, got float"):
        tape.watch(1.0)


def test_jacobians() -> None:
    x, w = mg.tensor([1.0, 2.0]), mg.tensor(3.0)
    with mg.GradientTape(persistent=True) as tape:
        tape.watch([x, w])
        y = x * x
        z = y.sum()
    assert tape.jacobian(y, x).tolist() == [[2.0, 0.0], [0.0, 4.0]]
    assert tape.jacobian(z, x).tolist() == [2.0, 4.0]
    found = tape.jacobian(y, {"a": x, "w": w})
    assert found["a"].shape == (2, 2) and found["w"] is None
    assert tape.jacobian(y, w, unconnected_gradients="zero").item() == 0.0
    assert tape.jacobian(mg.ones(2), x) is None
    with pytest.raises(TypeError, match="one tensor"):
        tape.jacobian([y, z], x)
    with pytest.raises(ValueError, match="unconnected_gradients"):
        tape.gradient(y, x, unconnected_gradients="bad")


def test_jacobians_of_rows() -> None:
    x = mg.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    with mg.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = mg.stack([x[:, 0] * x[:, 1], x[:, 2] ** 2], 1)
    assert tape.batch_jacobian(y, x).tolist() == [[[2.0, 1.0, 0.0], [0.0, 0.0, 6.0]], [[5.0, 4.0, 0.0], [0.0, 0.0, 12.0]]]
    whole = tape.jacobian(y, x)
    assert all((whole[i, :, i] == tape.batch_jacobian(y, x)[i]).all() for i in range(2))
    assert not tape.batch_jacobian(mg.ones(2, 2), x).any()
    for target, source, words in ((mg.ones(2), x, "rank at least 2"), (mg.ones(3, 2), x, "to match")):
        with pytest.raises(ValueError, match=words):
            tape.batch_jacobian(target, source)


def test_a_hessian_by_nested_tapes() -> None:
    x = mg.tensor([1.0, 2.0])
    with mg.GradientTape() as outer:
        outer.watch(x)
        with mg.GradientTape() as inner:
            inner.watch(x)
            y = (x**3).sum() + x.prod()
        first = inner.gradient(y, x)
    assert outer.jacobian(first, x).tolist() == [[6.0, 1.0], [1.0, 12.0]]


def test_jacobians_through_a_network() -> None:
    mg.manual_seed(0)
    net, x = mg.nn.Sequential(mg.nn.Linear(3, 4), mg.nn.Tanh(), mg.nn.Linear(4, 2)), mg.randn(5, 3)
    with mg.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = net(x)
    expected = mg.stack([mg.func.jacrev(net)(row) for row in x])
    assert mg.testing.assert_close(tape.batch_jacobian(y, x), expected) is None
    parts = tape.jacobian(y, list(net.parameters()))
    assert [p.shape for p in parts] == [(5, 2, *p.shape) for p in net.parameters()]


def test_recording_stops_and_starts_anew() -> None:
    x = mg.tensor([1.0, 2.0])
    with mg.GradientTape(persistent=True) as tape:
        tape.watch(x)
        y = x * x
        with tape.stop_recording():
            u = x * 3
        z = u * x
    assert tape.gradient(u, x) is None
    assert tape.gradient(z, x).tolist() == [3.0, 6.0]
    with mg.GradientTape() as tape:
        tape.watch(x)
        y = x * x
        tape.reset()
        assert tape.watched_variables() == ()
        tape.watch(x)
        z = x * 2 + y
    assert tape.gradient(z, x).tolist() == [2.0, 2.0]
    with mg.GradientTape() as tape:
        tape.watch(x)
        tape.reset()
        y = x * 2
    assert tape.gradient(y, x) is None
    with pytest.raises(ValueError, match="not active"), tape.stop_recording():
        pass
    with mg.GradientTape() as outer, mg.GradientTape() as inner:
        with pytest.raises(RuntimeError, match="would stop both"), inner.stop_recording():
            pass
        with pytest.raises(ValueError, match="still recording"):
            outer.__enter__()
    with pytest.raises(ValueError, match="one tensor for each target"):
        with mg.GradientTape() as tape:
            tape.watch(x)
            y = x * x
        tape.gradient(y, x, output_gradients=[mg.ones(2), mg.ones(2)])
