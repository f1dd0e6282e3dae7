"""The text form of a graph: one line a node, printed for people and parsed back by machines.

    %x = input : float32[batch, 784]
    %w = input : float32[10, 784]
    %0 = linear(%x, %w) : float32[batch, 10]
    %1 = sum(%0) {dims=(1,), keepdim=False} : float32[batch]
    return %1

Attributes are the fields of the op's record: integers, floats (written so that they read back to the same bits), booleans, None, quoted
strings, dtypes
by name, tuples, and sizes that depend on symbols as `sym(2*batch)`. The parser evaluates nothing: whatever does not fit the grammar, the
vocabulary or the ops' own type rules is an ArtifactError with its line number.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from monograph.core.attrs import NoAttrs
from monograph.core.dtype import dtype as DType
from monograph.core.errors import ArtifactError
from monograph.core.symbol import Sym
from monograph.graph.node import Node, topological
from monograph.graph.text_reader import ParsedGraph, from_text

__all__ = ["ParsedGraph", "from_text", "to_text", "type_text", "value_text"]

_NAME = re.compile(r"[A-Za-z_0-9][\w.]*", re.ASCII)


def to_text(inputs: Sequence[Node], outputs: Sequence[Node], names: Mapping[Node, str] | None = None) -> str:
    """The program that computes `outputs` from `inputs`, as text. `names` gives names to some nodes; the others are numbered.

    Raises ArtifactError for a graph that text cannot hold: a value from outside that is no input, an attribute that is a Python function.
    """
    named = dict(names or {})
    given = {id(n) for n in inputs}
    lines = []
    label: dict[int, str] = {}
    taken = set(named.values())
    if len(taken) != len(named):
        raise ArtifactError("two nodes have one name")
    count = 0
    for node in [*inputs, *topological(outputs, lambda n: id(n) in given)]:
        if id(node) in label:
            continue
        name = named.get(node)
        if name is None:
            while str(count) in taken:
                count += 1
            name = str(count)
            count += 1
        elif not _NAME.fullmatch(name):
            raise ArtifactError(f"{name!r} is no name for a node: letters, digits, _ and . only")
        label[id(node)] = name
        lines.append(f"%{name} = {_call(node, label, id(node) in given)} : {type_text(node)}")
    lines.append("return " + ", ".join(f"%{label[id(n)]}" for n in outputs))
    return "\n".join(lines) + "\n"


def _call(node: Node, label: Mapping[int, str], is_input: bool) -> str:
    if is_input:
        return "input"
    if node.op.name == "source":
        raise ArtifactError(f"a value of {type_text(node)} from outside is no input of the program")
    attributes = ""
    if node.op.attrs is not NoAttrs:
        attributes = " {" + ", ".join(f"{k}={value_text(v)}" for k, v in node.attrs.items() if not (k == "provider" and v is None)) + "}"
    since = f"@{node.op.since}" if node.op.since > 1 else ""
    return f"{node.op.name}{since}({', '.join('%' + label[id(i)] for i in node.inputs)}){attributes}"


def value_text(value: Any) -> str:
    """An attribute's value as text."""
    if value is None or isinstance(value, bool):
        return str(value)
    if type(value).__module__ == "numpy" and hasattr(value, "item"):  # a NumPy scalar
        return value_text(value.item())
    if isinstance(value, Sym):
        return f"sym({value!r})"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, complex):
        return f"complex({value.real!r}, {value.imag!r})"
    if isinstance(value, str):
        return json.dumps(value)
    if isinstance(value, DType):
        return value.name
    if isinstance(value, tuple | list):
        inner = ", ".join(value_text(v) for v in value)
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    raise ArtifactError(f"an attribute of type {type(value).__name__} cannot be written as text: {value!r}")


def type_text(node: Node) -> str:
    """A node's type: float32[2, 3], or the types of several outputs in parentheses."""
    parts = [f"{d.name}[{', '.join(_size_text(s) for s in shape)}]" for shape, d in node.outputs]
    return parts[0] if node.dtype is not None else f"({', '.join(parts)})"


def _size_text(size: Any) -> str:
    return repr(size) if isinstance(size, Sym) else str(int(size))
