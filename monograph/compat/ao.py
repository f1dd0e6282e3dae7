"""torch.ao: quantisation by torch's observers and integer kernels, of which only what models name when they are built is here."""

from __future__ import annotations

from typing import Any

from monograph.compat.modules import module
from monograph.nn.module import Module


class QuantStub(Module):
    """Marks where a model to be quantised takes floating numbers; passes them on."""

    def __init__(self, qconfig: Any = None) -> None:
        super().__init__()

    def forward(self, x: Any) -> Any:
        """x."""
        return x


class DeQuantStub(QuantStub):
    """Marks where a model to be quantised gives floating numbers; passes them on."""


def _refuse(*args: Any, **kwargs: Any) -> Any:
    """Refused: there are no integer kernels behind it."""
    raise NotImplementedError("monograph has no torch.ao.quantization: the model runs in floating point, in bfloat16 under autocast")


_refused: dict[str, Any] = dict.fromkeys(
    "prepare prepare_qat convert quantize quantize_dynamic fuse_modules fuse_modules_qat get_default_qconfig get_default_qat_qconfig "
    "QConfig default_observer default_weight_observer default_per_channel_weight_observer".split(),
    _refuse,
)
quantization = module(f"{__name__}.quantization", QuantStub=QuantStub, DeQuantStub=DeQuantStub, **_refused)
