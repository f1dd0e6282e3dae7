"""`Metric`: a number over all batches, from a state that is updated, merged and computed."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from monograph.core.modes import no_grad
from monograph.nn.module import Module
from monograph.tensor import FUNCTIONS
from monograph.tensor.core import Tensor
from monograph.tensor.creation import tensor
from monograph.tensor.dispatch import assign

REDUCTIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "sum": lambda a, b: a + b, "max": lambda a, b: FUNCTIONS["maximum"](a, b), "min": lambda a, b: FUNCTIONS["minimum"](a, b),
}  # fmt: skip
Merging = Callable[[Tensor, Tensor], Tensor]
SelfMetric = TypeVar("SelfMetric", bound="Metric")


class Metric(Module):
    """Subclass it: `add_state` in __init__, `update(preds, target)`, `compute()`.

    A state with a tensor as its default has a fixed shape: `update` changes it in place (`self.total.add_(...)`), and then the update can
    be part of a compiled step. A state with [] as its default collects tensors of any length. `dist_reduce_fx` says how two states are
    merged: "sum", "max", "min", a function of two states that gives the state over both, or "cat" for lists.

    States keep their dtype when the module that holds the metric is converted, and what `compute` returns is float64 mostly: a count of
    an epoch has no exact float32. Metrics carry no gradients.

    >>> import monograph as mg
    >>> from monograph.metrics import MeanMetric
    >>> mean = MeanMetric()
    >>> mean.update(mg.tensor([1.0, 2.0])); mean.update(mg.tensor([6.0]))
    >>> mean.compute().item()
    3.0
    """

    higher_is_better: bool | None = None

    def __init__(self) -> None:
        super().__init__()
        self._defaults: dict[str, Tensor | None] = {}
        self._merging: dict[str, str | Merging] = {}

    def add_state(self, name: str, default: Any, dist_reduce_fx: str | Merging = "sum", persistent: bool = False) -> None:
        """Declares a state, which becomes an attribute. ValueError for a default that is neither a tensor (or number) nor an empty list."""
        if isinstance(default, list):
            if default:
                raise ValueError(f"the default of the list state {name!r} must be empty")
            self._defaults[name], self._merging[name] = None, "cat"
            setattr(self, name, [])
            return
        value = default if isinstance(default, Tensor) else tensor(default)
        if not callable(dist_reduce_fx) and dist_reduce_fx not in REDUCTIONS:
            raise ValueError(f"the state {name!r} is merged by 'sum', 'max', 'min' or a function of two states, got {dist_reduce_fx!r}")
        self._defaults[name], self._merging[name] = value.detach().clone(), dist_reduce_fx
        self.register_buffer(name, value.detach().clone(), persistent=persistent)

    # ---- to be written ----
    def update(self, *args: Any, **kwargs: Any) -> None:
        """Takes in a batch."""
        raise NotImplementedError(f"{type(self).__name__} has no update()")

    def compute(self) -> Any:
        """The number over everything since `reset`."""
        raise NotImplementedError(f"{type(self).__name__} has no compute()")

    # ---- given ----
    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Takes in a batch and returns the number of this batch alone."""
        before = self.state()
        with no_grad():
            self.reset()
            self.update(*args, **kwargs)
            value = self.compute()
            batch = self.state()
            self.reset()
            self.merge([before, batch])
        return value

    def reset(self) -> None:
        """Forgets everything."""
        with no_grad():
            for name, default in self._defaults.items():
                if default is None:
                    setattr(self, name, [])
                else:
                    assign(getattr(self, name), default)

    def state(self) -> dict[str, Any]:
        """The states as plain data: tensors, and lists of them. `merge` takes it, in this process or another."""
        return {
            name: [t.detach().clone() for t in getattr(self, name)] if default is None else getattr(self, name).detach().clone()
            for name, default in self._defaults.items()
        }

    def merge(self, states: Iterable[dict[str, Any] | Metric]) -> None:
        """Adds the states of other metrics of this kind: the result is as if this one had seen their batches too (after its own)."""
        with no_grad():
            for other in states:
                given = other.state() if isinstance(other, Metric) else other
                if set(given) != set(self._defaults):
                    raise ValueError(f"merge: these states are {sorted(given)}, {type(self).__name__} has {sorted(self._defaults)}")
                for name, default in self._defaults.items():
                    if default is None:
                        setattr(self, name, [*getattr(self, name), *given[name]])
                    else:
                        own = getattr(self, name)
                        if own.shape != given[name].shape:
                            raise ValueError(f"merge: the state {name!r} is {list(given[name].shape)} there and {list(own.shape)} here")
                        how = self._merging[name]
                        assign(own, (how if callable(how) else REDUCTIONS[how])(own, given[name].to(own.dtype)))

    def merge_state(self, incoming: Any) -> None:
        """`merge` of one."""
        self.merge([incoming])

    def clone(self: SelfMetric) -> SelfMetric:
        """A metric of its own with the same settings and a copy of the states."""
        return copy.deepcopy(self)

    def _apply(self: SelfMetric, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> SelfMetric:
        """As nn.Module's, but the states keep their dtype: model.half() is not to make counts inexact."""
        super()._apply(fn, recurse)
        for name, default in self._defaults.items():
            if default is not None:
                setattr(self, name, getattr(self, name).to(default.dtype))
        return self

    @property
    def collects(self) -> bool:
        """Whether a state grows with the data: such a metric is updated outside of compiled steps."""
        return any(default is None for default in self._defaults.values())

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"
