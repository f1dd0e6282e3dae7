"""The functions of tensors under their public names: `mt.where`, `mt.zeros` ... (In the package `monograph.tensor` is a function.)"""

from __future__ import annotations

from types import SimpleNamespace

from monograph.tensor import FUNCTIONS

mt = SimpleNamespace(**FUNCTIONS)
