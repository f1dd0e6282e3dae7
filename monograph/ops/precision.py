"""Half precision in many steps: composites and references compute float16 and bfloat16 in float32 and round once, at the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from monograph.core.dtype import bfloat16, float16, float32
from monograph.core.dtype import dtype as DType
from monograph.graph.node import Node
from monograph.ops.elementwise import cast


def widen(x: Node) -> Node:
    """x in the type that a chain of operations is computed in: float32 for half types, else x itself."""
    return cast(x, dtype=float32) if x.dtype is float16 or x.dtype is bfloat16 else x


def narrow(x: Node, dtype: DType) -> Node:
    """x rounded to `dtype` (x itself if it has it)."""
    return x if x.dtype is dtype else cast(x, dtype=dtype)


def is_half(array: np.ndarray) -> bool:
    """Whether a NumPy array holds float16 or bfloat16."""
    return array.dtype == float16.np or array.dtype == bfloat16.np


def half_in_single(reference: Callable[..., Any]) -> Callable[..., Any]:
    """A one-output reference that computes half-precision arguments in float32 and rounds the result to the first one's type."""

    def computed(a: Any, *xs: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            if not is_half(xs[0]):
                return np.asarray(reference(a, *xs))
            wide = [x.astype(np.float32) if is_half(x) else x for x in xs]
            return np.asarray(reference(a, *wide)).astype(xs[0].dtype)

    return computed
