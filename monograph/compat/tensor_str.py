"""torch._tensor_str: pieces of how tensors print, for libraries that print tensors of their own."""

from __future__ import annotations

from typing import Any

from monograph.tensor.core import Tensor
from monograph.tensor.interop import host_array
from monograph.tensor.printing import _options, _values, set_printoptions, to_string


class _PrintOptions:
    """The options of `set_printoptions`."""

    def __getattr__(self, name: str) -> Any:
        if name not in _options:
            raise AttributeError(name)
        return _options[name]


PRINT_OPTS = _PrintOptions()


def _tensor_str(self: Tensor, indent: int) -> str:
    """The numbers of a tensor, "[]" for none."""
    return "[]" if self.numel() == 0 else _values(host_array(self), self.dtype, indent)


def _str(self: Tensor, *, tensor_contents: str | None = None) -> str:
    """A tensor as it prints; with other contents if they are given."""
    return to_string(self) if tensor_contents is None else f"tensor({tensor_contents})"


_str_intern = _str


def _add_suffixes(tensor_str: str, suffixes: list[str], indent: int, force_newline: bool) -> str:
    """The contents, then the suffixes: behind them, on lines of their own where the line would be too long."""
    parts = [tensor_str]
    length = len(tensor_str) - tensor_str.rfind("\n") + 1
    for suffix in suffixes:
        broken = force_newline or length + len(suffix) + 2 > PRINT_OPTS.linewidth
        parts.append(",\n" + " " * indent + suffix if broken else ", " + suffix)
        length = indent + len(suffix) if broken else length + len(suffix) + 2
        force_newline = False
    return "".join(parts) + ")"


__all__ = ["PRINT_OPTS", "set_printoptions"]
