"""Writes the files of torch that tests/serialization/ reads. Run by hand with an environment that has torch:

python parity/write_torch_files.py tests/serialization/files
"""

from __future__ import annotations

import collections
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch

DTYPES = "float32 float64 float16 bfloat16 int8 int16 int32 int64 uint8 bool complex64 complex128".split()


def views() -> dict[str, Any]:
    """Tensors that share one storage in every layout."""
    base = torch.arange(24.0)
    grid = base.view(4, 6)
    return {
        "base": base, "transposed": grid.t(), "steps": grid[1:, 1::2], "expanded": base[:3].expand(2, 3), "scalar": base[5],
        "permuted": base.view(2, 3, 4).permute(2, 0, 1)[1:3], "windows": base.unfold(0, 4, 10), "empty": torch.zeros(0, 3),
    }  # fmt: skip


def kinds() -> dict[str, Any]:
    """One of everything that is data."""
    tagged = torch.ones(2)
    tagged.note = 3  # type: ignore[attr-defined]
    return {
        "parameter": torch.nn.Parameter(torch.ones(2)), "tagged": tagged, "list": [1, 2.5, "x", None, True, (1, (2, 3)), {1, 2}, b"by",
        1 + 2j, 10**30],
        "size": torch.Size([2, 3]), "dtype": torch.float16, "device": torch.device("cpu"), "counter": collections.Counter("abca"),
        "numpy scalar": np.float64(3.5), "numpy array": np.arange(6.0).reshape(2, 3), "leaf": torch.ones(2, requires_grad=True),
        "conjugated": torch.tensor([1 + 2j]).conj(), "meta": torch.zeros(2, device="meta"), "ordered": collections.OrderedDict(b=1, a=2),
    }  # fmt: skip


def main(folder: Path) -> None:
    """Writes all files."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))

    def save(name: str, obj: Any, legacy: bool = False) -> None:
        torch.save(obj, folder / name, _use_new_zipfile_serialization=not legacy)

    save("state.pt", model.state_dict())
    save("state_legacy.pth", model.state_dict(), legacy=True)
    save("views.pt", views())
    save("views_legacy.pth", {name: t for name, t in views().items() if name in ("base", "transposed", "steps")}, legacy=True)
    save("dtypes.pt", {name: torch.tensor([1, 0, 3]).to(getattr(torch, name)) for name in DTYPES})
    save("kinds.pt", kinds())
    save("module_legacy.pth", torch.nn.ReLU(), legacy=True)
    wide = [getattr(torch, name) for name in ("uint16", "uint32", "uint64")]
    save("unsigned.pt", {str(d)[6:]: torch.tensor([0, 1, torch.iinfo(d).max], dtype=d) for d in wide})
    eights = [getattr(torch, f"float8_{name}") for name in ("e4m3fn", "e5m2", "e4m3fnuz", "e5m2fnuz", "e8m0fnu")]
    save("float8.pt", {str(d)[6:]: torch.tensor([1.0, 0.25, 16.0]).to(d) for d in eights})
    save("complex32.pt", torch.zeros(1, dtype=torch.complex32))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
