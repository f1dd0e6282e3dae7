"""Samples that need rejection: host ops on the counter of the generator (`monograph/ops/random_families.py`)."""

from __future__ import annotations

from typing import Any

from monograph.ops import random_families
from monograph.tensor.core import Tensor
from monograph.tensor.dispatch import emit, read
from monograph.tensor.random import take_key


def _draw(op: Any, generator: Any, *parameters: Tensor) -> Tensor:
    nodes = [read(p) for p in parameters]
    key, offset = take_key(nodes[0].numel, generator)
    return emit(op, *nodes, read(key), read(offset))


def standard_gamma(concentration: Tensor, generator: Any = None) -> Tensor:
    """Samples of the gamma distribution of rate 1 with a differentiable concentration.

    >>> import monograph as mg
    >>> from monograph.distributions.sampling import standard_gamma
    >>> bool((standard_gamma(mg.ones(3)) > 0).all())
    True
    """
    return _draw(random_families.random_gamma, generator, concentration)


def poisson(input: Tensor, generator: Any = None) -> Tensor:  # noqa: A002 - torch's name
    """Samples of Poisson distributions of the given rates.

    >>> import monograph as mg
    >>> mg.poisson(mg.zeros(2)).tolist()
    [0.0, 0.0]
    """
    return _draw(random_families.random_poisson, generator, input)


def binomial(count: Tensor, prob: Tensor, generator: Any = None) -> Tensor:
    """How many of `count` trials succeed, each with probability `prob`; of one shape."""
    return _draw(random_families.random_binomial, generator, count, prob)


def von_mises(concentration: Tensor, generator: Any = None) -> Tensor:
    """Angles around 0."""
    return _draw(random_families.random_von_mises, generator, concentration)
