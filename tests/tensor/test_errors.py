"""Errors teach: what happened, the values involved, what to write instead. The wording of common mistakes is fixed here."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import monograph as mg
import monograph.nn.functional as F

ones, tensor = mg.ones, mg.tensor

MISTAKES: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "shapes that do not broadcast": (
        lambda: ones(2, 3) + ones(2, 4), RuntimeError,
        "The size of tensor a (3) must match the size of tensor b (4) at non-singleton dimension 1\n"
        "  a [2, >3<]\n  b [2, >4<]",
    ),
    "matmul": (lambda: ones(2, 3) @ ones(2, 3), RuntimeError, "2x3 and 2x3"),
    "view of other size": (lambda: ones(2, 3).view(4), RuntimeError, "shape '[4]' is invalid for input of size 6 (shape [2, 3])"),
    "view across strides": (lambda: ones(2, 3).t().view(6), RuntimeError, "Use .reshape(...) instead."),
    "bad dimension": (lambda: ones(2, 3).sum(2), IndexError, "Dimension out of range (expected to be in range of [-2, 1], but got 2)"),
    "index out of range": (lambda: ones(2, 3)[2], IndexError, "index 2 is out of bounds for dimension 0 with size 2"),
    "too many indices": (lambda: ones(2)[0, 0], IndexError, "too many indices for tensor of dimension 1"),
    "float index": (lambda: ones(2)[tensor([1.0])], IndexError, "tensors used as indices must be long, int, byte or bool tensors"),
    "mask of other shape": (
        lambda: ones(2)[tensor([True, False, True])], IndexError,
        "The shape of the mask [3] at index 0 does not match the shape of the indexed tensor [2] at index 0",
    ),
    "in place on a leaf": (
        lambda: ones(2, requires_grad=True).add_(1), RuntimeError,
        "a leaf Variable that requires grad is being used in an in-place operation. Wrap the update in `with no_grad():`.",
    ),
    "in-place dtype": (
        lambda: ones(2, dtype=mg.int64).add_(0.5), RuntimeError,
        "result type float32 can't be cast to the desired output type int64 (add_)",
    ),
    "in-place shape": (
        lambda: ones(3).add_(ones(2, 3)), RuntimeError, "output with shape [3] doesn't match the broadcast shape [2, 3] (add_)",
    ),
    "dtype by name": (lambda: mg.zeros(2, dtype="float32"), TypeError, "not str 'float32': write monograph.float32"),
    "difference with a mask": (lambda: 1 - tensor([True]), RuntimeError, "use `~` or logical_not() to invert a mask"),
    "power of masks": (lambda: tensor([True]) ** tensor([True]), RuntimeError, "pow: not defined for two bool tensors"),
    "probability above one": (lambda: mg.bernoulli(tensor([2.0])), RuntimeError, "the probabilities hold a value outside [0, 1]"),
    "p above one": (lambda: ones(2).bernoulli_(1.5), RuntimeError, "expects p to be in [0, 1], but got p=1.5"),
    "negative weights": (lambda: mg.multinomial(tensor([-1.0, 2.0]), 1), RuntimeError, "either `inf`, `nan` or element < 0"),
    "weights of nothing": (lambda: mg.multinomial(mg.tensor([0.0, 0.0]), 1), RuntimeError, "sum of probabilities <= 0"),
    "mixed dtypes in matmul": (
        lambda: ones(2, 2) @ ones(2, 2, dtype=mg.float64), RuntimeError,
        "expected m1 and m2 to have the same dtype, but got: float32 != float64\n  fix: convert one, e.g. b.to(a.dtype)",
    ),
    "mean of integers": (lambda: mg.arange(3).mean(), RuntimeError, "Use x.float().mean()"),
    "truth of many": (
        lambda: bool(ones(2)), RuntimeError,
        "Boolean value of Tensor with more than one value is ambiguous. Use .any() or .all()",
    ),
    "item of many": (lambda: ones(2).item(), RuntimeError, "a Tensor with 2 elements cannot be converted to Scalar"),
    "numpy of a leaf": (lambda: ones(2, requires_grad=True).numpy(), RuntimeError, "Use tensor.detach().numpy() instead."),
    "no such device": (
        lambda: ones(2, device="cuda"), RuntimeError,
        "device 'cuda' is not available: this build of monograph computes on 'cpu'",
    ),
    "grad of a vector": (
        lambda: (ones(2, requires_grad=True) * 2).backward(), RuntimeError,
        "grad can be implicitly created only for scalar outputs; this one has shape [2]: reduce it first, or pass gradient=",
    ),
    "no grad anywhere": (
        lambda: ones(2).sum().backward(), RuntimeError,
        "element 0 of tensors does not require grad and does not have a grad_fn",
    ),
    "integer leaf": (
        lambda: mg.arange(3).requires_grad_(), RuntimeError,
        "only Tensors of floating point and complex dtype can require gradients, got monograph.int64",
    ),
    "ragged list": (lambda: tensor([[1, 2], [3]]), ValueError, "expected sequence of equal length at every level"),
    "text": (lambda: tensor(["a"]), TypeError, "expected numbers, nested lists of numbers, or arrays"),
    "unknown numpy dtype": (lambda: mg.from_numpy(np.zeros(2, "M8[s]")), TypeError, "can't convert a NumPy array of dtype datetime64"),
    "assigning a list": (lambda: ones(2).__setitem__(0, [1]), TypeError, "wrap it, x[i] = tensor(value)"),
    "write through expand": (lambda: ones(1, 3).expand(2, 3).add_(1), RuntimeError, "clone() the tensor before writing"),
    "cat of nothing": (lambda: mg.cat([]), ValueError, "expected a non-empty list of Tensors"),
    "linear": (lambda: F.linear(ones(2, 3), ones(4, 5)), RuntimeError, "3"),
}  # fmt: skip

# What torch refuses by RuntimeError in one op and by a more special class in another: here it is both.
MISTAKES_OF_TWO_CLASSES: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "gather out of range": (
        lambda: ones(2, 3).gather(1, tensor([[5]])).tolist(), IndexError, "index 5 is out of bounds for dimension 1 with size 3",
    ),
    "padding of a pooling": (
        lambda: F.max_pool2d(ones(1, 1, 4, 4), 2, padding=2), ValueError, "pad should be at most half of effective kernel size",
    ),
    "stride of a convolution": (lambda: F.conv1d(ones(1, 1, 4), ones(1, 1, 2), stride=0), ValueError, "non-positive stride"),
    "None among numbers": (lambda: tensor([1, None]), TypeError, "cannot make a tensor of list holding NoneType"),
}


@pytest.mark.parametrize("mistake", MISTAKES_OF_TWO_CLASSES)
def test_either_class_catches(mistake: str) -> None:
    call, kind, text = MISTAKES_OF_TWO_CLASSES[mistake]
    for caught in (kind, RuntimeError):
        with pytest.raises(caught, match=re.escape(text)):
            call()


@pytest.mark.parametrize("mistake", MISTAKES)
def test_message(mistake: str) -> None:
    call, kind, text = MISTAKES[mistake]
    with pytest.raises(kind, match=re.escape(text)):
        call()


def test_an_index_found_out_of_range_later_names_the_line() -> None:
    with pytest.raises(IndexError, match=r"index 7 is out of bounds for dimension 0 with size 3.*test_errors.py"):
        mg.arange(3)[tensor([7])].tolist()


def test_an_overwritten_saved_value() -> None:
    x = ones(3, requires_grad=True)
    y = x.exp()
    y.add_(1)
    with pytest.raises(RuntimeError, match=r"modified by an inplace operation: float32\[3\].*gradient of exp.*set_detect_anomaly"):
        y.sum().backward()


def test_a_second_backward() -> None:
    y = (ones(3, requires_grad=True) ** 2).sum()
    y.backward()
    with pytest.raises(RuntimeError, match=r"Trying to backward through the graph a second time.*retain_graph=True"):
        y.backward()


def test_anomaly_mode_names_the_op_and_the_line() -> None:
    x = tensor([-1.0, 1.0], requires_grad=True)
    with mg.autograd.detect_anomaly(), pytest.raises(RuntimeError, match=r"log returned nan values.*test_errors.py:\d+ in test_anomaly"):
        x.log()
    zero = tensor([0.0], requires_grad=True)
    with mg.autograd.set_detect_anomaly(True):
        y = (zero.sqrt() * 0.0).sum()
        with pytest.raises(
            RuntimeError, match=r"Function 'sqrt' returned nan values in its 0th gradient.*test_errors.py:\d+ in test_anomaly"
        ):
            y.backward()
    assert (x.log()[1] + 1).item() == 1.0
