"""NumPy's functions and operators on tensors: memory seen without copies, results that are tensors again, gradients guarded."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import monograph as mg

ARRAY = np.array([[0.5, 2.0], [1.5, 4.0]])


def tensor() -> Any:
    return mg.tensor([[1.0, 2.0], [3.0, 4.0]])


def test_asarray_is_the_memory() -> None:
    t: Any = mg.arange(24.0).reshape(2, 3, 4)
    for view in (t, t.permute(2, 0, 1), t[:, 1:, ::2], t[1], t.expand(2, 2, 3, 4), t.diagonal(0, 1, 2)):
        seen = np.asarray(view)
        assert np.shares_memory(seen, np.asarray(t)) and seen.strides == tuple(4 * s for s in view.stride())
    np.asarray(t[0])[1, 1] = -1
    assert t[0, 1, 1].item() == -1
    t[0, 1] = 9
    assert np.asarray(t)[0, 1].tolist() == [9, 9, 9, 9]


def test_asarray_converts_and_copies_when_asked() -> None:
    t = tensor()
    assert np.asarray(t, dtype=np.int8).dtype == np.int8
    assert not np.shares_memory(np.array(t, copy=True), np.asarray(t))
    assert np.shares_memory(np.array(t, copy=False), np.asarray(t))
    with pytest.raises(ValueError, match="unable to avoid a copy"):
        np.asarray(t, dtype=np.float64, copy=False)
    assert np.array([mg.tensor(1), mg.tensor(2)]).tolist() == [1, 2]


UFUNCS: list[tuple[str, Callable[[Any], Any]]] = [
    ("exp", lambda t: np.exp(t)),
    ("add on the left", lambda t: np.add(t, ARRAY)),
    ("add on the right", lambda t: np.add(ARRAY, t)),
    ("maximum with a number", lambda t: np.maximum(t, 2)),
    ("isnan", lambda t: np.isnan(t)),
    ("divmod", lambda t: np.divmod(t, 2)[1]),
    ("matmul", lambda t: np.matmul(t, ARRAY)),
    ("reduce", lambda t: np.add.reduce(t, axis=0)),
    ("mean", lambda t: np.mean(t)),
    ("sum over an axis", lambda t: np.sum(t, axis=1, keepdims=True)),
    ("max", lambda t: np.max(t)),
    ("argmax", lambda t: np.argmax(t)),
    ("cumsum", lambda t: np.cumsum(t, 0)),
    ("clip", lambda t: np.clip(t, 1.5, 3)),
    ("round", lambda t: np.round(t)),
    ("transpose", lambda t: np.transpose(t)),
    ("reshape", lambda t: np.reshape(t, -1)),
    ("repeat", lambda t: np.repeat(t, 2)),
    ("array + tensor", lambda t: ARRAY + t),
    ("tensor + array", lambda t: t + ARRAY),
    ("array - tensor", lambda t: ARRAY - t),
    ("array < tensor", lambda t: operator.lt(ARRAY, t)),
    ("tensor // array", lambda t: t // ARRAY),
    ("array ** tensor", lambda t: ARRAY**t),
    ("NumPy number * tensor", lambda t: np.float32(2) * t),
    ("tensor / NumPy number", lambda t: t / np.float32(2)),
]


@pytest.mark.parametrize(("name", "call"), UFUNCS, ids=[name for name, _ in UFUNCS])
def test_results_are_tensors(name: str, call: Callable[[Any], Any]) -> None:
    wanted = call(np.asarray(tensor()))
    made = call(tensor())
    assert type(made) is mg.Tensor
    assert made.dtype.np == np.asarray(wanted).dtype and tuple(made.shape) == np.shape(wanted)
    np.testing.assert_allclose(np.asarray(made), wanted, rtol=1e-6)


ARRAYS: list[tuple[str, Callable[[Any], Any]]] = [
    ("stack", lambda t: np.stack([t, t])),
    ("concatenate", lambda t: np.concatenate([t, t], 1)),
    ("where", lambda t: np.where(np.asarray(t) > 2, t, 0)),
    ("dot", lambda t: np.dot(t, t)),
    ("einsum", lambda t: np.einsum("ij,jk->ik", t, t)),
    ("unique", lambda t: np.unique(t)),
    ("sort", lambda t: np.sort(t)),
    ("index with a mask", lambda t: ARRAY[np.asarray(t) > 2]),
    ("a copy that is updated", lambda t: ARRAY.copy().__isub__(np.asarray(t))),
]


@pytest.mark.parametrize(("name", "call"), ARRAYS, ids=[name for name, _ in ARRAYS])
def test_numpys_own_functions_take_tensors(name: str, call: Callable[[Any], Any]) -> None:
    np.testing.assert_array_equal(np.asarray(call(tensor())), call(np.asarray(tensor())))


def test_gradients_are_not_lost_silently() -> None:
    t: Any = mg.ones(2, requires_grad=True)
    for call in (lambda: np.asarray(t), lambda: np.exp(t), lambda: t.numpy(), lambda: np.stack([t])):
        with pytest.raises(RuntimeError, match="requires grad"):
            call()
    with mg.no_grad():
        assert t.numpy().tolist() == np.asarray(t).tolist() == [1, 1]
    assert np.asarray(t.detach()).tolist() == [1, 1]


def test_an_array_makes_an_update_in_place_a_new_tensor() -> None:
    t = before = tensor()
    t -= ARRAY
    assert t is not before and t.dtype is mg.float64 and t.tolist() == (np.asarray(before) - ARRAY).tolist()
    with pytest.raises(TypeError, match="unsupported operand"):
        t += [1.0]


def test_tensors_are_indices_and_numbers_for_python() -> None:
    assert ["a", "b", "c"][mg.tensor(1)] == "b"  # type: ignore[call-overload]
    assert list(range(mg.tensor(2))) == [0, 1]  # type: ignore[call-overload]
    assert np.arange(5)[mg.tensor([1, 3])].tolist() == [1, 3]  # type: ignore[index]
    assert np.float64(mg.tensor(3.5)) == 3.5  # type: ignore[arg-type]
    assert complex(mg.tensor(1 + 2j)) == 1 + 2j  # type: ignore[arg-type]
