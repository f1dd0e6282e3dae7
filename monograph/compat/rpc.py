"""torch.distributed.rpc: calls of functions on other machines. There is none; libraries ask whether there is."""

from __future__ import annotations

from typing import Any


def is_available() -> bool:
    """False."""
    return False


def init_rpc(*args: Any, **kwargs: Any) -> None:
    """Refused: there are no workers to reach."""
    raise RuntimeError("monograph has no torch.distributed.rpc: a program is one process")


rpc_sync = rpc_async = remote = shutdown = init_rpc
