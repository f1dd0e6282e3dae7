"""What a workload is: cases, how each contender computes them, and the bars it is held to."""

from __future__ import annotations

import dataclasses
import math
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

# Contenders, in the order of the table. Ours come first; the rest are the peers among which the best is looked for.
COMPILED = "monograph, compiled"
UNCOMPILED = "monograph, uncompiled"
TORCH = "torch eager"
TORCH_COMPILE = "torch.compile"
TENSORFLOW = "tf.function"
JAX = "JAX jit"
ONNX_RUNTIME = "ONNX Runtime"
OPENVINO = "OpenVINO"
OURS = (COMPILED, UNCOMPILED)


@dataclasses.dataclass(frozen=True)
class Running:
    """A case that is set up: `step` computes it once and leaves no work pending, `numbers` turns what it returned into arrays."""

    step: Callable[[], Any]
    numbers: Callable[[Any], list[np.ndarray]]


@dataclasses.dataclass(frozen=True)
class Case:
    """One size of a workload. `flops` and `nbytes` are what any way of computing it needs: they give the share of the machine's limit."""

    name: str = ""
    flops: float = 0.0
    nbytes: float = 0.0
    payload: Any = None


Setup = Callable[[Case], Running]


@dataclasses.dataclass(frozen=True)
class Workload:
    """`setups` maps contenders to a function that sets up a case; it runs in the contender's process and imports the framework itself.

    `bars` holds ours to a multiple of the best peer, or of the peers named in `against`. With several cases the bar is on the geometric
    mean of the ratios, and `worst` on each of them; with `of_limit` it is this share of the machine's limit, in each case. `training` adds
    the line of peak memory. `checked_steps` results are compared before anything is timed, within `tolerance` of their largest value.
    `threads` are tried by each peer: heavy workloads leave out the single one, which costs minutes and cannot win.
    """

    title: str
    setups: dict[str, Setup]
    bars: dict[str, float]
    cases: tuple[Case, ...] = (Case(),)
    against: tuple[str, ...] = ()
    worst: float = 0.0
    of_limit: float = 0.0
    training: bool = False
    checked_steps: int = 1
    tolerance: float = 1e-4
    rounds: int = 7
    threads: tuple[int, ...] = (2, 1)
    first_call_is_the_figure: bool = False


def weight(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The same weights for every framework: pseudorandom by the name, scaled so that signals neither vanish nor explode."""
    numbers = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape, dtype=np.float32)
    kind = name.rsplit(".", 1)[-1]
    if kind == "running_mean":
        return np.zeros(shape, np.float32)
    if kind == "running_var":
        return np.ones(shape, np.float32)
    if len(shape) == 1:
        return np.float32(kind == "weight") + np.float32(0.1) * numbers
    return numbers / np.float32(math.sqrt(math.prod(shape[1:])))


def normal(name: str, *shape: int) -> np.ndarray:
    """Pseudorandom inputs, the same in every process."""
    return np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape, dtype=np.float32)


def integers(name: str, high: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(zlib.crc32(name.encode())).integers(0, high, shape, dtype=np.int64)
