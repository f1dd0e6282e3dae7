"""`export`: a module or function captured once, with symbolic sizes where asked, as a program that needs neither its Python nor ours."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from monograph.core import symbol
from monograph.core.dtype import dtype as DType
from monograph.core.errors import CaptureError, user_line
from monograph.core.modes import MODES
from monograph.core.symbol import Sym
from monograph.core.trees import flatten, unflatten
from monograph.engine import artifact, evaluator
from monograph.engine import export as programs
from monograph.engine.capture import Capture
from monograph.engine.export import Input, Program, Symbol
from monograph.graph.node import Node, topological
from monograph.graph.rewrite import rebuild
from monograph.graph.text import to_text
from monograph.ops import source
from monograph.tensor.core import Tensor, node_of, wrap
from monograph.tensor.export_signature import Dim, argument_names, dims, leaf_dims, leaf_labels, size_of

_PLAIN = (int, float, bool, str, type(None))


class _Noting(symbol.Scope):
    """The symbols of an export: of each constraint it notes the user's line that made it."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def note(self, left: str, relation: str, right: str) -> None:
        super().note(left, relation, right)
        if len(self.lines) < len(self.constraints):
            self.lines.append(user_line(2))


class _ExportCapture(Capture):
    """A capture without values: looking at one is an error."""

    symbolic = True

    def __init__(self, placeholders: set[Node]) -> None:
        super().__init__([])
        self.placeholders = placeholders

    def observe(self, t: Any) -> np.ndarray:
        self.read((t,))
        node = node_of(t)
        if any(id(n) in self.inputs or n in self.placeholders for n in topological([node])):
            raise CaptureError(
                f"export cannot follow Python that looks at a tensor's value ({node.dtype.name}{list(node.shape)} of "
                f"{node.op.name}, at {user_line(2)}): "
                "an exported program has no Python. Use where() for a choice between values, or export the branches by themselves."
            )
        with self.paused():
            evaluator.evaluate([node])
        return node.value.array(node.shape, node.dtype.np)

    def live(self, provider: Callable[[], Any], dtype: DType) -> Node:
        raise CaptureError(
            f"export met a run-time number at {user_line(2)}: random numbers and learning rates are no part of an exported program. "
            "Call .eval() first (dropout), or pass random numbers as inputs."
        )


class ExportedProgram:
    """A program: `print(ep)` shows it, `ep.module()` runs it, `export.save` writes it."""

    def __init__(self, program: Program) -> None:
        self._program = program

    @property
    def graph(self) -> str:
        """The program's text."""
        return self._program.graph

    @property
    def state_dict(self) -> dict[str, Tensor]:
        """The tensors that the program uses, by name."""
        return {name: wrap(source.from_value(buffer, shape, dtype)) for name, (buffer, shape, dtype) in self._program.weights.items()}

    @property
    def range_constraints(self) -> dict[str, tuple[int, float]]:
        """The range of every symbolic size."""
        return {s.name: (s.min or 0, float("inf") if s.max is None else s.max) for s in self._program.symbols.values()}

    def module(self) -> ExportedModule:
        """The program as a callable."""
        return ExportedModule(self._program)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("Unable to call ExportedProgram directly. You should use `exported_program.module()` instead.")

    def __str__(self) -> str:
        return f"ExportedProgram({', '.join(map(str, self._program.inputs))})\n{self._program}"

    __repr__ = __str__


