"""Snippets of user code with the answers that torch 2.13 gave: `cases/*.txt` holds the code, `cases/*.json` the answers.

A case is one line, its statements parted by ` ;; `, or several lines between `<<<` and `>>>`; the value of its last expression is compared.
In the code `torch` is the library under test. To record answers again (after adding cases), run under a Python that has torch:

    python tests/tensor/snippets.py
"""

from __future__ import annotations

import ast
import copy
import json
import math
import pickle
import sys
from pathlib import Path
from typing import Any

import numpy as np

CASES = Path(__file__).parent / "cases"


def read_cases(name: str) -> list[str]:
    """The snippets of one file."""
    cases: list[str] = []
    block: list[str] | None = None
    for line in (CASES / f"{name}.txt").read_text().splitlines():
        if line == "<<<":
            block = []
        elif line == ">>>":
            cases.append("\n".join(block or []))
            block = None
        elif block is not None:
            block.append(line)
        elif line and not line.startswith("#"):
            cases.append(line.replace(" ;; ", "\n"))
    return cases


def answer(code: str, library: Any) -> Any:
    """What the snippet gives: its value in plain data, or the name of the error's class."""
    names: dict[str, Any] = {"torch": library, "np": np, "copy": copy, "pickle": pickle, "math": math, "inf": math.inf, "nan": math.nan}
    tree = ast.parse(code)
    last = tree.body[-1]
    try:
        if not isinstance(last, ast.Expr):
            exec(compile(tree, "<case>", "exec"), names)
            return None
        exec(compile(ast.Module(tree.body[:-1], []), "<case>", "exec"), names)
        return plain(eval(compile(ast.Expression(last.value), "<case>", "eval"), names), library)
    except Exception as error:
        return {"error": type(error).__name__, "bases": [k.__name__ for k in type(error).__mro__], "text": str(error)}


def plain(value: Any, library: Any) -> Any:
    """A value as JSON can hold it."""
    if isinstance(value, library.Tensor):
        held = value.detach()
        held = held.float() if value.dtype is library.bfloat16 else held
        return {
            "tensor": held.numpy().tolist(),
            "dtype": str(value.dtype).split(".")[1],
            "shape": list(value.shape),
            "requires_grad": value.requires_grad,
        }
    if isinstance(value, library.dtype):
        return {"dtype": str(value).split(".")[1]}
    if isinstance(value, np.ndarray):
        return {"array": value.tolist(), "dtype": value.dtype.str}
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, dict):
        return {str(k): plain(v, library) for k, v in value.items()}
    if isinstance(value, tuple | list):
        return [plain(v, library) for v in value]
    if isinstance(value, str):
        return value.replace("torch.", "LIB.").replace("monograph.", "LIB.")
    if value is None or isinstance(value, bool | int | float):
        return value
    return str(value)


def agree(wanted: Any, got: Any) -> bool:
    """Whether two answers are the same, numbers to six digits; of errors, whether a handler of torch's class would catch ours."""
    if isinstance(wanted, dict) and "error" in wanted:
        name = "RuntimeError" if wanted["error"] == "NotImplementedError" else wanted["error"]  # torch is of two minds about refused dtypes
        return isinstance(got, dict) and name in got.get("bases", ())
    if isinstance(wanted, float) and isinstance(got, float):
        return wanted == got or (wanted != wanted and got != got) or abs(wanted - got) <= 1e-5 * max(abs(wanted), abs(got)) + 1e-6
    if isinstance(wanted, list):
        return isinstance(got, list) and len(wanted) == len(got) and all(agree(w, g) for w, g in zip(wanted, got, strict=True))
    if isinstance(wanted, dict):
        return isinstance(got, dict) and wanted.keys() == got.keys() and all(agree(wanted[k], got[k]) for k in wanted)
    return type(wanted) is type(got) and wanted == got


def recorded(name: str) -> list[tuple[str, Any]]:
    """(snippet, torch's answer) pairs."""
    answers = json.loads((CASES / f"{name}.json").read_text())
    return [(code, answers[code]) for code in read_cases(name)]


if __name__ == "__main__":
    import torch

    for path in sorted(CASES.glob("*.txt")):
        answers = {}
        for code in read_cases(path.stem):
            given = answer(code, torch)
            answers[code] = {"error": given["error"]} if isinstance(given, dict) and "error" in given else given
        path.with_suffix(".json").write_text("{\n" + ",\n".join(f"{json.dumps(k)}: {json.dumps(v)}" for k, v in answers.items()) + "\n}\n")
        sys.stdout.write(f"{path.stem}: {len(answers)} cases\n")
