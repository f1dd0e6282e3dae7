"""The reader of the text form: strict, line by line, evaluating nothing. See `text.py` for the language."""

from __future__ import annotations

import json
import math
import re
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from monograph.core import symbol
from monograph.core.attrs import Attrs
from monograph.core.dtype import BY_NAME
from monograph.core.dtype import dtype as DType
from monograph.core.errors import ArtifactError, message_of
from monograph.core.symbol import Sym
from monograph.graph.node import Node
from monograph.graph.op import REGISTRY, OpDef
from monograph.graph.rewrite import apart

MAX_LINES = 1_000_000
MAX_LINE = 1_000_000
MAX_DEPTH = 16
MAX_DIGITS = 40
MAX_BYTES = 1 << 48


@dataclass(frozen=True)
class ParsedGraph:
    """A program read from text: its inputs by name, its outputs, the names of all nodes."""

    inputs: dict[str, Node]
    outputs: list[Node]
    nodes: dict[str, Node]


_TOKEN = re.compile(
    r"""\s*(?:
    (?P<node>%[A-Za-z_0-9][\w.]*)
  | (?P<string>"(?:[^"\\\n]|\\.)*")
  | (?P<float>[-+]?(?:\d+\.\d*(?:[eE][-+]?\d+)?|\d+[eE][-+]?\d+|inf\b|nan\b))
  | (?P<int>[-+]?\d+)
  | (?P<word>[A-Za-z_]\w*)
  | (?P<mark>//|[=(){}\[\],:@*+-])
    )""",
    re.ASCII | re.VERBOSE,
)


def from_text(text: str, sizes: Mapping[str, Any] | None = None) -> ParsedGraph:
    """The program that `to_text` wrote. `sizes` gives a value (an int, or a symbol of a scope) to every symbol.

    Raises ArtifactError, with the line number, for anything that is not a well-typed program of this vocabulary.
    """
    if not isinstance(text, str):
        raise ArtifactError(f"a graph's text is a str, got {type(text).__name__}")
    lines = text.split("\n")
    if len(lines) > MAX_LINES:
        raise ArtifactError(f"the graph has {len(lines)} lines, more than the {MAX_LINES} that are read")
    reader = _Reader(dict(sizes or {}))
    number = 0
    try:
        with apart():
            for number, line in enumerate(lines, 1):  # noqa: B007 - the errors below name it
                if len(line) > MAX_LINE:
                    raise ArtifactError(f"it is {len(line)} characters long")
                if line.strip():
                    reader.line(line)
    except ArtifactError as error:
        raise ArtifactError(f"graph text, line {number}: {message_of(error)}") from None
    except RecursionError:
        raise ArtifactError(f"graph text, line {number}: it is nested too deeply") from None
    except Exception as error:  # whatever an op's own rule makes of hostile attributes
        raise ArtifactError(f"graph text, line {number}: {type(error).__name__}: {message_of(error)}") from None
    if reader.outputs is None:
        raise ArtifactError(f"graph text, line {number}: the program ends without a return")
    return ParsedGraph(reader.inputs, reader.outputs, reader.nodes)


