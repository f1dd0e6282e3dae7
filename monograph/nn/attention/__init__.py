"""torch.nn.attention: which kernels `scaled_dot_product_attention` may use. There is one here; the choice is checked and kept."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from enum import IntEnum
from typing import Any

from monograph.nn.attention import bias


class SDPBackend(IntEnum):
    """torch's implementations of attention."""

    ERROR = -1
    MATH = 0
    FLASH_ATTENTION = 1
    EFFICIENT_ATTENTION = 2
    CUDNN_ATTENTION = 3
    OVERRIDEABLE = 4


_allowed: list[list[SDPBackend]] = [[b for b in SDPBackend if b is not SDPBackend.ERROR]]


def _cur_sdpa_kernel_backends(with_priority: bool = False) -> list[SDPBackend]:
    return list(_allowed[-1])


@contextlib.contextmanager
def sdpa_kernel(backends: SDPBackend | Iterable[SDPBackend], set_priority: bool = False) -> Iterator[dict[Any, Any]]:
    """Within the block attention may use these backends only. All of them compute the same here, so results do not change.

    Raises TypeError for anything but members of SDPBackend.

    >>> from monograph.nn.attention import SDPBackend, sdpa_kernel
    >>> with sdpa_kernel([SDPBackend.MATH, SDPBackend.FLASH_ATTENTION]):
    ...     pass
    """
    if not isinstance(backends, SDPBackend | list | tuple | set):
        raise AssertionError("Backend must be an instance of SDPBackend or a list of SDPBackend instances")
    wanted = [backends] if isinstance(backends, SDPBackend) else list(dict.fromkeys(backends))
    for b in wanted:
        if not isinstance(b, SDPBackend):
            raise TypeError(f"sdpa_kernel takes members of SDPBackend, got {b!r}")
    _allowed.append(wanted)
    try:
        yield {}
    finally:
        _allowed.pop()


def can_use_flash_attention(params: Any, debug: bool = False) -> bool:
    """False: that kernel is for GPUs."""
    return False


can_use_efficient_attention = can_use_flash_attention
WARN_FOR_UNFUSED_KERNELS = False

__all__ = ["WARN_FOR_UNFUSED_KERNELS", "SDPBackend", "bias", "can_use_efficient_attention", "can_use_flash_attention", "sdpa_kernel"]
