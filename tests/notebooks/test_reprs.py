"""What notebooks show: tensors, modules, explanations and histories as HTML, for every kind of value."""

from __future__ import annotations

import math
import re

import pytest

import monograph as mg
from monograph import nn, train


def shown(value: object) -> str:
    return value._repr_html_()  # type: ignore[attr-defined]


def test_a_matrix_is_a_table_with_its_facts() -> None:
    text = shown(mg.tensor([[1.0, -2.0], [math.nan, 0.0]], requires_grad=True))
    for fact in ("Tensor [2, 2]", "float32", "16 B", "requires_grad"):
        assert fact in text
    assert [*re.findall(r"<td[^>]*>([^<]*)</td>", text)] == ["0", "1.", "-2.", "1", "nan", "0."]
    assert text.count("rgba(50,110,230") == 1 and text.count("rgba(220,60,60") == 1 and text.count("rgba(230,180,0") == 1
    assert "grad_fn MulBackward0" in shown(mg.ones(2, requires_grad=True) * 2)


@pytest.mark.parametrize(
    "make",
    [
        lambda: mg.tensor(3.5), lambda: mg.zeros(0, 3), lambda: mg.zeros(2, 3, 4), lambda: mg.zeros(2, dtype=mg.complex64),
        lambda: mg.ones(3, dtype=mg.bool), lambda: mg.arange(5), lambda: mg.ones(2, 2, dtype=mg.bfloat16), lambda: mg.ones(2, 3).T,
        lambda: mg.zeros(2, device="meta"), lambda: nn.Parameter(mg.ones(2)), lambda: mg.full((2,), math.inf),
    ],
)  # fmt: skip
def test_every_kind_of_tensor(make) -> None:
    t = make()
    text = shown(t)
    assert text.startswith("<div") and text.endswith("</div>") and f"Tensor {list(t.shape)}" in text


def test_a_large_tensor_shows_its_edges() -> None:
    text = shown(mg.arange(100 * 200).reshape(100, 200))
    assert len(text) < 20_000 and "19999" in text and ">0<" in text and "\N{HORIZONTAL ELLIPSIS}" in text


def test_a_module_is_a_tree() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(2, 3)
            self.rest = nn.Sequential(nn.ReLU(), nn.Linear(3, 1))
            self.rest[1].requires_grad_(False)

        def extra_repr(self) -> str:
            return "kind=<b>"

    text = shown(Net())
    assert "13 parameters, 4 frozen" in text and "in_features=2" in text and text.count("<details open") == 2
    assert "kind=&lt;b&gt;" in text, "text is escaped"
    assert shown(nn.ReLU()).count("<details") == 0


def test_an_explanation_shows_kernels_and_folds_the_graph() -> None:
    text = shown(mg.explain(lambda x: (x * 2).sum(), mg.ones(3)))
    assert "lambda" in text and "<details" in text and "mul" in text


def test_histories_are_charts() -> None:
    history = train.History()
    assert "no epochs yet" in shown(history)
    history.epoch = [0, 1, 2, 3]
    history.history = {"loss": [2.0, math.nan, 1.0, 0.5], "val_loss": [2.0, 1.0, 1.0, 1.0], "late": [5.0]}
    text = shown(history)
    assert text.count("<svg") == 2 and text.count("<polyline") == 4 and "4 epochs" in text and "val_loss 1" in text
    assert "nan" not in re.sub(r"<div.*?</div>", "", text), "no coordinate is nan"
    history.epoch, history.history = [7], {"<x>": [math.inf]}
    assert "&lt;x&gt;" in shown(history) and "<x>" not in shown(history)
