"""`TensorSpec`: what is known of a tensor before there is one. For signatures of functions and elements of datasets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from monograph.core import dtype as dtypes
from monograph.tensor.core import Tensor


class TensorSpec:
    """A shape, in which None stands for any size (or for any shape at all), a dtype and a name.

    `dtype` may also be `str`: text, which no tensor holds.

    >>> import monograph as mg
    >>> spec = mg.TensorSpec((None, 3), mg.float32, name="x")
    >>> spec
    TensorSpec(shape=(None, 3), dtype=monograph.float32, name='x')
    >>> spec.is_compatible_with(mg.zeros(7, 3)), spec.is_compatible_with(mg.zeros(7, 4))
    (True, False)
    """

    __slots__ = ("dtype", "name", "shape")

    def __init__(self, shape: Sequence[int | None] | int | None, dtype: Any = dtypes.float32, name: str | None = None) -> None:
        sizes = (shape,) if isinstance(shape, int) else None if shape is None else tuple(shape)
        for n in sizes or ():
            if n is not None and (isinstance(n, bool) or not hasattr(n, "__index__") or n.__index__() < 0):
                raise ValueError(f"TensorSpec: a size is a number from 0 on, or None for any; got {n!r} in {tuple(sizes or ())}")
        self.shape: tuple[int | None, ...] | None = sizes
        self.dtype = dtype if dtype in (str, bytes) else dtypes.given(dtype, dtypes.float32)
        self.name = name

    @classmethod
    def from_tensor(cls, tensor: Tensor, name: str | None = None) -> TensorSpec:
        """The spec of one tensor."""
        return cls(tuple(tensor.shape), tensor.dtype, name)

    def is_compatible_with(self, other: Any) -> bool:
        """Whether a tensor (or what another spec describes) fits this one."""
        shape, dtype = getattr(other, "shape", None), getattr(other, "dtype", None)
        if dtype is not self.dtype:
            return False
        if self.shape is None or shape is None:
            return True
        return len(shape) == len(self.shape) and all(m is None or n is None or n == m for n, m in zip(shape, self.shape, strict=True))

    def most_general(self, other: TensorSpec) -> TensorSpec:
        """The narrowest spec that covers both; raises TypeError where the dtypes differ."""
        if self.dtype is not other.dtype:
            raise TypeError(f"{self} and {other} have no common spec: their dtypes differ")
        if self.shape is None or other.shape is None or len(self.shape) != len(other.shape):
            return TensorSpec(None, self.dtype, self.name)
        return TensorSpec([n if n == m else None for n, m in zip(self.shape, other.shape, strict=True)], self.dtype, self.name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TensorSpec) and (self.shape, self.dtype, self.name) == (other.shape, other.dtype, other.name)

    def __hash__(self) -> int:
        return hash((self.shape, self.dtype, self.name))

    def __repr__(self) -> str:
        kind = self.dtype.__name__ if isinstance(self.dtype, type) else self.dtype
        return f"TensorSpec(shape={self.shape}, dtype={kind}, name={self.name!r})"


__all__ = ["TensorSpec"]
