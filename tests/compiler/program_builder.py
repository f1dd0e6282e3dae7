"""Random programs as plain data: lines of ordinary Tensor code, with the values they leave and what is known of those.

A program is built line by line and recorded as it grows (so every shape and dtype is the real one), but computed only by whoever runs it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from math import prod
from typing import Any

import ml_dtypes
import numpy as np
from hypothesis import strategies as st

import monograph as mg
import monograph.nn.functional as F
from monograph.core import knobs
from tests.compiler.accuracy import FLOATS, INTEGER_BITS, Known, cast, join

SMALL = (1, 2, 3, 4, 5, 7, 8)
LARGE = (9, 16, 17, 31, 33, 40, 64, 70, 130)
MOST_ELEMENTS = 6000


def data(shape: tuple[int, ...], dtype: str, seed: int) -> Any:
    """An input in [-2, 2] (multiples of 1/8 if the seed is even), small whole numbers, or truth values; the same for the same arguments."""
    rng = np.random.default_rng(seed)
    if dtype == "bool":
        return mg.tensor(rng.integers(0, 2, shape).astype(bool))
    if dtype in INTEGER_BITS:
        return mg.tensor(rng.integers(0 if dtype == "uint8" else -9, 10, shape).astype(dtype))
    array = rng.uniform(-2, 2, shape) if seed % 2 else rng.integers(-16, 17, shape) / 8
    return mg.tensor(array.astype(ml_dtypes.bfloat16 if dtype == "bfloat16" else dtype))


@dataclass(frozen=True)
class Input:
    """One argument of a program."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    seed: int

    def make(self) -> Any:
        """A new tensor with the input's value."""
        return data(self.shape, self.dtype, self.seed)


@dataclass(frozen=True)
class Program:
    """Inputs, lines, and the names of the values it returns (with what is known of each)."""

    inputs: tuple[Input, ...]
    lines: tuple[str, ...]
    outputs: tuple[str, ...]
    known: tuple[Known, ...]

    def source(self) -> str:
        """The program as a Python function."""
        body = "".join(f"    {line}\n" for line in self.lines)
        return f"def program({', '.join(i.name for i in self.inputs)}):\n{body}    return {', '.join(self.outputs)},\n"

    def script(self) -> str:
        """The program as a script that can be run by hand."""
        made = "".join(f"{i.name} = data({i.shape}, {i.dtype!r}, {i.seed})\n" for i in self.inputs)
        head = "import monograph as mg\nimport monograph.nn.functional as F\nfrom tests.compiler.program_builder import data\n\n"
        call = f"for value in program({', '.join(i.name for i in self.inputs)}):\n    print(value)\n"
        return f"{head}{self.source()}\n{made}{call}"

    def function(self) -> Callable[..., tuple[Any, ...]]:
        """The program as a function of its inputs."""
        space: dict[str, Any] = {"mg": mg, "F": F}
        exec(compile(self.source(), "<random program>", "exec"), space)
        return space["program"]


@dataclass
class Value:
    """A variable of a program under construction. Views of one storage share `place`."""

    name: str
    tensor: Any
    place: int
    writable: bool = True  # an expanded view repeats elements: it cannot be written

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.tensor.shape)

    @property
    def ndim(self) -> int:
        return self.tensor.ndim

    @property
    def dtype(self) -> str:
        return self.tensor.dtype.name

    @property
    def floating(self) -> bool:
        return self.dtype in FLOATS

    @property
    def size(self) -> int:
        return prod(self.shape)


@dataclass
class Builder:
    """A program as it grows. `pick` draws from a strategy; `emit` and `run` add lines."""

    draw: Callable[[Any], Any]
    inputs: list[Input] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    values: list[Value] = field(default_factory=list)
    held: dict[int, Known] = field(default_factory=dict)  # what is known of each storage
    space: dict[str, Any] = field(default_factory=lambda: {"mg": mg, "F": F})
    used: set[str] = field(default_factory=set)
    count: int = 0

    # ---- choices ----
    def pick(self, options: Any) -> Any:
        """One of a sequence."""
        return options[self.draw(st.integers(0, len(options) - 1))]

    def between(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, high))

    def chance(self, one_in: int) -> bool:
        return self.draw(st.integers(0, one_in - 1)) == 0

    def value(self, accept: Callable[[Value], bool] = lambda v: True) -> Value | None:
        """A value so far, more often one that is new or not used yet; None if no value is accepted."""
        fit = [v for v in self.values if accept(v)]
        if not fit:
            return None
        idle = [v for v in fit if v.name not in self.used]
        return self.pick(idle if idle and self.chance(2) else fit[-3:] if self.chance(2) else fit)

    def known(self, v: Value) -> Known:
        return self.held[v.place]

    def exact(self, v: Value) -> bool:
        return self.known(v).exact

    # ---- lines ----
    def fresh(self) -> str:
        self.count += 1
        return f"v{self.count}"

    def input(self, shape: tuple[int, ...], dtype: str) -> Value:
        """One more argument."""
        made = Input(f"x{len(self.inputs)}", shape, dtype, self.between(0, 99))
        self.inputs.append(made)
        tensor = self.space[made.name] = made.make()
        fraction = None if made.seed % 2 else 3
        self.held[len(self.held)] = Known(2.0, 0.0, fraction) if dtype in FLOATS else Known(1.0 if dtype == "bool" else 9.0)
        v = Value(made.name, tensor, len(self.held) - 1)
        self.values.append(v)
        return v

    def emit(
        self, expression: str, known: Callable[[str], Known | None], view_of: Value | None = None, writable: bool = True
    ) -> Value | None:
        """`name = expression`, if what is known of its result (by its dtype's name) is enough; the new value."""
        tensor = eval(expression, self.space)
        fact = self.known(view_of) if view_of is not None else known(tensor.dtype.name)
        if fact is None or prod(tensor.shape) > MOST_ELEMENTS:
            return None
        name = self.fresh()
        self.space[name] = tensor
        self.write(f"{name} = {expression}")
        if view_of is None:
            self.held[len(self.held)] = fact
        place = len(self.held) - 1 if view_of is None else view_of.place
        v = Value(name, tensor, place, writable and (view_of is None or view_of.writable))
        self.values.append(v)
        return v

    def change(self, statement: str, target: Value, known: Known | None) -> bool:
        """A statement that writes into `target`; the storage then holds some of what it held and some of `known`."""
        if known is None:
            return False
        joined = join(self.known(target), known)
        exec(statement, self.space)
        self.write(statement)
        self.held[target.place] = joined
        return True

    def look(self, statement: str) -> None:
        """A statement that observes a value midway."""
        exec(statement, self.space)
        self.lines.append(statement)

    def write(self, line: str) -> None:
        """One more line; the values that it names are used."""
        self.lines.append(line)
        self.used.update(re.findall(r"\b[vx]\d+\b", line.split(" = ")[-1]))

    def as_dtype(self, v: Value, dtype: str) -> Known | None:
        """What is known of a value after a cast."""
        return cast(self.known(v), v.dtype, dtype)

    def finish(self) -> Program:
        """The program that returns the values that nothing else uses, and a few more (views of what was written, inputs)."""
        chosen = [v for v in self.values if v.name not in self.used or self.chance(8)] or self.values[-1:]
        return Program(tuple(self.inputs), tuple(self.lines), tuple(v.name for v in chosen), tuple(self.known(v) for v in chosen))


def recorded() -> Any:
    """The scope in which programs are built: what is observed midway is computed by the reference."""
    return knobs.target.scoped("reference")
