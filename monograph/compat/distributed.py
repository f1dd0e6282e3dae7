"""torch.distributed for a world of one process: ranks and collectives that need no one else. Several processes are refused."""

from __future__ import annotations

import importlib
import os
from enum import Enum
from typing import Any

from monograph.core.trees import map_leaves
from monograph.tensor.core import Tensor

_NOT_INITIALIZED = "Default process group has not been initialized, please make sure to call init_process_group."
_group: list[str] = []  # the backend of the one process group


def __getattr__(name: str) -> Any:
    if name in ("device_mesh", "DeviceMesh", "init_device_mesh"):
        mesh = importlib.import_module("monograph.compat.device_mesh")
        return mesh if name == "device_mesh" else getattr(mesh, name)
    raise AttributeError(f"module 'torch.distributed' (monograph under that name) has no attribute {name!r}")


class _Operation(Enum):
    """How a collective combines the values of the processes; with one process all are the value itself."""

    SUM = 0
    AVG = 1
    PRODUCT = 2
    MIN = 3
    MAX = 4
    BAND = 5
    BOR = 6
    BXOR = 7


ReduceOp = reduce_op = _Operation


class ProcessGroup:
    """Only a name for annotations: there is one process."""


class Work:
    """What an asynchronous collective returns: it is done."""

    def wait(self, timeout: Any = None) -> bool:
        """True."""
        return True

    def is_completed(self) -> bool:
        """True."""
        return True


group = type("group", (), {"WORLD": None, "__doc__": "The group of all processes."})
GroupMember = group


def is_available() -> bool:
    """False: libraries then leave their parts for many processes alone. A world of one works all the same."""
    return False


def is_initialized() -> bool:
    """Whether init_process_group was called."""
    return bool(_group)


def is_nccl_available() -> bool:
    """False."""
    return False


is_mpi_available = is_ucc_available = is_xccl_available = is_gloo_available = is_nccl_available


def is_torchelastic_launched() -> bool:
    """Whether a launcher of torch's started this process."""
    return os.environ.get("TORCHELASTIC_RUN_ID") is not None


def init_process_group(
    backend: str | None = None, init_method: str | None = None, timeout: Any = None, world_size: int = -1, rank: int = -1,
    store: Any = None,
    group_name: str = "", pg_options: Any = None, device_id: Any = None,
) -> None:  # fmt: skip
    """Begins a world of one process. Raises RuntimeError if more are asked for, by argument or by $WORLD_SIZE."""
    if _group:
        raise ValueError("trying to initialize the default process group twice!")
    world = world_size if world_size > 0 else int(os.environ.get("WORLD_SIZE", "1"))
    if world != 1:
        raise RuntimeError(
            f"monograph computes in one process, {world} were asked for; start the script alone, without torchrun, or with "
            f"--nproc-per-node=1"
        )
    _group[:] = [backend or "gloo"]


def destroy_process_group(group: Any = None) -> None:
    """Ends the world."""
    _group.clear()


def _world(group: Any = None) -> None:
    if not _group:
        raise ValueError(_NOT_INITIALIZED)


def get_rank(group: Any = None) -> int:
    """0."""
    _world()
    return 0


def get_world_size(group: Any = None) -> int:
    """1."""
    _world()
    return 1


def get_backend(group: Any = None) -> str:
    """The backend given to init_process_group."""
    _world()
    return _group[0]


def get_default_backend_for_device(device: Any) -> str:
    """ "gloo", torch's for CPUs."""
    return "gloo"


def _done(async_op: bool) -> Work | None:
    return Work() if async_op else None


def barrier(group: Any = None, async_op: bool = False, device_ids: Any = None) -> Work | None:
    """Waits for nobody."""
    _world()
    return _done(async_op)


def all_reduce(tensor: Tensor, op: Any = ReduceOp.SUM, group: Any = None, async_op: bool = False) -> Work | None:
    """The tensor is combined with itself alone, and stays as it is."""
    _world()
    return _done(async_op)


def _from_zero(rank: Any) -> None:
    _world()
    if rank not in (0, None):
        raise ValueError(f"there is only rank 0, got {rank}")


def broadcast(
    tensor: Tensor, src: int | None = None, group: Any = None, async_op: bool = False, group_src: int | None = None
) -> Work | None:
    """The tensor of rank 0 is the tensor."""
    _from_zero(src)
    return _done(async_op)


def reduce(
    tensor: Tensor, dst: int | None = None, op: Any = ReduceOp.SUM, group: Any = None, async_op: bool = False, group_dst: int | None = None
) -> Work | None:
    """As `all_reduce`."""
    _from_zero(dst)
    return _done(async_op)


def all_gather(tensor_list: list[Tensor], tensor: Tensor, group: Any = None, async_op: bool = False) -> Work | None:
    """Copies the tensor into the list's one place."""
    _world()
    if len(tensor_list) != 1:
        raise ValueError(f"all_gather in a world of 1 takes a list of 1 tensor, got {len(tensor_list)}")
    tensor_list[0].copy_(tensor)  # type: ignore[attr-defined]
    return _done(async_op)


def all_gather_into_tensor(output_tensor: Tensor, input_tensor: Tensor, group: Any = None, async_op: bool = False) -> Work | None:
    """Copies the tensor."""
    _world()
    output_tensor.copy_(input_tensor.reshape(output_tensor.shape))  # type: ignore[attr-defined]
    return _done(async_op)


reduce_scatter_tensor = all_to_all_single = all_gather_into_tensor


def all_gather_object(object_list: list[Any], obj: Any, group: Any = None) -> None:
    """Puts the object into the list's one place."""
    _world()
    object_list[0] = map_leaves(lambda leaf: leaf, obj)


def gather_object(obj: Any, object_gather_list: list[Any] | None = None, dst: int | None = None, group: Any = None) -> None:
    """Puts the object into the list's one place."""
    _from_zero(dst)
    if object_gather_list is not None:
        object_gather_list[0] = obj


def broadcast_object_list(object_list: list[Any], src: int | None = None, group: Any = None, device: Any = None) -> None:
    """The objects of rank 0 are the objects."""
    _from_zero(src)


def new_group(ranks: Any = None, *args: Any, **kwargs: Any) -> None:
    """A group of rank 0 alone: the world."""
    _world()


def monitored_barrier(group: Any = None, timeout: Any = None, wait_all_ranks: bool = False) -> None:
    """Waits for nobody."""
    _world()
