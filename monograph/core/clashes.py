"""Errors of shapes and dtypes that clash, for the ops and for the layers above that check before them: one wording for each."""

from __future__ import annotations

from typing import Any

from monograph.core.errors import DTypeError, ShapeError
from monograph.core.explain import Shape, broadcast_fix, explained, marked


def unequal_entries(first: Shape, other: Shape, k: int) -> ShapeError:
    """A stack of tensors of several shapes."""
    message = f"stack expects each tensor to be equal size, but got {list(first)} at entry 0 and {list(other)} at entry {k}"
    if len(first) != len(other):
        return ShapeError(explained(message, f"they have {len(first)} and {len(other)} dimensions: unsqueeze or flatten one"))
    differ = [d for d, (m, n) in enumerate(zip(first, other, strict=True)) if m != n]
    join = f"cat(tensors, dim={differ[0]}) joins them along the dimension that differs"
    return ShapeError(
        explained(
            message, join if len(differ) == 1 else "pad or crop them to one size, or cat flattened ones",
            entry_0=marked(first, *differ), **{f"entry_{k}": marked(other, *differ)},
        )
    )  # fmt: skip


def unequal_in_cat(first: Shape, other: Shape, dim: int, at: int, k: int) -> ShapeError:
    """Tensors that differ in dimension `at`, concatenated along `dim`."""
    differ = [d for d, (m, n) in enumerate(zip(first, other, strict=True)) if m != n]
    fix = f"cat(tensors, dim={at}) would join them" if len(differ) == 1 else broadcast_fix(first, other, ("tensor 0", f"tensor {k}"))
    return ShapeError(
        explained(
            f"Sizes of tensors must match except in dimension {dim}. Expected size {first[at]} but got size {other[at]} for tensor "
            f"number {k} in the list",
            "" if fix.startswith("sizes must") else fix, tensor_0=marked(first, at), **{f"tensor_{k}": marked(other, at)},
        )
    )  # fmt: skip


def not_expandable(have: Shape, want: Shape, at: int) -> ShapeError:
    """An `expand` of dimension `at` of `have`, which is not of size 1."""
    i = len(want) - len(have) + at
    fix = "only dimensions of size 1 expand"
    if have[at] == want[i - 1 if i else i] and i:
        fix += f"; did you mean x.unsqueeze({at + 1})?"
    else:
        fix += "; to repeat the elements use x.repeat(...)"
    return ShapeError(
        explained(
            f"The expanded size of the tensor ({want[i]}) must match the existing size ({have[at]}) at non-singleton dimension {i}.  "
            f"Target sizes: {list(want)}.  Tensor sizes: {list(have)}",
            fix, target=marked(want, i), tensor=marked(have, at),
        )
    )  # fmt: skip


def mixed_products(what: str, *xs: Any) -> DTypeError:
    """Operands of different dtypes: the input and the parameters of a layer, or the factors of a product."""
    first = xs[0].dtype.name
    if what != "linear":
        other = next(x.dtype.name for x in xs if x.dtype is not xs[0].dtype)
        message = f"expected m1 and m2 to have the same dtype, but got: {first} != {other}"
        return DTypeError(explained(message, f"convert one, e.g. b.to(a.dtype) ({what})"))
    names = {name: x.dtype.name for name, x in zip(("input", "weight", "bias"), xs, strict=False)}
    own = names["weight"]
    if own == first:
        message = f"mat1 and mat2 must have the same dtype, but got {first} and {names['bias']}"
        return DTypeError(explained(message, "give the bias the dtype of the others", **names))
    whole = ", or the model, model.to(input.dtype)" if xs[0].dtype.kind in "fc" else ""
    message = f"mat1 and mat2 must have the same dtype, but got {first} and {own}"
    return DTypeError(explained(message, f"convert the input, input.to(weight.dtype){whole}", **names))
