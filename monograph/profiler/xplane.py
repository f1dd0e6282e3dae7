"""A recording as an XSpace: the protocol buffer that xprof, TensorBoard's profile tab, reads; written without a protobuf library.

An XSpace holds planes (one here: the CPU), a plane lines (threads), a line events. An event names its metadata, which has the text, by
number; so do the statistics of an event.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

from monograph.core.wire import field


class _Names:
    """Texts by number, from 1 on, and the map of the plane that tells them; what is shown for a text may be another one."""

    def __init__(self, number: int) -> None:
        self.number, self.of = number, dict[tuple[str, str], int]()

    def number_of(self, name: str, shown: str = "") -> int:
        return self.of.setdefault((name, shown), len(self.of) + 1)

    def encoded(self) -> bytes:
        """A map's entry for each: its key, and a message of the same number and the texts."""
        found = b""
        for (name, shown), number in self.of.items():
            message = field(1, number) + field(2, name) + (field(4, shown) if shown else b"")
            found += field(self.number, field(1, number) + field(2, message))
        return found


def _named(e: Any) -> tuple[str, str]:
    """An event's name for the tables of ops, which want "name:Type" for an op, and the one that is shown."""
    if e.kind == "op":
        op = str(e.name).rpartition("::")[2]
        return f"{op}:{''.join(word.capitalize() for word in op.split('_'))}", e.name
    return (e.name.partition("#")[0] if e.name.startswith("ProfilerStep#") else e.name), ""


def xspace(events: Sequence[Any], host: str) -> bytes:
    """The bytes of an XSpace: a line per thread, every range, kernel call and op on it; times count from the recording's start.

    Shapes, source lines, FLOPs and bytes of an event become its statistics; a range "ProfilerStep#3" is step 3.
    """
    names, statistics = _Names(4), _Names(5)

    def event(e: Any) -> bytes:
        start, length = (max(0, round(us * 1e6)) for us in (e.time_range.start, e.time_range.elapsed_us()))  # in picoseconds
        told: list[tuple[str, int | str]] = [("kind", e.kind)]
        told += [(name, value) for name, value in (("flops", e.flops), ("bytes_accessed", e.nbytes)) if value]
        told += [("outputs", ", ".join(e.output_shapes))] if e.output_shapes else []
        told += [("source", "\n".join(e.stack))] if e.stack else []
        name, _, number = e.name.partition("#")
        told += [("_r", 1), ("step_num", int(number))] if name == "ProfilerStep" and number.isdecimal() else []  # the root of a step
        stats = (field(1, statistics.number_of(key)) + field(4 if isinstance(value, int) else 5, value) for key, value in told)
        return field(1, names.number_of(*_named(e))) + field(2, start) + field(3, length) + b"".join(field(4, stat) for stat in stats)

    def line(number: int, events: Iterable[Any]) -> bytes:
        return field(1, number) + field(2, f"thread {number}") + b"".join(field(4, event(e)) for e in events)

    threads: dict[int, list[Any]] = {}
    for e in events:
        threads.setdefault(e.thread, []).append(e)
    lines = b"".join(field(3, line(number, of_thread)) for number, of_thread in enumerate(threads.values(), 1))
    plane = field(1, 1) + field(2, "/host:CPU") + lines + names.encoded() + statistics.encoded()
    return field(1, plane) + field(4, host)


def write_xspace(folder: str, events: Sequence[Any], run: str, host: str) -> str:
    """Writes an XSpace where TensorBoard's profile tab looks for it; returns the file's path."""
    place = os.path.join(folder, "plugins", "profile", run)
    os.makedirs(place, exist_ok=True)
    path = os.path.join(place, f"{host}.xplane.pb")
    with open(path, "wb") as file:
        file.write(xspace(events, host))
    return path
