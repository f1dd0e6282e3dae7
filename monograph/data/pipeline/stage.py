"""The two halves of a pipeline: a `Stage` says what is to be done, a `Run` is doing it and can tell where it is.

`Run.state()` is plain data (dicts, lists, numbers, text, arrays); a fresh run of an equal pipeline that `restore`s it goes on with the
very next element.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from monograph.core.modes import MODES
from monograph.data.pipeline.elements import to_host, to_user
from monograph.tensor.core import Tensor
from monograph.tensor.interop import host_array

AUTOTUNE = -1
INFINITE_CARDINALITY = -1
UNKNOWN_CARDINALITY = -2


class Stage:
    """One verb of a pipeline with its arguments and inputs."""

    inputs: tuple[Stage, ...] = ()

    def run(self) -> Run:
        """A new pass over the elements."""
        raise NotImplementedError(f"{type(self).__name__} lacks run")

    def cardinality(self) -> int:
        """The number of elements, or one of INFINITE_CARDINALITY and UNKNOWN_CARDINALITY. By default the input's."""
        return self.inputs[0].cardinality() if self.inputs else UNKNOWN_CARDINALITY

    def spec(self) -> Any:
        """The TensorSpecs of an element, None where they are known only when one is read."""
        return None

    def describe(self) -> str:
        """The verbs, from the source on: what a saved state is compared with."""
        own = type(self).__name__
        if not self.inputs:
            return own
        first = self.inputs[0].describe() if len(self.inputs) == 1 else "(" + ", ".join(s.describe() for s in self.inputs) + ")"
        return f"{first} > {own}"


class Run(Iterator[Any]):
    """One pass over a stage's elements. `children` are the runs that it reads; they are saved and closed with it."""

    children: list[Run]

    def __next__(self) -> Any:
        raise NotImplementedError(f"{type(self).__name__} lacks __next__")

    def state(self) -> dict[str, Any]:
        """Where the pass is. By default: the children's states and the attributes named in `KEPT`."""
        return {"children": [c.state() for c in self.children], **{name: getattr(self, name) for name in self.KEPT}}

    def restore(self, state: dict[str, Any]) -> None:
        """Goes to where `state` was taken."""
        for child, saved in zip(self.children, state["children"], strict=True):
            child.restore(saved)
        for name in self.KEPT:
            setattr(self, name, state[name])

    KEPT: tuple[str, ...] = ()

    def close(self) -> None:
        """Ends threads and files."""
        for child in self.children:
            child.close()


class Function:
    """A user's function: it gets tensors (a tuple as several arguments), and its errors say at which element they happened."""

    def __init__(self, function: Callable[..., Any], verb: str, unpack: bool = True) -> None:
        if not callable(function):
            raise TypeError(f"Dataset.{verb} takes a function, got {type(function).__name__}")
        self.function, self.verb, self.unpack = function, verb, unpack

    def __call__(self, element: Any, index: int, *before: Any) -> Any:
        """The function's own result for one element; `before` are arguments ahead of it."""
        now = MODES.now
        grad, now.grad = now.grad, False
        try:
            given = to_user(element)
            if self.unpack and isinstance(given, tuple):
                return self.function(*before, *given)
            return self.function(*before, given)
        except Exception as error:
            note = f"raised by the function given to Dataset.{self.verb}, at element {index}"
            if isinstance(error, StopIteration):
                raise RuntimeError(f"StopIteration, {note}") from error
            error.add_note(note)
            raise
        finally:
            now.grad = grad

    def host(self, element: Any, index: int, *before: Any) -> Any:
        """The result as an element."""
        return to_host(self(element, index, *before))

    def number(self, element: Any, index: int, *before: Any) -> Any:
        """The result as one Python number or text."""
        return plain(self(element, index, *before))


def plain(value: Any) -> Any:
    """A 0-d result as a Python number."""
    if isinstance(value, Tensor):
        value = host_array(value)
    return value.item() if isinstance(value, np.ndarray | np.generic) else value


def bounded(count: int, limit: int) -> int:
    """min(count, limit) of cardinalities; a limit below 0 is none."""
    if limit < 0 or count == UNKNOWN_CARDINALITY:
        return count
    return limit if count == INFINITE_CARDINALITY else min(count, limit)


class Counter:
    """Numbers passes over a stage that draws at random, so that each has an order of its own."""

    def __init__(self) -> None:
        self._next = itertools.count()

    def take(self) -> int:
        """The number of a new pass."""
        return next(self._next)

    def resume(self, taken: int) -> None:
        """After a restored pass `taken`, the next is taken + 1."""
        self._next = itertools.count(taken + 1)
