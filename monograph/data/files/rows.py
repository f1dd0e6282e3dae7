"""Files as map-style datasets: row i of a table, of arrays, or of a folder of images. `rows_of(path)` chooses by the file's ending.

Each kind of file says how many rows it has and reads row i; what is shared (indices, slices of them, a transform) is said once.
"""

from __future__ import annotations

import bisect
import csv
import itertools
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import safe_open

from monograph.core.extras import optional
from monograph.data.collate import tensor_of_owned
from monograph.data.dataset import Dataset

IMAGES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")


class Rows(Dataset[Any]):
    """Row i of something: `count` rows, `read(i)` gives one, `transform` changes it on its way out."""

    def __init__(self, count: int, read: Callable[[int], Any], transform: Callable[[Any], Any] | None = None) -> None:
        self._count, self._read, self.transform = count, read, transform

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Any:
        at = index.__index__()
        at = at + self._count if at < 0 else at
        if not 0 <= at < self._count:
            raise IndexError(f"row {index} of {self._count}")
        row = self._read(at)
        return row if self.transform is None else self.transform(row)


class JsonLines(Rows):
    """The lines of a JSON Lines file, each read when it is asked for.

    >>> import monograph as mg, tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "a.jsonl"
    >>> _ = path.write_text('{"x": 1}\\n{"x": 2}\\n')
    >>> mg.data.JsonLines(path)[1]
    {'x': 2}
    """

    def __init__(self, path: Any, transform: Callable[[Any], Any] | None = None) -> None:
        self.path, self._starts = os.fspath(path), []
        with open(self.path, "rb") as file:
            start = 0
            for line in file:
                if line.strip():
                    self._starts.append(start)
                start += len(line)
        super().__init__(len(self._starts), self._line, transform)

    _starts: list[int]

    def _line(self, i: int) -> Any:
        with open(self.path, "rb") as file:
            file.seek(self._starts[i])
            try:
                return json.loads(file.readline())
            except ValueError as error:
                raise ValueError(f"row {i} of {self.path} is no JSON: {error}") from None


class CsvRows(Rows):
    """The rows of a CSV file with a header, as dicts: columns of whole numbers are ints, of numbers floats, others text."""

    def __init__(self, path: Any, transform: Callable[[Any], Any] | None = None, delimiter: str = ",") -> None:
        with open(path, newline="", encoding="utf-8") as file:
            table = [row for row in csv.reader(file, delimiter=delimiter) if row]
        if not table:
            raise ValueError(f"{path} has no header")
        self.columns, rows = table[0], table[1:]
        for number, row in enumerate(rows):
            if len(row) != len(self.columns):
                raise ValueError(f"row {number} of {path} has {len(row)} fields, the header {len(self.columns)}")
        made = [_typed([row[k] for row in rows]) for k in range(len(self.columns))]
        super().__init__(len(rows), lambda i: {name: column[i] for name, column in zip(self.columns, made, strict=True)}, transform)


def _typed(cells: list[str]) -> list[Any]:
    for kind in (int, float):
        try:
            return [kind(cell) for cell in cells]
        except ValueError:
            continue
    return list(cells)


class ArrayRows(Rows):
    """The rows of arrays of equal length: of a .npy file (tensors), of a .npz or .safetensors file (dicts of tensors)."""

    def __init__(self, path: Any, transform: Callable[[Any], Any] | None = None) -> None:
        name = os.fspath(path)
        self.arrays: Any
        if name.endswith(".safetensors"):
            with safe_open(name, framework="numpy") as file:
                self.arrays = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict
        elif name.endswith(".npz"):
            with np.load(name, allow_pickle=False) as held:
                self.arrays = {key: held[key] for key in held.files}
        else:
            self.arrays = np.load(name, mmap_mode="r", allow_pickle=False)
        lengths = {a.shape[:1] for a in (self.arrays.values() if isinstance(self.arrays, dict) else [self.arrays])}
        if len(lengths) != 1 or () in lengths:
            raise ValueError(f"the arrays of {name} must have one common number of rows, they have {sorted(lengths)}")
        super().__init__(lengths.pop()[0], self._row, transform)

    def _row(self, i: int) -> Any:
        if isinstance(self.arrays, dict):
            return {key: tensor_of_owned(np.array(a[i])) for key, a in self.arrays.items()}
        return tensor_of_owned(np.array(self.arrays[i]))