class ExportedModule:
    """A callable exported program. Lazy and differentiable in its inputs when they ask for it, one native call otherwise."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._weights: dict[str, Node] = {}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        program = self._program
        leaves = self._leaves(args, kwargs)
        tensors = [t for t in leaves if isinstance(t, Tensor)]
        if MODES.capture is not None:
            MODES.capture.read(tensors)
        nodes = [node_of(t) for t in tensors]
        ready = program.ready(program.bind([(tuple(t.shape), t.dtype) if isinstance(t, Tensor) else t for t in leaves]))
        if MODES.capture is not None or (MODES.grad and any(n.requires_grad for n in nodes)):
            return program.rebuild([wrap(n) for n in ready.record(nodes, self._weight_nodes())])
        evaluator.evaluate(nodes)
        made = []
        for node, buffer in zip(ready.outputs, ready.run([n.value for n in nodes]), strict=True):
            made.append(wrap(source.from_value(buffer, node.shape, node.dtype)))
        return program.rebuild(made)

    forward = __call__

    def _weight_nodes(self) -> dict[str, Node]:
        if not self._weights:
            self._weights = {n: source.from_value(b, shape, dtype) for n, (b, shape, dtype) in self._program.weights.items()}
        for node in self._weights.values():
            if MODES.capture is not None:
                MODES.capture.made(node)
        return self._weights

    def _leaves(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
        program = self._program
        leaves, tree = flatten((args, kwargs))
        if _loose(tree) != _loose(program.in_tree):
            names = program.arguments
            if len(args) < len(names) and all(n in kwargs for n in names[len(args) :]):
                kwargs = dict(kwargs)
                args = (*args, *(kwargs.pop(n) for n in names[len(args) :]))
                leaves, tree = flatten((args, kwargs))
        if _loose(tree) != _loose(program.in_tree):
            wanted = ", ".join(map(str, program.inputs))
            raise TypeError(
                f"the program takes ({wanted}), in the structure that it was exported with; got {len(args)} positional "
                f"arguments and {sorted(kwargs)}"
            )
        return leaves

    def state_dict(self) -> dict[str, Tensor]:
        """The tensors that the program uses, by name."""
        return ExportedProgram(self._program).state_dict

    def train(self, mode: bool = True) -> Any:
        """Not to be had: the mode was fixed at the export."""
        raise NotImplementedError("Calling train() is not supported for exported programs: the mode is part of the program.")

    def eval(self) -> Any:
        """Not to be had: the mode was fixed at the export."""
        raise NotImplementedError("Calling eval() is not supported for exported programs: call it on the model before exporting.")

    def __repr__(self) -> str:
        return f"ExportedModule({', '.join(map(str, self._program.inputs))})"


def _loose(tree: Any) -> Any:
    """A tree in which tuples of any kind are tuples, dicts of any kind dicts."""
    if tree is None:
        return None
    if len(tree) == 3:
        return (dict, tree[1], tuple(map(_loose, tree[2])))
    return (list if tree[0] is list else tuple, tuple(map(_loose, tree[1])))


# ---------------------------------------------------------------- exporting


def export(
    mod: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any] | None = None, *, dynamic_shapes: Any = None, strict: bool = False
) -> ExportedProgram:
    """The program that `mod(*args, **kwargs)` computes, for all sizes that `dynamic_shapes` leaves open.

    `dynamic_shapes` names Dims per argument: {"x": {0: batch}}, or in order ({0: batch}, None), or a tuple of one entry per dimension.
    Raises CaptureError, naming the line, where Python needs a value or fixes a size that should stay open.
    """
    if not isinstance(args, tuple):
        raise TypeError(f"export() takes the example arguments as a tuple, got {type(args).__name__}: write (x,)")
    kwargs = dict(kwargs or {})
    before = MODES.grad
    MODES.grad = False
    try:
        return _export(mod, args, kwargs, dynamic_shapes, _Noting())
    finally:
        MODES.grad = before


def _export(mod: Any, args: tuple[Any, ...], kwargs: dict[str, Any], dynamic_shapes: Any, scope: _Noting) -> ExportedProgram:
    function = mod.forward if hasattr(mod, "forward") and hasattr(mod, "named_parameters") else mod
    names = argument_names(function, args)
    leaves, tree = flatten((args, kwargs))
    labels = leaf_labels(names, args, kwargs)
    wanted = leaf_dims(dynamic_shapes, names, args, kwargs)
    symbols: dict[str, Symbol] = {}
    inputs: list[Input] = []
    nodes: list[Node] = []
    replaced: list[Any] = []
    for label, leaf, dims_of in zip(labels, leaves, wanted, strict=True):
        if not isinstance(leaf, Tensor):
            if not isinstance(leaf, _PLAIN):
                raise TypeError(
                    f"argument {label} is a {type(leaf).__name__}: an exported program takes tensors, numbers, strings and "
                    f"containers of them"
                )
            inputs.append(Input(label, value=leaf))
            replaced.append(leaf)
            continue
        shape = tuple(size_of(label, d, int(n), dims_of, symbols, scope) for d, n in enumerate(leaf.shape))
        node = source.placeholder(shape, leaf.dtype)
        inputs.append(Input(label, tuple(repr(s) if isinstance(s, Sym) else s for s in shape), leaf.dtype))
        nodes.append(node)
        replaced.append(wrap(node))
    capture = _ExportCapture(set(nodes))
    for node in nodes:
        capture.made(node)
    result, outputs = _run(mod, replaced, tree, capture)
    out_leaves, out_tree = flatten(result)
    plain = [None if isinstance(o, Tensor) else [_plain_output(o)] for o in out_leaves]
    taken = {label: node for label, node in zip([i.name for i in inputs if i.dtype is not None], nodes, strict=True)}
    weights, weight_nodes = _weights(mod, capture, outputs, set(nodes), set(taken))
    outputs = _without_roles(outputs)
    text_inputs = [*nodes, *weight_nodes]
    text = to_text(text_inputs, outputs, {**{n: label for label, n in taken.items()}, **dict(zip(weight_nodes, weights, strict=True))})
    constraints = _constraints(scope, symbols)
    held = {name: (_own(node), tuple(node.shape), node.dtype) for name, node in zip(weights, weight_nodes, strict=True)}
    program = Program(text, inputs, plain, _loose(tree), _loose(out_tree), names, symbols, constraints, held)
    program.check()
    return ExportedProgram(program)


def _run(mod: Any, leaves: list[Any], tree: Any, capture: _ExportCapture) -> tuple[Any, list[Node]]:
    """Runs the function once on the placeholders; its tensors from outside are left as they were."""
    from_args, from_kwargs = unflatten(tree, leaves)
    try:
        with capture:
            result = mod(*from_args, **from_kwargs)
            tensors = [t for t in flatten(result)[0] if isinstance(t, Tensor)]
            capture.read(tensors)
            outputs = [node_of(t) for t in tensors]
    finally:
        written = [h for h in capture.handles if h.written]
        for handle in written:
            handle.tensor._node, handle.tensor._version_count = handle.node, handle.version
    if written:
        names = _names_of(mod)
        which = ", ".join(names.get(id(h.tensor), f"a tensor of shape {list(h.node.shape)}") for h in written)
        raise CaptureError(
            f"the call changes state ({which}), which an exported program does not have: call .eval() on the model before exporting it"
        )
    if capture.refusals:
        raise CaptureError(f"the call cannot be exported: {capture.refusals[0]}")
    return result, outputs


def _plain_output(value: Any) -> Any:
    if not isinstance(value, _PLAIN):
        raise CaptureError(
            f"the call returns a {type(value).__name__}: an exported program returns tensors, numbers, strings and lists, "
            f"tuples or dicts of them"
        )
    return value


def _names_of(mod: Any) -> dict[int, str]:
    found: dict[int, str] = {}
    for kind in ("named_parameters", "named_buffers"):
        if hasattr(mod, kind):
            for name, t in getattr(mod, kind)():
                found.setdefault(id(t), name)
    return found


def _weights(mod: Any, capture: Capture, outputs: list[Node], inputs: set[Node], taken: set[str]) -> tuple[list[str], list[Node]]:
    """Names and nodes of the values from outside that the outputs need."""
    of_tensor = _names_of(mod)
    handles = {id(h.node): h for h in capture.handles}
    names: list[str] = []
    nodes: list[Node] = []
    waiting = [h.node for h in capture.handles if h.node.value is None]
    evaluator.evaluate(waiting)
    for node in topological(outputs, lambda n: id(n) in handles):
        if node in inputs or (id(node) not in handles and node.op is not source.source):
            continue
        handle = handles.get(id(node))
        name = None if handle is None else of_tensor.get(id(handle.tensor))
        if name is None:
            name = f"constant_{len(names)}"
        while name in taken:
            name += "_"
        taken.add(name)
        names.append(name)
        nodes.append(node)
    return names, nodes


def _without_roles(outputs: list[Node]) -> list[Node]:
    """The graph without nodes that only say what a value is to autograd."""

    def strip(node: Node, inputs: tuple[Node, ...]) -> Node | None:
        return inputs[0] if inputs and node.op in (source.leaf, source.detach, source.clone) else None

    return rebuild(outputs, strip)


def _own(node: Node) -> Any:
    """A copy of a value: the program does not change when the model does."""
    array = node.value.array(node.shape, node.dtype.np)
    copy = type(node.value)(array.nbytes)
    copy.array(node.shape, node.dtype.np)[...] = array
    return copy


def _constraints(noted: _Noting, symbols: Mapping[str, Symbol]) -> list[tuple[str, str, str]]:
    """What the capture took for granted of sizes. A size that was fixed to its example is an error."""
    found = []
    for (left, relation, right), line in zip(noted.constraints, noted.lines, strict=True):
        if relation == "==" and (right.lstrip("-").isdigit() or left.lstrip("-").isdigit()):
            names = [s for s in symbols if s in left or s in right]
            raise CaptureError(
                f"{' and '.join(names) or left} was to be dynamic, but the code needs {left} == {right} at {line}: it uses "
                f"the size as a Python number (int(), range(), an "
                "index, a comparison). Leave the size to tensor operations, or make the dimension static."
            )
        if relation != "!=" or not _always_apart(left, right, symbols):
            found.append((left, relation, right))
    return found


def _always_apart(left: str, right: str, symbols: Mapping[str, Symbol]) -> bool:
    """Whether two sizes of one symbol can only meet where it is 0 or 1 (4*n != 4): open sizes are taken to be larger,
    as torch.export does.
    """
    names = [s for s in symbols if re.search(rf"\b{s}\b", left + " " + right)]
    return len(names) == 1 and all(symbol.evaluate(left, {names[0]: n}) != symbol.evaluate(right, {names[0]: n}) for n in range(2, 4096))


def save(ep: ExportedProgram, f: Any, **_: Any) -> None:
    """Writes the program to a file (a path, or an object with `write`): atomically, one zip, no pickle."""
    if not isinstance(ep, ExportedProgram):
        raise TypeError(f"save() takes an ExportedProgram, got {type(ep).__name__}: call export() first")
    artifact.write(f, ep._program.to_bytes())


def load(f: Any, **_: Any) -> ExportedProgram:
    """The program in a file. Raises ArtifactError for a file that is damaged, foreign, hostile or too new."""
    return ExportedProgram(programs.load(f))


__all__ = ["Dim", "ExportedModule", "ExportedProgram", "dims", "export", "load", "save"]
