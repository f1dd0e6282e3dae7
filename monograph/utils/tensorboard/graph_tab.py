"""A model's graph for the GRAPHS tab: the nodes that one call records, grouped by the modules that recorded them. Nothing is computed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from monograph.core.modes import no_grad
from monograph.core.trees import flatten
from monograph.graph.node import Node, topological
from monograph.ops import source
from monograph.tensor.core import Tensor, node_of
from monograph.utils.tensorboard.messages import proto

_SILENT = {source.leaf, source.detach, source.clone}  # what a value is to autograd says nothing here
_ODD = re.compile(r"[^A-Za-z0-9_.\-/]")


class _Trace:
    """Who recorded which node: a module owns what was recorded between its start and its end, and was not there before."""

    def __init__(self, model: Any) -> None:
        self.model, self.root = model, type(model).__name__
        self.owner: dict[int, str] = {}
        self.kept: list[Node] = []  # so that an address names one node only
        self.open: list[str] = []
        self.names = {id(module): name for name, module in model.named_modules()}

    def path(self, module: Any) -> str:
        """Net/layer1/0: the model's class, then the names of attributes."""
        name = self.names.get(id(module), type(module).__name__)
        return "/".join([self.root, *(part for part in name.split(".") if part)])

    def claim(self, values: Any, owner: str) -> None:
        """What these values need and nobody has claimed yet belongs to `owner`."""
        nodes = [node_of(leaf) for leaf in flatten(values)[0] if isinstance(leaf, Tensor)]
        for node in topological(nodes, lambda n: id(n) in self.owner):
            if id(node) not in self.owner:
                self.owner[id(node)] = owner
                self.kept.append(node)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Hooks on every module."""

        def before(module: Any, args: Any, kwargs: Any) -> None:
            self.claim((list(args), kwargs), self.open[-1] if self.open else self.root)
            self.open.append(self.path(module))

        def after(module: Any, args: Any, kwargs: Any, output: Any) -> None:
            self.claim(_tensors(output), self.open.pop())

        handles = []
        for module in self.model.modules():
            handles.append(module.register_forward_pre_hook(before, with_kwargs=True))
            handles.append(module.register_forward_hook(after, with_kwargs=True))
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()


def _tensors(value: Any) -> list[Tensor]:
    """The tensors in an output, also in objects with fields as models of some libraries return them."""
    found = []
    for leaf in flatten(value)[0]:
        if isinstance(leaf, Tensor):
            found.append(leaf)
        elif hasattr(leaf, "__dict__"):
            found += [part for part in vars(leaf).values() if isinstance(part, Tensor)]
    return found


def graph_of(model: Any, inputs: Any) -> Any:
    """The GraphDef of model(*inputs): one node for each recorded op, below the name of its module; parameters by their names.

    The model is traced in eval mode, without gradients; its state is left as it was.
    """
    args = tuple(inputs) if isinstance(inputs, tuple | list) else (inputs,)
    given = [leaf for leaf in flatten(args)[0] if isinstance(leaf, Tensor)]
    if not given:
        raise ValueError("add_graph(model, input_to_model) needs an example input: a tensor or a tuple of them")
    trace = _Trace(model)
    modes = [(m, m.training) for m in model.modules()]
    model.eval()
    try:
        with no_grad():
            known = {id(node_of(p)): f"{trace.root}/{name.replace('.', '/')}" for name, p in _state(model)}
            places = {id(node_of(x)): f"input/{i}" if len(given) > 1 else "input" for i, x in enumerate(given)}
            with trace.watching():
                outputs = _tensors(model(*args))
            roots = [node_of(x) for x in outputs]
    finally:
        for module, training in modes:
            module.training = training
    return _message(roots, trace, {**known, **places}, set(places))


def _state(model: Any) -> list[tuple[str, Tensor]]:
    return [*model.named_parameters(), *model.named_buffers()]


def _message(roots: list[Node], trace: _Trace, fixed: dict[int, str], places: set[int]) -> Any:
    order = topological(roots, lambda n: id(n) in fixed)
    instead: dict[int, Node] = {}  # silent nodes are drawn as what they wrap
    names: dict[int, str] = {}
    used: dict[str, int] = {}
    graph = proto("graph").GraphDef()
    for node in order:
        if node.op in _SILENT and node.inputs and id(node) not in fixed:
            instead[id(node)] = instead.get(id(node.inputs[0]), node.inputs[0])
            continue
        base = fixed.get(id(node)) or f"{trace.owner.get(id(node), trace.root)}/{node.op.name}"
        base = _ODD.sub("_", base)
        number = used[base] = used.get(base, -1) + 1
        names[id(node)] = f"{base}_{number}" if number else base
        kind = "Input" if id(node) in places else "Parameter" if id(node) in fixed else "Constant" if not node.inputs else node.op.name
        sources = [] if id(node) in fixed else [names[id(instead.get(id(i), i))] for i in node.inputs]
        _add(graph, names[id(node)], kind, sources, node)
    for number, root in enumerate(roots):
        name = "output" if len(roots) == 1 else f"output/{number}"
        _add(graph, name, "Output", [names[id(instead.get(id(root), root))]], root)
    graph.versions.producer = 22
    return graph


def _add(graph: Any, label: str, op: str, inputs: list[str], node: Node) -> None:
    made = graph.node.add(name=label, op=op, input=inputs)
    if node.dtype is not None:  # nodes with several results have neither a dtype nor a shape
        shape = made.attr["_output_shapes"].list.shape.add()
        for size in node.shape:
            shape.dim.add(size=int(size))
        made.attr["dtype"].s = str(node.dtype).encode()
    if op not in ("Input", "Output", "Parameter"):
        for name, value in node.attrs.items():
            text = repr(value)
            made.attr[name].s = (text if len(text) <= 200 else text[:197] + "...").encode()
