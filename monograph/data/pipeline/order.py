"""Verbs about order: shuffle, repeat, concatenate, zip, and choosing among datasets."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from monograph.core import trees
from monograph.data.pipeline.elements import general_spec
from monograph.data.pipeline.single import CountingRun, OneInput
from monograph.data.pipeline.stage import INFINITE_CARDINALITY, UNKNOWN_CARDINALITY, Counter, Run, Stage
from monograph.data.sampler import draw_seed


class Dice:
    """A stage's own stream of random numbers: one for each pass, from the stage's seed and the number of the pass."""

    def __init__(self, seed: int | None, new_each_pass: bool) -> None:
        self.seed, self.new_each_pass, self.passes = seed, new_each_pass, Counter()

    def throw(self) -> tuple[int, np.random.Generator]:
        """The number of a new pass and its stream."""
        if self.seed is None:
            self.seed = draw_seed()
        number = self.passes.take()
        return number, np.random.Generator(np.random.PCG64((self.seed, number if self.new_each_pass else 0)))


class DicedRun(CountingRun):
    """A run that draws."""

    def __init__(self, stage: Any) -> None:
        super().__init__(stage)
        self.number, self.rng = stage.dice.throw()

    def state(self) -> dict[str, Any]:
        """With the stream and the numbering of passes."""
        return {**super().state(), "seed": self.stage.dice.seed, "pass": self.number, "stream": self.rng.bit_generator.state}

    def restore(self, state: dict[str, Any]) -> None:
        """Later passes, too, are numbered as they would have been."""
        super().restore(state)
        self.stage.dice.seed, self.number = state["seed"], state["pass"]
        self.stage.dice.passes.resume(self.number)
        self.rng.bit_generator.state = state["stream"]


class Shuffle(OneInput):
    """Each element drawn from a buffer of the next `size`."""

    def __init__(self, source: Stage, size: Any, seed: int | None, reshuffle: bool) -> None:
        super().__init__(source)
        if isinstance(size, bool) or not hasattr(size, "__index__") or (size < 1 and size != UNKNOWN_CARDINALITY):
            raise ValueError(f"Dataset.shuffle: buffer_size must be a whole number above 0, got {size!r}")
        self.size, self.dice = int(size), Dice(seed, reshuffle)

    class RUN(DicedRun):
        KEPT = ("at", "buffer", "ended")

        def __init__(self, stage: Any) -> None:
            super().__init__(stage)
            self.buffer: list[Any] = []
            self.ended = False

        def __next__(self) -> Any:
            size = math.inf if self.stage.size < 0 else self.stage.size
            while not self.ended and len(self.buffer) < size:
                try:
                    self.buffer.append(self.pull())
                except StopIteration:
                    self.ended = True
            if not self.buffer:
                raise StopIteration
            i = int(self.rng.integers(len(self.buffer)))
            self.buffer[i], self.buffer[-1] = self.buffer[-1], self.buffer[i]
            return self.buffer.pop()

        def state(self) -> dict[str, Any]:
            return {**super().state(), "buffer": list(self.buffer)}


class Repeat(OneInput):
    """The input again and again (`count` below 0: endlessly, unless there is nothing in it)."""

    def __init__(self, source: Stage, count: int) -> None:
        super().__init__(source)
        self.count = count

    def cardinality(self) -> int:
        """`count` times the input's."""
        n = self.inputs[0].cardinality()
        if self.count < 0:
            return INFINITE_CARDINALITY if n != 0 else 0
        return 0 if self.count == 0 else n if n < 0 else n * self.count

    class RUN(CountingRun):
        KEPT = ("at", "round", "fresh")

        def __init__(self, stage: Any) -> None:
            super().__init__(stage)
            self.round, self.fresh = 0, True

        def __next__(self) -> Any:
            while self.stage.count < 0 or self.round < self.stage.count:
                try:
                    element = self.pull()
                except StopIteration:
                    if self.fresh and self.stage.count < 0:
                        raise
                    self.round += 1
                    self.source.close()
                    if self.stage.count < 0 or self.round < self.stage.count:
                        self.source = self.stage.inputs[0].run()
                        self.children = [self.source]
                        self.fresh = True
                    continue
                self.fresh = False
                return element
            raise StopIteration


class Several(Stage):
    """A verb over several inputs."""

    def __init__(self, inputs: Sequence[Stage]) -> None:
        self.inputs = tuple(inputs)

    def spec(self) -> Any:
        """What covers all."""
        spec = self.inputs[0].spec()
        for other in self.inputs[1:]:
            more = other.spec()
            spec = general_spec(spec, more)
        return spec


class Concatenate(Several):
    """The inputs one after the other."""

    def cardinality(self) -> int:
        """The sum."""
        counts = [s.cardinality() for s in self.inputs]
        return min(counts, key=lambda n: (n != INFINITE_CARDINALITY, n)) if any(n < 0 for n in counts) else sum(counts)

    def run(self) -> Run:
        """A pass."""
        return _ConcatenateRun(self)


