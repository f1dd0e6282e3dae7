"""Writes the type stubs of the tensor room from what it installs at run time: `declared.pyi` and `functions.pyi`.

python scripts/write_stubs.py          # write them
python scripts/write_stubs.py --check  # exit status 1 if they are out of step
"""

from __future__ import annotations

import inspect
import re
import sys
from pathlib import Path
from typing import Any

ROOM = Path(__file__).parent.parent / "monograph" / "tensor"
KNOWN = {
    "Any", "Callable", "Iterator", "None", "RemovableHandle", "Sequence", "Size", "Tensor", "bool", "complex", "dict", "float", "int",
    "list", "np", "ndarray", "object", "str", "tuple", "type", "DType", "Device", "Generator",
}  # fmt: skip
RENAMED = {"dtypes.dtype": "DType", "Dims": "int | Sequence[int] | None"}
# Tensor has methods and the room has functions and dtypes of these names.
BUILTINS = re.compile(r"(?<![\w.])(bool|complex|dict|float|int|list|object|str|tuple|type)(?!\w)")
BINARY = (
    "add radd sub rsub mul rmul truediv rtruediv floordiv rfloordiv mod rmod pow rpow matmul rmatmul and rand or ror xor rxor lshift "
    "rshift lt le gt ge"
).split()
SPECIAL = {
    **{f"__{name}__": "(self, other: Any) -> Tensor" for name in BINARY},
    **{f"__i{name}__": "(self, other: Any) -> Tensor" for name in "add sub mul truediv floordiv mod pow and or xor".split()},
    **{f"__{name}__": "(self) -> Tensor" for name in "neg pos abs invert".split()},
    "__eq__": "(self, other: object) -> Any", "__ne__": "(self, other: object) -> Any", "__hash__": "(self) -> int",
    "__getitem__": "(self, key: Any) -> Tensor", "__setitem__": "(self, key: Any, value: Any) -> None", "__len__": "(self) -> int",
    "__iter__": "(self) -> Iterator[Tensor]", "__contains__": "(self, value: Any) -> bool", "__int__": "(self) -> int",
    "__float__": "(self) -> float", "__complex__": "(self) -> complex", "__index__": "(self) -> int",
    "__array__": "(self, dtype: Any = ..., copy: Any = ...) -> np.ndarray",
    "__dlpack__": "(self, **kwargs: Any) -> Any", "__dlpack_device__": "(self) -> tuple[int, int]",
    "__getattr__": "(self, name: str) -> Any",
}  # fmt: skip
HEAD = '''"""{what} Written by scripts/write_stubs.py."""
# ruff: noqa: E501, F401 - a line for each name, one head for both stubs

import builtins
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from monograph.core.dtype import dtype as DType
from monograph.tensor.autograd import RemovableHandle
from monograph.tensor.core import Tensor
from monograph.tensor.device import Device
from monograph.tensor.random import Generator
from monograph.tensor.size import Size

'''


def annotation(given: Any) -> str:
    """An annotation in names that the stub knows; Any for others."""
    if given is inspect.Parameter.empty:
        return "Any"
    text = given if isinstance(given, str) else getattr(given, "__name__", "Any")
    for name, renamed in RENAMED.items():
        text = re.sub(rf"(?<![\w.]){re.escape(name)}(?!\w)", renamed, text)
    words = set(re.findall(r"[A-Za-z_]\w*", text))
    return BUILTINS.sub(r"builtins.\1", text) if words <= KNOWN else "Any"


def signature(function: Any, returns: str = "Any") -> str:
    """The parameters and the result of a function as a stub has them; defaults become `...`."""
    found = inspect.signature(function)
    parts: list[str] = []
    starred = False
    for p in found.parameters.values():
        if p.name.startswith("_") and p.default is not p.empty:
            continue
        if p.kind is p.KEYWORD_ONLY and not starred:
            parts.append("*")
            starred = True
        prefix = {p.VAR_POSITIONAL: "*", p.VAR_KEYWORD: "**"}.get(p.kind, "")
        starred = starred or p.kind is p.VAR_POSITIONAL
        kind = f": {annotation(p.annotation)}"
        parts.append(f"{prefix}{p.name}{kind}{'' if p.default is p.empty else ' = ...'}")
    result = annotation(found.return_annotation) if found.return_annotation is not found.empty else returns
    return f"({', '.join(parts)}) -> {result}"


def method(name: str, function: Any) -> str:
    """One method of Tensor."""
    if name in SPECIAL:
        special = BUILTINS.sub(r"builtins.\1", SPECIAL[name])
        return f"    def {name}{special}: ..."
    if isinstance(function, property):
        return f"    @property\n    def {name}(self) -> Any: ..."
    if name.endswith("_") and not name.endswith("__"):
        return f"    def {name}(self, *args: Any, **kwargs: Any) -> Tensor: ..."
    text = signature(function, "Any")
    first = re.match(r"\((\w+)(: [^,)\[]*(\[[^\]]*\])?[^,)]*)?", text)
    assert first is not None, f"Tensor.{name} takes no self: {text}"
    return f"    def {name}(self{text[first.end() :]}: ..."


def stubs() -> dict[Path, str]:
    """The stub files and what is to be in them."""
    sys.path.insert(0, str(ROOM.parent.parent))
    from monograph.core.dtype import dtype as kind_of_dtype  # noqa: PLC0415 - found by the line above
    from monograph.tensor import FUNCTIONS, METHODS  # noqa: PLC0415

    names = {**{n: None for n in SPECIAL}, **METHODS}
    methods = [method(n, f) for n, f in sorted(names.items()) if n in SPECIAL or not n.startswith("__")]
    functions = []
    for name, f in sorted(FUNCTIONS.items()):
        if name.startswith("_") or name == "Generator":
            continue
        if isinstance(f, kind_of_dtype):
            functions.append(f"{name}: DType")
        elif inspect.isroutine(f):
            functions.append(f"def {name}{signature(f)}: ...")
        else:
            functions.append(f"{name}: Any")
    declared = HEAD.format(what="What type checkers know of a Tensor beyond `core.py`: what the other files of this room install.")
    return {
        ROOM / "declared.pyi": declared + "class Declared:\n" + "\n".join(methods) + "\n",
        ROOM / "functions.pyi": HEAD.format(what="The public functions of this room.") + "\n".join(functions) + "\n",
    }


def main() -> int:
    """Writes or checks."""
    wrong = [path.name for path, text in stubs().items() if not path.exists() or path.read_text() != text]
    if "--check" in sys.argv:
        if wrong:
            sys.stderr.write(f"out of step: {', '.join(wrong)}; run python scripts/write_stubs.py\n")
        return bool(wrong)
    for path, text in stubs().items():
        path.write_text(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
