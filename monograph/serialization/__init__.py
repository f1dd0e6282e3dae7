"""Saving and loading: `save` and `load` in torch's signatures, on files that hold data and never code. See README.md."""

from monograph.serialization.reading import load
from monograph.serialization.writing import save

__all__ = ["load", "save"]
