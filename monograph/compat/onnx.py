"""torch.onnx: reserved for the exporter; what libraries ask at run time is answered."""

from __future__ import annotations

from typing import Any


def is_in_onnx_export() -> bool:
    """False: no export to ONNX is running."""
    return False


def export(*args: Any, **kwargs: Any) -> None:
    """Refused until the exporter exists."""
    raise NotImplementedError("monograph does not write ONNX yet; monograph.export saves a model with its computation")


def register_custom_op_symbolic(symbolic_name: str, symbolic_fn: Any, opset_version: int) -> None:
    """Accepted and not used: nothing is exported."""