class _Reader:
    """One line after the other."""

    def __init__(self, sizes: dict[str, Any]) -> None:
        self.sizes = sizes
        self.nodes: dict[str, Node] = {}
        self.inputs: dict[str, Node] = {}
        self.outputs: list[Node] | None = None
        self._tokens: list[tuple[str, str]] = []
        self._at = 0

    def line(self, line: str) -> None:
        if self.outputs is not None:
            raise ArtifactError("something follows the return")
        self._tokens, self._at = _tokens(line), 0
        if self._peek() == ("word", "return"):
            self._take()
            self.outputs = [self._node()] if self._peek()[0] == "node" else []
            while self._peek()[1] == ",":
                self._take()
                self.outputs.append(self._node())
            self._end()
            return
        kind, name = self._take()
        if kind != "node":
            raise ArtifactError(f"expected %name = ..., got {name!r}")
        name = name[1:]
        if name in self.nodes:
            raise ArtifactError(f"%{name} is defined twice")
        self._expect("=")
        kind, op_name = self._take()
        if kind != "word":
            raise ArtifactError(f"expected the name of an op, got {op_name!r}")
        if op_name == "input":
            self._expect(":")
            ((shape, dtype),) = self._types()
            node = _placeholder(shape, dtype)
            self.inputs[name] = node
        else:
            node = self._operation(op_name)
        self._end()
        self.nodes[name] = node

    def _operation(self, op_name: str) -> Node:
        op = REGISTRY.get(op_name)
        if op is None or op_name in ("source", "custom_function"):
            raise ArtifactError(f"no op is called {op_name!r}: the file is damaged, or was written by a newer version")
        since = 1
        if self._peek()[1] == "@":
            self._take()
            since = self._integer()
        if since > op.since:
            raise ArtifactError(f"op {op_name} is of version {since}, this monograph knows version {op.since}: upgrade to read the file")
        self._expect("(")
        inputs: list[Node] = []
        while self._peek()[1] != ")":
            inputs.append(self._node())
            if self._peek()[1] != ")":
                self._expect(",")
        self._expect(")")
        attributes = self._attributes(op)
        self._expect(":")
        written = self._types()
        shape, dtype = op.infer(attributes, *inputs)
        node = Node(op, tuple(inputs), attributes, shape, dtype)
        inferred = list(node.outputs)
        if not _equal_types(inferred, written):
            raise ArtifactError(f"{op_name} gives {inferred}, the file says {written}")
        return node

    def _attributes(self, op: OpDef) -> Attrs:
        found: dict[str, Any] = {}
        if self._peek()[1] == "{":
            self._take()
            while self._peek()[1] != "}":
                kind, name = self._take()
                if kind != "word" or name in found:
                    raise ArtifactError(
                        f"expected the name of an attribute of {op.name}, got {name!r}" + (" again" if name in found else "")
                    )
                self._expect("=")
                found[name] = self._value(0)
                if self._peek()[1] != "}":
                    self._expect(",")
            self._expect("}")
        known = set(op.attrs.FIELDS)
        strange = [n for n in found if n not in known or n == "provider"]
        if strange:
            raise ArtifactError(f"{op.name} has no attribute {strange[0]!r}; it has {', '.join(sorted(known)) or 'none'}")
        hints = _hints(op.attrs)
        for name, value in found.items():
            if not _fits(value, hints[name]):
                raise ArtifactError(f"attribute {name} of {op.name} cannot be {value!r}")
        try:
            return op.attrs(**found)
        except TypeError as error:
            raise ArtifactError(f"attributes of {op.name}: {message_of(error)}") from None

    # ---- values and types ----
    def _value(self, depth: int) -> Any:
        if depth > MAX_DEPTH:
            raise ArtifactError(f"a value is nested more than {MAX_DEPTH} deep")
        kind, token = self._take()
        if kind == "int":
            return _int(token)
        if kind == "float":
            return float(token)
        if kind == "string":
            try:
                return json.loads(token)
            except ValueError:
                raise ArtifactError(f"{token} is no string") from None
        if token == "(":
            return self._tuple(depth)
        if kind == "word":
            if token in ("True", "False", "None"):
                return {"True": True, "False": False, "None": None}[token]
            if token in BY_NAME and self._peek()[1] != "(":
                return BY_NAME[token]
            if token == "sym":
                self._expect("(")
                return self._size((")",))
            if token == "complex":
                self._expect("(")
                parts = self._tuple(depth)
                if len(parts) == 2 and all(isinstance(p, float) for p in parts):
                    return complex(*parts)
            if token in ("inf", "nan"):
                return float(token)
        raise ArtifactError(f"{token!r} is no value")

    def _tuple(self, depth: int) -> tuple[Any, ...]:
        found = []
        while self._peek()[1] != ")":
            found.append(self._value(depth + 1))
            if self._peek()[1] != ")":
                self._expect(",")
        self._expect(")")
        return tuple(found)

    def _types(self) -> list[tuple[tuple[Any, ...], DType]]:
        if self._peek()[1] != "(":
            return [self._type()]
        self._take()
        found = [self._type()]
        while self._peek()[1] == ",":
            self._take()
            found.append(self._type())
        self._expect(")")
        return found

    def _type(self) -> tuple[tuple[Any, ...], DType]:
        _, name = self._take()
        dtype = BY_NAME.get(name)
        if dtype is None:
            raise ArtifactError(f"{name!r} is no dtype")
        self._expect("[")
        shape = []
        while self._peek()[1] != "]":
            size = self._size((",", "]"), keep=True)
            if isinstance(size, int) and size < 0:
                raise ArtifactError(f"a size of {size}")
            shape.append(size)
            if self._peek()[1] != "]":
                self._expect(",")
        self._expect("]")
        if math.prod(symbol.hint_of(s) for s in shape) * dtype.itemsize > MAX_BYTES:
            raise ArtifactError(f"a value of {name}{shape} is larger than any memory")
        return tuple(shape), dtype

    def _size(self, stop: tuple[str, ...], keep: bool = False) -> Any:
        """A size expression up to a closing mark of its own level."""
        parts: list[str] = []
        level = 0
        while True:
            kind, token = self._peek()
            if not level and token in stop:
                if not keep:
                    self._take()
                break
            if kind == "" or len(parts) > 1000 or kind not in ("int", "word", "mark") or token in "[]{}=:@,":
                raise ArtifactError(f"bad size expression at {token!r}")
            level += (token == "(") - (token == ")")
            if level > MAX_DEPTH:
                raise ArtifactError("a size expression is nested too deeply")
            parts.append(str(abs(_int(token))) if kind == "int" and token[0] != "-" else token if kind != "int" else f"-{abs(_int(token))}")
            self._take()
        if len(parts) == 1 and parts[0].isdigit():
            return int(parts[0])
        try:
            return symbol.evaluate(" ".join(parts), self.sizes)
        except (ValueError, ZeroDivisionError) as error:
            raise ArtifactError(message_of(error)) from None

    # ---- tokens ----
    def _peek(self) -> tuple[str, str]:
        return self._tokens[self._at] if self._at < len(self._tokens) else ("", "")

    def _take(self) -> tuple[str, str]:
        if self._at >= len(self._tokens):
            raise ArtifactError("the line ends too early")
        self._at += 1
        return self._tokens[self._at - 1]

    def _expect(self, mark: str) -> None:
        _, token = self._take()
        if token != mark:
            raise ArtifactError(f"expected {mark!r}, got {token!r}")

    def _end(self) -> None:
        if self._at != len(self._tokens):
            raise ArtifactError(f"{self._tokens[self._at][1]!r} is too much")

    def _node(self) -> Node:
        kind, token = self._take()
        if kind != "node":
            raise ArtifactError(f"expected a node, got {token!r}")
        node = self.nodes.get(token[1:])
        if node is None:
            raise ArtifactError(f"{token} is used before it is defined")
        return node

    def _integer(self) -> int:
        kind, token = self._take()
        if kind != "int":
            raise ArtifactError(f"expected an integer, got {token!r}")
        return _int(token)


