"""What the compiler leaves behind in memory is given back: the pages of its code, and what it has freed.

LLVM's shared library is some 70 MiB of code and tables that lie in memory after the first kernel, and would lie there for the life of the
process, of no use until something new is compiled. They are unchanged parts of a file: the system may drop them at any time and maps them
again, from its cache of files, when they are next touched.
"""

from __future__ import annotations

import ctypes
import functools
import mmap
import os
import struct
from collections.abc import Callable
from typing import Any

LARGE = 1 << 20  # what is smaller than this is left alone
ELF_64_LITTLE = b"\x7fELF\x02\x01"
LOADED, WRITABLE = 1, 2  # of a segment: its type, its flag


@functools.cache
def _advise() -> Callable[[int, int, int], int] | None:
    """The C library's `madvise`, None where there is none or its advice would mean something else."""
    if not os.path.exists("/proc/self/maps") or not hasattr(mmap, "MADV_DONTNEED"):
        return None
    try:
        found: Any = ctypes.CDLL(None).madvise
    except (AttributeError, OSError):
        return None
    found.argtypes, found.restype = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int), ctypes.c_int
    return lambda address, length, advice: int(found(address, length, advice))


@functools.cache
def _trim() -> Callable[[int], int] | None:
    """The C library's `malloc_trim`, where it has one."""
    try:
        found: Any = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError):
        return None
    found.argtypes, found.restype = (ctypes.c_size_t,), ctypes.c_int
    return lambda left: int(found(left))


@functools.cache
def _unchanging(library: str) -> tuple[tuple[int, int], ...]:
    """(address, length) of the parts of a loaded library that nobody may write, by the file's own word: its code and its tables.

    Parts that are written once, when the library is loaded, and only read from then on, belong to its writable segments.
    """
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as lines:
        starts = [int(line.partition("-")[0], 16) for line in lines if line.rstrip("\n").endswith(library)]
    with open(library, "rb") as file:
        head = file.read(64)
        if not starts or head[:6] != ELF_64_LITTLE:
            return ()
        table, size, count = struct.unpack_from("<Q", head, 32)[0], *struct.unpack_from("<HH", head, 54)
        file.seek(table)
        segments = [struct.unpack("<IIQQQQ", file.read(size)[:40]) for _ in range(count)]
    found = []
    for kind, flags, _, address, _, length in segments:
        if kind == LOADED and not flags & WRITABLE and length >= LARGE:
            start = min(starts) + address
            found.append((start & -mmap.PAGESIZE, length & -mmap.PAGESIZE))
    return tuple(found)


def touch_sparsely(library: str) -> None:
    """From now on only those pages of a loaded library come into memory that are used, without the fifteen around each.

    LLVM's code is spread so thinly that these were a third of it. The file is read ahead into the system's cache as before.
    """
    advise = _advise()
    if advise is None:
        return
    for address, length in _unchanging(os.path.realpath(library)):
        for advice in (mmap.MADV_DONTNEED, mmap.MADV_WILLNEED, mmap.MADV_RANDOM):
            advise(address, length, advice)


def give_back(library: str) -> None:
    """Lets the pages of a loaded library (a path) go until they are used again, and with them what `free` has kept."""
    advise, trim = _advise(), _trim()
    if advise is not None:
        for address, length in _unchanging(os.path.realpath(library)):
            advise(address, length, mmap.MADV_DONTNEED)
    if trim is not None:
        trim(0)
