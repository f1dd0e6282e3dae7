"""torch.onnx: reserved for the exporter; what libraries ask at run time is answered."""

from __future__ import annotations

import enum
from typing import Any

from monograph.compat.modules import module


def is_in_onnx_export() -> bool:
    """False: no export to ONNX is running."""
    return False


def export(*args: Any, **kwargs: Any) -> None:
    """Refused until the exporter exists."""
    raise NotImplementedError("monograph does not write ONNX yet; monograph.export saves a model with its computation")


def register_custom_op_symbolic(symbolic_name: str, symbolic_fn: Any, opset_version: int) -> None:
    """Accepted and not used: nothing is exported."""


def parse_args(*arg_descriptors: str) -> Any:
    """Decorator of a function that would write an operator to ONNX: the function as it is."""
    return lambda function: function


TensorProtoDataType = enum.IntEnum(
    "TensorProtoDataType",
    "UNDEFINED FLOAT UINT8 INT8 UINT16 INT16 INT32 INT64 STRING BOOL FLOAT16 DOUBLE UINT32 UINT64 COMPLEX64 COMPLEX128 BFLOAT16",
    start=0,
)
class TrainingMode(enum.Enum):
    """In which mode a model is exported."""

    EVAL = 0
    PRESERVE = 1
    TRAINING = 2


class OperatorExportTypes(enum.Enum):
    """What becomes of operators that the format lacks."""

    ONNX = 0
    ONNX_ATEN = 1
    ONNX_ATEN_FALLBACK = 2
    ONNX_FALLTHROUGH = 3


symbolic_helper = module(f"{__name__}.symbolic_helper", parse_args=parse_args)
operators = module(f"{__name__}.operators")
symbolic_opset9, symbolic_opset11 = (module(f"{__name__}.symbolic_opset{version}") for version in (9, 11))
