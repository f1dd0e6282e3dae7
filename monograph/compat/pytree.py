"""torch.utils._pytree: nested containers as leaves plus a structure; other classes can be registered as containers."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class _Kind:
    flatten: Callable[[Any], tuple[list[Any], Any]]
    unflatten: Callable[[Iterable[Any], Any], Any]


def _dict_flatten(d: dict[Any, Any]) -> tuple[list[Any], list[Any]]:
    return list(d.values()), list(d)


def _dict_unflatten(values: Iterable[Any], context: list[Any]) -> dict[Any, Any]:
    return dict(zip(context, values, strict=True))


def _dict_flatten_with_keys(d: dict[Any, Any]) -> tuple[list[tuple[Any, Any]], list[Any]]:
    return [(MappingKey(k), v) for k, v in d.items()], list(d)


MappingKey = namedtuple("MappingKey", ["key"])
SequenceKey = namedtuple("SequenceKey", ["idx"])
GetAttrKey = namedtuple("GetAttrKey", ["name"])

SUPPORTED_NODES: dict[type, _Kind] = {
    tuple: _Kind(lambda t: (list(t), None), lambda values, _: tuple(values)),
    list: _Kind(lambda t: (list(t), None), lambda values, _: list(values)),
    dict: _Kind(_dict_flatten, _dict_unflatten),
    OrderedDict: _Kind(_dict_flatten, lambda values, keys: OrderedDict(zip(keys, values, strict=True))),
    defaultdict: _Kind(
        lambda d: (list(d.values()), [d.default_factory, list(d)]), lambda values, c: defaultdict(c[0], zip(c[1], values, strict=True))
    ),
    deque: _Kind(lambda d: (list(d), d.maxlen), lambda values, maxlen: deque(values, maxlen)),
}


def register_pytree_node(
    cls: type, flatten_fn: Callable[[Any], tuple[Any, Any]], unflatten_fn: Callable[[Iterable[Any], Any], Any], **kwargs: Any
) -> None:
    """Instances of `cls` are containers from now on."""
    SUPPORTED_NODES[cls] = _Kind(lambda x: (lambda r: (list(r[0]), r[1]))(flatten_fn(x)), unflatten_fn)


_register_pytree_node = register_pytree_node


def _kind_of(tree: Any) -> tuple[type, _Kind] | None:
    kind = SUPPORTED_NODES.get(type(tree))
    if kind is not None:
        return type(tree), kind
    if isinstance(tree, tuple) and hasattr(tree, "_fields"):
        cls: Any = type(tree)
        return type(tree), _Kind(lambda t: (list(t), None), lambda values, _: cls(*values))
    return None


@dataclass(frozen=True)
class TreeSpec:
    """The structure of a tree; `type` is None for a leaf."""

    type: Any
    context: Any
    children_specs: tuple[TreeSpec, ...]

    @property
    def num_leaves(self) -> int:
        """How many leaves a tree of this structure has."""
        return 1 if self.type is None else sum(child.num_leaves for child in self.children_specs)

    def is_leaf(self) -> bool:
        """Whether the tree is one leaf."""
        return self.type is None

    def children(self) -> list[TreeSpec]:
        """The structures of the children."""
        return list(self.children_specs)


LeafSpec = TreeSpec(None, None, ())


def tree_flatten(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> tuple[list[Any], TreeSpec]:
    """(leaves, structure)."""
    found = None if is_leaf is not None and is_leaf(tree) else _kind_of(tree)
    if found is None:
        return [tree], LeafSpec
    cls, kind = found
    children, context = kind.flatten(tree)
    leaves: list[Any] = []
    specs = []
    for child in children:
        below, spec = tree_flatten(child, is_leaf)
        leaves += below
        specs.append(spec)
    return leaves, TreeSpec(cls, context, tuple(specs))


def tree_unflatten(leaves: Iterable[Any], treespec: TreeSpec) -> Any:
    """The tree of that structure with those leaves. Raises ValueError if their number is wrong."""
    given = list(leaves)
    if len(given) != treespec.num_leaves:
        raise ValueError(
            f"tree_unflatten(leaves, treespec): `leaves` has length {len(given)} but the spec refers to a pytree that holds "
            f"{treespec.num_leaves} items"
        )
    return _rebuild(iter(given), treespec)


def _rebuild(leaves: Any, spec: TreeSpec) -> Any:
    if spec.type is None:
        return next(leaves)
    values = [_rebuild(leaves, child) for child in spec.children_specs]
    kind = SUPPORTED_NODES.get(spec.type)
    return kind.unflatten(values, spec.context) if kind is not None else spec.type(*values)


def tree_leaves(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> list[Any]:
    """The leaves."""
    return tree_flatten(tree, is_leaf)[0]


tree_iter = tree_leaves


def tree_structure(tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> TreeSpec:
    """The structure."""
    return tree_flatten(tree, is_leaf)[1]


def tree_map(func: Callable[..., Any], tree: Any, *rests: Any, is_leaf: Callable[[Any], bool] | None = None) -> Any:
    """The tree with `func` applied to each leaf (and to the leaves of further trees of the same structure)."""
    leaves, spec = tree_flatten(tree, is_leaf)
    others = [tree_leaves(rest, is_leaf) for rest in rests]
    return tree_unflatten([func(*values) for values in zip(leaves, *others, strict=True)], spec)


def tree_map_only(kind: Any, func: Callable[[Any], Any], tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> Any:
    """`tree_map` that leaves alone what is not of `kind`."""
    return tree_map(lambda x: func(x) if isinstance(x, kind) else x, tree, is_leaf=is_leaf)


def tree_map_(func: Callable[[Any], Any], tree: Any, *rests: Any, is_leaf: Callable[[Any], bool] | None = None) -> Any:
    """Calls `func` on each leaf and returns the tree itself."""
    tree_map(func, tree, *rests, is_leaf=is_leaf)
    return tree


def tree_all(pred: Callable[[Any], bool], tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> bool:
    """Whether `pred` holds for all leaves."""
    return all(map(pred, tree_leaves(tree, is_leaf)))


def tree_any(pred: Callable[[Any], bool], tree: Any, is_leaf: Callable[[Any], bool] | None = None) -> bool:
    """Whether `pred` holds for a leaf."""
    return any(map(pred, tree_leaves(tree, is_leaf)))
