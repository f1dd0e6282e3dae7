"""The name under which dtypes, sizes and layouts show themselves: "torch" while its import is aliased, or scripts that print them, take
their text apart (`str(dtype).split(".")`) or compare it would see what they do not know."""

from __future__ import annotations

OURS = "monograph"


class Naming:
    """`naming.package` stands before the dot in `monograph.float32`."""

    package = OURS


naming = Naming()
