"""All parameters as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable

from monograph.core.modes import no_grad
from monograph.tensor import Tensor, cat


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """The parameters, flattened and joined."""
    return cat([p.reshape(-1) for p in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Copies consecutive stretches of a vector into the parameters."""
    if not isinstance(vec, Tensor):
        raise TypeError(f"expected a Tensor, but got: {type(vec).__name__}")
    at = 0
    for p in parameters:
        n = p.numel()
        with no_grad():
            p.copy_(vec[at : at + n].reshape(tuple(p.shape)))
        at += n
