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
