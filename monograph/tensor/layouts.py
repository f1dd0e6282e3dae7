"""Layouts, memory formats and quantisation schemes: objects that torch's signatures name. Tensors here are strided."""

from __future__ import annotations

from monograph.core.naming import naming


class _Named:
    """A constant that prints as torch's."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"{naming.package}.{self.name}"

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (by_name, (self.name,))


class layout(_Named):  # noqa: N801 - torch's name
    """How a tensor's values are stored."""


class memory_format(_Named):  # noqa: N801 - torch's name
    """The order of a tensor's dimensions in memory."""


class qscheme(_Named):  # noqa: N801 - torch's name
    """How a quantised tensor maps integers to numbers."""


CONSTANTS: dict[str, _Named] = {
    name: layout(name) for name in ("strided", "sparse_coo", "sparse_csr", "sparse_csc", "sparse_bsr", "sparse_bsc", "jagged")
}
CONSTANTS |= {name: memory_format(name) for name in ("contiguous_format", "channels_last", "channels_last_3d", "preserve_format")}


def by_name(name: str) -> _Named:
    """The constant of that name."""
    return CONSTANTS[name]
