"""Error classes, and the finding of the user's line.

Each class derives from the one that PyTorch raises in the same place, so `except RuntimeError` of a torch script still catches.
"""

from __future__ import annotations

import os
import sys

PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
STANDARD = os.path.dirname(os.path.abspath(os.__file__)) + os.sep
INSTALLED = os.path.join(STANDARD, "site-packages") + os.sep  # below STANDARD, but somebody's
NOT_THE_USERS = (PACKAGE, STANDARD, "<frozen ", "<monograph")


class MonographError(RuntimeError):
    """Anything that monograph itself refuses. Its text is the message, then the module whose forward it was, then the user's line."""

    where = ""  # the line outside of the package that led here
    module = ""  # the dotted path and the class of the module whose forward raised

    def __init__(self, *args: object) -> None:
        super().__init__(*args)
        self.where = user_line(2)

    @property
    def message(self) -> str:
        """The text without the places."""
        return super().__str__()

    def __str__(self) -> str:
        places = ((f"in module {self.module}" if self.module else ""), (f"at {self.where}" if self.where else ""))
        return "\n  ".join([self.message, *filter(None, places)])


class ShapeError(MonographError):
    """Shapes that do not fit."""


class DTypeError(MonographError):
    """Dtypes that do not fit."""


class DimensionError(MonographError, IndexError):
    """A dimension number or an index out of range. torch raises either class, depending on the op; this one is both."""


class ArgumentError(MonographError, ValueError):
    """A number or word that the op does not take. torch raises either class, depending on the op; this one is both."""


class DataError(MonographError, TypeError):
    """An object that no tensor can be made of."""


class DeviceError(MonographError):
    """A device that is not here, or tensors on different devices."""


class NoDataError(DeviceError, NotImplementedError):
    """The values of a tensor on device meta are wanted: it has none."""


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
    """`file:line in function` of the nearest frame outside the package and the standard library ("" if there is none)."""
    frame = sys._getframe(skip)
    while frame is not None:
        name = frame.f_code.co_filename
        if not name.startswith(NOT_THE_USERS) or (name.startswith(INSTALLED) and not name.startswith(PACKAGE)):
            return f"{name}:{frame.f_lineno} in {frame.f_code.co_name}"
        frame = frame.f_back  # type: ignore[assignment]
    return ""


def message_of(error: BaseException) -> str:
    """The text of an error that is raised again with more to say: of ours without the places, which the new one gets itself."""
    return error.message if isinstance(error, MonographError) else str(error)
