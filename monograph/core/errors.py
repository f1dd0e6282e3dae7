"""Error classes, and the finding of the user's line.

Each class derives from the one that PyTorch raises in the same place, so `except RuntimeError` of a torch script still catches.
"""

from __future__ import annotations

import os
import sys

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


class MonographError(RuntimeError):
    """Anything that monograph itself refuses."""


class ShapeError(MonographError):
    """Shapes that do not fit."""


class DTypeError(MonographError):
    """Dtypes that do not fit."""


class DimensionError(IndexError, MonographError):
    """A dimension number or an index out of range. torch raises either class, depending on the op; this one is both."""


class ArgumentError(ValueError, MonographError):
    """A number or word that the op does not take. torch raises either class, depending on the op; this one is both."""


class DataError(TypeError, MonographError):
    """An object that no tensor can be made of."""


class DeviceError(MonographError):
    """A device that is not here, or tensors on different devices."""


class AutogradError(MonographError):
    """A gradient that cannot be had (freed graph, overwritten value, no grad_fn)."""


class AnomalyError(MonographError):
    """A NaN, found where it is born (anomaly mode)."""


class CannotLower(MonographError):  # noqa: N818 - reads as a sentence: the target cannot lower ...
    """A target lacks rules for some ops; raised before anything is compiled, naming all of them."""


class ArtifactError(MonographError):
    """A saved file that is truncated, foreign, corrupt or hostile."""


class CaptureError(MonographError):
    """A function that cannot be captured as one graph."""


def user_line(skip: int = 1) -> str:
    """`file:line in function` of the nearest frame outside the package ("" if there is none)."""
    frame = sys._getframe(skip)
    while frame is not None:
        name = frame.f_code.co_filename
        if not name.startswith(PACKAGE):
            return f"{name}:{frame.f_lineno} in {frame.f_code.co_name}"
        frame = frame.f_back  # type: ignore[assignment]
    return ""
