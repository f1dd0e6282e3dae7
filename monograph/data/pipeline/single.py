"""Verbs that look at one element at a time: map, filter, take, skip, scan and their kind."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from monograph.core import trees
from monograph.core.dtype import int64
from monograph.data.pipeline.elements import freeze, general_spec, spec_of, to_host, to_user
from monograph.data.pipeline.stage import INFINITE_CARDINALITY, UNKNOWN_CARDINALITY, Function, Run, Stage, bounded
from monograph.tensor.spec import TensorSpec


class OneInput(Stage):
    """A verb over one input; its run counts elements in `at`."""

    RUN: type[Run]

    def __init__(self, source: Stage) -> None:
        self.inputs = (source,)

    def run(self) -> Run:
        """A pass over a new pass of the input."""
        return self.RUN(self)  # type: ignore[call-arg]

    def spec(self) -> Any:
        """The input's: most verbs pass elements on."""
        return self.inputs[0].spec()


class CountingRun(Run):
    """`at`: how many elements of the input were read."""

    KEPT: tuple[str, ...] = ("at",)

    def __init__(self, stage: Any) -> None:
        self.stage, self.at = stage, 0
        self.source = stage.inputs[0].run()
        self.children = [self.source]

    def pull(self) -> Any:
        """The input's next element."""
        element = next(self.source)
        self.at += 1
        return element


def probed(source: Stage, function: Function) -> Any:
    """The spec of a function's results, from its result for the first element (None for no elements).

    Where sizes of the input are open (None), a second call with one row less tells which sizes of the result depend on them.
    """
    run = source.run()
    try:
        first = next(run, None)
        if first is None:
            return None
        spec = spec_of(function.host(first, 0))
        open_sizes = [s for s in trees.flatten(source.spec())[0] if isinstance(s, TensorSpec) and s.shape and s.shape[0] is None]
        leaves, structure = trees.flatten(first)
        if open_sizes and all(isinstance(x, np.ndarray) and x.ndim and x.shape[0] > 1 for x in leaves):
            shorter = trees.unflatten(structure, [x[:-1] for x in leaves])
            spec = general_spec(spec, spec_of(function.host(shorter, 0)))
        return spec
    finally:
        run.close()


class Map(OneInput):
    """function(element)."""

    def __init__(self, source: Stage, function: Callable[..., Any]) -> None:
        super().__init__(source)
        self.function = Function(function, "map")
        self._spec: Any = None

    def spec(self) -> Any:
        """Asked of the function."""
        if self._spec is None:
            self._spec = probed(self.inputs[0], self.function)
        return self._spec

    class RUN(CountingRun):
        def __next__(self) -> Any:
            element = self.pull()
            return self.stage.function.host(element, self.at - 1)


class Filter(OneInput):
    """Elements for which the predicate holds."""

    def __init__(self, source: Stage, predicate: Callable[..., Any]) -> None:
        super().__init__(source)
        self.function = Function(predicate, "filter")

    def cardinality(self) -> int:
        """Known only when there are none or endlessly many."""
        n = self.inputs[0].cardinality()
        return n if n == INFINITE_CARDINALITY else UNKNOWN_CARDINALITY

    class RUN(CountingRun):
        def __next__(self) -> Any:
            while True:
                element = self.pull()
                if self.stage.function.number(element, self.at - 1):
                    return element


class TakeWhile(Filter):
    """Elements before the first for which the predicate does not hold."""

    class RUN(CountingRun):
        KEPT = ("at", "ended")

        def __init__(self, stage: Any) -> None:
            super().__init__(stage)
            self.ended = False

        def __next__(self) -> Any:
            if not self.ended:
                element = self.pull()
                if self.stage.function.number(element, self.at - 1):
                    return element
            self.ended = True
            raise StopIteration


class Enumerate(OneInput):
    """(number, element)."""

    def __init__(self, source: Stage, start: int) -> None:
        super().__init__(source)
        self.start = start

    def spec(self) -> Any:
        """The number is an int64."""
        inner = self.inputs[0].spec()
        return None if inner is None else (TensorSpec((), int64), inner)

    class RUN(CountingRun):
        def __next__(self) -> Any:
            element = self.pull()
            return (np.asarray(self.stage.start + self.at - 1, np.int64), element)


class Take(OneInput):
    """The first `count` elements (below 0: all)."""

    def __init__(self, source: Stage, count: int) -> None:
        super().__init__(source)
        self.count = count

    def cardinality(self) -> int:
        """At most `count`."""
        return bounded(self.inputs[0].cardinality(), self.count)

    class RUN(CountingRun):
        def __next__(self) -> Any:
            if 0 <= self.stage.count <= self.at:
                raise StopIteration
            return self.pull()


