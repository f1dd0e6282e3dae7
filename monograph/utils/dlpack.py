"""torch.utils.dlpack: DLPack by function. `from_dlpack` is the top level's; objects that speak the protocol need no capsule.

>>> import monograph as mg
>>> from monograph.utils.dlpack import from_dlpack, to_dlpack
>>> from_dlpack(to_dlpack(mg.ones(2))).tolist()
[1.0, 1.0]
"""

from __future__ import annotations

from typing import Any

from monograph.tensor.core import Tensor
from monograph.tensor.dlpack import from_dlpack, to_capsule


def to_dlpack(tensor: Tensor) -> Any:
    """A capsule (of the protocol before version 1) that shares the tensor's memory; it can be consumed once."""
    return to_capsule(tensor)


__all__ = ["from_dlpack", "to_dlpack"]
