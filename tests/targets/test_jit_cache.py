"""Objects on disk: found again, never trusted when damaged, never in the way."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from monograph.targets.cpu.cache import MAGIC, ObjectCache, cache_dir, default_folder, sources_fingerprint
from monograph.targets.cpu.jit import Jit

KEY = "ab" + "0" * 62
ROOT = Path(__file__).resolve().parents[2]
TEXT = "define i64 @cached() {\n  ret i64 5\n}\n"


def test_round_trip(tmp_path: Path) -> None:
    cache = ObjectCache(str(tmp_path / "new" / "folder"))
    assert cache.load(KEY) is None
    cache.store(KEY, b"object" * 100)
    assert cache.load(KEY) == b"object" * 100
    assert ObjectCache(cache.folder).load(KEY) == b"object" * 100
    assert (cache.hits, cache.misses, cache.writes) == (1, 1, 1)
    assert [name for name in os.listdir(os.path.dirname(cache.path(KEY))) if name.startswith(".")] == []
    cache.store(KEY, b"")
    assert cache.load(KEY) == b""


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: data[:20],
        lambda data: b"",
        lambda data: data[:60] + bytes([data[60] ^ 1]) + data[61:],
        lambda data: b"OTHER" + data[5:],
        lambda data: data + b"tail",
    ],
    ids=["truncated", "header only", "empty", "a flipped byte", "another format", "longer"],
)
def test_damaged_files_are_written_anew(tmp_path: Path, damage) -> None:
    first = Jit(ObjectCache(str(tmp_path)))
    first.compile("cached", TEXT)
    (path,) = (p for p in tmp_path.rglob("*") if p.is_file())
    good = path.read_bytes()
    assert good.startswith(MAGIC)
    path.write_bytes(damage(good))
    second = Jit(ObjectCache(str(tmp_path)))
    second.compile("cached", TEXT)
    assert second.compiled == 1
    assert path.read_bytes() == good
    third = Jit(ObjectCache(str(tmp_path)))
    third.compile("cached", TEXT)
    assert (third.compiled, third.cache.hits) == (0, 1)


def test_a_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_args, **_named):
        raise PermissionError("read-only file system")

    cache = ObjectCache(str(tmp_path))
    cache.store(KEY, b"old")
    monkeypatch.setattr("tempfile.mkstemp", refuse)
    cache.store("cd" + KEY[2:], b"new")
    assert cache.load(KEY) == b"old"
    assert cache.load("cd" + KEY[2:]) is None
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    blocked = ObjectCache(str(in_the_way / "below"))
    blocked.store(KEY, b"x")
    assert blocked.load(KEY) is None
    assert Jit(blocked).compile("cached", TEXT)


def test_the_knob_names_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    with cache_dir.scoped("auto"):
        assert default_folder() == str(tmp_path / "xdg" / "monograph" / "objects")
    with cache_dir.scoped(str(tmp_path / "own")):
        assert ObjectCache().folder == str(tmp_path / "own")
    with cache_dir.scoped(""):
        off = ObjectCache()
        off.store(KEY, b"x")
        assert off.load(KEY) is None
        assert Jit(off).compile("cached", TEXT)


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs file owners")
def test_a_folder_open_to_all_is_not_trusted(tmp_path: Path) -> None:
    ObjectCache(str(tmp_path)).store(KEY, b"planted")
    tmp_path.chmod(0o777)
    with pytest.warns(RuntimeWarning, match="other users can write to this folder"):
        cache = ObjectCache(str(tmp_path))
    assert cache.load(KEY) is None


def test_the_oldest_go_first(tmp_path: Path) -> None:
    cache = ObjectCache(str(tmp_path), size_cap=10_000)
    keys = [f"{i:02x}" + KEY[2:] for i in range(20)]
    for age, key in enumerate(keys):
        cache.store(key, bytes(960))
        os.utime(cache.path(key), (1_000_000 + age, 1_000_000 + age))
    assert cache.load(keys[0]) is not None  # used now: the youngest from here on
    (tmp_path / "00" / ".new-left").write_bytes(b"half")
    os.utime(tmp_path / "00" / ".new-left", (1, 1))
    assert cache.trim() == 13 * 1000 + 4
    assert [key for key in keys if cache.load(key) is not None] == [keys[0], *keys[14:]]
    assert cache.trim() == 0


def test_several_writers(tmp_path: Path) -> None:
    payloads = [bytes([i]) * 50_000 for i in range(4)]
    wrong: list[int] = []

    def work(i: int) -> None:
        cache = ObjectCache(str(tmp_path))
        for _ in range(50):
            cache.store(KEY, payloads[i])
            if cache.load(KEY) not in payloads:
                wrong.append(i)

    workers = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong
    assert sorted(p.name for p in tmp_path.rglob("*") if p.is_file()) == [KEY[2:]]


def test_the_next_process_compiles_nothing(tmp_path: Path) -> None:
    program = (
        "from monograph.targets.cpu.jit import jit\n"
        f"jit().compile('cached', {TEXT!r})\n"
        "jit().compile('cached', lambda: " + repr(TEXT) + ", key='structure')\n"
        "print(jit().compiled)"
    )
    environment = {**os.environ, "MONOGRAPH_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-c", program]
    runs = [subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60) for _ in range(2)]
    assert [run.stdout.strip() for run in runs] == ["2", "0"], runs[0].stderr


def test_the_fingerprint_sees_an_edit(tmp_path: Path) -> None:
    (tmp_path / "room").mkdir()
    (tmp_path / "room" / "a.py").write_text("x = 1\n")
    before = sources_fingerprint(str(tmp_path))
    assert sources_fingerprint(str(tmp_path)) == before
    (tmp_path / "room" / "a.py").write_text("x = 12\n")
    assert sources_fingerprint(str(tmp_path)) != before