def _placeholder(shape: tuple[Any, ...], dtype: DType) -> Node:
    op = REGISTRY["source"]
    return Node(op, (), op.attrs(shape, dtype), shape, dtype)  # type: ignore[call-arg]


def _tokens(line: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    at, end = 0, len(line.rstrip())
    while at < end:
        match = _TOKEN.match(line, at)
        if match is None or (match.end() > end and match.group().strip() == ""):
            raise ArtifactError(f"cannot read {line[at : at + 20].strip()!r}")
        found.append((match.lastgroup or "", match[match.lastgroup or 0]))
        at = match.end()
    return found


def _int(token: str) -> int:
    if len(token) > MAX_DIGITS:
        raise ArtifactError(f"a number of {len(token)} digits")
    return int(token)


def _equal_types(a: Sequence[tuple[Any, DType]], b: Sequence[tuple[Any, DType]]) -> bool:
    return len(a) == len(b) and all(
        d is e and len(s) == len(t) and all(x == y for x, y in zip(s, t, strict=True)) for (s, d), (t, e) in zip(a, b, strict=True)
    )


_hint_cache: dict[type, dict[str, Any]] = {}


def _hints(kind: type) -> dict[str, Any]:
    found = _hint_cache.get(kind)
    if found is None:
        found = _hint_cache[kind] = typing.get_type_hints(kind)
    return found


def _fits(value: Any, hint: Any) -> bool:
    """Whether a parsed value may stand where an attribute of this type is declared."""
    if hint is Any:
        return True
    origin = typing.get_origin(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, h) for h in typing.get_args(hint))
    if origin is tuple:
        inner = typing.get_args(hint)
        if not isinstance(value, tuple):
            return False
        if len(inner) == 2 and inner[1] is Ellipsis:
            return all(_fits(v, inner[0]) for v in value)
        return len(inner) == len(value) and all(_fits(v, h) for v, h in zip(value, inner, strict=True))
    if hint is None or hint is type(None):
        return value is None
    if hint is bool:
        return isinstance(value, bool)
    if hint is int:
        return isinstance(value, int | Sym) and not isinstance(value, bool)
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if isinstance(hint, type):
        return isinstance(value, hint)
    return not callable(value)
