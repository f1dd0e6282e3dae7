"""The habits of the house that a machine can watch: size of files, room pages, names, words that mean "unfinished"."""

from __future__ import annotations

import ast
import re

import pytest

from tests.house.source_tree import PACKAGE, ROOT, name_of, parsed, python_files, rooms

LONGEST_FILE = 600
LONG_FILE = 400
LONGEST_ROOM_PAGE = 30
VAGUE_NAMES = {"utils.py", "util.py", "common.py", "helpers.py", "misc.py"}
OURS = ("monograph", "tests", "benchmarks", "parity", "examples", "docs")


def test_no_file_is_a_god_file() -> None:
    lengths = {name_of(path): len(path.read_text(encoding="utf-8").splitlines()) for path in python_files(*OURS)}
    print("files above", LONG_FILE, "lines, each a candidate for a split:")
    for name, length in sorted(lengths.items(), key=lambda item: -item[1]):
        if length > LONG_FILE:
            print(f"  {length:4d}  {name}")
    too_long = {name: length for name, length in lengths.items() if length > LONGEST_FILE}
    assert not too_long, f"split by theme: {too_long}"


@pytest.mark.parametrize("room", rooms(), ids=name_of)
def test_every_room_has_a_page(room) -> None:
    page = room / "README.md"
    assert page.is_file(), f"{name_of(room)} lacks README.md: what is here, what it may import, which files to read first"
    lines = page.read_text(encoding="utf-8").splitlines()
    assert len(lines) <= LONGEST_ROOM_PAGE, f"{name_of(page)} has {len(lines)} lines"
    missing = [name for name in re.findall(r"`([a-z_0-9]+\.py)`", "\n".join(lines)) if not list(room.rglob(name))]
    assert not missing, f"{name_of(page)} speaks of files that do not exist: {missing}"


def test_no_vague_file_names() -> None:
    assert not [name_of(path) for path in python_files("monograph") if path.name in VAGUE_NAMES]


def test_every_module_says_what_it_is() -> None:
    silent = [name_of(path) for path in python_files(*OURS) if path.stat().st_size and not ast.get_docstring(parsed(path))]
    assert not silent, f"no module docstring: {silent}"


def test_nothing_is_left_undone() -> None:
    words = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")
    found = [
        f"{name_of(path)}:{number}: {line.strip()}"
        for path in [*python_files(*OURS), *ROOT.glob("*.md")]
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if words.search(line)
    ]
    assert not found, "\n".join(found)


def test_no_path_of_one_machine() -> None:
    pattern = re.compile(r"/(home|root|work|Users)/\w")
    found = [
        f"{name_of(path)}:{number}: {line.strip()}"
        for path in [*python_files(*OURS), *ROOT.glob("*.md"), ROOT / "Makefile", ROOT / "pyproject.toml"]
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if pattern.search(line) and path.name != "test_habits.py"
    ]
    assert not found, "\n".join(found)


def test_typed_marker_is_shipped() -> None:
    assert (PACKAGE / "py.typed").is_file()
