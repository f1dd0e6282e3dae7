"""Saving and loading: `save` and `load` in torch's signatures, on files that hold data and never code. See README.md."""

from monograph.serialization.modules import add_safe_globals, clear_safe_globals, get_safe_globals, safe_globals
from monograph.serialization.reading import load
from monograph.serialization.writing import save

__all__ = ["add_safe_globals", "clear_safe_globals", "get_safe_globals", "load", "safe_globals", "save"]
