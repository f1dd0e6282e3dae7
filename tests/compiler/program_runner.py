"""Random programs drawn, run in several ways, and compared."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from hypothesis import strategies as st

import monograph as mg
from monograph.core import knobs
from monograph.engine import evaluator
from monograph.graph.node import Node, topological
from monograph.runtime import buffers
from monograph.runtime.threads import setting
from monograph.targets.cpu import loop_lowering, plan
from tests.compiler.pieces_computing import (
    COMPUTING,
    binary,
    exact_unary,
    new_input,
    normalisation,
    product,
    reduction,
    smooth,
    where,
    window,
    with_number,
)
from tests.compiler.pieces_moving import MOVING, moved, picked, view, written
from tests.compiler.program_builder import Builder, Program, recorded

PIECES = [piece for piece, weight in COMPUTING + MOVING for _ in range(weight)]
FUSIBLE = [
    *(smooth, smooth, exact_unary, binary, binary, binary, with_number, where, reduction, reduction, normalisation, product, window),
    *(view, moved, picked, written),
]


@st.composite
def programs(draw: Any, longest: int, pieces: Sequence[Callable[[Builder], object]] = PIECES) -> Program:
    """Programs of up to so many pieces."""
    with recorded():
        mg.manual_seed(0)
        b = Builder(draw)
        if pieces is PIECES:
            new_input(b)
        else:
            shape = tuple(b.pick((2, 3, 5, 8, 9, 17, 40)) for _ in range(b.between(1, 3)))
            b.input(shape, b.pick(("float32", "float32", "float64", "bfloat16")))
        for _ in range(draw(st.integers(min(4, longest), longest))):
            b.pick(pieces)(b)
        return b.finish()


@contextmanager
def threads(count: int) -> Iterator[None]:
    """So many threads inside."""
    before = setting.count
    setting.count = count
    try:
        yield
    finally:
        setting.count = before


@contextmanager
def one_by_one() -> Iterator[None]:
    """Every node of a graph is a program of its own: nothing is fused, every intermediate lies in memory."""
    whole = evaluator.run

    def singly(order: list[Node], outputs: list[Node]) -> None:
        for node in order:
            if node.value is None and node.dtype is not None and (node.inputs or node in outputs):
                whole(topological([node], stop=lambda n: n.value is not None), [node])

    sweep = evaluator._sweep
    evaluator.run = singly
    evaluator._sweep = lambda wanted: evaluator._compute([*wanted, *evaluator._pending_roots()])  # not as the last time, in one program
    try:
        yield
    finally:
        evaluator.run, evaluator._sweep = whole, sweep


@contextmanager
def poisoned(byte: int) -> Iterator[None]:
    """Fresh memory of programs (temporaries and results) is full of this byte: what is read before it is written shows."""
    take, buffer = buffers.Arenas.take, plan.Buffer

    def filled(made: buffers.Buffer) -> buffers.Buffer:
        ctypes.memset(made.ptr, byte, made.nbytes)
        return made

    buffers.Arenas.take = lambda self, nbytes: filled(take(self, nbytes))  # type: ignore[method-assign]
    plan.Buffer = lambda nbytes: filled(buffer(nbytes))  # type: ignore[misc, assignment]
    try:
        yield
    finally:
        buffers.Arenas.take = take  # type: ignore[method-assign]
        plan.Buffer = buffer  # type: ignore[misc]


@contextmanager
def small_grains() -> Iterator[None]:
    """Even small steps are shared out among the threads (for plans made inside)."""
    before = loop_lowering.GRAIN_CYCLES
    loop_lowering.GRAIN_CYCLES = 200
    evaluator._plans.clear()
    try:
        yield
    finally:
        loop_lowering.GRAIN_CYCLES = before
        evaluator._plans.clear()


def results(program: Program, function: Callable[..., tuple[Any, ...]] | None = None) -> list[np.ndarray]:
    """What the program (or `function` in its place) returns; everything it no longer holds is free to be fused away."""
    function = function or program.function()
    mg.manual_seed(0)
    values = function(*[i.make() for i in program.inputs])
    mg.eval(*values)
    return [np.asarray(v.detach().numpy()) for v in values]


def compiled_results(program: Program, calls: int = 2) -> list[list[np.ndarray]]:
    """What calls of the compiled program return: the first records it, the others replay."""
    function = mg.compile(program.function())
    return [results(program, function) for _ in range(calls)]


def reference_results(program: Program) -> list[np.ndarray]:
    """What NumPy says, op by op."""
    with knobs.target.scoped("reference"):
        return results(program)


def assert_close(program: Program, got: Sequence[np.ndarray], want: Sequence[np.ndarray]) -> None:
    """Equal where the values are exact, else as near as what is known of them says."""
    for name, known, a, b in zip(program.outputs, program.known, got, want, strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype, f"{name}: {a.dtype}{a.shape}, the reference has {b.dtype}{b.shape}"
        x, y = (v.astype(np.float64) if v.dtype.kind not in "biu" else v for v in (a, b))
        if known.exact:
            bad = ~((x == y) | ((x != x) & (y != y)))
        else:
            with np.errstate(invalid="ignore"):
                bad = ~((np.abs(x - y) <= 4 * known.error + 1e-30) | (x == y) | ((x != x) & (y != y)))
        if bad.any():
            at = tuple(map(int, np.argwhere(bad)[0]))
            what = f"{name}{list(at)} is {x[at]}, the reference says {y[at]} ({known}; {bad.sum()} of {bad.size} differ)"
            raise AssertionError(f"{what}\n\n{program.script()}")


def assert_same_bits(program: Program, got: Sequence[np.ndarray], want: Sequence[np.ndarray], what: str) -> None:
    """Equal bit for bit."""
    for name, a, b in zip(program.outputs, got, want, strict=True):
        assert a.shape == b.shape and a.dtype == b.dtype, f"{name}: {a.dtype}{a.shape} and {b.dtype}{b.shape}, {what}\n\n{program.script()}"
        bad = np.ascontiguousarray(a).view(np.uint8).ravel() != np.ascontiguousarray(b).view(np.uint8).ravel()
        if bad.any():
            at = np.flatnonzero(bad)[0] // a.itemsize
            raise AssertionError(f"{name}.flat[{at}] is {a.flat[at]!r} or {b.flat[at]!r}, {what}\n\n{program.script()}")
