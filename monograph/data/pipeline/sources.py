"""Where elements come from: rows of tensors, ranges, generators, map-style and iterable datasets."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from monograph.core import trees
from monograph.core.dtype import int64
from monograph.data.pipeline.elements import leaves_like, map_specs, row, rows, spec_of, to_host, up_to
from monograph.data.pipeline.stage import INFINITE_CARDINALITY, UNKNOWN_CARDINALITY, Run, Stage
from monograph.tensor.spec import TensorSpec


class Positional(Stage):
    """Elements by position."""

    def __init__(self, count: int, get: Callable[[int], Any], spec: Any) -> None:
        self.count, self.get, self._spec = count, get, spec

    def run(self) -> Run:
        """From the first to the last."""
        return _PositionalRun(self)

    def cardinality(self) -> int:
        """The number of positions."""
        return self.count

    def spec(self) -> Any:
        """As given."""
        return self._spec


class Held(Positional):
    """Elements that are there: a window's. A saved state holds them."""

    def __init__(self, elements: list[Any], spec: Any = None) -> None:
        super().__init__(len(elements), elements.__getitem__, spec)
        self.elements = elements


class _PositionalRun(Run):
    KEPT = ("at",)

    def __init__(self, stage: Positional) -> None:
        self.stage, self.at, self.children = stage, 0, []

    def __next__(self) -> Any:
        if 0 <= self.stage.count <= self.at:
            raise StopIteration
        self.at += 1
        return self.stage.get(self.at - 1)


def slices(tensors: Any) -> Stage:
    """Rows."""
    element = to_host(tensors, copy=False)
    spec = map_specs(lambda s: TensorSpec((s.shape or ())[1:], s.dtype), spec_of(element))
    return Positional(rows(element), lambda i: row(element, i), spec)


def single(tensors: Any) -> Stage:
    """One element."""
    element = to_host(tensors, copy=False)
    return Positional(1, lambda i: element, spec_of(element))


def numbers(start: int, stop: int, step: int, dtype: Any) -> Stage:
    """start, start + step ... before stop."""
    if step == 0:
        raise ValueError("Dataset.range: step cannot be 0")
    span = range(start, stop, step)
    return Positional(len(span), lambda i: np.asarray(span[i], dtype.np), TensorSpec((), dtype))


def random_numbers(seed: int) -> Stage:
    """Endless whole numbers below 2 ** 32: number i depends on the seed and i only."""

    def get(i: int) -> np.ndarray:
        return np.asarray(np.random.default_rng((seed, i)).integers(0, 2**32), np.int64)

    return Positional(INFINITE_CARDINALITY, get, TensorSpec((), int64))


def by_position(dataset: Any) -> Stage:
    """The samples of a map-style dataset."""
    return Positional(len(dataset), lambda i: to_host(_structured(dataset[i])), None)


def _structured(sample: Any) -> Any:
    """Map-style datasets like to give lists for what are tuples."""
    return tuple(sample) if isinstance(sample, list) and not all(isinstance(x, bool | int | float) for x in sample) else sample


class Stream(Stage):
    """Elements of an iterable that `start()` makes anew for each pass. A restored pass reads up to its place."""

    def __init__(self, start: Callable[[], Any], spec: Any = None, count: int = UNKNOWN_CARDINALITY, verb: str = "from_generator") -> None:
        self.start, self._spec, self.count, self.verb = start, spec, count, verb

    def run(self) -> Run:
        """A new iterator."""
        return _StreamRun(self)

    def cardinality(self) -> int:
        """As told."""
        return self.count

    def spec(self) -> Any:
        """As told."""
        return self._spec


class _StreamRun(Run):
    def __init__(self, stage: Stream) -> None:
        self.stage, self.at, self.children = stage, 0, []
        self.items: Iterator[Any] | None = None

    def __next__(self) -> Any:
        if self.items is None:
            self.items = iter(self.stage.start())
        try:
            value = next(self.items)
            element = to_host(_structured(value) if self.stage.verb == "from_source" else value)
            if self.stage.spec() is not None:
                element = _conform(element, self.stage.spec(), self.at)
        except StopIteration:
            raise
        except Exception as error:
            error.add_note(f"raised by the generator given to Dataset.{self.stage.verb}, at element {self.at}")
            self.at += 1
            raise
        self.at += 1
        return element

    def state(self) -> dict[str, Any]:
        """The number of elements read."""
        return {"at": self.at}

    def restore(self, state: dict[str, Any]) -> None:
        """Reads that many."""
        self.close()
        self.items, self.at = iter(self.stage.start()), state["at"]
        next(itertools.islice(self.items, self.at, self.at), None)

    def close(self) -> None:
        """Ends the generator."""
        if self.items is not None and hasattr(self.items, "close"):
            self.items.close()
        self.items = None


def _conform(element: Any, spec: Any, at: int) -> Any:
    """An element cast to the dtypes that were promised; raises TypeError where it has another structure or shape."""
    specs, structure = trees.flatten(spec)
    if structure is not None and structure[0] in (tuple, list) and isinstance(element, np.ndarray):
        element = tuple(element)
    leaves = up_to(structure, element, f"element {at} of the generator") if structure is not None else leaves_like(None, element)
    made = []
    for leaf, want in zip(leaves, specs, strict=True):
        if isinstance(leaf, np.ndarray) and leaf.dtype.kind != "O" and not isinstance(want.dtype, type):
            leaf = leaf.astype(want.dtype.np, copy=False)
        have = spec_of(leaf)
        text = isinstance(want.dtype, type) and isinstance(have.dtype, type)
        if not want.is_compatible_with(have if not text else TensorSpec(have.shape, want.dtype)):
            raise TypeError(
                f"`generator` yielded an element of shape {have.shape} and dtype {have.dtype} where an element of shape {want.shape} and "
                f"dtype {want.dtype} was expected (output_signature)"
            )
        made.append(leaf)
    return trees.unflatten(structure, made)
