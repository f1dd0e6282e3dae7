"""torch.distributed.fsdp for a world of one process: every shard is the whole, so modules and parameters stay as they are."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any

from monograph.compat.distributed import _world
from monograph.nn.module import Module
from monograph.nn.utils.clip_grad import clip_grad_norm_


@dataclass(frozen=True)
class MixedPrecisionPolicy:
    """Dtypes for `fully_shard`: parameters in computation, gradients in reduction, outputs."""

    param_dtype: Any = None
    reduce_dtype: Any = None
    output_dtype: Any = None
    cast_forward_inputs: bool = True


@dataclass
class MixedPrecision:
    """Dtypes for `FullyShardedDataParallel`."""

    param_dtype: Any = None
    reduce_dtype: Any = None
    buffer_dtype: Any = None
    keep_low_precision_grads: bool = False
    cast_forward_inputs: bool = False
    cast_root_forward_inputs: bool = True
    _module_classes_to_ignore: Any = ()


@dataclass(frozen=True)
class OffloadPolicy:
    """Where shards are kept: here, where everything is."""


@dataclass(frozen=True)
class CPUOffloadPolicy(OffloadPolicy):
    """Shards on the CPU, where they are."""

    pin_memory: bool = True


@dataclass
class CPUOffload:
    """Parameters on the CPU, where they are."""

    offload_params: bool = False


class ShardingStrategy(Enum):
    """How parameters are divided among processes; with one process each is whole."""

    FULL_SHARD = auto()
    SHARD_GRAD_OP = auto()
    NO_SHARD = auto()
    HYBRID_SHARD = auto()
    _HYBRID_SHARD_ZERO2 = auto()


class BackwardPrefetch(Enum):
    """When shards of the next layer are fetched; there is nobody to fetch from."""

    BACKWARD_PRE = auto()
    BACKWARD_POST = auto()


class StateDictType(Enum):
    """The forms of a sharded state; with one process all are the full one."""

    FULL_STATE_DICT = auto()
    LOCAL_STATE_DICT = auto()
    SHARDED_STATE_DICT = auto()


class FSDPModule:
    """What `fully_shard` adds to a module: switches for communication that does not happen."""

    def reshard(self) -> None:
        """Nothing to give back."""

    def unshard(self, async_op: bool = False) -> None:
        """Nothing to fetch."""

    def set_requires_gradient_sync(self, requires_gradient_sync: bool, *, recurse: bool = True) -> None:
        """Gradients have nobody to be reduced with."""

    def set_reshard_after_forward(self, reshard_after_forward: bool, recurse: bool = True) -> None:
        """Nothing is given back."""

    def set_is_last_backward(self, is_last_backward: bool) -> None:
        """Every backward is complete."""

    set_modules_to_forward_prefetch = set_modules_to_backward_prefetch = set_requires_all_reduce = set_is_last_backward


def fully_shard(
    module: Any, *, mesh: Any = None, reshard_after_forward: Any = None, shard_placement_fn: Any = None, mp_policy: Any = None,
    offload_policy: Any = None, ignored_params: Any = None,
) -> Any:  # fmt: skip
    """The module itself, as an FSDPModule: the one process holds every shard.

    A policy that computes in another dtype is refused: `module.to(dtype)` or `autocast` does that. Raises ValueError
    without a process group.
    """
    _world()
    policy = mp_policy or MixedPrecisionPolicy()
    for part in module if isinstance(module, list | tuple) else [module]:
        _same_dtype(part, policy.param_dtype)
        kind = type(part)
        if not issubclass(kind, FSDPModule):
            part.__class__ = type(f"FSDP{kind.__name__}", (FSDPModule, kind), {"__doc__": kind.__doc__})
    return module


def _same_dtype(module: Any, wanted: Any) -> None:
    if wanted is not None and any(p.dtype is not wanted and p.dtype.kind == "f" for p in module.parameters()):
        raise NotImplementedError(
            f"mixed precision with param_dtype={wanted} is not done by the sharding here: use monograph.autocast('cpu', dtype={wanted}) "
            "around the forward pass, or module.to(dtype)"
        )


class FullyShardedDataParallel(Module):
    """A module wrapped as for many processes: it calls what it wraps."""

    def __init__(
        self, module: Any, process_group: Any = None, sharding_strategy: Any = None, cpu_offload: Any = None, auto_wrap_policy: Any = None,
        backward_prefetch: Any = None, mixed_precision: Any = None, ignored_modules: Any = None, param_init_fn: Any = None,
        device_id: Any = None, sync_module_states: bool = False, forward_prefetch: bool = False, limit_all_gathers: bool = True,
        use_orig_params: bool = False, ignored_states: Any = None, device_mesh: Any = None,
    ) -> None:  # fmt: skip
        super().__init__()
        _world()
        _same_dtype(module, getattr(mixed_precision, "param_dtype", None))
        self._fsdp_wrapped_module = module

    @property
    def module(self) -> Any:
        """What is wrapped."""
        return self._fsdp_wrapped_module

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The wrapped module's."""
        return self._fsdp_wrapped_module(*args, **kwargs)

    def clip_grad_norm_(self, max_norm: float, norm_type: float = 2.0) -> Any:
        """Limits the norm of all gradients."""
        return clip_grad_norm_(self.parameters(), max_norm, norm_type)

    @contextlib.contextmanager
    def no_sync(self) -> Iterator[None]:
        """Gradients are not reduced within the block, and not outside of it either."""
        yield

    @staticmethod
    @contextlib.contextmanager
    def summon_full_params(module: Any, *args: Any, **kwargs: Any) -> Iterator[None]:
        """Parameters are whole within the block, as always."""
        yield

    @staticmethod
    @contextlib.contextmanager
    def state_dict_type(module: Any, state_dict_type: Any, *args: Any, **kwargs: Any) -> Iterator[None]:
        """States are full within the block, as always."""
        yield

    @staticmethod
    def set_state_dict_type(module: Any, state_dict_type: Any, *args: Any, **kwargs: Any) -> None:
        """States are always full."""


__all__ = [
    "BackwardPrefetch", "CPUOffload", "CPUOffloadPolicy", "FSDPModule", "FullyShardedDataParallel", "MixedPrecision",
    "MixedPrecisionPolicy", "OffloadPolicy", "ShardingStrategy", "StateDictType", "fully_shard",
]  # fmt: skip
