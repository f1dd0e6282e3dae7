"""TensorFlow's GradientTape, on the same graph: it needs no tape of its own, only to know which tensors to differentiate by."""

from __future__ import annotations

import threading
from typing import Any

from monograph.core import trees
from monograph.core.errors import AutogradError
from monograph.core.modes import MODES
from monograph.tensor.autograd import grad
from monograph.tensor.core import Tensor
from monograph.tensor.pointwise import FUNCTIONS


class _Open(threading.local):
    """How many tapes this thread has open."""

    count = 0


_open = _Open()


class GradientTape:
    """Records what happens to watched tensors (and to all that require grad); `gradient` may then be asked.

    >>> import monograph as mg
    >>> x = mg.tensor(3.0)
    >>> with mg.GradientTape() as tape:
    ...     tape.watch(x)
    ...     y = x * x
    >>> tape.gradient(y, x).item()
    6.0
    """

    def __init__(self, persistent: bool = False, watch_accessed_variables: bool = True) -> None:
        self._persistent, self._used = persistent, False
        self._watched: list[Tensor] = []
        self._before: list[bool] = []

    def __enter__(self) -> GradientTape:
        self._before.append(MODES.grad)
        MODES.grad = True
        _open.count += 1
        return self

    def __exit__(self, *error: object) -> None:
        MODES.grad = self._before.pop()
        _open.count -= 1
        for t in self._watched:
            if t._leaf_flag:
                t._leaf_flag, t._simple = False, t._base is None and t._shared is None

    def watch(self, tensor: Any) -> None:
        """Makes tensors count as differentiable inputs from here to the end of the block."""
        for t in trees.flatten(tensor)[0]:
            if not isinstance(t, Tensor):
                raise TypeError(f"GradientTape.watch takes tensors, got {type(t).__name__}")
            if not t.requires_grad:
                t.requires_grad_()
                self._watched.append(t)

    def gradient(self, target: Any, sources: Any, output_gradients: Any = None, unconnected_gradients: str = "none") -> Any:
        """d target / d sources, in the structure of `sources`; None (or zeros) where there is no path. Once, unless persistent.

        Raises RuntimeError when asked a second time of a tape that is not persistent.
        """
        if self._used and not self._persistent:
            raise AutogradError(
                "A non-persistent GradientTape can only be used to compute one set of gradients; make it with persistent=True"
            )
        self._used = True
        targets = trees.flatten(target)[0]
        leaves, structure = trees.flatten(sources)
        off = [t for t in self._watched if not t._leaf_flag]
        for t in off:
            t._leaf_flag, t._simple = True, False
        try:
            seeds = None if output_gradients is None else trees.flatten(output_gradients)[0]
            if seeds is None:
                seeds = [FUNCTIONS["ones_like"](t) for t in targets]
            pairs = [(t, s) for t, s in zip(targets, seeds, strict=True) if t.requires_grad]
            found: tuple[Tensor | None, ...] = (None,) * len(leaves)
            if pairs:
                # While a tape is open, the gradient is an op like any other: an outer tape may differentiate it.
                outputs, given = zip(*pairs, strict=True)
                found = grad(list(outputs), leaves, list(given), retain_graph=True, create_graph=_open.count > 0, allow_unused=True)
        finally:
            for t in off:
                t._leaf_flag, t._simple = False, t._base is None and t._shared is None
        if unconnected_gradients == "zero":
            found = tuple(FUNCTIONS["zeros_like"](t) if g is None else g for t, g in zip(leaves, found, strict=True))
        return trees.unflatten(structure, list(found))

    def reset(self) -> None:
        """Forgets what was watched."""
        self._watched.clear()
        self._used = False

    def watched_variables(self) -> tuple[Tensor, ...]:
        """What `watch` was given."""
        return tuple(self._watched)
