"""Verbs that join elements or take them apart: batches, padded batches, windows, rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from monograph.core import trees
from monograph.core.errors import ShapeError
from monograph.data.pipeline.elements import batched, leaves_like, map_specs, row, rows, up_to
from monograph.data.pipeline.single import CountingRun, OneInput
from monograph.data.pipeline.sources import Held
from monograph.data.pipeline.stage import UNKNOWN_CARDINALITY, Run, Stage
from monograph.tensor.spec import TensorSpec


def _positive(name: str, value: Any) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__") or value.__index__() < 1:
        raise ValueError(f"Dataset.{name} must be a whole number above 0, got {value!r}")
    return value.__index__()


class Batch(OneInput):
    """`size` elements at a time, stacked."""

    def __init__(self, source: Stage, size: Any, drop_remainder: bool, join: Callable[[list[Any]], Any] = batched) -> None:
        super().__init__(source)
        self.size, self.drop, self.join = _positive("batch: batch_size", size), drop_remainder, join

    def cardinality(self) -> int:
        """A batch for each `size` elements."""
        n = self.inputs[0].cardinality()
        return n if n < 0 else n // self.size if self.drop else -(-n // self.size)

    def spec(self) -> Any:
        """One more dimension, of size None if the last batch may be smaller."""
        inner = self.inputs[0].spec()
        size = self.size if self.drop else None
        return None if inner is None else map_specs(lambda s: TensorSpec(None if s.shape is None else (size, *s.shape), s.dtype), inner)

    class RUN(Run):
        def __init__(self, stage: Any) -> None:
            self.stage = stage
            self.source = stage.inputs[0].run()
            self.children = [self.source]

        def __next__(self) -> Any:
            found: list[Any] = []
            for element in self.source:
                found.append(element)
                if len(found) == self.stage.size:
                    break
            if not found or (self.stage.drop and len(found) < self.stage.size):
                raise StopIteration
            return self.stage.join(found)


# ---- padding ----


class Padding:
    """How elements are filled up to one shape: for each component its shape (None or -1: the longest of the batch) and its value."""

    def __init__(self, shapes: Any, values: Any) -> None:
        self.shapes, self.values = shapes, values

    def __call__(self, elements: list[Any]) -> Any:
        """A batch."""
        structure = trees.flatten(elements[0])[1]
        columns = list(zip(*[leaves_like(structure, e) for e in elements], strict=True))
        shapes = self.parts(structure, self.shapes, "padded_shapes")
        values = self.parts(structure, self.values, "padding_values")
        made = [_padded(c, s, v, i) for i, (c, s, v) in enumerate(zip(columns, shapes, values, strict=True))]
        return trees.unflatten(structure, made)

    def parts(self, structure: Any, given: Any, what: str) -> list[Any]:
        """What was given for each component; one padding value stands for all."""
        if given is None or (what == "padding_values" and not isinstance(given, tuple | list | dict)):
            return [given] * len(up_to(structure, trees.unflatten(structure, [None] * _leaves(structure)), what))
        return up_to(structure, given, what)

    def spec(self, inner: Any, size: int | None) -> Any:
        """What batches of elements of this spec are like."""
        specs, structure = trees.flatten(inner)
        shapes = self.parts(structure, self.shapes, "padded_shapes")
        made = []
        for s, given in zip(specs, shapes, strict=True):
            lengths = tuple(None for _ in s.shape or ()) if given is None else tuple(None if n in (None, -1) else int(n) for n in given)
            made.append(TensorSpec((size, *lengths), s.dtype))
        return trees.unflatten(structure, made)


def _leaves(structure: Any) -> int:
    return 1 if structure is None else sum(_leaves(s) for s in structure[-1])


def _padded(arrays: Sequence[Any], shape: Any, value: Any, component: int) -> Any:
    parts = [np.asarray(a, object) if isinstance(a, str | bytes) else a for a in arrays]
    rank = parts[0].ndim
    if any(a.ndim != rank for a in parts):
        raise ShapeError(
            f"padded_batch: elements of component {component} have different numbers of dimensions: {[a.shape for a in parts]}"
        )
    wanted = [None] * rank if shape is None else list(shape)
    if len(wanted) != rank:
        raise ShapeError(
            f"padded_batch: padded shape {tuple(wanted)} has another number of dimensions than component {component}: {parts[0].shape}"
        )
    size = [max(a.shape[d] for a in parts) if n in (None, -1) else int(n) for d, n in enumerate(wanted)]
    for k, a in enumerate(parts):
        if any(have > n for have, n in zip(a.shape, size, strict=True)):
            raise ShapeError(
                f"Attempted to pad to a smaller size than the input element: component {component} of element {k} has shape "
                f"{list(a.shape)}, padded_shapes says {size}"
            )
    text = parts[0].dtype.kind == "O"
    empty: Any = value
    if value is None:
        first = next((x for a in parts for x in a.reshape(-1)), "") if text else 0
        empty = type(first)() if text else 0
    if not text:
        filler = np.asarray(empty)
        if not np.can_cast(filler.dtype, parts[0].dtype, "same_kind") and not filler.dtype.kind == "i":
            raise TypeError(f"padded_batch: padding value {empty!r} does not fit dtype {parts[0].dtype} of component {component}")
    made = np.full((len(parts), *size), empty, parts[0].dtype)
    for k, a in enumerate(parts):
        region: Any = (k, *[slice(n) for n in a.shape])
        made[region] = a
    return made


class PaddedBatch(Batch):
    """`size` elements at a time, filled up to one shape."""

    def __init__(self, source: Stage, size: Any, padding: Padding, drop_remainder: bool) -> None:
        super().__init__(source, size, drop_remainder, padding)
        self.padding = padding

    def spec(self) -> Any:
        """One more dimension; filled up ones are None unless their size was said."""
        inner = self.inputs[0].spec()
        return None if inner is None else self.padding.spec(inner, self.size if self.drop else None)


# ---- rows ----


class Unbatch(OneInput):
    """The rows of each element."""

    def cardinality(self) -> int:
        """Known if all elements have the same known number of rows."""
        n, spec = self.inputs[0].cardinality(), self.inputs[0].spec()
        sizes = (
            {s.shape[0] if s.shape else None for s in trees.flatten(spec)[0] if isinstance(s, TensorSpec)} if spec is not None else set()
        )
        size = sizes.pop() if len(sizes) == 1 else None
        return n * size if n >= 0 and size is not None else UNKNOWN_CARDINALITY if n >= 0 else n

    def spec(self) -> Any:
        """One dimension less."""
        inner = self.inputs[0].spec()
        return None if inner is None else map_specs(lambda s: TensorSpec(s.shape and s.shape[1:], s.dtype), inner)

    class RUN(CountingRun):
        KEPT = ("at", "element", "index")

        def __init__(self, stage: Any) -> None:
            super().__init__(stage)
            self.element, self.index = None, 0

        def __next__(self) -> Any:
            while self.element is None or self.index >= rows(self.element):
                self.element, self.index = self.pull(), 0
            self.index += 1
            return row(self.element, self.index - 1)


# ---- windows ----


def dataset_of(elements: list[Any], wrap: Callable[[Stage], Any], spec: Any = None) -> Any:
    """A dataset of elements that are there; `wrap` makes a user's dataset of a stage."""
    return wrap(Held(elements, spec))


