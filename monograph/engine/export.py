"""An exported program: graph text, weights and signature; made ready for given sizes, run, saved and loaded.

A program is kept as text. For each combination of sizes that it is called with, the text is read again with these sizes in place of its
symbols, every op's type rule runs on them, and the resulting graph gets a plan, which is remembered.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from monograph.core import knobs, symbol
from monograph.core.dtype import BY_NAME, from_numpy
from monograph.core.dtype import dtype as DType
from monograph.core.errors import ArtifactError, DTypeError, ShapeError
from monograph.core.trees import unflatten
from monograph.engine import artifact
from monograph.engine.plans import Plan, make_plan
from monograph.graph.node import Node, record, topological
from monograph.graph.rewrite import apart
from monograph.graph.text import ParsedGraph, from_text
from monograph.ops import source, vocabulary
from monograph.runtime.buffers import Buffer

SIZES_KEPT = 64
_RELATIONS = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


@dataclass(frozen=True)
class Input:
    """A leaf of the arguments: a tensor with its type (a size is an int or an expression of symbols), or a plain value that is fixed."""

    name: str
    shape: tuple[int | str, ...] | None = None
    dtype: DType | None = None
    value: Any = None

    def __str__(self) -> str:
        return f"{self.name}: " + (
            f"{self.dtype.name}[{', '.join(map(str, self.shape or ()))}]" if self.dtype is not None else repr(self.value)
        )


@dataclass(frozen=True)
class Symbol:
    """A size that is known at the call: its range, and its value when the program was exported."""

    name: str
    example: int
    min: int | None = None
    max: int | None = None


@dataclass
class Program:
    """What an artifact holds, checked. `weights` are (buffer, shape, dtype) by name."""

    graph: str
    inputs: list[Input]
    outputs: list[Any]  # None for a tensor, [value] for a plain value
    in_tree: Any
    out_tree: Any
    arguments: list[str]
    symbols: dict[str, Symbol]
    constraints: list[tuple[str, str, str]]
    weights: dict[str, tuple[Any, tuple[int, ...], DType]]
    _ready: OrderedDict[Any, _Ready] = field(default_factory=OrderedDict, repr=False)

    # ---- calling ----
    def bind(self, leaves: Sequence[Any]) -> dict[str, int]:
        """The values of the symbols for these argument leaves ((shape, dtype) of tensors, else the value).

        Errors name input and dimension.
        """
        if len(leaves) != len(self.inputs):
            raise TypeError(f"the program takes {len(self.inputs)} values ({'; '.join(map(str, self.inputs))}), got {len(leaves)}")
        values: dict[str, int] = {}
        seen: dict[str, str] = {}
        later = []
        for given, leaf in zip(self.inputs, leaves, strict=True):
            if given.dtype is None:
                if type(leaf) is not type(given.value) or leaf != given.value:
                    raise ValueError(f"{given.name} was {given.value!r} when the program was exported and is part of it; got {leaf!r}")
                continue
            if not (isinstance(leaf, tuple) and len(leaf) == 2 and isinstance(leaf[1], DType)):
                raise TypeError(f"{given.name} must be a tensor ({given}), got {type(leaf).__name__}")
            shape, dtype = leaf
            if dtype is not given.dtype:
                raise DTypeError(f"{given.name} must be {given.dtype.name}, got {dtype.name}: convert it with .to()")
            if len(shape) != len(given.shape or ()):
                raise ShapeError(f"{given.name} must have {len(given.shape or ())} dimensions ({given}), got shape {list(shape)}")
            for d, (size, wanted) in enumerate(zip(shape, given.shape or (), strict=True)):
                if isinstance(wanted, int):
                    if size != wanted:
                        raise ShapeError(f"{given.name} has size {size} in dimension {d}, the program was made for {wanted} ({given})")
                elif wanted in self.symbols:
                    if values.setdefault(wanted, size) != size:
                        raise ShapeError(f"{wanted} is {values[wanted]} in {seen[wanted]} but {size} in dimension {d} of {given.name}")
                    seen.setdefault(wanted, f"dimension {d} of {given.name}")
                else:
                    later.append((given, d, size, wanted))
        for given, d, size, wanted in later:
            expected = symbol.evaluate(wanted, values)
            if size != expected:
                raise ShapeError(f"{given.name} has size {size} in dimension {d}, expected {wanted} = {expected}")
        self._check_sizes(values)
        return values

    def _check_sizes(self, values: Mapping[str, int]) -> None:
        for s in self.symbols.values():
            n = values.get(s.name)
            if n is None:
                raise ArtifactError(f"no input gives a value to the size {s.name}")
            if (s.min is not None and n < s.min) or (s.max is not None and n > s.max):
                raise ShapeError(
                    f"{s.name} is {n}, outside of its range [{s.min if s.min is not None else 0}, {s.max if s.max is not None else 'inf'}]"
                )
        for left, relation, right in self.constraints:
            a, b = symbol.evaluate(left, values), symbol.evaluate(right, values)
            if not _RELATIONS[relation](a, b):
                raise ShapeError(
                    f"the program holds only where {left} {relation} {right}; here {a} and {b} "
                    f"({', '.join(f'{k} = {v}' for k, v in values.items())})"
                )

    def ready(self, values: Mapping[str, int]) -> _Ready:
        """The graph and its plan for these sizes."""
        key = (knobs.planning(), tuple(values.items()))
        found = self._ready.get(key)
        if found is None:
            found = self._ready[key] = _Ready(self, from_text(self.graph, values))
            if len(self._ready) > SIZES_KEPT:
                self._ready.popitem(last=False)
        return found

    def rebuild(self, outputs: Sequence[Any]) -> Any:
        """The result's tree from its tensors."""
        rest = iter(outputs)
        return unflatten(self.out_tree, [next(rest) if o is None else o[0] for o in self.outputs])

    # ---- text ----
    def __str__(self) -> str:
        symbols = "".join(
            f"size {s.name} in [{s.min if s.min is not None else 0}, {s.max if s.max is not None else 'inf'}]\n"
            for s in self.symbols.values()
        )
        held = "".join(f"holds where {a} {r} {b}\n" for a, r, b in self.constraints)
        return symbols + held + self.graph

    # ---- saving ----
    def to_bytes(self) -> bytes:
        """The artifact of this program."""
        ops = sorted({n.op for n in self._example().nodes.values()}, key=lambda op: op.name)
        manifest = {
            "monograph": "0.1.0",
            "opset": {op.name: op.since for op in ops if op is not source.source},
            "inputs": [
                {"name": i.name, "shape": list(i.shape or ()), "dtype": i.dtype.name}
                if i.dtype is not None
                else {"name": i.name, "value": i.value}
                for i in self.inputs
            ],
            "outputs": self.outputs,
            "in_tree": _tree_to_json(self.in_tree),
            "out_tree": _tree_to_json(self.out_tree),
            "arguments": self.arguments,
            "symbols": {s.name: {"example": s.example, "min": s.min, "max": s.max} for s in self.symbols.values()},
            "constraints": [list(c) for c in self.constraints],
            "weights": [{"name": n, "shape": list(shape), "dtype": d.name} for n, (_, shape, d) in self.weights.items()],
        }
        return artifact.to_bytes(manifest, self.graph, {n: b.array(shape, d.np) for n, (b, shape, d) in self.weights.items()})

    def _example(self) -> ParsedGraph:
        return from_text(self.graph, {s.name: s.example for s in self.symbols.values()})

    def check(self) -> None:
        """Reads the graph with the example's sizes and compares it with signature and weights. Raises ArtifactError."""
        parsed = self._example()
        sizes = {s.name: s.example for s in self.symbols.values()}
        expected: dict[str, tuple[Any, DType]] = {}
        for i in self.inputs:
            if i.dtype is not None:
                expected[i.name] = (tuple(symbol.evaluate(s, sizes) if isinstance(s, str) else s for s in i.shape or ()), i.dtype)
        for name, (_, shape, dtype) in self.weights.items():
            if name in expected:
                raise ArtifactError(f"{name} is both an input and a weight")
            expected[name] = (shape, dtype)
        if set(parsed.inputs) != set(expected):
            strange = sorted(set(parsed.inputs) ^ set(expected))
            raise ArtifactError(f"graph and signature do not agree on {', '.join(strange)}")
        for name, node in parsed.inputs.items():
            if (tuple(node.shape), node.dtype) != expected[name]:
                shape, dtype = expected[name]
                raise ArtifactError(
                    f"{name} is {node.dtype.name}{list(node.shape)} in the graph, but {dtype.name}{list(shape)} in the signature or weights"
                )
        if len(parsed.outputs) != sum(o is None for o in self.outputs):
            raise ArtifactError(
                f"the graph returns {len(parsed.outputs)} values, the signature names {sum(o is None for o in self.outputs)}"
            )
        if any(n.dtype is None for n in parsed.outputs):
            raise ArtifactError("the graph returns a node of several outputs")
        if (
            self.in_tree is None
            or self.in_tree[0] is not tuple
            or len(self.in_tree[1]) != 2
            or self.in_tree[1][0] is None
            or self.in_tree[1][1] is None
        ):
            raise ArtifactError("the signature's arguments are not a tuple and a dict")
        if _leaves(self.in_tree) != len(self.inputs) or _leaves(self.out_tree) != len(self.outputs):
            raise ArtifactError("the signature's trees do not fit its inputs and outputs")
        bound = {s for i in self.inputs for s in i.shape or () if isinstance(s, str)}
        for name in self.symbols:
            if name not in bound:
                raise ArtifactError(f"no input gives a value to the size {name}")
        for left, relation, right in self.constraints:
            if relation not in _RELATIONS:
                raise ArtifactError(f"{relation!r} is no relation")
            symbol.evaluate(left, sizes), symbol.evaluate(right, sizes)


