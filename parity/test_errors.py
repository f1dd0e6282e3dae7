"""Wrong calls to modules, optimisers and loaders raise the error classes that torch raises. (Wrong calls of ops are in the tables.)"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from parity.frames import FRAMES, attempt

WRONG: dict[str, Callable[..., Any]] = {
    "linear on too few features": lambda t: t.nn.Linear(3, 2)(t.zeros(4, 5)),
    "linear on integers": lambda t: t.nn.Linear(3, 2)(t.zeros(4, 3, dtype=t.int64)),
    "linear of another dtype": lambda t: t.nn.Linear(3, 2)(t.zeros(4, 3, dtype=t.float64)),
    "conv on another number of channels": lambda t: t.nn.Conv2d(3, 4, 3)(t.zeros(1, 2, 8, 8)),
    "conv with groups that do not divide": lambda t: t.nn.Conv2d(3, 4, 3, groups=2),
    "batch norm on another rank": lambda t: t.nn.BatchNorm2d(3)(t.zeros(2, 3)),
    "embedding out of range": lambda t: t.nn.Embedding(3, 2)(t.tensor([3])).sum().item(),
    "embedding of floats": lambda t: t.nn.Embedding(3, 2)(t.tensor([1.0])),
    "dropout above one": lambda t: t.nn.Dropout(1.5),
    "attention with heads that do not divide": lambda t: t.nn.MultiheadAttention(10, 3),
    "missing key in a state_dict": lambda t: t.nn.Linear(3, 2).load_state_dict({"weight": t.zeros(2, 3)}),
    "extra key in a state_dict": lambda t: t.nn.Linear(1, 1, bias=False).load_state_dict({"weight": t.zeros(1, 1), "b": t.zeros(1)}),
    "wrong shape in a state_dict": lambda t: t.nn.Linear(1, 1).load_state_dict({"weight": t.zeros(2, 1), "bias": t.zeros(1)}),
    "attribute that is not there": lambda t: t.nn.Linear(1, 1).wieght,
    "attribute of a tensor that is not there": lambda t: t.zeros(1).shpae,
    "submodule before super().__init__": lambda t: setattr(t.nn.Module.__new__(t.nn.Module), "a", t.nn.Linear(1, 1)),
    "no forward": lambda t: t.nn.Module()(t.zeros(1)),
    "sequential out of range": lambda t: t.nn.Sequential(t.nn.ReLU())[3],
    "parameter that is no tensor": lambda t: t.nn.Module().register_parameter("a", 3),
    "buffer named twice": lambda t: t.nn.BatchNorm1d(2).register_buffer("weight", t.zeros(2)),
    "optimiser without parameters": lambda t: t.optim.SGD([], lr=0.1),
    "optimiser of an intermediate": lambda t: t.optim.SGD([t.ones(2, requires_grad=True) * 2], lr=0.1),
    "negative learning rate": lambda t: t.optim.Adam([t.ones(2, requires_grad=True)], lr=-1),
    "betas out of range": lambda t: t.optim.AdamW([t.ones(2, requires_grad=True)], betas=(1.0, 0.9)),
    "nesterov without momentum": lambda t: t.optim.SGD([t.ones(2, requires_grad=True)], lr=0.1, nesterov=True),
    "datasets of different lengths": lambda t: t.utils.data.TensorDataset(t.zeros(3), t.zeros(4)),
    "shuffle and sampler": lambda t: t.utils.data.DataLoader([1, 2], sampler=[0, 1], shuffle=True),
    "batch size zero": lambda t: t.utils.data.DataLoader([1, 2], batch_size=0),
    "samples that do not stack": lambda t: list(t.utils.data.DataLoader([t.zeros(2), t.zeros(3)], batch_size=2)),
    "mixed dtypes in matmul": lambda t: t.zeros(2, 2) @ t.zeros(2, 2, dtype=t.float64),
    "shapes that do not broadcast": lambda t: t.zeros(2, 3) + t.zeros(2, 4),
    "unknown device": lambda t: t.zeros(2, device="warp"),
    "dtype that is a string": lambda t: t.zeros(2, dtype="float32"),
    "negative size": lambda t: t.zeros(-1),
    "size that is a float": lambda t: t.zeros(2.5),
    "string in a tensor": lambda t: t.tensor("text"),
    "None in a tensor": lambda t: t.tensor([1, None]),
    "addition of a string": lambda t: t.zeros(2) + "a",
    "addition of None": lambda t: t.zeros(2) + None,
    "format of a vector": lambda t: format(t.zeros(2), ".2f"),
    "index of a float tensor as int": lambda t: [1, 2][t.tensor(1.0)],
    "hash works and equality is by element": lambda t: (hash(t.zeros(1)) is None, t.zeros(2) == t.zeros(2)),
    "dim that does not exist": lambda t: t.zeros(2, 3).sum(dim=2),
    "dim given twice": lambda t: t.zeros(2, 3).sum(dim=(0, 0)),
    "softmax without dim on a wrong dim": lambda t: t.zeros(2, 3).softmax(5),
    "rounding mode unknown": lambda t: t.div(t.ones(2), 2, rounding_mode="up"),
    "reduction unknown": lambda t: t.nn.functional.mse_loss(t.zeros(2), t.zeros(2), reduction="avg"),
    "padding mode unknown": lambda t: t.nn.functional.pad(t.zeros(1, 1, 4), (1, 1), mode="mirror"),
    "seed that is text": lambda t: t.manual_seed("x"),
    "randint with an empty range": lambda t: t.randint(3, 3, (2,)),
    "bernoulli above one": lambda t: t.bernoulli(t.tensor([2.0])).sum().item(),
    "multinomial of negatives": lambda t: t.multinomial(t.tensor([-1.0, 2.0]), 1).sum().item(),
}


@pytest.mark.parametrize("name", WRONG)
def test_the_class_of_the_error(name: str) -> None:
    theirs, ours = (attempt(lambda frame=frame: WRONG[name](frame)) for frame in FRAMES)
    if getattr(theirs, "kind", "") != "error":
        assert getattr(ours, "kind", "") != "error", f"monograph refuses what torch accepts: {ours.message}"
        return
    assert getattr(ours, "kind", "") == "error", f"torch raises {theirs.message!r}, monograph returned {ours}"
    assert issubclass(ours.value, theirs.value), f"torch raises {theirs.message!r}, monograph {ours.message!r}"
    assert len(ours.message) > 25, f"an error that teaches says more than {ours.message!r}"
