"""Batches of elements of like length, and resampling to a wanted distribution of classes."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from monograph.core import trees
from monograph.data.pipeline.elements import to_host
from monograph.data.pipeline.order import Dice, DicedRun
from monograph.data.pipeline.single import OneInput
from monograph.data.pipeline.stage import UNKNOWN_CARDINALITY, Function, Stage
from monograph.tensor.spec import TensorSpec


def by_length(
    dataset: Any, length_of: Callable[..., Any], boundaries: Sequence[int], sizes: Sequence[int], padded_shapes: Any, padding_values: Any,
    pad_to_boundary: bool, no_padding: bool, drop_remainder: bool,
) -> Any:  # fmt: skip
    """Batches in which lengths fall between the same two boundaries, each bucket with its batch size."""
    if len(sizes) != len(boundaries) + 1:
        raise ValueError("`len(bucket_batch_sizes)` must equal `len(bucket_boundaries) + 1`" + f", got {len(sizes)} and {len(boundaries)}")
    lengths = Function(length_of, "bucket_by_sequence_length")
    limits = [int(b) for b in boundaries]

    def bucket(*element: Any) -> int:
        length = int(lengths.number(to_host(element if len(element) > 1 else element[0]), 0))
        found = bisect.bisect_right(limits, length)
        if pad_to_boundary and found == len(limits):
            raise ValueError(
                f"When pad_to_bucket_boundary=True, elements must have length < max(bucket_boundaries); got one of length {length}"
            )
        return found

    def to_batch(key: Any, window: Any) -> Any:
        size = sizes[int(key)]
        if no_padding:
            return window.batch(size, drop_remainder=drop_remainder)
        shapes = padded_shapes
        if pad_to_boundary:
            longest = limits[int(key)] - 1
            given = shapes if shapes is not None else _shapes(window.element_spec)
            shapes = _filled(window.element_spec, given, longest)
        return window.padded_batch(size, shapes, padding_values, drop_remainder=drop_remainder)

    return dataset.group_by_window(bucket, to_batch, window_size_func=lambda key: sizes[int(key)])


def _shapes(spec: Any) -> Any:
    return trees.map_leaves(lambda s: None if s.shape is None else _Shape(s.shape), spec)


class _Shape(list[Any]):
    """A shape as a leaf: trees look into lists of that very type only."""


def _filled(spec: Any, shapes: Any, length: int) -> Any:
    """The shapes with their open sizes (of None, of elements of different lengths) set to the bucket's length."""
    if isinstance(spec, TensorSpec):
        known = spec.shape or ()
        return [length if n in (None, -1) else n for n in (shapes if shapes is not None else [None] * len(known))]
    if isinstance(spec, dict):
        return {k: _filled(s, shapes[k], length) for k, s in spec.items()}
    parts = [_filled(s, g, length) for s, g in zip(spec, shapes, strict=True)]
    return type(spec)(*parts) if hasattr(spec, "_fields") else tuple(parts)


class Resample(OneInput):
    """(class, element), with elements left out or repeated so that classes come in the wanted proportions.

    With `initial` unknown it is estimated from the classes met so far.
    """

    def __init__(self, source: Stage, class_of: Callable[..., Any], target: Any, initial: Any, seed: int | None) -> None:
        super().__init__(source)
        self.function, self.dice = Function(class_of, "rejection_resample"), Dice(seed, True)
        self.target = _distribution(target, "target_dist")
        self.initial = None if initial is None else _distribution(initial, "initial_dist")

    def cardinality(self) -> int:
        """Left to chance."""
        return UNKNOWN_CARDINALITY

    def spec(self) -> Any:
        """Found by reading."""
        return None

    class RUN(DicedRun):
        KEPT = ("at", "counts")

        def __init__(self, stage: Any) -> None:
            super().__init__(stage)
            self.counts = np.zeros(len(stage.target))

        def __next__(self) -> Any:
            while True:
                element = self.pull()
                label = int(self.stage.function.number(element, self.at - 1))
                if not 0 <= label < len(self.counts):
                    raise ValueError(f"rejection_resample: class {label} is none of the {len(self.counts)} of target_dist")
                self.counts = self.counts + (np.arange(len(self.counts)) == label)
                initial = self.stage.initial if self.stage.initial is not None else self.counts / self.counts.sum()
                with np.errstate(all="ignore"):
                    ratio = np.where(initial > 0, self.stage.target / initial, 0.0)
                top = ratio.max()
                if top <= 0 or self.rng.random() < ratio[label] / top:
                    return (np.asarray(label, np.int64), element)


def _distribution(given: Any, name: str) -> np.ndarray:
    values = np.asarray(to_host(given), np.float64)
    if values.ndim != 1 or not len(values) or (values < 0).any() or not values.sum() > 0:
        raise ValueError(f"rejection_resample: {name} must be a vector of numbers from 0 on, got {given!r}")
    return values / values.sum()
