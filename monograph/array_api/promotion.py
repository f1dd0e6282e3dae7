"""The standard's type promotion: arrays count alike whatever their rank, a Python number takes the dtype of the array beside it."""

from __future__ import annotations

from typing import Any

from monograph.core import dtype as dtypes
from monograph.core.dtype import dtype as DType
from monograph.tensor.core import Tensor
from monograph.tensor.pointwise import FUNCTIONS, to_dtype

Number = bool | int | float | complex


def common(*operands: Any) -> list[Any]:
    """Arrays cast to their common dtype; Python numbers become 0-d tensors of it.

    Raises TypeError if none is an array, or for anything that is neither.

    >>> import monograph as mg
    >>> [t.dtype for t in common(mg.tensor(1, dtype=mg.int64), mg.ones(2, dtype=mg.int8))]
    [monograph.int64, monograph.int64]
    """
    to = result_dtype(*operands)
    return [to_dtype(x, to) if isinstance(x, Tensor) else FUNCTIONS["full"]((), _fitting(x, to), dtype=to) for x in operands]


def _fitting(x: Number, to: DType) -> Number:
    if to.kind in "iu" and isinstance(x, int):
        limits = dtypes.iinfo(to)
        if not limits.min <= x <= limits.max:
            raise OverflowError(f"the Python integer {x} is out of bounds for {to}")
    return x


def result_dtype(*operands: Any) -> DType:
    """The dtype that an op on arrays, dtypes and Python numbers has; at least one must be an array or a dtype."""
    found: DType | None = None
    for x in operands:
        if isinstance(x, Tensor | DType):
            d = x.dtype if isinstance(x, Tensor) else x
            found = d if found is None or found is d else dtypes.promote(found, d)
    if found is None:
        raise TypeError(f"expected at least one array or dtype, got {', '.join(type(x).__name__ for x in operands) or 'nothing'}")
    for x in operands:
        if not isinstance(x, Tensor | DType):
            if not isinstance(x, bool | int | float | complex):
                raise TypeError(f"expected arrays, dtypes and Python numbers, got {type(x).__name__}")
            own = dtypes.of_scalar(x)
            if dtypes.category(own) > dtypes.category(found):
                found = found.to_complex() if own.kind == "c" and found.kind == "f" else own
    return found
