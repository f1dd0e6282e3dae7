"""Elements on their way through a pipeline: tuples and dicts of NumPy arrays and text. Tensors exist only in the user's hands.

An array that somebody else may still read (a row of the source, an entry of a cache) is marked read-only, and copied when it leaves.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from monograph.core import dtype as dtypes
from monograph.core import trees
from monograph.core.errors import ShapeError
from monograph.data.collate import tensor_of_owned
from monograph.data.dataset import IterableDataset
from monograph.tensor.core import Tensor
from monograph.tensor.interop import host_array
from monograph.tensor.spec import TensorSpec


def shared(array: np.ndarray) -> np.ndarray:
    """A read-only view: who hands it out must copy it."""
    view = array.view()
    view.flags.writeable = False
    return view


def _of_array(a: np.ndarray, copy: bool) -> Any:
    if a.dtype.kind in "SUO":
        if a.ndim == 0:
            return a.item()
        return a.astype(object)
    dtypes.from_numpy(a.dtype)  # refuses what tensors cannot hold
    return np.array(a) if copy else shared(a)


def _of_list(value: Sequence[Any], copy: bool) -> Any:
    """A list is one array, as everywhere in tf.data; tuples and dicts are structure."""
    if any(isinstance(x, Tensor | np.ndarray | list) for x in value):
        parts = [to_host(list(x) if isinstance(x, tuple) else x, copy) for x in value]
        return stacked([np.asarray(p) for p in parts], "the items of a list")
    if any(isinstance(x, str | bytes) for x in value):
        made = np.empty(len(value), object)
        made[:] = list(value)
        return made
    a = np.asarray(value)
    if a.dtype.kind == "O":
        raise TypeError(f"a list of a dataset's element must hold numbers, text or arrays of one shape, got {list(value)[:4]!r}")
    if a.dtype == np.float64 and not any(isinstance(x, np.generic) for x in value):
        a = a.astype(dtypes.default_float().np)
    return a


def to_host(value: Any, copy: bool = True) -> Any:
    """What a user gave, as an element: numbers and lists become arrays; `copy=False` for memory that nobody will change."""
    kind = type(value)
    if kind is np.ndarray:
        return _of_array(value, copy)
    if isinstance(value, Tensor):
        return shared(host_array(value))
    if isinstance(value, str | bytes) or value is None or isinstance(value, IterableDataset):
        return str(value) if isinstance(value, np.str_) else bytes(value) if isinstance(value, np.bytes_) else value
    if isinstance(value, bool | np.generic):
        return np.asarray(value)
    if isinstance(value, int):
        return np.asarray(value, np.int64)
    if isinstance(value, float):
        return np.asarray(value, dtypes.default_float().np)
    if isinstance(value, complex):
        return np.asarray(value, dtypes.default_float().to_complex().np)
    if isinstance(value, tuple):
        parts = [to_host(v, copy) for v in value]
        return kind(*parts) if hasattr(value, "_fields") else tuple(parts)
    if isinstance(value, Mapping):
        made = {k: to_host(v, copy) for k, v in value.items()}
        return OrderedDict(made) if kind is OrderedDict else made
    if isinstance(value, list):
        return _of_list(value, copy)
    if isinstance(value, np.ndarray) or hasattr(value, "__array__"):
        return _of_array(np.asarray(value), copy)
    raise TypeError(
        f"an element of a dataset is made of tensors, arrays, numbers and text, in tuples and dicts; got a {kind.__name__}. "
        "Convert it, e.g. with numpy.asarray"
    )


def _to_tensor(leaf: Any) -> Any:
    if type(leaf) is not np.ndarray or leaf.dtype.kind == "O":
        return leaf
    return tensor_of_owned(leaf if leaf.flags.writeable and leaf.base is None else leaf.copy())


def to_user(element: Any) -> Any:
    """Arrays as tensors; text, arrays of text and datasets (windows) as they are."""
    return _to_tensor(element) if type(element) is np.ndarray else trees.map_leaves(_to_tensor, element)


def freeze(element: Any) -> Any:
    """An element that is kept here and handed out, too."""
    return trees.map_leaves(lambda a: shared(a) if type(a) is np.ndarray else a, element)


# ---- batches ----


def stacked(arrays: Sequence[Any], what: str) -> Any:
    """One array of several of one shape."""
    first = arrays[0]
    kinds = {a.dtype if type(a) is np.ndarray else type(a) for a in arrays}
    if len(kinds) > 1:
        raise TypeError(f"Cannot batch values of different types in {what}: {', '.join(sorted(str(k) for k in kinds))}; cast them in a map")
    if type(first) is not np.ndarray:
        made = np.empty(len(arrays), object)
        made[:] = list(arrays)
        return made
    for k, a in enumerate(arrays):
        if a.shape != first.shape:
            raise ShapeError(
                f"Cannot batch tensors with different shapes in {what}. First element had shape {list(first.shape)} and element {k} had "
                f"shape {list(a.shape)}; padded_batch fills up shorter ones, map can crop or resize"
            )
    return np.stack(arrays)


def batched(elements: Sequence[Any]) -> Any:
    """A batch of elements, component by component."""
    structure = trees.flatten(elements[0])[1]
    rows = [leaves_like(structure, e) for e in elements]
    return trees.unflatten(structure, [stacked(column, f"component {i}") for i, column in enumerate(zip(*rows, strict=True))])


def leaves_like(structure: Any, element: Any) -> list[Any]:
    """The leaves of an element that must have this structure."""
    leaves, own = trees.flatten(element)
    if own != structure:
        raise TypeError("the elements of a dataset must have one structure: " + f"{_words(structure)} came first, now {_words(own)}")
    return leaves


def _words(structure: Any) -> str:
    return str(trees.unflatten(structure, ["·"] * _count(structure)))


def _count(structure: Any) -> int:
    return 1 if structure is None else sum(_count(s) for s in structure[-1])


def row(element: Any, index: int) -> Any:
    """Row `index` of every component."""
    return trees.map_leaves(lambda a: shared(a[index, ...]) if a.dtype.kind != "O" else a[index], element)


def rows(element: Any) -> int:
    """The common number of rows; raises ShapeError where components differ or have none."""
    leaves = trees.flatten(element)[0]
    if not leaves:
        raise ValueError("Invalid `tensors`: an empty structure has no rows")
    counts = set()
    for a in leaves:
        if not isinstance(a, np.ndarray) or not a.ndim:
            raise ShapeError(
                f"only what has a first dimension can be cut into rows, got {'a number' if isinstance(a, np.ndarray) else repr(a)}"
            )
        counts.add(a.shape[0])
    if len(counts) > 1:
        raise ShapeError(f"Dimensions {sorted(counts)} are not compatible: all components must have the same number of rows")
    return counts.pop()


# ---- structures given beside elements ----


def up_to(structure: Any, given: Any, what: str) -> list[Any]:
    """The parts of `given` that belong to the leaves of `structure`: a part may itself be a tuple (a shape, say)."""
    if structure is None:
        return [given]
    kinds, children = structure[0], structure[-1]
    if len(structure) == 3:
        if not isinstance(given, Mapping) or set(given) != set(structure[1]):
            raise TypeError(f"{what} must be a dict with the keys {list(structure[1])}, got {given!r}")
        parts = [given[k] for k in structure[1]]
    else:
        if not isinstance(given, tuple | list) or len(given) != len(children):
            raise TypeError(f"{what} must be a {kinds.__name__} of {len(children)} as the elements are, got {given!r}")
        parts = list(given)
    return [leaf for s, g in zip(children, parts, strict=True) for leaf in up_to(s, g, what)]


# ---- specs ----


def spec_of(element: Any) -> Any:
    """The TensorSpec of every component."""
    return trees.map_leaves(_spec, element)


def _spec(leaf: Any) -> Any:
    if isinstance(leaf, np.ndarray):
        kind = str if leaf.dtype.kind == "O" else dtypes.from_numpy(leaf.dtype)
        return TensorSpec(leaf.shape, kind)
    if isinstance(leaf, str | bytes):
        return TensorSpec((), type(leaf))
    return leaf


def map_specs(function: Callable[[TensorSpec], Any], spec: Any) -> Any:
    """A spec with every TensorSpec changed."""
    return trees.map_leaves(lambda s: function(s) if isinstance(s, TensorSpec) else s, spec)


def general_spec(a: Any, b: Any) -> Any:
    """The spec that covers both."""
    if a is None or b is None:
        return a if b is None else b
    first, structure = trees.flatten(a)
    return trees.unflatten(structure, [x.most_general(y) for x, y in zip(first, leaves_like(structure, b), strict=True)])
