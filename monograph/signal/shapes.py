"""The curves of windows, in float64: `points` values at steps of a curve that is `span` steps long."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

NUTTALL = (0.3635819, 0.4891775, 0.1365995, 0.0106411)
BLACKMAN = (0.42, 0.5, 0.08)


def span(points: int, symmetric: bool) -> int:
    """A symmetric window ends where it began, a periodic one would do so at the point after its last."""
    return points - 1 if symmetric else points


def cosines(points: int, symmetric: bool, weights: Sequence[float]) -> np.ndarray:
    """The sum of weights[k] (-1)^k cos(2 pi k i / span)."""
    if points == 1:
        return np.ones(1)
    at = 2 * math.pi * np.arange(points) / max(span(points, symmetric), 1)
    return np.sum([(-1) ** k * w * np.cos(k * at) for k, w in enumerate(weights)], axis=0) if points else np.zeros(0)


def bartlett(points: int, symmetric: bool) -> np.ndarray:
    """A triangle from 0 to 1 to 0."""
    return np.ones(1) if points == 1 else 1 - np.abs(2 * np.arange(points) / max(span(points, symmetric), 1) - 1)


def kaiser(points: int, symmetric: bool, beta: float) -> np.ndarray:
    """I0(beta sqrt(1 - t^2)) / I0(beta), t from -1 to 1."""
    if points <= 1:
        return np.ones(points)
    t = 2 * np.arange(points) / span(points, symmetric) - 1
    return np.i0(beta * np.sqrt(np.maximum(1 - t * t, 0))) / np.i0(beta)


def half_sine(points: int, symmetric: bool) -> np.ndarray:
    """One arch of a sine."""
    return np.sin(math.pi * (np.arange(points) + 0.5) / (points if symmetric or points <= 1 else points + 1))


def middle(points: int, symmetric: bool) -> float:
    """The centre of a window."""
    return (points if not symmetric and points > 1 else points - 1) / 2


def exponential(points: int, centre: float, tau: float) -> np.ndarray:
    """exp(-|i - centre| / tau)."""
    return np.exp(-np.abs(np.arange(points) - centre) / tau)


def gaussian(points: int, centre: float, std: float) -> np.ndarray:
    """exp(-(i - centre)^2 / (2 std^2))."""
    return np.exp(-(((np.arange(points) - centre) / std) ** 2) / 2)
