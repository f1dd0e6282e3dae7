"""torch.distributed.device_mesh: the grid of a world's devices, which here holds rank 0 alone, however many dimensions it is given."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from monograph.compat import distributed
from monograph.tensor import FUNCTIONS
from monograph.tensor.core import Tensor


class DeviceMesh:
    """Rank 0 in a grid of one place."""

    def __init__(self, device_type: str, mesh: Any, *, mesh_dim_names: Sequence[str] | None = None, **options: Any) -> None:
        ranks: Tensor = FUNCTIONS["as_tensor"](mesh, dtype=FUNCTIONS["int64"])
        if ranks.flatten().tolist() != [0]:  # type: ignore[attr-defined]
            raise RuntimeError(f"there is one process, of rank 0: a mesh has all sizes 1 and holds 0, got {ranks.tolist()}")
        if mesh_dim_names is not None and len(mesh_dim_names) != ranks.ndim:
            raise RuntimeError(f"mesh_dim_names {tuple(mesh_dim_names)} must name each of the {ranks.ndim} dimensions of the mesh")
        self.device_type = device_type
        self.mesh = ranks
        self.mesh_dim_names = None if mesh_dim_names is None else tuple(mesh_dim_names)

    @property
    def ndim(self) -> int:
        """The number of dimensions."""
        return self.mesh.ndim

    @property
    def shape(self) -> tuple[int, ...]:
        """A 1 for each dimension."""
        return tuple(self.mesh.shape)

    def size(self, mesh_dim: int | None = None) -> int:
        """1."""
        return prod(self.shape) if mesh_dim is None else self.shape[mesh_dim]

    def get_rank(self) -> int:
        """0."""
        return 0

    def get_local_rank(self, mesh_dim: int | str | None = None) -> int:
        """0."""
        return 0

    def get_coordinate(self) -> list[int]:
        """A 0 for each dimension."""
        return [0] * self.ndim

    def get_group(self, mesh_dim: int | str | None = None) -> None:
        """The group of all processes."""

    def get_all_groups(self) -> list[None]:
        """The group of each dimension."""
        return [None] * self.ndim

    def __getitem__(self, names: str | tuple[str, ...]) -> DeviceMesh:
        names = (names,) if isinstance(names, str) else names
        absent = [name for name in names if name not in (self.mesh_dim_names or ())]
        if absent:
            raise KeyError(f"this mesh has the dimensions {self.mesh_dim_names}, not {absent}")
        return DeviceMesh(self.device_type, self.mesh.reshape([1] * len(names)), mesh_dim_names=names)  # type: ignore[attr-defined]

    def __repr__(self) -> str:
        names = self.mesh_dim_names or range(self.ndim)
        return f"DeviceMesh(({', '.join(f'{name}=1' for name in names)}), device: {self.device_type!r})"

    def __eq__(self, other: object) -> bool:
        same = ("device_type", "shape", "mesh_dim_names")
        return isinstance(other, DeviceMesh) and all(getattr(self, name) == getattr(other, name) for name in same)

    def __hash__(self) -> int:
        return hash((self.device_type, self.shape, self.mesh_dim_names))


def init_device_mesh(
    device_type: str, mesh_shape: Sequence[int], *, mesh_dim_names: Sequence[str] | None = None, **options: Any
) -> DeviceMesh:  # fmt: skip
    """A mesh of that shape, whose sizes are all 1; begins the world if nobody has. Raises RuntimeError for another size."""
    if prod(mesh_shape) != 1:
        raise RuntimeError(f"there is one process, so that all sizes of a mesh are 1, got {tuple(mesh_shape)}")
    if not distributed.is_initialized():
        distributed.init_process_group(world_size=1, rank=0)
    return DeviceMesh(device_type, FUNCTIONS["zeros"](tuple(mesh_shape), dtype=FUNCTIONS["int64"]), mesh_dim_names=mesh_dim_names)


__all__ = ["DeviceMesh", "init_device_mesh"]
