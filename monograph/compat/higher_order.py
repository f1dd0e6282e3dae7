"""torch._higher_order_ops: functions of functions that libraries import by their private path."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from monograph.compat.modules import module
from monograph.compat.pytree import tree_flatten, tree_unflatten
from monograph.tensor import FUNCTIONS, Tensor


def associative_scan(
    combine_fn: Callable[[Any, Any], Any], xs: Any, dim: int, reverse: bool = False, combine_mode: str = "pointwise"
) -> Any:  # fmt: skip
    """All prefixes of `xs` (a tensor, or a tree of tensors of one shape) along `dim`, combined by an associative function: `combine_fn(x0,
    x1)`, `combine_fn(combine_fn(x0, x1), x2)` ... in a logarithm of as many steps. Gradients flow.

    >>> import monograph as mg
    >>> associative_scan(lambda a, b: a + b, mg.arange(4), 0).tolist()
    [0, 1, 3, 6]
    """
    if combine_mode not in ("pointwise", "generic"):
        raise ValueError(f"Combine_mode must either 'pointwise' or 'generic', but got {combine_mode}")
    leaves, spec = tree_flatten(xs)
    if not leaves:
        raise ValueError("Expected at least 1 xs leaf")
    if any(not isinstance(leaf, Tensor) for leaf in leaves):
        raise ValueError(f"xs leaves must be tensors, got {[type(leaf).__name__ for leaf in leaves]}")
    length = leaves[0].shape[dim]
    if any(leaf.shape[dim] != length for leaf in leaves):
        raise ValueError(f"All xs leaves must have the same size along dim {dim}, got {[leaf.shape[dim] for leaf in leaves]}")

    def combine(left: list[Any], right: list[Any]) -> list[Any]:
        return tree_flatten(combine_fn(tree_unflatten(left, spec), tree_unflatten(right, spec)))[0]

    found: list[Any] = [leaf.flip(dim) for leaf in leaves] if reverse else leaves
    step = 1
    while step < length:
        earlier, later = ([leaf.narrow(dim, at, length - step) for leaf in found] for at in (0, step))
        joined = combine(earlier, later)
        found = [FUNCTIONS["cat"]([leaf.narrow(dim, 0, step), more], dim) for leaf, more in zip(found, joined, strict=True)]
        step *= 2
    return tree_unflatten([leaf.flip(dim) for leaf in found] if reverse else found, spec)


scan_module = module(f"{__name__}.associative_scan", associative_scan=associative_scan)

__all__ = ["associative_scan"]
