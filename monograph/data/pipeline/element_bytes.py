"""An element as bytes and back: a line of JSON that tells its structure, dtypes and shapes, then the arrays' memory. No code in it."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np

from monograph.core.dtype import by_name, from_numpy


def encode(element: Any) -> bytes:
    """The element's bytes. Raises TypeError for what has none (a dataset inside it)."""
    parts: list[bytes] = []
    head = json.dumps(_described(element, parts)).encode()
    return b"".join((len(head).to_bytes(8, "little"), head, *parts))


def _described(element: Any, parts: list[bytes]) -> Any:
    if isinstance(element, np.ndarray):
        if element.dtype.kind == "O":
            return {"texts": [_described(x, parts) for x in element.reshape(-1).tolist()], "shape": element.shape}
        parts.append(element.tobytes())
        return {"dtype": from_numpy(element.dtype).name, "shape": element.shape}
    if isinstance(element, tuple):
        return {"tuple": [_described(x, parts) for x in element]}
    if isinstance(element, dict):
        return {"dict": [[key, _described(x, parts)] for key, x in element.items()]}
    if isinstance(element, bytes):
        return {"bytes": base64.b64encode(element).decode()}
    if element is None or isinstance(element, str):
        return {"text": element}
    raise TypeError(f"an element with a {type(element).__name__} in it cannot be written to a file")


def decode(data: bytes) -> Any:
    """The element of these bytes. Raises ValueError where they are no element."""
    size = int.from_bytes(data[:8], "little")
    try:
        head = json.loads(data[8 : 8 + size])
    except ValueError:
        raise ValueError("these bytes hold no element of a dataset") from None
    made, end = _made(head, data, 8 + size)
    if end != len(data):
        raise ValueError("these bytes hold more or less than one element of a dataset")
    return made


def _made(head: Any, data: bytes, at: int) -> tuple[Any, int]:
    if "dtype" in head:
        kind = by_name(head["dtype"]).np
        shape = tuple(int(n) for n in head["shape"])
        end = at + int(np.prod(shape, dtype=np.int64)) * kind.itemsize
        return np.frombuffer(data[at:end], kind).reshape(shape).copy(), end
    if "texts" in head:
        texts = np.empty(len(head["texts"]), object)
        texts[:] = [_made(x, data, at)[0] for x in head["texts"]]
        return texts.reshape(head["shape"]), at
    if "tuple" in head:
        items = []
        for part in head["tuple"]:
            item, at = _made(part, data, at)
            items.append(item)
        return tuple(items), at
    if "dict" in head:
        found = {}
        for key, part in head["dict"]:
            found[key], at = _made(part, data, at)
        return found, at
    if "bytes" in head:
        return base64.b64decode(head["bytes"]), at
    return head["text"], at
