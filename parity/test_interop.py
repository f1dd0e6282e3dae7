"""Memory that PyTorch and monograph share through DLPack and NumPy, and what NumPy's functions do to tensors of either."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

import monograph as mg

DTYPES = "bool uint8 uint16 uint32 uint64 int8 int16 int32 int64 float16 bfloat16 float32 float64 complex64 complex128".split()


@pytest.mark.parametrize("name", DTYPES)
def test_tensors_of_torch_are_borrowed(name: str) -> None:
    theirs = torch.tensor([[0, 1, 2], [3, 4, 1]]).to(getattr(torch, name))
    mine: Any = mg.from_dlpack(theirs)
    assert mine.dtype is getattr(mg, name) and mine.data_ptr() == theirs.data_ptr() and mine.tolist() == theirs.tolist()
    mine[0, 0] = 1
    assert theirs[0, 0].item() == 1
    theirs[1, 2] = 0
    assert mine[1, 2].item() == 0


@pytest.mark.parametrize("name", DTYPES)
def test_tensors_of_ours_are_lent_to_torch(name: str) -> None:
    mine: Any = mg.tensor([[0, 1, 2], [3, 4, 1]]).to(getattr(mg, name))
    theirs = torch.from_dlpack(mine)
    assert theirs.dtype is getattr(torch, name) and theirs.data_ptr() == mine.data_ptr() and theirs.tolist() == mine.tolist()
    theirs[0, 0] = 1
    assert mine[0, 0].item() == 1
    mine[1, 2] = 0
    assert theirs[1, 2].item() == 0


def test_capsules_are_exchanged() -> None:
    mine: Any = mg.from_dlpack(torch.utils.dlpack.to_dlpack(torch.ones(2, 3)))
    assert mine.tolist() == [[1, 1, 1], [1, 1, 1]]
    assert torch.from_dlpack(mg.arange(3).__dlpack__()).tolist() == [0, 1, 2]
    transposed = torch.from_dlpack(mg.arange(6).reshape(2, 3).t())
    assert transposed.stride() == (1, 3) and transposed.tolist() == [[0, 3], [1, 4], [2, 5]]
    assert tuple(torch.from_dlpack(mg.zeros(0, 3)).shape) == tuple(mg.from_dlpack(torch.zeros(0, 3)).shape) == (0, 3)


ARRAY = np.array([[0.5, 2.0], [1.5, 4.0]])
CALLS: dict[str, Callable[[Any, Any], Any]] = {
    "exp": lambda t, x: np.exp(x),
    "add": lambda t, x: np.add(x, ARRAY),
    "modf": lambda t, x: np.modf(x)[1],
    "argmax": lambda t, x: np.argmax(x),
    "clip": lambda t, x: np.clip(x, 1, 2),
    "cumsum": lambda t, x: np.cumsum(x, 0),
    "transpose": lambda t, x: np.transpose(x),
    "reshape": lambda t, x: np.reshape(x, -1),
    "repeat": lambda t, x: np.repeat(x, 2),
    "matmul": lambda t, x: np.matmul(x, ARRAY),
    "tensor + array": lambda t, x: x + ARRAY,
    "tensor @ array": lambda t, x: x @ ARRAY,
    "array / tensor": lambda t, x: ARRAY / x,
    "array @ tensor": lambda t, x: ARRAY @ x,
    "number * tensor": lambda t, x: np.float64(2) * x,
    "tensor * number": lambda t, x: x * np.float64(2),
    "stack": lambda t, x: np.stack([x, x]),
    "dot": lambda t, x: np.dot(x, x),
    "where": lambda t, x: np.where(x > 2, x, 0),
    "asarray in another dtype": lambda t, x: np.asarray(x, dtype=np.float64),
    "asarray without a copy, in another dtype": lambda t, x: np.asarray(x, dtype=np.float64, copy=False),
    "asarray with gradient": lambda t, x: np.asarray(x.clone().requires_grad_()),
    "ufunc with gradient": lambda t, x: np.exp(x.clone().requires_grad_()),
    "an update in place": lambda t, x: x.__isub__(ARRAY),
    "dlpack with gradient": lambda t, x: np.from_dlpack(x.clone().requires_grad_()),
    "from_dlpack of a number": lambda t, x: t.from_dlpack(3),
    "from_numpy of a reversed array": lambda t, x: t.from_numpy(np.arange(3)[::-1]),
    "numpy off the tape": lambda t, x: _off_the_tape(t, x),
}


def _off_the_tape(t: Any, x: Any) -> Any:
    leaf = x.clone().requires_grad_()
    with t.no_grad():
        return leaf.numpy()


def outcome(call: Callable[[Any, Any], Any], t: Any) -> tuple[Any, ...]:
    """Class, dtype and values of a result, or the error."""
    try:
        made = call(t, t.tensor([[1.0, 2.0], [3.0, 4.0]]))
    except Exception as error:
        return (error,)
    if made is NotImplemented:
        return ("NotImplemented",)
    kind = str(made.dtype).rpartition(".")[2]
    return type(made).__name__, kind, tuple(made.shape), np.round(np.asarray(made, dtype=np.float64), 5).tolist()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # NumPy about the protocol that torch speaks
@pytest.mark.parametrize("name", CALLS)
def test_numpys_functions(name: str) -> None:
    ours, theirs = outcome(CALLS[name], mg), outcome(CALLS[name], torch)
    if isinstance(theirs[0], Exception):
        assert isinstance(ours[0], type(theirs[0]))
    else:
        assert ours == theirs
