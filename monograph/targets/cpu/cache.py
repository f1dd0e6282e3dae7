"""Compiled objects on disk: found again by the next process in a fraction of a millisecond.

One file per object, named by its key: a magic line, the SHA-256 of the payload, the payload. Files appear by `os.replace`, so readers
never see half a file; a damaged one fails its checksum, counts as absent and is written anew. Nothing here can make a compile fail:
a full disk or a read-only folder only means that nothing is kept.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import tempfile
import time
import warnings

from monograph.core.knobs import define_knob

AUTOMATIC = "auto"
cache_dir = define_knob("cache_dir", AUTOMATIC, "folder of compiled objects ('auto': the user's cache folder; empty: keep nothing on disk)")

MAGIC = b"MGOBJ\x00\x01\n"
HEADER = len(MAGIC) + 32
SIZE_CAP = 512 * 1024 * 1024
TRIM_TO = 0.75
WRITES_PER_TRIM = 256
DAY, HOUR = 86400.0, 3600.0


def default_folder() -> str:
    """The folder that the knob `cache_dir` names ("" if caching is off)."""
    chosen = cache_dir.get()
    if chosen != AUTOMATIC:
        return os.path.expanduser(chosen) if chosen else ""
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser(os.path.join("~", ".cache"))
    # An unknown home leaves the tilde in place: better no cache than a folder called "~".
    return "" if base.startswith("~") else os.path.join(base, "monograph", "objects")


class ObjectCache:
    """A folder of objects. `load` and `store` never raise; `hits`, `misses`, `writes` count."""

    def __init__(self, folder: str | None = None, size_cap: int = SIZE_CAP) -> None:
        self.folder = default_folder() if folder is None else folder
        self.size_cap = size_cap
        self.hits = self.misses = self.writes = 0
        self.readable = bool(self.folder) and self._trusted()
        self.writable = self.readable

    def _trusted(self) -> bool:
        """Code from a folder that strangers can write to must not be run."""
        try:
            status = os.stat(self.folder)
        except OSError:
            return True  # not there yet: it will be made private
        if not hasattr(os, "geteuid"):
            return True
        if status.st_uid not in (0, os.geteuid()) or status.st_mode & 0o002:
            warnings.warn(
                f"{self.folder}: other users can write to this folder, so compiled code in it is not trusted and nothing is cached; "
                "give it to yourself with mode 700, or name another folder in MONOGRAPH_CACHE_DIR",
                RuntimeWarning,
                stacklevel=3,
            )
            return False
        return True

    def path(self, key: str) -> str:
        """Where the object of this key (hexadecimal) lies."""
        return os.path.join(self.folder, key[:2], key[2:])

    def load(self, key: str) -> bytes | None:
        """The object stored under `key`, or None."""
        if not self.readable:
            return None
        try:
            with open(self.path(key), "rb", buffering=0) as file:
                data = file.read()
                if time.time() - os.fstat(file.fileno()).st_mtime > DAY:
                    self._touch(key)
        except OSError:
            self.misses += 1
            return None
        payload = data[HEADER:]
        if data[: len(MAGIC)] != MAGIC or hashlib.sha256(payload).digest() != data[len(MAGIC) : HEADER]:
            self.misses += 1
            return None
        self.hits += 1
        return payload

    def _touch(self, key: str) -> None:
        """The modification time is the last use, to the day: access times are often switched off."""
        try:
            os.utime(self.path(key))
        except OSError:
            return

    def store(self, key: str, payload: bytes) -> None:
        """Keeps `payload` under `key` (silently not, where the folder cannot be written)."""
        if not self.writable:
            return
        path = self.path(key)
        temporary = ""
        try:
            os.makedirs(self.folder, mode=0o700, exist_ok=True)
            os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
            handle, temporary = tempfile.mkstemp(prefix=".new-", dir=os.path.dirname(path))
            with os.fdopen(handle, "wb") as file:
                file.write(MAGIC + hashlib.sha256(payload).digest() + payload)
            os.replace(temporary, path)
        except OSError:
            self.writable = os.path.isdir(self.folder) and os.access(self.folder, os.W_OK)
            if temporary:
                _remove(temporary)
            return
        self.writes += 1
        if self.writes % WRITES_PER_TRIM == 1 and (self.writes > 1 or self._trim_is_due()):
            self.trim()

    def _trim_is_due(self) -> bool:
        """Whether nobody looked through the folder for an hour. It takes seconds where it is large: short processes leave it alone."""
        try:
            return time.time() - os.stat(self.folder).st_mtime > HOUR  # `trim` sets it, and so does a new folder in this one
        except OSError:
            return False

    def trim(self) -> int:
        """Removes the objects used longest ago until the folder is well below its cap; returns the bytes removed."""
        now, removed = time.time(), 0
        with contextlib.suppress(OSError):
            os.utime(self.folder)
        files: list[tuple[float, int, str]] = []
        for folder, _, names in os.walk(self.folder):
            for name in names:
                path = os.path.join(folder, name)
                try:
                    status = os.stat(path)
                except OSError:
                    continue
                if name.startswith(".new-"):
                    if now - status.st_mtime > HOUR:  # left by a process that died
                        removed += _remove(path, status.st_size)
                else:
                    files.append((status.st_mtime, status.st_size, path))
        total = sum(size for _, size, _ in files)
        if total > self.size_cap:
            for _, size, path in sorted(files):
                if total <= self.size_cap * TRIM_TO:
                    break
                total -= size
                removed += _remove(path, size)
        return removed


def _remove(path: str, size: int = 0) -> int:
    try:
        os.unlink(path)
    except OSError:
        return 0
    return size


def sources_fingerprint(folder: str) -> str:
    """A short hash of the names, sizes and times of all Python files below `folder` (for keys that do not hold the IR itself)."""
    digest = hashlib.sha256(sys.version.encode())
    for parent, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            if name.endswith(".py"):
                status = os.stat(os.path.join(parent, name))
                digest.update(f"{os.path.relpath(parent, folder)}/{name}:{status.st_size}:{status.st_mtime_ns};".encode())
    return digest.hexdigest()[:32]
