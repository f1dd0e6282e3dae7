"""Parameter groups, whose numbers a compiled step asks for anew at every run.

An optimiser of ours reads its group through `live()`: numbers are run-time numbers then, so a schedule may change any of them without a
new capture. Whoever else reads a number of a group while a step is captured gets it as it is, and the capture depends on it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from monograph.core.dtype import float64
from monograph.core.live_number import LiveNumber
from monograph.core.modes import MODES
from monograph.engine.checks import is_numeric
from monograph.graph.node import Node
from monograph.ops import source
from monograph.tensor.core import Tensor, wrap
from monograph.tensor.dispatch import live, read


class ParamGroup(dict[str, Any]):
    """The parameters and hyper-parameters of one group."""

    tells_reads = True  # so that a capture need not watch every number

    def __reduce_ex__(self, protocol: Any) -> Any:
        return (ParamGroup, (dict(self),))

    # ---- for optimisers ----
    def learning_rate(self) -> Tensor:
        """The learning rate as a 0-d tensor; a compiled step asks for it anew at every run."""
        lr = dict.__getitem__(self, "lr")
        return _known(lr) if isinstance(lr, Tensor) else live(lambda: dict.__getitem__(self, "lr"), float64)

    def live(self) -> dict[str, Any]:
        """The group as an update reads it: itself, in a capture with run-time numbers in place of its numbers."""
        return self if getattr(MODES.capture, "numbers", None) is None else _LiveGroup(self)

    # ---- reading by others ----
    def _seen(self, key: Any, value: Any) -> Any:
        depends = getattr(MODES.capture, "depends", None)
        if depends is not None and is_numeric(value):
            depends(f"param_groups[...][{key!r}]", self, _reader(key))
        return value

    def _all_seen(self) -> None:
        if MODES.capture is not None:
            for key, value in dict.items(self):
                self._seen(key, value)

    def __getitem__(self, key: str) -> Any:
        value = dict.__getitem__(self, key)
        return value if MODES.capture is None else self._seen(key, value)

    def get(self, key: str, default: Any = None) -> Any:
        """As of dict."""
        return self[key] if dict.__contains__(self, key) else default

    def setdefault(self, key: str, default: Any = None) -> Any:
        """As of dict."""
        return self._seen(key, dict.setdefault(self, key, default))

    def pop(self, key: str, *default: Any) -> Any:
        """As of dict."""
        if key in self:
            self._seen(key, dict.__getitem__(self, key))
        return dict.pop(self, key, *default)

    def values(self) -> Any:
        """As of dict."""
        self._all_seen()
        return dict.values(self)

    def items(self) -> Any:
        """As of dict."""
        self._all_seen()
        return dict.items(self)

    def copy(self) -> dict[str, Any]:
        """As of dict: a plain one."""
        self._all_seen()
        return dict.copy(self)

    def __iter__(self) -> Iterator[str]:  # as of dict; because of it dict(group) and {**group} come by __getitem__
        return dict.__iter__(self)

    def __eq__(self, other: object) -> bool:
        self._all_seen()
        return dict.__eq__(self, other)

    def __or__(self, other: Any) -> Any:
        self._all_seen()
        return dict.__or__(self, other)

    def __ror__(self, other: Any) -> Any:
        self._all_seen()
        return dict.__ror__(self, other)

    __hash__ = None  # type: ignore[assignment]


class _LiveGroup(dict[str, Any]):
    """A group during a capture, its numbers as run-time numbers."""

    def __init__(self, group: ParamGroup) -> None:
        super().__init__({key: _live_value(group, key, value) for key, value in dict.items(group)})
        self._group = group

    def learning_rate(self) -> Tensor:
        """As of ParamGroup; one run-time scalar for the whole capture."""
        lr = self["lr"]
        return _known(lr) if isinstance(lr, Tensor) else wrap(lr.node(float64))


def _live_value(group: ParamGroup, key: str, value: Any) -> Any:
    if not is_numeric(value):
        return value
    if isinstance(value, tuple):
        return tuple(_number(group, key, i) for i in range(len(value)))
    return _number(group, key, None)


def _number(group: ParamGroup, key: str, place: int | None) -> LiveNumber:
    capture = MODES.capture
    found = capture.numbers.get((id(group), key, place))
    if found is None:
        where = f"param_groups[...][{key!r}]" + ("" if place is None else f"[{place}]")
        ask = _asker(group, key) if place is None else _asker_of_part(group, key, place)
        found = capture.numbers[id(group), key, place] = LiveNumber(capture, where, ask)
    return found  # type: ignore[no-any-return]


def _asker(group: ParamGroup, key: str) -> Callable[[], Any]:
    get = dict.__getitem__
    return lambda: get(group, key)


def _asker_of_part(group: ParamGroup, key: str, place: int) -> Callable[[], Any]:
    get = dict.__getitem__
    return lambda: get(group, key)[place]


def _reader(key: str) -> Callable[[Any], Any]:
    return lambda group: dict.get(group, key)


def _known(number: Tensor) -> Tensor:
    """A tensor as hyper-parameter: off the tape, unless the step is to be differentiated through."""
    return number if MODES.grad else number.detach()


def as_scalar(number: Any) -> Node:
    """A hyper-parameter (a number, a run-time number, a tensor) as a 0-d float64 node; tensors keep their dtype."""
    if isinstance(number, Tensor):
        return read(_known(number))
    if isinstance(number, LiveNumber):
        return number.node(float64)  # type: ignore[no-any-return]
    return source.number(float(number), float64)
