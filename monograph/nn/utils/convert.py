"""All parameters as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable

from monograph.tensor import Tensor, cat


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """The parameters, flattened and joined."""
    return cat([p.reshape(-1) for p in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Consecutive stretches of a vector become the parameters' data; graphs recorded before still hold the old values."""
    if not isinstance(vec, Tensor):
        raise TypeError(f"expected a Tensor, but got: {type(vec).__name__}")
    at = 0
    for p in parameters:
        n = p.numel()
        p.data = vec[at : at + n].reshape(tuple(p.shape)).detach()
        at += n
