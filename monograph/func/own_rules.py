"""Functions with a `vmap` of their own (`autograd.Function.vmap`) inside of `func.vmap`, and what both need of dimensions."""

from __future__ import annotations

from typing import Any, NamedTuple

from monograph.autodiff.batching import Batch
from monograph.core import trees
from monograph.core.modes import MODES
from monograph.func.tracing import Tracing
from monograph.graph.node import Node, topological
from monograph.ops import movement
from monograph.tensor.core import Tensor, wrap
from monograph.tensor.dispatch import read


class VmapInfo(NamedTuple):
    """What a function's own `vmap` is told: how many examples there are, and what random numbers they get."""

    batch_size: int
    randomness: str


def spread(prefix: Any, tree: Any, what: str) -> list[Any]:
    """One entry of `prefix` for every leaf of `tree`: a prefix may stand for a whole subtree.

    Raises ValueError where the structures differ.
    """
    leaves, structure = trees.flatten(tree)
    if not isinstance(prefix, list | tuple | dict):
        return [prefix] * len(leaves)
    if structure is None:
        raise ValueError(f"{what} is not compatible with the structure of what it is for: got {prefix!r} for one value")
    parts = list(tree.values()) if isinstance(tree, dict) else list(tree)
    entries = [prefix[k] for k in tree] if isinstance(prefix, dict) and isinstance(tree, dict) and prefix.keys() == tree.keys() else prefix
    if isinstance(entries, dict) or type(prefix) is not type(tree) or len(entries) != len(parts):
        raise ValueError(f"{what} is not compatible with the structure of what it is for: got {prefix!r}")
    return [e for entry, part in zip(entries, parts, strict=True) for e in spread(entry, part, what)]


class ExampleType:
    """One example of a batch, as far as its type goes."""

    def __init__(self, batched: Node) -> None:
        self.shape, self.dtype, self.requires_grad = batched.shape[1:], batched.dtype, batched.requires_grad


def to_front(node: Node, dim: int) -> Node:
    if dim == 0:
        return node
    rank = len(node.shape)
    return movement.permute(node, dims=(dim, *[d for d in range(rank) if d != dim]))


class OwnRules:
    """Calls `Function.vmap` for the examples of one traced function: with the whole batch, outside of the tracing."""

    def __init__(self, tracing: Tracing, batch: Batch) -> None:
        self.tracing, self.batch, self.enabled = tracing, batch, MODES.grad

    def __call__(self, function: Any, args: tuple[Any, ...]) -> tuple[Any, bool] | None:
        """(the outputs, as those of one example, whether an argument depends on a variable of a derivative taken in there); None where no
        argument differs between examples.
        """
        leaves, structure = trees.flatten(args)
        nodes = [read(v) if isinstance(v, Tensor) else None for v in leaves]
        inside = MODES.grad
        MODES.grad = self.enabled
        try:
            with self.tracing.suspended():
                self.batch.run([n for n in nodes if n is not None])
                values = [(v, False) if n is None else self.batch.value(n) for v, n in zip(leaves, nodes, strict=True)]
                if not any(flag for _, flag in values):
                    return None
                given = trees.unflatten(structure, [v if n is None else wrap(v) for (v, _), n in zip(values, nodes, strict=True)])
                dims = trees.unflatten(structure, [0 if flag else None for _, flag in values])
                made = function.vmap(VmapInfo(self.batch.size, self.batch.randomness), tuple(dims), *given)
                outputs, flags, shape = self._outputs(made)
        finally:
            MODES.grad = inside
        results = [wrap(self._one(n)) if flag else wrap(n) for n, flag in zip(outputs, flags, strict=True)]
        return trees.unflatten(shape, results), self._differentiated([n for n in nodes if n is not None])

    def _outputs(self, made: Any) -> tuple[list[Node], list[bool], Any]:
        if not isinstance(made, tuple) or len(made) != 2:
            raise RuntimeError(
                "Expected the vmap staticmethod to have two returns, an output and out_dims with pytree structure compatible with the "
                f"output. Got a {type(made)}."
            )
        leaves, shape = trees.flatten(made[0])
        dims = spread(made[1], made[0], "out_dims")
        nodes = [read(t) if d is None else to_front(read(t), d + t.ndim if d < 0 else d) for t, d in zip(leaves, dims, strict=True)]
        return nodes, [d is not None for d in dims], shape

    def _one(self, batched: Node) -> Node:
        one = self.tracing.input(ExampleType(batched))
        self.batch.place(one, batched)
        return one

    def _differentiated(self, nodes: list[Node]) -> bool:
        variables = {id(n) for n in self.tracing.differentiated}
        return any(id(n) in variables for n in topological(nodes, stop=lambda n: not n.requires_grad))
