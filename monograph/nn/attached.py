"""What rooms above hang on a module (its trainer, its compiled steps): it lives as long as the module, and is no part of its state."""

from __future__ import annotations

from typing import Any


class Attached(dict[str, Any]):
    """Things by name. Modules keep it out of copies, files and guards."""

    def __watched__(self) -> tuple[Any, ...]:
        """Nothing of it is read by the code of a step."""
        return ()


def attached(module: Any) -> Attached:
    """What hangs on the module. Where it is kept in the module itself, both go together: a table beside it would keep both alive."""
    found = module.__dict__.get("_attached")
    if found is None:
        found = module.__dict__["_attached"] = Attached()
    return found  # type: ignore[no-any-return]