class _Ready:
    """A program made ready for known sizes."""

    def __init__(self, program: Program, parsed: ParsedGraph) -> None:
        self.parsed = parsed
        self.order = topological(parsed.outputs)
        used = {id(n) for n in self.order}
        self.inputs = [(i.name, parsed.inputs[i.name]) for i in program.inputs if i.dtype is not None]
        self.weights = [(n, node) for n, node in parsed.inputs.items() if n in program.weights]
        for _, node in self.inputs:
            if any(not isinstance(s, int) for s in node.shape):
                raise ArtifactError("a size of the graph is not known")
        self.scalars = [n for n in self.order if n.op is source.scalar]
        self.fed = [node for _, node in self.inputs if id(node) in used]
        self.feeds = [i for i, (_, node) in enumerate(self.inputs) if id(node) in used]
        self.constants = [program.weights[n][0] for n, node in self.weights if id(node) in used]
        self.constant_nodes = [node for _, node in self.weights if id(node) in used]
        with apart():  # results never share memory with inputs or weights
            self.outputs = [record(source.clone, (n,)) if n.op is source.source else n for n in parsed.outputs]
        self.numbers = [n.attrs.value for n in self.scalars]  # type: ignore[attr-defined]
        self._plan: Plan | None = None

    @property
    def plan(self) -> Plan:
        """The plan, made at the first run."""
        if self._plan is None:
            self._plan = make_plan([*self.fed, *self.constant_nodes], self.scalars, self.outputs)
        return self._plan

    def run(self, buffers: Sequence[Any]) -> list[Any]:
        """The outputs' buffers from those of the tensor inputs, in order of the signature."""
        return self.plan.run([*(buffers[i] for i in self.feeds), *self.constants], self.numbers)

    def record(self, inputs: Sequence[Node], weights: Mapping[str, Node]) -> list[Node]:
        """The program as part of a larger graph: differentiable, lazy."""
        new = {id(node): given for (_, node), given in zip(self.inputs, inputs, strict=True)}
        new.update({id(node): weights[name] for name, node in self.weights})
        for node in self.order:
            if id(node) not in new:
                attrs: Any = node.attrs
                is_number = node.op is source.scalar
                new[id(node)] = (
                    source.number(attrs.value, node.dtype)
                    if is_number
                    else record(node.op, tuple([new[id(i)] for i in node.inputs]), attrs)
                )
        return [new[id(n)] for n in self.parsed.outputs]


