"""Verbs whose function returns a dataset: flat_map, interleave, group_by_window."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import numpy as np

from monograph.data.dataset import IterableDataset
from monograph.data.pipeline.batching import dataset_of
from monograph.data.pipeline.single import CountingRun, OneInput
from monograph.data.pipeline.stage import AUTOTUNE, INFINITE_CARDINALITY, UNKNOWN_CARDINALITY, Function, Run, Stage
from monograph.data.pipeline.threads import PrefetchRun


def _stage_of(dataset: Any, verb: str) -> Stage:
    stage = getattr(dataset, "stage", None)
    if not isinstance(dataset, IterableDataset) or not isinstance(stage, Stage):
        raise TypeError(f"the function given to Dataset.{verb} must return a dataset, got {type(dataset).__name__}")
    return stage


class Interleave(OneInput):
    """Up to `cycle` datasets open at a time, `block` elements from each in turn."""

    def __init__(
        self, source: Stage, function: Callable[..., Any], cycle: int | None, block: int | None, parallel: int | None, verb: str
    ) -> None:
        super().__init__(source)
        cycle = (os.cpu_count() or 1) if cycle in (None, AUTOTUNE) else cycle
        block = 1 if block in (None, AUTOTUNE) else block
        if not isinstance(cycle, int) or cycle < 1 or not isinstance(block, int) or block < 1:
            raise ValueError(f"Dataset.{verb}: cycle_length and block_length must be above 0, got {cycle} and {block}")
        self.function, self.verb, self.cycle, self.block = Function(function, verb), verb, cycle, block
        self.ahead = 0 if parallel is None else max(block, 1)
        self._spec: Any = None

    def cardinality(self) -> int:
        """Not known, unless the input's is 0."""
        n = self.inputs[0].cardinality()
        return n if n in (0, INFINITE_CARDINALITY) else UNKNOWN_CARDINALITY

    def spec(self) -> Any:
        """That of the first dataset."""
        if self._spec is None:
            run = self.inputs[0].run()
            try:
                first = next(run, None)
                self._spec = None if first is None else _stage_of(self.function(first, 0), self.verb).spec()
            finally:
                run.close()
        return self._spec

    class RUN(CountingRun):
        KEPT = ("at", "turn", "taken", "ended")

        def __init__(self, stage: Any) -> None:
            super().__init__(stage)
            self.open: list[tuple[Any, int, Run] | None] = [None] * stage.cycle  # (the element a dataset was made of, its number, its pass)
            self.turn, self.taken, self.ended = 0, 0, False

        def _opened(self, element: Any, number: int) -> tuple[Any, int, Run]:
            run = _stage_of(self.stage.function(element, number), self.stage.verb).run()
            return element, number, PrefetchRun(run, self.stage.ahead) if self.stage.ahead else run

        def _next_turn(self) -> None:
            self.turn, self.taken = (self.turn + 1) % self.stage.cycle, 0

        def __next__(self) -> Any:
            idle = 0
            while idle <= self.stage.cycle:
                current = self.open[self.turn]
                if current is None:
                    if not self.ended:
                        try:
                            element = self.pull()
                        except StopIteration:
                            self.ended = True
                            continue
                        self.open[self.turn] = self._opened(element, self.at - 1)
                        continue
                    idle += 1
                    self._next_turn()
                    continue
                try:
                    element = next(current[2])
                except StopIteration:
                    current[2].close()
                    self.open[self.turn] = None
                    self._next_turn()
                    continue
                self.taken += 1
                if self.taken == self.stage.block:
                    self._next_turn()
                return element
            raise StopIteration

        def state(self) -> dict[str, Any]:
            opened = [None if o is None else {"element": o[0], "number": o[1], "state": o[2].state()} for o in self.open]
            return {**super().state(), "open": opened}

        def restore(self, state: dict[str, Any]) -> None:
            super().restore(state)
            self.open = []
            for saved in state["open"]:
                if saved is None:
                    self.open.append(None)
                    continue
                entry = self._opened(saved["element"], saved["number"])
                entry[2].restore(saved["state"])
                self.open.append(entry)

        def close(self) -> None:
            for entry in self.open:
                if entry is not None:
                    entry[2].close()
            super().close()


class GroupByWindow(OneInput):
    """Elements gathered by key; when `size(key)` of one key are there, function(key, dataset of them) gives what follows."""

    def __init__(
        self, source: Stage, key: Callable[..., Any], reduce: Callable[..., Any], size: Callable[[Any], Any] | int,
        wrap: Callable[[Stage], Any],
    ) -> None:  # fmt: skip
        super().__init__(source)
        self.key, self.reduce, self.size, self.wrap = Function(key, "group_by_window"), reduce, size, wrap
        self._spec: Any = None

    def cardinality(self) -> int:
        """Not known."""
        return UNKNOWN_CARDINALITY

    def spec(self) -> Any:
        """That of the first window's dataset."""
        if self._spec is None:
            run: Any = self.run()
            try:
                next(run, None)
                if run.current is not None:
                    self._spec = _stage_of(self.reduced(run.current[0], run.current[1]), "group_by_window").spec()
            finally:
                run.close()
        return self._spec

    def wanted(self, key: int) -> int:
        """How many elements a window of this key has."""
        n = self.size if isinstance(self.size, int) else Function(self.size, "group_by_window").number(np.asarray(key, np.int64), 0)
        if n < 1:
            raise ValueError(f"Dataset.group_by_window: window size must be greater than zero, but got {n} for key {key}")
        return int(n)

    def reduced(self, key: int, window: list[Any]) -> Any:
        """The dataset for a window."""
        function = Function(lambda k: self.reduce(k, dataset_of(window, self.wrap, self.inputs[0].spec())), "group_by_window")
        return function(np.asarray(key, np.int64), 0)

    class RUN(CountingRun):
        KEPT = ("at", "groups", "ended")

        def __init__(self, stage: Any) -> None:
            super().__init__(stage)
            self.groups: dict[int, list[Any]] = {}
            self.ended = False
            self.current: tuple[int, list[Any], Run] | None = None

        def _start(self, key: int, window: list[Any]) -> None:
            self.current = (key, window, _stage_of(self.stage.reduced(key, window), "group_by_window").run())

        def __next__(self) -> Any:
            while True:
                if self.current is not None:
                    try:
                        return next(self.current[2])
                    except StopIteration:
                        self.current[2].close()
                        self.current = None
                if not self.ended:
                    try:
                        element = self.pull()
                    except StopIteration:
                        self.ended = True
                        continue
                    key = int(self.stage.key.number(element, self.at - 1))
                    group = self.groups.setdefault(key, [])
                    group.append(element)
                    if len(group) == self.stage.wanted(key):
                        self._start(key, self.groups.pop(key))
                    continue
                if not self.groups:
                    raise StopIteration
                key = min(self.groups)
                self._start(key, self.groups.pop(key))

        def state(self) -> dict[str, Any]:
            groups = {k: list(v) for k, v in self.groups.items()}
            current = (
                None if self.current is None else {"key": self.current[0], "window": self.current[1], "state": self.current[2].state()}
            )
            return {**super().state(), "groups": groups, "current": current}

        def restore(self, state: dict[str, Any]) -> None:
            super().restore(state)
            self.groups = {int(k): list(v) for k, v in state["groups"].items()}
            self.current = None
            if state["current"] is not None:
                self._start(state["current"]["key"], state["current"]["window"])
                assert self.current is not None
                self.current[2].restore(state["current"]["state"])

        def close(self) -> None:
            if self.current is not None:
                self.current[2].close()
            super().close()
