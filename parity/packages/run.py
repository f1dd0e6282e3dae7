"""Runs scripts that use PyPI's packages under PyTorch and under monograph's alias, and compares their numbers.

    python parity/packages/run.py --torch .venv-torch/bin/python --alias .venv-packages/bin/python [-v] [SCRIPT[:WORD] ...]

Without scripts, all of this folder. A word chooses the cases whose names contain it: `timm_models:convnext`.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parent
ROOT = FOLDER.parent.parent
NOT_SCRIPTS = {"frame.py", "run.py", "torch_side.py"}
LOSSES, OTHERS = 1e-3, 1e-4


@dataclass
class Side:
    """What one process wrote."""

    cases: dict[str, dict[str, Any]] = field(default_factory=dict)
    known: dict[str, str] = field(default_factory=dict)
    tracebacks: dict[str, str] = field(default_factory=dict)
    numbers: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)  # by case, then by name


def run_side(command: list[str], script: Path, words: list[str], out: Path) -> Side:
    """The results of one process; SystemExit with its output if it did not come to an end."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    ended = subprocess.run(
        [*command, str(script), str(out), *words], env=environment, cwd=FOLDER, capture_output=True, text=True, check=False
    )
    if ended.returncode != 0 or not out.exists():
        raise SystemExit(f"{' '.join(command)} {script.name} ended with {ended.returncode}:\n{ended.stdout}{ended.stderr}")
    with np.load(out) as file:
        report = json.loads(str(file["report"]))
        numbers: dict[str, dict[str, np.ndarray]] = {name: {} for name in report["cases"]}
        for key in file.files:
            if key != "report":
                case, _, name = key.rpartition("/")
                numbers[case][name] = file[key]
    return Side(report["cases"], report["known"], report.get("tracebacks", {}), numbers)


def difference(name: str, theirs: np.ndarray, ours: np.ndarray) -> tuple[float, str]:
    """The largest difference relative to the largest magnitude, and what is wrong with it ("" if nothing)."""
    if theirs.shape != ours.shape:
        return np.inf, f"{name}: shape {ours.shape} instead of {theirs.shape}"
    if theirs.dtype.kind != ours.dtype.kind:
        return np.inf, f"{name}: {ours.dtype} instead of {theirs.dtype}"
    if theirs.dtype.kind not in "fc":
        return (0.0, "") if np.array_equal(theirs, ours) else (np.inf, f"{name}: {_short(ours)} instead of {_short(theirs)}")
    if theirs.size == 0:
        return 0.0, ""
    finite = np.isfinite(theirs)
    if not np.array_equal(finite, np.isfinite(ours)) or not np.array_equal(theirs[~finite], ours[~finite], equal_nan=True):
        return np.inf, f"{name}: not finite in other places: {_short(ours)} instead of {_short(theirs)}"
    if not finite.any():
        return 0.0, ""
    a, b = theirs[finite].astype(np.complex128), ours[finite].astype(np.complex128)
    scale = float(np.abs(a).max())
    relative = float(np.abs(a - b).max()) / scale if scale > 1e-6 else float(np.abs(a - b).max())
    bound = LOSSES if name.startswith("loss") else OTHERS
    return (
        relative,
        "" if relative <= bound else f"{name}: differs by {relative:.1e} of {scale:.3g}: {_short(ours)} instead of {_short(theirs)}",
    )


def _short(value: np.ndarray) -> str:
    return np.array2string(value.ravel()[:6], precision=5, separator=" ")


def compare(case: str, theirs: Side, ours: Side) -> tuple[str, float, list[str]]:
    """A verdict ("equal", "differs", "fails", "no torch"), the largest relative difference, and what was wrong."""
    if theirs.cases[case]["error"]:
        return "no torch", np.inf, [f"torch: {theirs.cases[case]['error']}"]
    if ours.cases[case]["error"]:
        return "fails", np.inf, [ours.cases[case]["error"]]
    left, right = theirs.numbers[case], ours.numbers[case]
    if list(left) != list(right):
        return "differs", np.inf, [f"results {sorted(right)} instead of {sorted(left)}"]
    found = [difference(name, left[name], right[name]) for name in left]
    wrong = [text for _, text in found if text]
    return "differs" if wrong else "equal", max((size for size, _ in found), default=0.0), wrong


def main() -> int:
    """Prints a line per case; returns 0 if all are as they should be."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--torch", default=sys.executable, help="a Python with PyTorch and the packages")
    parser.add_argument("--alias", default=sys.executable, help="a Python with monograph and the packages, without PyTorch")
    parser.add_argument("-v", "--verbose", action="store_true", help="tracebacks of what fails")
    parser.add_argument("scripts", nargs="*", metavar="SCRIPT[:WORD]")
    options = parser.parse_args()
    options.torch, options.alias = (os.path.abspath(path) for path in (options.torch, options.alias))  # the scripts run in another folder
    chosen = options.scripts or sorted(path.stem for path in FOLDER.glob("*.py") if path.name not in NOT_SCRIPTS)
    bad = total = 0
    with tempfile.TemporaryDirectory() as folder:
        for choice in chosen:
            stem, *words = choice.split(":")
            script = FOLDER / f"{stem}.py"
            theirs = run_side([options.torch, str(FOLDER / "torch_side.py")], script, words, Path(folder) / f"{stem}.torch.npz")
            ours = run_side([options.alias, "-m", "monograph", "run", "--as", "torch"], script, words, Path(folder) / f"{stem}.alias.npz")
            seconds = [sum(case["seconds"] for case in side.cases.values()) for side in (theirs, ours)]
            print(f"{stem}: {len(theirs.cases)} cases, torch {seconds[0]:.1f} s, monograph {seconds[1]:.1f} s")
            for case in theirs.cases:
                verdict, size, wrong = compare(case, theirs, ours)
                known = theirs.known.get(case, "")
                as_it_should = (verdict == "equal") != bool(known)
                total, bad = total + 1, bad + (not as_it_should)
                how_close = f", to {size:.1e}" if np.isfinite(size) else ""
                print(f"  {'' if as_it_should else '! '}{case}: {verdict}{how_close}{known and f' ({known})'}")
                for line in wrong if not as_it_should or options.verbose else []:
                    print(f"      {line}")
                if options.verbose and (ours.tracebacks.get(case) or theirs.tracebacks.get(case)):
                    print(ours.tracebacks.get(case) or theirs.tracebacks[case])
            sys.stdout.flush()
    print(f"{total - bad} of {total} cases as they should be")
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
