"""TensorBoard's event files, read without TensorBoard: which tags there are, and the scalars.

A file is records (data/files/tfrecord.py) of one protocol-buffer message each, Event: 1 wall time, 2 step, 3 file version, 5 summary. A
summary is values (1): 1 tag, 2 a plain float32, 8 a tensor, 9 metadata with the plugin's name; others are images, audio, histograms.
"""

from __future__ import annotations

import datetime
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from monograph.data.files.example import fields_of
from monograph.data.files.tfrecord import DataLossError, records

KINDS = {4: "image", 5: "histogram", 6: "audio"}  # by the number of the field
FLOAT, DOUBLE = 1, 2  # DataType of tensors
PLAIN_DTYPES: dict[int, str] = {FLOAT: "<f4", DOUBLE: "<f8"}


def read_events(path: Path) -> dict[str, Any]:
    """The file's version, times, steps; for each scalar count, last step and value; the tags of every other kind."""
    scalars: dict[str, list[tuple[int, float]]] = {}
    others: dict[str, set[str]] = {}
    times: list[float] = []
    version, count, cut = "", 0, None
    try:
        for record in records(path, ""):
            event = dict_of(record)
            count += 1
            times += [struct.unpack("<d", bytes(t))[0] for t in event.get(1, [])]
            step = event[2][0] if 2 in event else 0
            version = bytes(event[3][0]).decode("utf-8", "replace") if 3 in event else version
            for summary in event.get(5, []):
                for value in dict_of(summary).get(1, []):
                    tag, kind, number = _value(dict_of(value))
                    if number is None:
                        others.setdefault(kind, set()).add(tag)
                    else:
                        scalars.setdefault(tag, []).append((step, number))
    except DataLossError as error:
        if not count:
            raise
        cut = error.message  # a run that is still writing, or was killed: what came before is good
    told = [
        {"tag": tag, "count": len(rows), "first_step": rows[0][0], "last_step": rows[-1][0], "last": _json_number(rows[-1][1])}
        for tag, rows in sorted(scalars.items())
    ]
    return {
        "version": version, "events": count, "from": _date(times[0]) if times else None, "to": _date(times[-1]) if times else None,
        "scalars": told, "others": {kind: sorted(tags) for kind, tags in sorted(others.items())}, "damaged": cut,
    }  # fmt: skip


def dict_of(message: Any) -> dict[int, list[Any]]:
    """The fields of a message by number."""
    found: dict[int, list[Any]] = {}
    for number, _, value in _fields(message):
        found.setdefault(number, []).append(value)
    return found


def _fields(message: Any) -> Iterator[tuple[int, int, Any]]:
    return fields_of(memoryview(message))


def _value(fields: dict[int, list[Any]]) -> tuple[str, str, float | None]:
    """(tag, kind, the number if it is a scalar)."""
    tag = bytes(fields[1][0]).decode("utf-8", "replace") if 1 in fields else ""
    if 2 in fields:
        return tag, "scalar", float(struct.unpack("<f", bytes(fields[2][0]))[0])
    plugin = _plugin(fields)
    if 8 in fields and plugin == "scalars":
        return tag, "scalar", _number(dict_of(fields[8][0]))
    return tag, next((name for number, name in KINDS.items() if number in fields), plugin or "tensor"), None


def _plugin(fields: dict[int, list[Any]]) -> str:
    for metadata in fields.get(9, []):
        for data in dict_of(metadata).get(1, []):
            for name in dict_of(data).get(1, []):
                return bytes(name).decode("utf-8", "replace")
    return ""


def _number(tensor: dict[int, list[Any]]) -> float | None:
    """The number in a TensorProto: 1 dtype, 4 bytes, 5 floats, 6 doubles."""
    dtype = PLAIN_DTYPES.get(tensor.get(1, [0])[0])
    data = next((tensor[n][0] for n in (4, 5, 6) if n in tensor), None)
    if dtype is None or data is None or len(data) < np.dtype(dtype).itemsize:
        return None
    return float(np.frombuffer(data, dtype, 1)[0])


def _json_number(value: float) -> float | str:
    return value if np.isfinite(value) else str(value)


def _date(seconds: float) -> str:
    try:
        return datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):
        return f"{seconds} s"
