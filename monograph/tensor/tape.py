"""TensorFlow's GradientTape, on the same graph: it needs no tape of its own, only to know which tensors to differentiate by."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from monograph.autodiff.batching import Batch
from monograph.autodiff.batching_rules import every_example
from monograph.core import trees
from monograph.core.errors import AutogradError
from monograph.core.modes import MODES
from monograph.core.shape import numel
from monograph.ops import source
from monograph.tensor.autograd import grad
from monograph.tensor.core import Tensor, wrap
from monograph.tensor.dispatch import finish, read
from monograph.tensor.pointwise import FUNCTIONS

UNCONNECTED = ("none", "zero")


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
        self._persistent, self._used, self._recording = persistent, False, False
        self._watched: list[Tensor] = []
        self._before: list[bool] = []

    def __enter__(self) -> GradientTape:
        if self._recording:
            raise ValueError("Tape is still recording, This can happen if you try to re-enter an already-active tape.")
        self._before.append(MODES.grad)
        MODES.grad = self._recording = True
        _open.count += 1
        return self

    def __exit__(self, *error: object) -> None:
        MODES.grad = self._before.pop()
        self._recording = False
        _open.count -= 1
        _unmark(self._watched)

    def watch(self, tensor: Any) -> None:
        """Makes tensors count as differentiable inputs from here to the end of the block."""
        for t in trees.flatten(tensor)[0]:
            if not isinstance(t, Tensor):
                raise TypeError(f"GradientTape.watch takes tensors, got {type(t).__name__}")
            if not t.requires_grad:
                t.requires_grad_()
                self._watched.append(t)

    @contextlib.contextmanager
    def stop_recording(self) -> Iterator[None]:
        """A block whose results are constants for the tape. Raises RuntimeError where another tape is open, which would go on recording."""
        if not self._recording:
            raise ValueError("Tape is not active: stop_recording belongs inside its block")
        if _open.count > 1:
            raise RuntimeError("stop_recording inside another open tape would stop both; use detach() on what this tape is not to see")
        MODES.grad = False
        try:
            yield
        finally:
            MODES.grad = True

    def reset(self) -> None:
        """Forgets what was watched and what was recorded of it; `watch` again what is to count from here."""
        _unmark(self._watched)
        for t in self._watched:
            t._leaf = None  # what was recorded hangs on the old one
        self._watched.clear()
        self._used = False

    def watched_variables(self) -> tuple[Tensor, ...]:
        """What `watch` was given."""
        return tuple(self._watched)

    # ---- derivatives ----
    def gradient(self, target: Any, sources: Any, output_gradients: Any = None, unconnected_gradients: str = "none") -> Any:
        """d target / d sources, in the structure of `sources`; None (or zeros) where there is no path. Once, unless persistent.

        Raises RuntimeError when asked a second time of a tape that is not persistent.
        """
        self._use(unconnected_gradients)
        targets = trees.flatten(target)[0]
        leaves, structure = trees.flatten(sources)
        seeds = None if output_gradients is None else trees.flatten(output_gradients)[0]
        if seeds is None:
            seeds = [FUNCTIONS["ones_like"](t) for t in targets]
        elif len(seeds) != len(targets):
            raise ValueError(f"output_gradients must have one tensor for each target: {len(targets)}, got {len(seeds)}")
        pairs = [(t, s) for t, s in zip(targets, seeds, strict=True) if t.requires_grad]
        found: Sequence[Tensor | None] = (None,) * len(leaves)
        if pairs:
            outputs, given = zip(*pairs, strict=True)
            found = self._gradients(list(outputs), leaves, list(given))
        shapes = [tuple(t.shape) for t in leaves]
        return trees.unflatten(structure, _filled(leaves, found, shapes, unconnected_gradients))

    def jacobian(
        self, target: Tensor, sources: Any, unconnected_gradients: str = "none", parallel_iterations: int | None = None,
        experimental_use_pfor: bool = True,
    ) -> Any:  # fmt: skip
        """Every element of `target` differentiated: of shape target.shape + source.shape, in the structure of `sources`. All rows at once.

        >>> import monograph as mg
        >>> x = mg.tensor([1.0, 2.0])
        >>> with mg.GradientTape() as tape:
        ...     tape.watch(x)
        ...     y = x * x
        >>> tape.jacobian(y, x).tolist()
        [[2.0, 0.0], [0.0, 4.0]]
        """
        self._use(unconnected_gradients)
        _one_target(target)
        leaves, structure = trees.flatten(sources)
        n = numel(target.shape)
        basis = FUNCTIONS["eye"](n, dtype=target.dtype).reshape(n, *target.shape)
        found = self._rows(target, leaves, basis)
        shapes = [(*target.shape, *s.shape) for s in leaves]
        made = [None if g is None else g.reshape(shape) for g, shape in zip(found, shapes, strict=True)]  # type: ignore[attr-defined]
        missing = [tuple(s.shape) for s in leaves]  # tf's zeros have the shape of the source alone
        return trees.unflatten(structure, _filled(leaves, made, missing, unconnected_gradients))

    def batch_jacobian(
        self, target: Tensor, source: Tensor, unconnected_gradients: str = "none", parallel_iterations: int | None = None,
        experimental_use_pfor: bool = True,
    ) -> Any:  # fmt: skip
        """The Jacobian of each row of `target` by the same row of `source`: [b, *target.shape[1:], *source.shape[1:]].

        Rows must not depend on other rows of the source. Raises ValueError for other numbers of rows.
        """
        self._use(unconnected_gradients)
        _one_target(target)
        for t in (target, source):
            if t.ndim < 2:
                raise ValueError(f"Shape {tuple(t.shape)} must have rank at least 2")
        b = target.shape[0]
        if b != source.shape[0]:
            raise ValueError(
                f"Need first dimension of target shape ({tuple(target.shape)}) and source shape ({tuple(source.shape)}) to match."
            )
        inner, size = tuple(target.shape[1:]), numel(target.shape[1:])
        basis = FUNCTIONS["eye"](size, dtype=target.dtype).reshape(size, 1, *inner).expand(size, b, *inner)
        (found,) = self._rows(target, [source], basis)
        shape = (b, *inner, *source.shape[1:])
        if found is None:
            return FUNCTIONS["zeros"](*shape, dtype=target.dtype)  # as tf has it, whatever is said of unconnected ones
        return found.transpose(0, 1).reshape(shape)  # type: ignore[attr-defined]

    def _use(self, unconnected_gradients: Any) -> None:
        word = getattr(unconnected_gradients, "value", unconnected_gradients)
        if word not in UNCONNECTED:
            raise ValueError(f"Unknown value for unconnected_gradients: {unconnected_gradients!r}; it is one of {UNCONNECTED}")
        if self._used and not self._persistent:
            raise AutogradError(
                "A non-persistent GradientTape can only be used to compute one set of gradients; make it with persistent=True"
            )
        self._used = True

    def _gradients(self, outputs: list[Tensor], leaves: list[Any], seeds: list[Any]) -> Sequence[Tensor | None]:
        off = [t for t in self._watched if not t._leaf_flag]
        for t in off:
            t._leaf_flag, t._simple = True, False
        taped = [t for t in leaves if t.requires_grad]
        try:
            # While a tape is open, the gradient is an op like any other: an outer tape may differentiate it.
            found = grad(outputs, taped, seeds, retain_graph=True, create_graph=_open.count > 0, allow_unused=True) if taped else ()
        finally:
            _unmark(off)
        given = iter(found)
        return [next(given) if any(t is x for x in taped) else None for t in leaves]

    def _rows(self, target: Tensor, leaves: list[Any], basis: Any) -> list[Tensor | None]:
        """The gradients for every seed of `basis`, whose first dimension counts them: one backward pass, recorded for all at once."""
        if not target.requires_grad:
            return [None] * len(leaves)
        seed = source.placeholder(tuple(target.shape), target.dtype)
        pending = MODES.pending
        MODES.pending = []  # nodes for one seed are never computed
        try:
            found = self._gradients([target], leaves, [wrap(seed)])
            nodes = [None if g is None else read(g) for g in found]
        finally:
            MODES.pending = pending
        before, MODES.grad = MODES.grad, _open.count > 0
        try:
            batch = Batch(basis.shape[0])
            batch.place(seed, read(basis))
            batch.run([n for n in nodes if n is not None])
            return [None if n is None else finish(every_example(batch, *batch.value(n))) for n in nodes]
        finally:
            MODES.grad = before


def _unmark(tensors: list[Tensor]) -> None:
    """Tensors no longer count as leaves."""
    for t in tensors:
        if t._leaf_flag:
            t._leaf_flag, t._simple = False, t._base is None and t._shared is None


def _one_target(target: Any) -> None:
    if not isinstance(target, Tensor):
        raise TypeError(f"a Jacobian is that of one tensor, got a {type(target).__name__}")


def _filled(leaves: list[Any], found: Sequence[Any], shapes: list[Any], unconnected: Any) -> list[Any]:
    if getattr(unconnected, "value", unconnected) == "none":
        return list(found)
    zeros = FUNCTIONS["zeros"]
    return [zeros(*shape, dtype=t.dtype) if g is None else g for t, g, shape in zip(leaves, found, shapes, strict=True)]
