"""Stages that read files: TFRecord, text lines, CSV. A state is the file's number and how many records of it were read."""

from __future__ import annotations

import csv
import io
import itertools
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from monograph.core import dtype as dtypes
from monograph.core.dtype import dtype as DType
from monograph.data.files.tfrecord import checked_kind, opened, records
from monograph.data.pipeline.elements import to_host
from monograph.data.pipeline.stage import UNKNOWN_CARDINALITY, Run, Stage
from monograph.tensor.spec import TensorSpec

Reader = Callable[[str], Iterator[Any]]


def paths_of(filenames: Any) -> list[str]:
    """File names: one, several, or a dataset of them."""
    if isinstance(filenames, str | bytes | os.PathLike):
        return [os.fsdecode(filenames)]
    if isinstance(filenames, np.ndarray):
        filenames = filenames.reshape(-1).tolist()
    found = [os.fsdecode(f) for f in filenames]
    return found


class Files(Stage):
    """The records of files, one file after the other."""

    def __init__(self, filenames: Any, reader: Reader, spec: Any) -> None:
        self.paths, self.reader, self._spec = paths_of(filenames), reader, spec

    def cardinality(self) -> int:
        """Known when it has been read."""
        return UNKNOWN_CARDINALITY

    def spec(self) -> Any:
        """As the format says."""
        return self._spec

    def run(self) -> Run:
        """From the first record of the first file."""
        return _FilesRun(self)


class _FilesRun(Run):
    def __init__(self, stage: Files) -> None:
        self.stage, self.file, self.record, self.children = stage, 0, 0, []
        self.items: Any = None

    def __next__(self) -> Any:
        while self.file < len(self.stage.paths):
            if self.items is None:
                self.items = self.stage.reader(self.stage.paths[self.file])
                next(itertools.islice(self.items, self.record, self.record), None)
            try:
                element = next(self.items)
            except StopIteration:
                self.close()
                self.file, self.record = self.file + 1, 0
                continue
            self.record += 1
            return element
        raise StopIteration

    def state(self) -> dict[str, Any]:
        return {"file": self.file, "record": self.record}

    def restore(self, state: dict[str, Any]) -> None:
        self.close()
        self.file, self.record = state["file"], state["record"]

    def close(self) -> None:
        if self.items is not None:
            self.items.close()
        self.items = None


def tfrecords(filenames: Any, compression_type: str | None) -> Files:
    """The records of TFRecord files, as bytes."""
    kind = checked_kind(compression_type)
    return Files(filenames, lambda path: records(path, kind), TensorSpec((), bytes))


def _text(path: str, kind: str) -> Any:
    raw = opened(path, kind)
    if kind == "ZLIB":
        data = bytearray()
        while more := raw.read(1 << 20):
            data += more
        raw.close()
        raw = io.BytesIO(bytes(data))
    return io.TextIOWrapper(raw, "utf-8", newline="")


def _lines(path: str, kind: str) -> Iterator[str]:
    with _text(path, kind) as file:
        file.reconfigure(newline=None)
        for line in file:
            yield line.removesuffix("\n")


def lines(filenames: Any, compression_type: str | None) -> Files:
    """The lines of text files, as `str` without the line's end."""
    kind = checked_kind(compression_type)
    return Files(filenames, lambda path: _lines(path, kind), TensorSpec((), str))


# ---- CSV ----


class Column:
    """What a column's text becomes; an empty cell becomes `default`, or is an error without one."""

    def __init__(self, default: Any) -> None:
        required = isinstance(default, DType | type)
        if isinstance(default, type) and default not in (str, bytes, float, int, bool):
            raise TypeError(f"a column's default is a dtype (then cells must not be empty) or a value, got {default!r}")
        value: Any = None if required else to_host(default[0] if isinstance(default, list) and default else default)
        self.default = value
        if required:
            self.kind: Any = default if default in (str, bytes) else dtypes.given(default, dtypes.float32)
        else:
            self.kind = str if isinstance(value, str | bytes) else dtypes.from_numpy(value.dtype)

    def __call__(self, cell: str, where: str) -> Any:
        if cell == "":
            if self.default is None:
                raise ValueError(f"{where} is empty and its column has no default: give a value in record_defaults instead of a dtype")
            return self.default
        if self.kind in (str, bytes):
            return cell
        try:
            number: Any = float(cell) if self.kind.kind == "f" else int(cell)
        except ValueError:
            raise ValueError(f"{where} is not a valid {self.kind.name}: {cell!r}") from None
        return np.asarray(number, self.kind.np)

    @property
    def spec(self) -> TensorSpec:
        """Of one cell."""
        return TensorSpec((), self.kind)


def csv_rows(
    filenames: Any, record_defaults: Sequence[Any], compression_type: str | None, header: bool, field_delim: str, use_quote_delim: bool,
    na_value: str, select_cols: Sequence[int] | None, exclude_cols: Sequence[int] | None,
) -> Files:  # fmt: skip
    """The rows of CSV files: a tuple with a value for each column of `record_defaults`."""
    kind = checked_kind(compression_type)
    columns = [Column(d) for d in record_defaults]
    if select_cols is not None and exclude_cols is not None:
        raise ValueError("give select_cols or exclude_cols, not both")
    if select_cols is not None and len(select_cols) != len(columns):
        raise ValueError(f"select_cols names {len(select_cols)} columns, record_defaults {len(columns)}")
    left_out = set(exclude_cols or ())

    def read(path: str) -> Iterator[tuple[Any, ...]]:
        with _text(path, kind) as file:
            quoting: Any = csv.QUOTE_MINIMAL if use_quote_delim else csv.QUOTE_NONE
            for number, row in enumerate(csv.reader(file, delimiter=field_delim, quoting=quoting)):
                if (header and number == 0) or not row:
                    continue
                if select_cols is not None:
                    if max(select_cols) >= len(row):
                        raise ValueError(
                            f"Expect at least {max(select_cols) + 1} fields in record but have {len(row)}: row {number} of {path}"
                        )
                    row = [row[i] for i in select_cols]
                elif left_out:
                    row = [cell for i, cell in enumerate(row) if i not in left_out]
                if len(row) != len(columns):
                    raise ValueError(f"Expect {len(columns)} fields in record but have {len(row)}: row {number} of {path}")
                yield tuple(
                    [
                        column("" if cell == na_value else cell, f"field {i} of row {number} of {path}")
                        for i, (column, cell) in enumerate(zip(columns, row, strict=True))
                    ]
                )

    return Files(filenames, read, tuple([c.spec for c in columns]))