# ---------------------------------------------------------------- loading


def load(where: Any) -> Program:
    """The program in a file. Raises ArtifactError for anything but a whole, unchanged program that this version understands."""
    held = artifact.read(where)
    vocabulary.complete()
    try:
        program = _from_manifest(held)
        program.check()
    except ArtifactError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, ZeroDivisionError, RecursionError, OverflowError) as error:
        raise ArtifactError(f"the manifest does not describe a program: {type(error).__name__}: {error}") from None
    return program


def _from_manifest(held: artifact.Artifact) -> Program:
    m = held.manifest
    weights: dict[str, tuple[Any, tuple[int, ...], DType]] = {}
    stated = {w["name"]: w for w in m["weights"]}
    if set(stated) != set(held.weights):
        raise ArtifactError(f"weights and manifest do not agree on {', '.join(sorted(set(stated) ^ set(held.weights)))}")
    for name, array in held.weights.items():
        dtype = from_numpy(array.dtype)
        if list(array.shape) != stated[name]["shape"] or dtype.name != stated[name]["dtype"]:
            raise ArtifactError(
                f"weight {name} is {dtype.name}{list(array.shape)}, the manifest says {stated[name]['dtype']}{stated[name]['shape']}"
            )
        buffer = Buffer(array.nbytes)
        buffer.array(array.shape, dtype.np)[...] = array
        weights[name] = (buffer, tuple(array.shape), dtype)
    inputs = []
    for i in m["inputs"]:
        if "dtype" in i:
            if not all(isinstance(s, int | str) and not isinstance(s, bool) for s in i["shape"]):
                raise ArtifactError(f"the shape of input {i['name']} is {i['shape']!r}")
            inputs.append(Input(str(i["name"]), tuple(i["shape"]), BY_NAME[i["dtype"]]))
        else:
            inputs.append(Input(str(i["name"]), value=i["value"]))
    symbols = {}
    for name, s in m["symbols"].items():
        for key in ("example", "min", "max"):
            if not (isinstance(s[key], int) and not isinstance(s[key], bool)) and not (key != "example" and s[key] is None):
                raise ArtifactError(f"size {name}: {key} is {s[key]!r}")
        symbols[name] = Symbol(name, s["example"], s["min"], s["max"])
    constraints = [(str(a), str(r), str(b)) for a, r, b in m["constraints"]]
    outputs = [None if o is None else [o[0]] for o in m["outputs"]]
    return Program(
        held.graph,
        inputs,
        outputs,
        _tree_from_json(m["in_tree"], 0),
        _tree_from_json(m["out_tree"], 0),
        [str(a) for a in m["arguments"]],
        symbols,
        constraints,
        weights,
    )


_KINDS: dict[str, type] = {"list": list, "tuple": tuple, "dict": dict}


def _tree_to_json(tree: Any) -> Any:
    if tree is None:
        return None
    if len(tree) == 3:
        return ["dict", list(tree[1]), [_tree_to_json(t) for t in tree[2]]]
    return ["list" if tree[0] is list else "tuple", [_tree_to_json(t) for t in tree[1]]]


def _tree_from_json(tree: Any, depth: int) -> Any:
    if tree is None:
        return None
    if depth > 64:
        raise ArtifactError("a tree of the signature is nested too deeply")
    kind = _KINDS[tree[0]]
    if kind is dict:
        keys, items = tree[1], tree[2]
        if len(keys) != len(items) or not all(isinstance(k, str | int | bool) for k in keys):
            raise ArtifactError("a dict of the signature is malformed")
        return (dict, tuple(keys), tuple(_tree_from_json(t, depth + 1) for t in items))
    return (kind, tuple(_tree_from_json(t, depth + 1) for t in tree[1]))


def _leaves(tree: Any) -> int:
    return 1 if tree is None else sum(map(_leaves, tree[-1]))
