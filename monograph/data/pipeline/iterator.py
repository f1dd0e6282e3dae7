"""What `iter(dataset)` is: tensors one element at a time, a state that can be saved, threads that end with it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from monograph.data.dataset import CONSTRUCTORS, IterableDataset
from monograph.data.pipeline.elements import spec_of, to_user
from monograph.data.pipeline.sources import Held
from monograph.data.pipeline.stage import Run, Stage

VERSION = 1


class DatasetIterator(Iterator[Any]):
    """One pass over a dataset.

    `state_dict()` tells where it is; an iterator of an equal dataset that gets it by `load_state_dict` goes on with the very next element.

    >>> import monograph as mg
    >>> ds = mg.data.Dataset.range(10).shuffle(4, seed=1).batch(2)
    >>> it = iter(ds)
    >>> _ = next(it)
    >>> state, expected = it.state_dict(), next(it)
    >>> other = iter(ds)
    >>> other.load_state_dict(state)
    >>> (next(other) == expected).all().item()
    True
    """

    def __init__(self, stage: Stage, convert: Callable[[Any], Any] = to_user) -> None:
        self._stage, self._convert = stage, convert
        self._run: Run | None = stage.run()
        self._spec: Any = None

    def __iter__(self) -> DatasetIterator:
        return self

    def __next__(self) -> Any:
        if self._run is None:
            raise StopIteration
        try:
            element = next(self._run)
        except StopIteration:
            self.close()
            raise
        return self._convert(element)

    def get_next(self) -> Any:
        """The next element; raises IndexError at the end (tf: OutOfRangeError)."""
        try:
            return next(self)
        except StopIteration:
            raise IndexError("End of sequence: the dataset has no more elements") from None

    @property
    def element_spec(self) -> Any:
        """The TensorSpecs of an element."""
        if self._spec is None:
            self._spec = self._stage.spec()
        return self._spec

    def state_dict(self) -> dict[str, Any]:
        """Where this pass is: dicts, lists, numbers, text and arrays, for `monograph.save` or pickle."""
        return {
            "version": VERSION, "pipeline": self._stage.describe(), "ended": self._run is None,
            "run": None if self._run is None else _changed(self._run.state(), _to_data),
        }  # fmt: skip

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes to where `state` was taken. Raises ValueError for the state of a pipeline of other verbs."""
        if state.get("version") != VERSION:
            raise ValueError(f"the state is of version {state.get('version')!r}, this is {VERSION}")
        own = self._stage.describe()
        if state["pipeline"] != own:
            raise ValueError(f"the state is of another pipeline: it was {state['pipeline']}, this is {own}")
        if state["ended"]:
            self.close()
            return
        if self._run is None:
            self._run = self._stage.run()
        self._run.restore(_changed(state["run"], _from_data))

    def close(self) -> None:
        """Ends the pass with its threads and files; also done at its end, and when nobody holds the iterator any more."""
        run, self._run = self._run, None
        if run is not None:
            run.close()

    def __del__(self) -> None:
        if getattr(self, "_run", None) is not None:
            self.close()


WINDOW = "elements of a dataset"


def _changed(state: Any, change: Callable[[Any], Any]) -> Any:
    """A state with its leaves (and what stands for datasets) changed."""
    state = change(state)
    kind = type(state)
    if isinstance(state, dict):
        return kind((key, _changed(value, change)) for key, value in state.items())
    if isinstance(state, tuple) and hasattr(state, "_fields"):
        return kind(*[_changed(value, change) for value in state])
    return kind([_changed(value, change) for value in state]) if kind in (list, tuple) else state


def _to_data(value: Any) -> Any:
    """Windows are saved as their elements."""
    if isinstance(value, IterableDataset):
        stage = getattr(value, "stage", None)
        if not isinstance(stage, Held):
            raise TypeError(f"a pass that holds a dataset among its elements cannot be saved: {value!r}")
        return {WINDOW: stage.elements}
    return value


def _from_data(value: Any) -> Any:
    return CONSTRUCTORS[0](Held(value[WINDOW])) if isinstance(value, dict) and set(value) == {WINDOW} else value


def first_spec(stage: Stage) -> Any:
    """The spec of a stage: told by its verbs, else that of its first element."""
    spec = stage.spec()
    if spec is not None:
        return spec
    run = stage.run()
    try:
        element = next(run, None)
        return None if element is None else spec_of(element)
    finally:
        run.close()