class Skip(OneInput):
    """All but the first `count` elements (below 0: none)."""

    def __init__(self, source: Stage, count: int) -> None:
        super().__init__(source)
        self.count = count

    def cardinality(self) -> int:
        """The input's less `count`."""
        n = self.inputs[0].cardinality()
        if self.count < 0:
            return 0
        return n if n < 0 else max(n - self.count, 0)

    class RUN(CountingRun):
        def __next__(self) -> Any:
            if self.stage.count < 0:
                raise StopIteration
            while self.at < self.stage.count:
                self.pull()
            return self.pull()


class Shard(OneInput):
    """Every `count`-th element, from number `index` on."""

    def __init__(self, source: Stage, count: int, index: int) -> None:
        super().__init__(source)
        if count < 1:
            raise ValueError(f"Dataset.shard: num_shards must be at least 1, got {count}")
        if not 0 <= index < count:
            raise ValueError(f"Dataset.shard: index must be between 0 and {count - 1}, got {index}")
        self.count, self.index = count, index

    def cardinality(self) -> int:
        """A `count`-th of the input's."""
        n = self.inputs[0].cardinality()
        return n if n < 0 else len(range(self.index, n, self.count))

    class RUN(CountingRun):
        def __next__(self) -> Any:
            while self.at % self.stage.count != self.stage.index:
                self.pull()
            return self.pull()


class Scan(OneInput):
    """Elements made with a state: function(state, element) -> (new state, output)."""

    def __init__(self, source: Stage, initial: Any, function: Callable[..., Any], verb: str = "scan") -> None:
        super().__init__(source)
        self.initial, self.function = to_host(initial), Function(function, verb, unpack=False)

    def spec(self) -> Any:
        """That of the first output."""
        run = self.run()
        try:
            first = next(run, None)
            return None if first is None else spec_of(first)
        finally:
            run.close()

    class RUN(CountingRun):
        KEPT = ("at", "value")

        def __init__(self, stage: Any) -> None:
            super().__init__(stage)
            self.value = stage.initial

        def __next__(self) -> Any:
            element = self.pull()
            function = self.stage.function
            made = function(element, self.at - 1, to_user(freeze(self.value)))
            if not isinstance(made, tuple) or len(made) != 2:
                raise TypeError(f"Dataset.scan: the function must return a pair (new state, output), got {type(made).__name__}")
            self.value, output = to_host(made[0]), to_host(made[1])
            return output


class Unique(OneInput):
    """Elements that were not there before."""

    def cardinality(self) -> int:
        """Not known."""
        return UNKNOWN_CARDINALITY

    class RUN(CountingRun):
        def __init__(self, stage: Any) -> None:
            super().__init__(stage)
            self.seen: dict[Any, Any] = {}

        def __next__(self) -> Any:
            while True:
                element = self.pull()
                key = _key(element)
                if key not in self.seen:
                    self.seen[key] = element
                    return element

        def state(self) -> dict[str, Any]:
            return {**super().state(), "seen": list(self.seen.values())}

        def restore(self, state: dict[str, Any]) -> None:
            super().restore(state)
            self.seen = {_key(e): e for e in state["seen"]}


def _key(element: Any) -> Any:
    leaves, structure = trees.flatten(element)
    return structure, tuple(
        [
            (x.dtype.str, x.shape, tuple(x.reshape(-1).tolist()) if x.dtype.kind == "O" else x.tobytes())
            if isinstance(x, np.ndarray)
            else x
            for x in leaves
        ]
    )


class IgnoreErrors(OneInput):
    """Elements that could be had; those whose making raised an error are left out."""

    def __init__(self, source: Stage, log_warning: bool) -> None:
        super().__init__(source)
        self.log_warning = log_warning

    def cardinality(self) -> int:
        """Not known."""
        return UNKNOWN_CARDINALITY

    class RUN(CountingRun):
        def __next__(self) -> Any:
            while True:
                try:
                    return self.pull()
                except StopIteration:
                    raise
                except Exception as error:
                    if self.stage.log_warning:
                        warnings.warn(f"Dataset.ignore_errors left out an element: {type(error).__name__}: {error}", stacklevel=2)


class Assert(OneInput):
    """Elements, of which there must be `count`."""

    def __init__(self, source: Stage, count: int) -> None:
        super().__init__(source)
        self.count = count

    def cardinality(self) -> int:
        """As asserted."""
        return self.count

    class RUN(CountingRun):
        def __next__(self) -> Any:
            try:
                element = self.pull()
            except StopIteration:
                if self.stage.count not in (self.at, INFINITE_CARDINALITY):
                    raise RuntimeError(f"Input dataset was expected to contain {self.stage.count} elements but had {self.at}") from None
                raise
            if 0 <= self.stage.count < self.at:
                raise RuntimeError(f"Input dataset was expected to contain {self.stage.count} elements but contains more")
            return element
