"""vmap: a function of one example as a function of a batch of them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from monograph.autodiff.batching import Batch
from monograph.core import trees
from monograph.core.errors import DeviceError
from monograph.core.shape import normalize_dim
from monograph.func.own_rules import ExampleType, OwnRules, spread, to_front
from monograph.func.tracing import Tracing
from monograph.graph.node import Node
from monograph.ops import movement
from monograph.tensor.core import Tensor, wrap
from monograph.tensor.dispatch import read
from monograph.tensor.pointwise import FUNCTIONS
from monograph.tensor.random import take_key


def vmap(
    func: Callable[..., Any],
    in_dims: Any = 0,
    out_dims: Any = 0,
    randomness: str = "error",
    *,
    chunk_size: int | None = None,
) -> Callable[..., Any]:
    """`func`, written for one example, for many: inputs are taken apart along `in_dims` (None: the same for all), results are put together
    along `out_dims`. Keyword arguments are the same for all examples.

    The function is recorded once and every op batched by a rule; a function that looks at values is run example by example instead.
    `randomness`: "error", "same" or "different" numbers for the examples. `chunk_size`: at most so many examples at a time.

    >>> import monograph as mg
    >>> mg.vmap(mg.dot)(mg.ones(3, 4), mg.ones(3, 4)).tolist()
    [4.0, 4.0, 4.0]
    """
    if randomness not in ("error", "different", "same"):
        raise RuntimeError(f"Only allowed values for randomness are 'error', 'different', or 'same'. Got {randomness}")
    if not (chunk_size is None or chunk_size > 0):
        raise ValueError(f"vmap: chunk_size should be None or greater than 0. (got {chunk_size})")

    @functools.wraps(func)
    def batched(*args: Any, **kwargs: Any) -> Any:
        call = _Call(func, in_dims, out_dims, randomness, args, kwargs)
        if chunk_size is None or chunk_size >= call.size:
            return call.run()
        parts = [call.part(start, min(chunk_size, call.size - start)).run(0) for start in range(0, call.size, chunk_size)]
        flat = [trees.flatten(p) for p in parts]
        structure = flat[0][1]
        joined = [FUNCTIONS["cat"](list(pieces), 0) for pieces in zip(*[leaves for leaves, _ in flat], strict=True)]
        dims = spread(out_dims, trees.unflatten(structure, joined), "out_dims")
        moved = [j if not d else j.movedim(0, d) for j, d in zip(joined, dims, strict=True)]
        return trees.unflatten(structure, moved)

    return batched


class _Call:
    """One call of a mapped function."""

    def __init__(self, func: Any, in_dims: Any, out_dims: Any, randomness: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.func, self.out_dims, self.randomness, self.name = func, out_dims, randomness, getattr(func, "__name__", repr(func))
        if not isinstance(in_dims, int | list | tuple) and in_dims is not None:
            raise ValueError(
                f"vmap({self.name}, in_dims={in_dims}, ...)(<inputs>): expected `in_dims` to be int or a (potentially nested) tuple "
                f"matching the structure of inputs, got: {type(in_dims)}."
            )
        if not args and not kwargs:
            raise ValueError(
                f"vmap({self.name})(<inputs>): got no inputs. Maybe you forgot to add inputs, or you are trying to vmap over a function "
                "with no inputs."
            )
        self.args, self.kwargs = args, kwargs
        leaves, self.structure = trees.flatten((args, kwargs))
        try:
            given = spread(tuple(in_dims) if isinstance(in_dims, list) else in_dims, args, "in_dims")
        except ValueError:
            raise ValueError(
                f"vmap({self.name}, in_dims={in_dims}, ...)(<inputs>): in_dims is not compatible with the structure of `inputs`. "
                f"in_dims has structure {trees.flatten(in_dims)[1]} but inputs has structure {trees.flatten(args)[1]}."
            ) from None
        dims = given + [None] * (len(leaves) - len(given))
        self.leaves, self.dims = leaves, [self._dim(v, d, in_dims) for v, d in zip(leaves, dims, strict=True)]
        sizes = [v.shape[d] for v, d in zip(leaves, self.dims, strict=True) if d is not None]
        if not sizes:
            raise ValueError(f"vmap({self.name}, in_dims={in_dims}, ...)(<inputs>): at least one input must be mapped over")
        if any(s != sizes[0] for s in sizes):
            raise ValueError(
                f"vmap: Expected all tensors to have the same size in the mapped dimension, got sizes {sizes} for the mapped dimension"
            )
        self.size = sizes[0]

    def _dim(self, value: Any, dim: Any, in_dims: Any) -> int | None:
        if dim is None:
            return None
        if not isinstance(value, Tensor):
            raise ValueError(
                f"vmap({self.name}, in_dims={in_dims}, ...)(<inputs>): Got in_dim={dim} for an input but the input is of type "
                f"{type(value)}. We cannot vmap over non-Tensor arguments, please use None as the respective in_dim"
            )
        if not isinstance(dim, int) or not -value.ndim <= dim < value.ndim:
            raise ValueError(
                f"vmap({self.name}, in_dims={in_dims}, ...)(<inputs>): Got in_dim={dim} for some input, but that input is a Tensor of "
                f"dimensionality {value.ndim} so expected in_dim to satisfy -{value.ndim} <= in_dim < {value.ndim}."
            )
        return normalize_dim(dim, value.ndim)

    def part(self, start: int, length: int) -> _Call:
        """The call for some of the examples."""
        other = object.__new__(_Call)
        other.__dict__.update(self.__dict__)
        other.leaves = [v if d is None else v.narrow(d, start, length) for v, d in zip(self.leaves, self.dims, strict=True)]
        other.size = length
        return other

    def run(self, out_dims: Any = None) -> Any:
        """Records the function once, if it lets itself be recorded, else runs it for every example."""
        if out_dims is not None:
            self.out_dims = out_dims
        mapped = [to_front(read(v), d) if d is not None else None for v, d in zip(self.leaves, self.dims, strict=True)]
        tracing = Tracing()
        inside: list[Any] = []
        stand_ins: list[tuple[Node, Node]] = []
        originals: dict[int, tuple[Tensor, int]] = {}
        for value, dim, node in zip(self.leaves, self.dims, mapped, strict=True):
            if node is None:
                inside.append(value)
                continue
            one = tracing.input(ExampleType(node))
            stand_ins.append((one, node))
            originals[id(one)] = value, dim or 0
            inside.append(wrap(one))
        batch = Batch(self.size, self.randomness, tracing.is_draw, lambda key, count: _redrawn(tracing, key, count))
        for one, node in stand_ins:
            batch.place(one, node)
        tracing.map_call = OwnRules(tracing, batch)
        try:
            with tracing:
                args, kwargs = trees.unflatten(self.structure, inside)
                result = self.func(*args, **kwargs)
                leaves, structure, dims = self._results(result)
                nodes = [read(t) for t in leaves]
        except DeviceError:
            tracing.undo_writes()
            return self._one_by_one()
        self._finish_writes(tracing, batch, originals)
        batch.run(nodes)
        made = [self._delivered(*batch.value(n), d) for n, d in zip(nodes, dims, strict=True)]
        return trees.unflatten(structure, made)

    def _finish_writes(self, tracing: Tracing, batch: Batch, originals: dict[int, tuple[Tensor, int]]) -> None:
        """What the function wrote to its inputs is written to the caller's tensors."""
        for t, before in tracing.outside_writes():
            now = t._node
            batch.run([now])  # type: ignore[list-item]
            if id(before) in originals:
                original, dim = originals[id(before)]
                whole = self._delivered(*batch.value(now), dim)  # type: ignore[arg-type]
                original._check_writable()
                original._write(read(whole))
                continue
            if batch.value(now)[1]:  # type: ignore[arg-type]
                t._node, t._leaf = before, None
                raise RuntimeError(
                    f"vmap: inplace arithmetic on a tensor of shape {list(before.shape)} from outside of the function is not possible: "
                    "every example would write to it. Use out-of-place operators, or pass it in and map over it."
                )
            t._node = batch.value(now)[0]  # type: ignore[arg-type]

    def _results(self, result: Any) -> tuple[list[Tensor], Any, list[Any]]:
        leaves, structure = trees.flatten(result)
        for leaf in leaves:
            if not isinstance(leaf, Tensor):
                raise ValueError(
                    f"vmap({self.name}, ...): `{self.name}` must only return Tensors, got type {type(leaf)}. "
                    "Did you mean to set out_dims= to None for output?"
                )
        try:
            dims = spread(self.out_dims, result, "out_dims")
        except ValueError:
            raise ValueError(
                f"vmap({self.name}, ..., out_dims={self.out_dims}): out_dims is not compatible with the structure of `outputs`. "
                f"out_dims has structure {trees.flatten(self.out_dims)[1]} but outputs has structure {structure}."
            ) from None
        return leaves, structure, dims

    def _delivered(self, node: Node, flag: bool, dim: Any) -> Tensor:
        if dim is None:
            if flag:
                raise ValueError(
                    f"vmap({self.name}, ...): `{self.name}` can not return a BatchedTensor when out_dim is None: the result "
                    "differs between examples"
                )
            return wrap(node)
        if not flag:
            node = movement.expand(movement.reshape(node, shape=(1, *node.shape)), shape=(self.size, *node.shape))
        t = wrap(node)
        to = normalize_dim(dim, len(node.shape))
        return t if to == 0 else t.movedim(0, to)  # type: ignore[attr-defined]

    def _one_by_one(self) -> Any:
        results = []
        for i in range(self.size):
            inside = [v if d is None else v.select(d, i) for v, d in zip(self.leaves, self.dims, strict=True)]
            args, kwargs = trees.unflatten(self.structure, inside)
            results.append(self._results(self.func(*args, **kwargs)))
        if not results:
            raise ValueError(f"vmap({self.name}): the function looks at values, and there is no example to look at")
        _, structure, dims = results[0]
        joined = [
            leaf[0] if d is None else FUNCTIONS["stack"](list(leaf), d)
            for leaf, d in zip(zip(*[r[0] for r in results], strict=True), dims, strict=True)
        ]
        return trees.unflatten(structure, joined)


def _redrawn(tracing: Tracing, key: Node, count: Any) -> tuple[Node, Node]:
    fresh, offset = take_key(count, tracing.generator_of(key))
    return read(fresh), read(offset)
