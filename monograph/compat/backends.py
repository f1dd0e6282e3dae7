"""torch.backends: flags of libraries that monograph does not use. They can be read and assigned, and change nothing."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any


class Flags(ModuleType):
    """A module of flags and of functions that give fixed answers."""

    def __init__(self, name: str, doc: str, **content: Any) -> None:
        super().__init__(f"{__name__}.{name}", doc)
        vars(self).update(content)
        sys.modules[self.__name__] = self


class FlagSpace:
    """A group of flags inside a module, e.g. backends.cuda.matmul."""

    def __init__(self, **flags: Any) -> None:
        vars(self).update(flags)


def _answer(value: Any, name: str) -> Any:
    def function(*args: Any, **kwargs: Any) -> Any:
        return value

    function.__name__, function.__doc__ = name, f"{value!r}, always."
    return function


def _no() -> dict[str, Any]:
    return {"is_available": _answer(False, "is_available"), "is_built": _answer(False, "is_built")}


_CUDNN_FLAGS = {
    "enabled": True, "benchmark": False, "benchmark_limit": None, "deterministic": False, "allow_tf32": True, "fp32_precision": "none",
}  # fmt: skip


@contextmanager
def _cudnn_flags(**changes: Any) -> Iterator[None]:
    """Sets flags for a block, as torch.backends.cudnn.flags."""
    before = {name: getattr(cudnn, name) for name in changes}
    vars(cudnn).update(changes)
    try:
        yield
    finally:
        vars(cudnn).update(before)


def _set_cudnn_flags(**changes: Any) -> tuple[Any, ...]:
    before = tuple(getattr(cudnn, name) for name in changes)
    vars(cudnn).update({name: value for name, value in changes.items() if value is not None})
    return before


fp32_precision = "none"
cudnn = Flags(
    "cudnn", "torch.backends.cudnn.", **_no(), **_CUDNN_FLAGS, version=_answer(None, "version"), flags=_cudnn_flags,
    set_flags=_set_cudnn_flags,
    is_acceptable=_answer(False, "is_acceptable"), conv=FlagSpace(fp32_precision="none"), rnn=FlagSpace(fp32_precision="none"),
)  # fmt: skip

_SDP = {"flash": True, "mem_efficient": True, "math": True, "cudnn": True, "fp16_bf16_reduction_math": False}


def _sdp_functions() -> dict[str, Any]:
    """enable_*_sdp(flag) and *_sdp_enabled(): kept, without effect, since there is one kernel for attention."""
    made: dict[str, Any] = {}
    for kind in _SDP:

        def enable(enabled: bool, kind: str = kind) -> None:
            _SDP[kind] = bool(enabled)

        def enabled(kind: str = kind) -> bool:
            return _SDP[kind]

        enable.__doc__, enabled.__doc__ = "Sets a flag that changes nothing here.", "The flag as it was set."
        made[f"enable_{kind}_sdp"], made[f"{kind}_sdp_enabled"] = enable, enabled
    return made


@contextmanager
def _sdp_kernel(
    enable_flash: bool = True, enable_math: bool = True, enable_mem_efficient: bool = True, enable_cudnn: bool = True
) -> Iterator[None]:
    """Chooses torch's attention kernels for a block; there is one here."""
    before = dict(_SDP)
    _SDP.update(flash=enable_flash, math=enable_math, mem_efficient=enable_mem_efficient, cudnn=enable_cudnn)
    try:
        yield
    finally:
        _SDP.update(before)


cuda = Flags(
    "cuda", "torch.backends.cuda.", is_built=_answer(False, "is_built"), **_sdp_functions(), sdp_kernel=_sdp_kernel,
    matmul=FlagSpace(
        allow_tf32=False, allow_fp16_reduced_precision_reduction=True, allow_bf16_reduced_precision_reduction=True,
        allow_fp16_accumulation=False,
        fp32_precision="none",
    ),
    cufft_plan_cache=FlagSpace(size=0, max_size=0), preferred_linalg_library=_answer("default", "preferred_linalg_library"),
    preferred_blas_library=_answer("default", "preferred_blas_library"), fp32_precision="none",
)  # fmt: skip
mps = Flags("mps", "torch.backends.mps.", **_no(), is_macos_or_newer=_answer(False, "is_macos_or_newer"))
mkl = Flags("mkl", "torch.backends.mkl.", **_no())
mkldnn = Flags(
    "mkldnn", "torch.backends.mkldnn.", **_no(), enabled=True, deterministic=False, allow_tf32=False, fp32_precision="none",
    matmul=FlagSpace(fp32_precision="none"), conv=FlagSpace(fp32_precision="none"), rnn=FlagSpace(fp32_precision="none"),
)  # fmt: skip
openmp = Flags("openmp", "torch.backends.openmp.", is_available=_answer(False, "is_available"))
nnpack = Flags("nnpack", "torch.backends.nnpack.", is_available=_answer(False, "is_available"))
opt_einsum = Flags("opt_einsum", "torch.backends.opt_einsum.", is_available=_answer(False, "is_available"), enabled=False, strategy=None)
quantized = Flags("quantized", "torch.backends.quantized.", engine="none", supported_engines=["none"])
cpu = Flags(
    "cpu",
    "torch.backends.cpu.",
    get_cpu_capability=_answer("AVX2" if platform.machine() in ("x86_64", "AMD64") else "DEFAULT", "get_cpu_capability"),
)
