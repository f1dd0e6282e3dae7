"""Datasets of files: records, lines, rows of tables."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from typing import Any

from monograph.data.files.readers import csv_rows, lines, paths_of, tfrecords
from monograph.data.pipeline.constructors import Constructors
from monograph.data.pipeline.pipeline import Pipeline


def _files(filenames: Any) -> Any:
    return list(filenames) if isinstance(filenames, Pipeline) else filenames


class TFRecordDataset(Pipeline):
    """The records of TFRecord files, as `bytes`; checksums are verified: DataLossError for a file that is truncated or corrupt."""

    def __init__(
        self, filenames: Any, compression_type: str | None = None, buffer_size: int | None = None, num_parallel_reads: int | None = None,
        name: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(tfrecords(_files(filenames), compression_type))


class TextLineDataset(Pipeline):
    """The lines of text files, as `str`."""

    def __init__(
        self, filenames: Any, compression_type: str | None = None, buffer_size: int | None = None, num_parallel_reads: int | None = None,
        name: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(lines(_files(filenames), compression_type))


class CsvDataset(Pipeline):
    """The rows of CSV files: a tuple with a value for each of `record_defaults`, dtypes (cells must not be empty) or default values."""

    def __init__(
        self, filenames: Any, record_defaults: Sequence[Any], compression_type: str | None = None, buffer_size: int | None = None,
        header: bool = False, field_delim: str = ",", use_quote_delim: bool = True, na_value: str = "",
        select_cols: Sequence[int] | None = None, exclude_cols: Sequence[int] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(
            csv_rows(
                _files(filenames), record_defaults, compression_type, header, field_delim, use_quote_delim, na_value, select_cols,
                exclude_cols,
            )
        )  # fmt: skip


def make_csv_dataset(
    file_pattern: Any, batch_size: int, column_names: Sequence[str] | None = None, column_defaults: Sequence[Any] | None = None,
    label_name: str | None = None, select_columns: Sequence[Any] | None = None, field_delim: str = ",", use_quote_delim: bool = True,
    na_value: str = "", header: bool = True, num_epochs: int | None = None, shuffle: bool = True, shuffle_buffer_size: int = 10000,
    shuffle_seed: int | None = None, prefetch_buffer_size: int | None = None, num_parallel_reads: int | None = None, sloppy: bool = False,
    num_rows_for_inference: int = 100, compression_type: str | None = None,
) -> Pipeline:  # fmt: skip
    """Batches of CSV files as dicts from column names to values, (dict, label) with `label_name`; types are inferred from the first rows.

    Endless unless `num_epochs`, shuffled unless shuffle=False. Raises ValueError for columns that are not there.
    """
    if os.path.exists(str(file_pattern)):
        paths = paths_of(file_pattern)
    else:
        paths = list(Constructors.list_files.__func__(Pipeline, file_pattern, shuffle=False))  # type: ignore[attr-defined]
    with open(paths[0], newline="", encoding="utf-8") as file:
        quoting: Any = csv.QUOTE_MINIMAL if use_quote_delim else csv.QUOTE_NONE
        sample = [
            row for row, _ in zip(csv.reader(file, delimiter=field_delim, quoting=quoting), range(num_rows_for_inference + 1), strict=False)
        ]
    if column_names is None:
        if not header:
            raise ValueError("make_csv_dataset: give column_names for files without a header")
        column_names = sample[0]
    names = list(column_names)
    chosen = list(range(len(names)))
    if select_columns is not None:
        missing = [c for c in select_columns if not (c in names if isinstance(c, str) else 0 <= c < len(names))]
        if missing:
            raise ValueError(f"make_csv_dataset: there are no columns {missing}; there are {names}")
        chosen = sorted(names.index(c) if isinstance(c, str) else int(c) for c in select_columns)
    kept = [names[i] for i in chosen]
    if label_name is not None and label_name not in kept:
        raise ValueError("`label_name` provided must be one of the columns." + f" It is {label_name!r}, they are {kept}")
    rows = sample[1:] if header else sample
    defaults = (
        list(column_defaults) if column_defaults is not None else [_inferred([r[i] for r in rows if i < len(r)], na_value) for i in chosen]
    )

    def named(*row: Any) -> Any:
        found = dict(zip(kept, row, strict=True))
        return found if label_name is None else (found, found.pop(label_name))

    made: Any = CsvDataset(
        paths, defaults, compression_type, header=header, field_delim=field_delim, use_quote_delim=use_quote_delim, na_value=na_value,
        select_cols=chosen,
    )  # fmt: skip
    if shuffle:
        made = made.shuffle(shuffle_buffer_size, shuffle_seed)
    made = made.repeat(num_epochs)
    if num_epochs == 1:
        made = made.batch(batch_size)
    else:
        made = made.batch(batch_size, drop_remainder=num_epochs is None)
    return made.map(lambda *columns: named(*columns)).prefetch(-1 if prefetch_buffer_size is None else prefetch_buffer_size)


def _inferred(cells: list[str], na_value: str) -> Any:
    """The default value of a column: 0 where all cells are whole numbers, 0.0 where they are numbers, else ""."""
    for read, value in ((int, [0]), (float, [0.0])):
        try:
            for cell in cells:
                if cell not in ("", na_value):
                    read(cell)
        except ValueError:
            continue
        return value
    return ""


__all__ = ["CsvDataset", "TFRecordDataset", "TextLineDataset", "make_csv_dataset"]
