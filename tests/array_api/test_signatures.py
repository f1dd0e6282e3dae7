"""The namespace has the standard's names with the standard's parameters."""

from __future__ import annotations

import inspect
import math
from pathlib import Path
from typing import Any

import pytest

from monograph import array_api as xp

LINES = [
    line
    for line in (Path(__file__).parent / "signatures.txt").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]


def parameters_of(text: str) -> list[inspect.Parameter]:
    """The parameters of `name(a, /, *, b=1)`."""
    scope: dict[str, Any] = {}
    exec(f"def function{text[text.index('(') :]}: pass", scope)
    return list(inspect.signature(scope["function"]).parameters.values())


def found(name: str) -> Any:
    place, _, last = name.rpartition(".")
    owner: Any = xp.Array if place == "array" else getattr(xp, place) if place else xp
    return getattr(owner, last)


@pytest.mark.parametrize("line", LINES, ids=[line[: line.index("(")] for line in LINES])
def test_signature(line: str) -> None:
    function = found(line[: line.index("(")])
    assert function.__doc__ or line.startswith("array.")
    have = list(inspect.signature(function).parameters.values())
    for position, wanted in enumerate(parameters_of(line)):
        if wanted.kind is wanted.KEYWORD_ONLY:
            own = next(p for p in have if p.name == wanted.name)
            assert own.kind in (own.KEYWORD_ONLY, own.POSITIONAL_OR_KEYWORD)
        else:
            own = have[position]
            assert wanted.kind is wanted.POSITIONAL_ONLY or (own.name, own.kind) == (wanted.name, wanted.kind)
        if not line.startswith("array."):
            assert own.default == wanted.default, f"{wanted.name}: {own.default!r} where the standard has {wanted.default!r}"


def test_constants_and_dtypes_are_there() -> None:


    assert (xp.e, xp.pi, xp.inf, xp.newaxis) == (math.e, math.pi, math.inf, None) and xp.nan != xp.nan
    info = xp.__array_namespace_info__()
    assert set(info.dtypes()) <= set(xp.__all__)
    assert all(getattr(xp, name) is d for name, d in info.dtypes().items())
    assert info.dtypes(kind="unsigned integer") == {n: getattr(xp, n) for n in ("uint8", "uint16", "uint32", "uint64")}
    with pytest.raises(ValueError, match="unknown kind 'float'"):
        info.dtypes(kind="float")


def test_all_names_what_is_public() -> None:
    assert len(set(xp.__all__)) == len(xp.__all__)
    assert all(hasattr(xp, name) for name in xp.__all__)
