"""tf.train.Example: the bytes of its protocol buffer read and written, without a protobuf library.

An Example holds Features, those a map from names to Feature, a Feature one of three lists: bytes, float32 or int64. On the wire every field
is a tag (number << 3 | kind) and a value: kind 0 a varint, 1 eight bytes, 2 a length and bytes, 5 four bytes. Numbers come packed (one
field with all) or one by one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from monograph.core.dtype import float32, int64
from monograph.core.wire import BYTES, VARINT, field, varint
from monograph.data.collate import tensor_of_owned
from monograph.data.files.features import FixedLenFeature, FixedLenSequenceFeature, VarLenFeature
from monograph.data.files.tfrecord import DataLossError
from monograph.tensor.core import Tensor
from monograph.tensor.interop import host_array

EIGHT, FOUR = 1, 5
Features = dict[str, Any]  # a list of bytes, a float32 array or an int64 array for each name


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise DataLossError("not a tf.train.Example: a number is cut off")
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at += 1
        if byte < 0x80:
            return value, at
        shift += 7


def fields_of(data: memoryview) -> Iterator[tuple[int, int, Any]]:
    """(number, kind, value) of each field of a message."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind == VARINT:
            value: Any
            value, at = _varint(data, at)
            yield tag >> 3, kind, value
            continue
        if kind == BYTES:
            size, at = _varint(data, at)
        elif kind in (EIGHT, FOUR):
            size = 8 if kind == EIGHT else 4
        else:
            raise DataLossError(f"not a tf.train.Example: a field is of unknown kind {kind}")
        if at + size > len(data):
            raise DataLossError("not a tf.train.Example: a field is cut off")
        yield tag >> 3, kind, data[at : at + size]
        at += size


def _signed(value: int) -> int:
    value &= (1 << 64) - 1
    return value - (1 << 64) if value >> 63 else value


def _int64s(message: memoryview) -> np.ndarray:
    found: list[int] = []
    for number, kind, value in fields_of(message):
        if number != 1:
            continue
        if kind == VARINT:
            found.append(_signed(value))
            continue
        packed = np.frombuffer(value, np.uint8)
        if (packed < 0x80).all():  # every number in one byte
            found.extend(packed.tolist())
            continue
        at = 0
        while at < len(value):
            one, at = _varint(value, at)
            found.append(_signed(one))
    return np.array(found, np.int64)


def _floats(message: memoryview) -> np.ndarray:
    parts = [np.frombuffer(value, "<f4") for number, kind, value in fields_of(message) if number == 1 and kind in (BYTES, FOUR)]
    return np.concatenate(parts).astype(np.float32) if parts else np.zeros(0, np.float32)


def _feature(message: memoryview) -> Any:
    made: Any = None
    for number, kind, value in fields_of(message):
        if kind == BYTES and number == 1:
            made = [bytes(v) for n, _, v in fields_of(value) if n == 1]
        elif kind == BYTES and number == 2:
            made = _floats(value)
        elif kind == BYTES and number == 3:
            made = _int64s(value)
    return made


def decode(record: bytes) -> Features:
    """The features of a serialized Example; a feature without a list is None. Raises DataLossError for other bytes."""
    found: Features = {}
    for number, kind, features in fields_of(memoryview(record)):
        if number != 1 or kind != BYTES:
            continue
        for entry_number, entry_kind, entry in fields_of(features):
            if entry_number != 1 or entry_kind != BYTES:
                continue
            name, value = "", memoryview(b"")
            for n, k, part in fields_of(entry):
                if k == BYTES and n == 1:
                    name = bytes(part).decode()
                elif k == BYTES and n == 2:
                    value = part
            found[name] = _feature(value)
    return found


# ---- writing ----


def _encoded(name: str, value: Any) -> bytes:
    if isinstance(value, Tensor):
        value = host_array(value)
    if isinstance(value, str | bytes):
        value = [value]
    if isinstance(value, list | tuple) and not value:
        return b""
    if isinstance(value, Sequence) and value and isinstance(value[0], str | bytes):
        return field(1, b"".join(field(1, v.encode() if isinstance(v, str) else bytes(v)) for v in value))
    array = np.asarray(value).reshape(-1)
    if array.dtype.kind == "f":
        return field(2, field(1, array.astype("<f4").tobytes()) if array.size else b"")
    if array.dtype.kind in "iub":
        return field(3, field(1, b"".join(varint(int(v)) for v in array)) if array.size else b"")
    if not array.size:
        return b""
    raise TypeError(f"feature {name!r}: an Example holds numbers, bytes and text, got {array.dtype}")