class _ConcatenateRun(Run):
    KEPT = ("which",)

    def __init__(self, stage: Concatenate) -> None:
        self.stage, self.which = stage, 0
        self.children = [s.run() for s in stage.inputs]

    def __next__(self) -> Any:
        while self.which < len(self.children):
            try:
                return next(self.children[self.which])
            except StopIteration:
                self.which += 1
        raise StopIteration


class Zip(Stage):
    """Elements side by side, in the structure in which the inputs were given; as long as the shortest."""

    def __init__(self, structure: Any, inputs: Sequence[Stage]) -> None:
        self.inputs, self.structure = tuple(inputs), structure

    def cardinality(self) -> int:
        """The least."""
        counts = [s.cardinality() for s in self.inputs]
        finite = [n for n in counts if n != INFINITE_CARDINALITY]
        return min(finite) if finite else INFINITE_CARDINALITY

    def spec(self) -> Any:
        """The specs side by side."""
        return self.joined([s.spec() for s in self.inputs])

    def joined(self, parts: list[Any]) -> Any:
        """The parts in their structure, in which lists count as tuples."""
        return trees.unflatten(self.structure, parts)

    def run(self) -> Run:
        """A pass."""
        return _ZipRun(self)


class _ZipRun(Run):
    def __init__(self, stage: Zip) -> None:
        self.stage = stage
        self.children = [s.run() for s in stage.inputs]

    def __next__(self) -> Any:
        return self.stage.joined([next(c) for c in self.children])


# ---- choosing ----


class Choose(Several):
    """From input i, where the run's `choices` say i; `stop_on_empty`: the end of one chosen is the end."""

    def __init__(self, inputs: Sequence[Stage], stop_on_empty: bool) -> None:
        super().__init__(inputs)
        self.stop_on_empty = stop_on_empty

    def cardinality(self) -> int:
        """Known where all are read to their ends."""
        counts = [s.cardinality() for s in self.inputs]
        if all(n == INFINITE_CARDINALITY for n in counts):
            return INFINITE_CARDINALITY
        return UNKNOWN_CARDINALITY if self.stop_on_empty or any(n < 0 for n in counts) else sum(counts)


class ChooseByDataset(Choose):
    """Choices are the elements of the last input."""

    def spec(self) -> Any:
        """Without the choices'."""
        return Several(self.inputs[:-1]).spec()

    def cardinality(self) -> int:
        """Not known."""
        return UNKNOWN_CARDINALITY

    def run(self) -> Run:
        """A pass."""
        return _ChooseRun(self)


class _ChooseRun(Run):
    def __init__(self, stage: ChooseByDataset) -> None:
        self.stage = stage
        self.children = [s.run() for s in stage.inputs]

    def __next__(self) -> Any:
        while True:
            i = int(next(self.children[-1]))
            if not 0 <= i < len(self.children) - 1:
                raise IndexError(f"choose_from_datasets: the choice {i} is none of the {len(self.children) - 1} datasets")
            try:
                return next(self.children[i])
            except StopIteration:
                if self.stage.stop_on_empty:
                    raise


class Sample(Choose):
    """Choices are random, with weights; those of inputs that have ended are redistributed."""

    def __init__(self, inputs: Sequence[Stage], weights: Any, seed: int | None, stop_on_empty: bool, rerandomize: bool) -> None:
        super().__init__(inputs, stop_on_empty)
        given = np.ones(len(inputs)) if weights is None else np.asarray(weights, np.float64)
        if given.shape != (len(inputs),) or (given < 0).any() or not given.sum() > 0:
            raise ValueError(f"sample_from_datasets: weights must be {len(inputs)} numbers from 0 on, got {weights!r}")
        self.weights, self.dice = given, Dice(seed, rerandomize)

    def run(self) -> Run:
        """A pass."""
        return _SampleRun(self)


class _SampleRun(Run):
    def __init__(self, stage: Sample) -> None:
        self.stage = stage
        self.children = [s.run() for s in stage.inputs]
        self.weights = stage.weights.copy()
        self.number, self.rng = stage.dice.throw()

    def __next__(self) -> Any:
        while (total := self.weights.sum()) > 0:
            i = int(np.searchsorted(np.cumsum(self.weights / total), self.rng.random(), side="right"))
            i = min(i, len(self.children) - 1)
            if not self.weights[i]:
                continue
            try:
                return next(self.children[i])
            except StopIteration:
                if self.stage.stop_on_empty:
                    raise
                self.weights[i] = 0
        raise StopIteration

    def state(self) -> dict[str, Any]:
        mine = {"weights": self.weights.copy(), "seed": self.stage.dice.seed, "pass": self.number, "stream": self.rng.bit_generator.state}
        return {**super().state(), **mine}

    def restore(self, state: dict[str, Any]) -> None:
        super().restore(state)
        self.stage.dice.seed, self.number = state["seed"], state["pass"]
        self.stage.dice.passes.resume(self.number)
        self.weights, self.rng.bit_generator.state = np.array(state["weights"]), state["stream"]
