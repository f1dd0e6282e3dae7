"""Golden messages: the whole text of an error, word for word, in `golden.txt`; after a change of wording run this file as a program.

`at HERE` stands for a line of `mistakes.py`, the user's code of these tests.
"""

from __future__ import annotations

import re
import sys
import traceback
import warnings
from pathlib import Path
from typing import Any

import pytest

import monograph as mg
from monograph.nn import functional as F
from tests.errors.mistakes import MISTAKES

GOLDEN = Path(__file__).with_name("golden.txt")


def said(name: str) -> str:
    """What a mistake comes to: class, text and notes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            MISTAKES[name]()
        except Exception as error:
            text = "".join(traceback.format_exception_only(error)).rstrip()
            text = text.removeprefix(type(error).__module__ + ".")
            return "\n".join(line.rstrip() for line in re.sub(r"\S*mistakes\.py:\d+ in \S+", "HERE", text).splitlines())
    raise AssertionError(f"{name} raises nothing")


def golden() -> dict[str, str]:
    """The texts of the file by name."""
    parts = re.split(r"^## (.*)\n", GOLDEN.read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], [text.rstrip("\n") for text in parts[2::2]], strict=True))


TEXTS = golden() if GOLDEN.exists() else {}


@pytest.mark.parametrize("name", MISTAKES)
def test_message(name: str) -> None:
    assert said(name) == TEXTS[name]


def test_no_text_is_left_over() -> None:
    assert list(TEXTS) == list(MISTAKES)


@pytest.mark.parametrize("loss", [F.mse_loss, F.l1_loss, F.smooth_l1_loss, F.huber_loss])
def test_a_loss_warns_of_sizes_that_only_broadcast(loss: Any) -> None:
    with pytest.warns(UserWarning, match=r"(?s)will likely lead to incorrect results.*fix: target.unsqueeze\(1\) has shape \[4, 1\]"):
        loss(mg.zeros(4, 1), mg.zeros(4))


def test_the_birthplace_of_a_nan_is_named() -> None:
    with mg.autograd.detect_anomaly(), pytest.raises(RuntimeError, match=r"log returned nan values in its output .*test_golden\.py:\d+"):
        mg.tensor([-1.0]).log().sum().item()


def test_errors_in_user_code_of_a_module_name_it_too() -> None:
    class Picky(mg.nn.Module):
        def forward(self, x: Any) -> Any:
            raise ValueError("not this one")

    with pytest.raises(ValueError, match="not this one") as caught:
        mg.nn.Sequential(mg.nn.ReLU(), Picky())(mg.zeros(1))
    assert caught.value.__notes__ == ["in module 1 (Picky)"]


if __name__ == "__main__":
    sys.stdout.write("".join(f"## {name}\n{said(name)}\n\n" for name in MISTAKES))
