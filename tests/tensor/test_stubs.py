"""The type stubs say what is there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_stubs_are_in_step() -> None:
    done = subprocess.run([sys.executable, "scripts/write_stubs.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
