"""Where a tensor lives."""

from __future__ import annotations

from typing import Any


class Device:
    """Where a tensor lives. This build computes on "cpu"; "meta" tensors have a shape and a dtype and are never evaluated."""

    __slots__ = ("index", "type")

    type: str
    index: int | None

    def __init__(self, type: Any = "cpu", index: int | None = None) -> None:  # noqa: A002 - torch's name
        if isinstance(type, Device):
            self.type, self.index = type.type, type.index
            return
        name, _, number = str(type).partition(":")
        known = ("cpu", "cuda", "meta", "mps", "xla", "xpu")
        if name not in known:
            raise RuntimeError(f"Expected one of {', '.join(known)} device type at start of device string: {name}")
        self.type = name
        self.index = int(number) if number else index

    def __repr__(self) -> str:
        return f"device(type='{self.type}'" + (f", index={self.index})" if self.index is not None else ")")

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device) and (self.type, self.index) == (other.type, other.index)

    def __hash__(self) -> int:
        return hash((self.type, self.index))


    def __enter__(self) -> Device:
        """Until the end of the `with`, tensors are made on this device where no other is named."""
        _before.append(DEFAULT[0])
        DEFAULT[0] = self
        return self

    def __exit__(self, *error: object) -> None:
        """Tensors are made where they were made before."""
        DEFAULT[0] = _before.pop()


CPU, META = Device("cpu"), Device("meta")
DEFAULT: list[Device] = [CPU]  # where tensors are made, and what `with` put aside
_before: list[Device] = []
