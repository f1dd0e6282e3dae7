"""`info` and `knobs`: what is installed, what the machine has, what can be set."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import importlib.metadata
import importlib.util
import json
import os
import platform
from typing import Any

from monograph.cli.exits import OK, USAGE, CommandError
from monograph.cli.text import command, size, table
from monograph.compat.version import STANDS_FOR
from monograph.core.extras import EXTRAS
from monograph.core.knobs import KNOBS
from monograph.runtime.threads import available_cores, get_num_threads
from monograph.targets.cpu.cache import default_folder
from monograph.targets.cpu.features import cpu_features
from monograph.train.checkpoint import versions

DEPENDENCIES = ("numpy", "llvmlite", "ml_dtypes", "safetensors")
WITH_KNOBS = ("monograph.targets.cpu.cache", "monograph.targets.cpu.codegen")  # rooms that are loaded at the first compilation
FEATURES = ("avx2", "fma", "avx512f", "avx512bf16", "avx512vnni", "amx-bf16", "neon", "sve")


def add_commands(commands: Any) -> None:
    """Adds the two."""
    made = command(commands, "info", info, "versions, processor, features, caches: what a report of a problem needs", "", [
        "monograph info", "monograph info --json",
    ])  # fmt: skip
    made.add_argument("--json", action="store_true", help="print a JSON object")
    made = command(commands, "knobs", knobs, "settings with their meaning and value", """\
A knob is set by its environment variable.""", [
        "monograph knobs", "monograph knobs num_threads", "MONOGRAPH_DEBUG=3 monograph knobs debug --json",
    ])  # fmt: skip
    made.add_argument("name", nargs="?", help="only this one")
    made.add_argument("--json", action="store_true", help="print a JSON object")


def info(options: argparse.Namespace) -> int:
    """Prints what is installed and what the machine has."""
    cpu, folder = cpu_features(), default_folder()
    files, nbytes = counted(folder) if folder and os.path.isdir(folder) else (0, 0)
    found: dict[str, Any] = {
        "monograph": versions()["monograph"], "follows torch": STANDS_FOR, "python": platform.python_version(),
        "system": platform.platform(),
        "packages": {name: installed(name) for name in DEPENDENCIES},
        "optional packages": {name: installed({"PIL": "pillow"}.get(name, name)) for name in EXTRAS if importlib.util.find_spec(name)},
        "processor": cpu.name, "features": [f for f in FEATURES if cpu.has(f)], "vector bits": cpu.vector_bytes * 8,
        "caches": {"l1d": cpu.l1d, "l2": cpu.l2, "l3": cpu.l3},
        "threads": get_num_threads(), "usable cores": available_cores(), "processors": os.cpu_count(),
        "compiled objects": {"folder": folder or None, "files": files, "bytes": nbytes},
    }  # fmt: skip
    if options.json:
        print(json.dumps(found, indent=2))
        return OK
    found["caches"] = {k: size(v) for k, v in found["caches"].items()}
    found["compiled objects"]["bytes"] = size(found["compiled objects"]["bytes"])
    found["features"] = " ".join(found["features"])
    print(f"monograph {found.pop('monograph')} (follows torch {found.pop('follows torch')})")
    for name, value in found.items():
        print(f"{name}: {', '.join(f'{k} {v}' for k, v in value.items()) if isinstance(value, dict) else value}")
    return OK


def counted(folder: str) -> tuple[int, int]:
    """(files, bytes) in a folder and below. Caches have a hundred thousand files: pathlib would take seconds."""
    files = nbytes = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                below = counted(entry.path)
                files, nbytes = files + below[0], nbytes + below[1]
            else:
                with contextlib.suppress(OSError):  # another process may clear away what is old
                    files, nbytes = files + 1, nbytes + entry.stat(follow_symlinks=False).st_size
    return files, nbytes


def installed(package: str) -> str:
    """Its version."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "?"


def knobs(options: argparse.Namespace) -> int:
    """Prints the knobs."""
    for room in WITH_KNOBS:
        importlib.import_module(room)
    if options.name is not None and options.name not in KNOBS:
        raise CommandError(f"no knob is called {options.name!r}; there are {', '.join(sorted(KNOBS))}", USAGE)
    chosen = {name: knob for name, knob in sorted(KNOBS.items()) if options.name in (None, name)}
    if options.json:
        told = {n: {"value": k.get(), "default": k.default, "variable": variable(n), "doc": k.doc} for n, k in chosen.items()}
        print(json.dumps(told, indent=2))
        return OK
    rows = [[variable(n), repr(k.get()), repr(k.default), k.doc] for n, k in chosen.items()]
    print(table(rows, ["variable", "value", "default", "meaning"]))
    return OK


def variable(name: str) -> str:
    """The environment variable of a knob."""
    return "MONOGRAPH_" + name.upper()