class ParquetRows(Rows):
    """The rows of Parquet files as dicts, read a row group at a time. Needs the extra `arrow`."""

    def __init__(self, paths: Any, columns: Sequence[str] | None = None, transform: Callable[[Any], Any] | None = None) -> None:
        parquet = optional("pyarrow.parquet", "reading Parquet files")
        names = [os.fspath(paths)] if isinstance(paths, str | os.PathLike) else [os.fspath(p) for p in paths]
        self._columns = None if columns is None else list(columns)
        files = [parquet.ParquetFile(name) for name in names]
        self._groups = [(f, g) for f in files for g in range(f.metadata.num_row_groups)]
        counts = [f.metadata.row_group(g).num_rows for f, g in self._groups]
        self._ends = list(itertools.accumulate(counts))
        self._held: tuple[int, Any] = (-1, None)
        super().__init__(self._ends[-1] if self._ends else 0, self._row, transform)

    def _row(self, i: int) -> Any:
        group = bisect.bisect_right(self._ends, i)
        if self._held[0] != group:
            file, number = self._groups[group]
            self._held = (group, file.read_row_group(number, columns=self._columns))
        start = self._ends[group - 1] if group else 0
        return self._held[1].slice(i - start, 1).to_pylist()[0]


class ImageFolder(Rows):
    """(image, class) of the files in a folder's subfolders, one for each class: images are uint8 tensors [3, height, width].

    `classes` are the subfolders' names in order, `samples` the files with their classes. Needs the extra `image`.
    """

    def __init__(
        self, root: Any, transform: Callable[[Any], Any] | None = None, target_transform: Callable[[Any], Any] | None = None,
        extensions: Sequence[str] = IMAGES, mode: str = "RGB",
    ) -> None:  # fmt: skip
        self.image, self.mode, self.root = optional("PIL.Image", "reading images"), mode, Path(root)
        self.image_transform, self.target_transform = transform, target_transform
        self.classes = sorted(p.name for p in self.root.iterdir() if p.is_dir())
        if not self.classes:
            raise FileNotFoundError(f"Couldn't find any class folder in {root}.")
        self.class_to_idx = {name: i for i, name in enumerate(self.classes)}
        endings = tuple(extensions)
        self.samples = [
            (str(path), i)
            for i, name in enumerate(self.classes)
            for path in sorted((self.root / name).rglob("*"))
            if path.name.lower().endswith(endings)
        ]
        empty = sorted(set(self.classes) - {self.classes[i] for _, i in self.samples})
        if empty:
            known = ", ".join(endings)
            raise FileNotFoundError(f"Found no valid file for the classes {', '.join(empty)}. Supported extensions are: {known}")
        super().__init__(len(self.samples), self._sample)

    def _sample(self, i: int) -> Any:
        path, label = self.samples[i]
        with self.image.open(path) as file:
            pixels = np.array(file.convert(self.mode))
        image: Any = tensor_of_owned(pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1))
        image = image if self.image_transform is None else self.image_transform(image)
        return image, label if self.target_transform is None else self.target_transform(label)


KINDS: dict[str, Callable[[Any], Rows]] = {
    ".jsonl": JsonLines, ".csv": CsvRows, ".npy": ArrayRows, ".npz": ArrayRows, ".safetensors": ArrayRows, ".parquet": ParquetRows,
}  # fmt: skip


def rows_of(path: Any) -> Rows:
    """The rows of a file by its ending, or the images of a folder. Raises ValueError for an ending that is not known."""
    if Path(path).is_dir():
        return ImageFolder(path)
    kind = KINDS.get(Path(path).suffix.lower())
    if kind is None:
        raise ValueError(f"there is no reader for {path}: known are folders of images and files that end in {', '.join(KINDS)}")
    return kind(path)