class Window(OneInput):
    """Datasets of `size` elements each, `stride` apart, one starting every `shift` elements; a dataset for each component."""

    def __init__(self, source: Stage, size: Any, shift: Any, stride: Any, drop_remainder: bool, wrap: Callable[[Stage], Any]) -> None:
        super().__init__(source)
        self.size, self.stride = _positive("window: size", size), _positive("window: stride", stride)
        self.shift = self.size if shift is None else _positive("window: shift", shift)
        self.drop, self.wrap = drop_remainder, wrap

    def cardinality(self) -> int:
        """A window for each `shift` elements."""
        n = self.inputs[0].cardinality()
        if n < 0:
            return n
        reach = (self.size - 1) * self.stride + 1
        return max(0, (n - reach) // self.shift + 1) if self.drop else -(-n // self.shift)

    def spec(self) -> Any:
        """Datasets have none."""
        return None

    class RUN(CountingRun):
        KEPT = ("at", "buffer", "skip")

        def __init__(self, stage: Any) -> None:
            super().__init__(stage)
            self.buffer: list[Any] = []
            self.skip = 0

        def __next__(self) -> Any:
            stage = self.stage
            reach = (stage.size - 1) * stage.stride + 1
            for _ in range(self.skip):
                self.pull()
                self.skip -= 1
            while len(self.buffer) < reach:
                try:
                    self.buffer.append(self.pull())
                except StopIteration:
                    break
            if not self.buffer or (stage.drop and len(self.buffer) < reach):
                raise StopIteration
            window = self.buffer[:reach][:: stage.stride]
            self.skip = max(stage.shift - len(self.buffer), 0) if len(self.buffer) >= reach else 0
            self.buffer = self.buffer[stage.shift :]
            structure = trees.flatten(window[0])[1]
            columns = zip(*[leaves_like(structure, e) for e in window], strict=True)
            return trees.unflatten(structure, [dataset_of(list(c), stage.wrap) for c in columns])
