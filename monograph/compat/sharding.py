"""torch.distributed.tensor: how tensors would lie on several processes. There is one, so no tensor is a DTensor and none becomes one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from monograph.compat.modules import module

_ADVICE = "monograph computes in one process: a tensor is whole, and there is nothing to distribute"


class Placement:
    """How a tensor lies along one dimension of a mesh."""

    def is_shard(self, dim: int | None = None) -> bool:
        """Whether each process has a part (of dim `dim`)."""
        return isinstance(self, Shard) and dim in (None, self.dim)

    def is_replicate(self) -> bool:
        """Whether each process has the whole."""
        return isinstance(self, Replicate)

    def is_partial(self, reduce_op: str | None = None) -> bool:
        """Whether the processes' values have yet to be combined."""
        return isinstance(self, Partial) and reduce_op in (None, self.reduce_op)


@dataclass(frozen=True)
class Shard(Placement):
    """Each process has a part of dim `dim`."""

    dim: int


@dataclass(frozen=True)
class _StridedShard(Shard):
    """Each process has several parts of dim `dim`."""

    split_factor: int = 1


@dataclass(frozen=True)
class Replicate(Placement):
    """Each process has the whole."""


@dataclass(frozen=True)
class Partial(Placement):
    """The values of the processes have yet to be combined by `reduce_op`."""

    reduce_op: str = "sum"


class DTensor:
    """Only a name for isinstance(): no tensor is one."""

    @staticmethod
    def from_local(*args: Any, **kwargs: Any) -> Any:
        """Refused."""
        raise NotImplementedError(_ADVICE)


def _refuse(*args: Any, **kwargs: Any) -> Any:
    """Refused: there is one process."""
    raise NotImplementedError(_ADVICE)


distribute_tensor = distribute_module = _refuse
placement_types = module(
    f"{__name__}.placement_types", Placement=Placement, Shard=Shard, _StridedShard=_StridedShard, Replicate=Replicate, Partial=Partial
)
parallel = module(
    f"{__name__}.parallel", parallelize_module=_refuse,
    **{  # type: ignore[arg-type]
        name: type(name, (), {"__init__": _refuse, "__doc__": "A plan for several processes, of which there is one."})
        for name in ("ParallelStyle", "ColwiseParallel", "RowwiseParallel", "SequenceParallel", "PrepareModuleInput", "PrepareModuleOutput")
    },
)  # fmt: skip

__all__ = ["DTensor", "Partial", "Placement", "Replicate", "Shard", "distribute_module", "distribute_tensor"]
