"""torch.version, and a version string that compares as versions do."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

STANDS_FOR = "2.13.0"  # the torch whose behaviour is followed
cuda = hip = rocm = xpu = None
debug = False
git_version = "0" * 40

_STAGES = {"a": -3, "alpha": -3, "b": -2, "beta": -2, "rc": -1}


def parsed(version: Any) -> tuple[tuple[int, ...], int, int]:
    """(release numbers without trailing zeros, stage, its number) of "2.13.0a1+cpu" or of (2, 13)."""
    text = ".".join(map(str, version)) if isinstance(version, tuple | list) else str(version)
    match = re.match(r"\s*v?(\d+(?:\.\d+)*)[.-]?(?:(a|alpha|b|beta|rc|dev|post)[.-]?(\d*))?", text)
    if match is None:
        raise ValueError(f"not a version: {version!r}")
    numbers = [int(n) for n in match.group(1).split(".")]
    while numbers and numbers[-1] == 0:
        numbers.pop()
    stage = {"dev": -4, "post": 1}.get(match.group(2) or "", _STAGES.get(match.group(2) or "", 0))
    return tuple(numbers), stage, int(match.group(3) or 0)


class TorchVersion(str):
    """A version string that compares with strings and tuples number by number: TorchVersion("2.13.0") > "2.9"."""

    __slots__ = ()

    def _compare(self, other: Any, how: Callable[[Any, Any], bool]) -> Any:
        try:
            return how(parsed(self), parsed(other))
        except ValueError:
            return NotImplemented

    def __lt__(self, other: Any) -> Any:
        return self._compare(other, lambda a, b: a < b)

    def __le__(self, other: Any) -> Any:
        return self._compare(other, lambda a, b: a <= b)

    def __gt__(self, other: Any) -> Any:
        return self._compare(other, lambda a, b: a > b)

    def __ge__(self, other: Any) -> Any:
        return self._compare(other, lambda a, b: a >= b)

    def __eq__(self, other: Any) -> Any:
        return str.__eq__(self, other) or self._compare(other, lambda a, b: a == b) is True

    def __ne__(self, other: Any) -> Any:
        return not self == other

    __hash__ = str.__hash__


__version__ = TorchVersion(STANDS_FOR + "+monograph")
