"""Writes the snapshot of kernel structure that the tests compare with: `tests/structure/snapshot.txt`.

python scripts/write_structure.py            # all models
python scripts/write_structure.py MLP LSTM   # those whose names begin so; the others stay as they are
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
os.environ.setdefault("MONOGRAPH_VERIFY", "1")

from tests.structure import noting
from tests.structure.models import MODELS


def main(names: list[str]) -> None:
    found = noting.written() if noting.SNAPSHOT.exists() else {}
    for name, make in MODELS.items():
        if not names or name.startswith(tuple(names)) or name not in found:
            found[name] = noting.structure(make)
            print(f"{name}\n{found[name]}")
    noting.SNAPSHOT.write_text(noting.text({name: found[name] for name in MODELS}), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