def encode_example(features: Mapping[str, Any]) -> bytes:
    """A serialized tf.train.Example of named values: floats (stored as float32), whole numbers (int64), bytes or text, one or many.

    >>> import monograph as mg
    >>> record = mg.data.encode_example({"x": [1.5, 2.0], "label": 3})
    >>> mg.data.parse_single_example(record, {"label": mg.data.FixedLenFeature((), mg.int64)})
    {'label': tensor(3)}
    """
    entries = [field(1, field(1, name.encode()) + field(2, _encoded(name, features[name]))) for name in sorted(features)]
    return field(1, b"".join(entries))


class Example:
    """The features of a serialized tf.train.Example by name: lists of bytes, float32 and int64 arrays."""

    def __init__(self, features: Mapping[str, Any]) -> None:
        self.features = dict(features)

    @classmethod
    def FromString(cls, record: bytes) -> Example:  # noqa: N802 - protobuf's name
        """Reads one."""
        return cls(decode(record))

    def SerializeToString(self) -> bytes:  # noqa: N802 - protobuf's name
        """Writes one."""
        return encode_example(self.features)


# ---- parsing ----


def _wanted(name: str, feature: Any) -> Any:
    kind = feature.dtype
    if kind not in (float32, int64, str, bytes):
        raise ValueError(f"feature {name!r}: dtype must be float32, int64 or bytes, got {kind}")
    return kind


def _values(name: str, found: Any, kind: Any) -> Any:
    have = bytes if isinstance(found, list) else float32 if found.dtype == np.float32 else int64
    if have is not (bytes if kind in (str, bytes) else kind):
        raise TypeError(f"Key: {name}. Data types don't match. Data type: {getattr(have, 'name', 'bytes')} but expected type: {kind}")
    if isinstance(found, list):
        made = np.empty(len(found), object)
        made[:] = [v.decode() for v in found] if kind is str else found
        return made
    return found


def _shape(feature: Any) -> tuple[int, ...]:
    return (feature.shape,) if isinstance(feature.shape, int) else tuple(int(n) for n in feature.shape)


def _parsed(found: Features, name: str, feature: Any) -> Any:
    kind = _wanted(name, feature)
    value = found.get(name)
    if isinstance(feature, VarLenFeature):
        return _values(name, value, kind) if value is not None else np.zeros(0, object if kind in (str, bytes) else kind.np)
    shape = _shape(feature)
    if isinstance(feature, FixedLenSequenceFeature):
        if value is None and not feature.allow_missing:
            raise ValueError(f"Feature: {name} (data type: {kind}) is required but could not be found.")
        values = _values(name, value, kind) if value is not None else np.zeros(0, object if kind in (str, bytes) else kind.np)
        return values.reshape(-1, *shape)
    if not isinstance(feature, FixedLenFeature):
        raise TypeError(
            f"feature {name!r}: expected FixedLenFeature, VarLenFeature or FixedLenSequenceFeature, got {type(feature).__name__}"
        )
    if value is None:
        if feature.default_value is None:
            raise ValueError(f"Feature: {name} (data type: {kind}) is required but could not be found.")
        return np.broadcast_to(np.asarray(feature.default_value, object if kind in (str, bytes) else kind.np), shape).copy()
    values = _values(name, value, kind)
    if values.size != int(np.prod(shape)):
        raise ValueError(
            f"Key: {name}. Can't parse serialized Example: it has {values.size} values, shape {shape} wants {int(np.prod(shape))}"
        )
    return values.reshape(shape)


def _user(value: np.ndarray) -> Any:
    if value.dtype.kind == "O":
        return value.item() if not value.ndim else value
    return tensor_of_owned(value)


def parse_single_example(serialized: bytes, features: Mapping[str, Any]) -> dict[str, Any]:
    """The named features of one serialized tf.train.Example: tensors; text as `bytes` (or `str`, for dtype str).

    Raises ValueError for a feature that lacks or has another number of values, TypeError for another kind of values.
    """
    found = decode(serialized)
    return {name: _user(_parsed(found, name, feature)) for name, feature in features.items()}


def parse_example(serialized: Sequence[bytes], features: Mapping[str, Any]) -> dict[str, Any]:
    """As `parse_single_example` for a batch: fixed features stacked, others filled up with zeros (or empty text) to the longest."""
    found = [decode(record) for record in serialized]
    made: dict[str, Any] = {}
    for name, feature in features.items():
        values = [_parsed(f, name, feature) for f in found]
        longest = max((v.shape[0] for v in values if v.ndim), default=0)
        if not isinstance(feature, FixedLenFeature):
            filler: Any = (b"" if feature.dtype is bytes else "") if values and values[0].dtype.kind == "O" else 0
            given = getattr(feature, "default_value", None)
            filler = filler if given is None else given
            values = [np.concatenate([v, np.full((longest - v.shape[0], *v.shape[1:]), filler, v.dtype)]) for v in values]
        made[name] = _user(np.stack(values)) if values else _user(np.zeros((0,), np.float32))
    return made
