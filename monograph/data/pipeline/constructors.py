"""The ways to begin a pipeline: the class methods that `Dataset` shows, too."""

from __future__ import annotations

import glob as globbing
import os
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from monograph.core import dtype as dtypes
from monograph.core import trees
from monograph.data.dataset import IterableDataset
from monograph.data.files.rows import rows_of
from monograph.data.files.tfrecord import checked_kind, records
from monograph.data.pipeline import sources
from monograph.data.pipeline.element_bytes import decode
from monograph.data.pipeline.order import ChooseByDataset, Sample, Zip
from monograph.data.pipeline.stage import Stage
from monograph.data.sampler import draw_seed
from monograph.tensor.spec import TensorSpec


def _stage(dataset: Any, verb: str) -> Stage:
    stage = getattr(dataset, "stage", None)
    if not isinstance(stage, Stage):
        raise TypeError(f"Dataset.{verb} takes datasets made by Dataset.from_... , got {type(dataset).__name__}; see Dataset.from_source")
    return stage


class Constructors:
    """Class methods of `Pipeline`."""

    @classmethod
    def _of(cls, stage: Stage) -> Any:
        return cls(stage)  # type: ignore[call-arg]

    @classmethod
    def from_tensor_slices(cls, tensors: Any, name: Any = None) -> Any:
        """The rows of tensors, arrays or lists, in tuples and dicts. Raises ShapeError where they have different numbers of rows.

        >>> import monograph as mg
        >>> [x.tolist() for x in mg.data.Dataset.from_tensor_slices([[1, 2], [3, 4]])]
        [[1, 2], [3, 4]]
        """
        return cls._of(sources.slices(tensors))

    @classmethod
    def from_tensors(cls, tensors: Any, name: Any = None) -> Any:
        """One element."""
        return cls._of(sources.single(tensors))

    @classmethod
    def from_generator(
        cls, generator: Callable[..., Any], output_types: Any = None, output_shapes: Any = None, args: Sequence[Any] | None = None,
        output_signature: Any = None, name: Any = None,
    ) -> Any:  # fmt: skip
        """What generator(*args) yields. With `output_signature` (TensorSpecs) elements are cast and checked: TypeError for other shapes."""
        if not callable(generator):
            raise TypeError("`generator` must be a Python callable.")
        if output_signature is None and output_types is not None:
            kinds, structure = trees.flatten(output_types)
            shapes = [None] * len(kinds) if output_shapes is None else _shapes(structure, output_shapes)
            output_signature = trees.unflatten(structure, [TensorSpec(s, d) for s, d in zip(shapes, kinds, strict=True)])
        given = tuple(args or ())
        return cls._of(sources.Stream(lambda: generator(*given), output_signature))

    @classmethod
    def from_source(cls, source: Any) -> Any:
        """The samples of any other dataset: map-style (`__getitem__` and `__len__`), or an iterable that can be read again and again; of a
        path, the rows of that file (`data.rows_of`)."""
        if isinstance(source, cls):
            return source
        if isinstance(source, str | os.PathLike):
            source = rows_of(source)
        if hasattr(source, "__getitem__") and hasattr(source, "__len__") and not isinstance(source, IterableDataset | dict):
            return cls._of(sources.by_position(source))
        if not hasattr(source, "__iter__"):
            raise TypeError(f"Dataset.from_source takes a map-style dataset or an iterable, got {type(source).__name__}")
        return cls._of(sources.Stream(lambda: source, verb="from_source"))

    @classmethod
    def range(cls, *args: int, output_type: Any = dtypes.int64, name: Any = None) -> Any:
        """range(stop), range(start, stop) or range(start, stop, step), as int64."""
        if not 1 <= len(args) <= 3:
            raise ValueError(f"Dataset.range takes 1 to 3 numbers, got {len(args)}")
        start, stop, step = (0, args[0], 1) if len(args) == 1 else (*args, 1)[:3]
        return cls._of(sources.numbers(int(start), int(stop), int(step), dtypes.given(output_type, dtypes.int64)))

    @classmethod
    def random(cls, seed: int | None = None, rerandomize_each_iteration: bool | None = None, name: Any = None) -> Any:
        """Endless random int64 numbers below 2 ** 32."""
        return cls._of(sources.random_numbers(draw_seed() if seed is None else int(seed)))

    @classmethod
    def counter(cls, start: int = 0, step: int = 1, dtype: Any = dtypes.int64, name: Any = None) -> Any:
        """start, start + step ... endlessly."""
        kind = dtypes.given(dtype, dtypes.int64)
        return cls._of(sources.Positional(-1, lambda i: np.asarray(start + i * step, kind.np), TensorSpec((), kind)))

    @classmethod
    def list_files(cls, file_pattern: Any, shuffle: bool | None = None, seed: int | None = None, name: Any = None) -> Any:
        """The names of files that match one or several patterns; shuffled unless shuffle=False. Raises ValueError if there are none."""
        patterns = [file_pattern] if isinstance(file_pattern, str | os.PathLike) else list(file_pattern)
        found = sorted({name for p in patterns for name in globbing.glob(os.fspath(p))})
        if not found:
            raise ValueError(f"No files matched pattern: {', '.join(os.fspath(p) for p in patterns)}")
        made = cls.from_tensor_slices(found)
        return made if shuffle is False else made.shuffle(len(found), seed=seed)

    @classmethod
    def zip(cls, *args: Any, datasets: Any = None, name: Any = None) -> Any:
        """Elements side by side: of datasets in a tuple, in a dict, or one after the other as arguments."""
        given = datasets if datasets is not None else args[0] if len(args) == 1 else args
        given = tuple(given) if isinstance(given, list) else given
        leaves, structure = trees.flatten(given)
        return cls._of(Zip(structure, [_stage(d, "zip") for d in leaves]))

    @classmethod
    def sample_from_datasets(
        cls, datasets: Sequence[Any], weights: Any = None, seed: int | None = None, stop_on_empty_dataset: bool = False,
        rerandomize_each_iteration: bool | None = None,
    ) -> Any:  # fmt: skip
        """Elements of datasets chosen at random."""
        stages = [_stage(d, "sample_from_datasets") for d in datasets]
        if not stages:
            raise ValueError("sample_from_datasets: `datasets` must not be empty")
        return cls._of(Sample(stages, weights, seed, stop_on_empty_dataset, rerandomize_each_iteration is not False))

    @classmethod
    def choose_from_datasets(cls, datasets: Sequence[Any], choice_dataset: Any, stop_on_empty_dataset: bool = True) -> Any:
        """Elements of datasets in the order of their numbers in `choice_dataset`."""
        stages = [_stage(d, "choose_from_datasets") for d in (*datasets, choice_dataset)]
        return cls._of(ChooseByDataset(stages, stop_on_empty_dataset))

    @classmethod
    def load(cls, path: Any, element_spec: Any = None, compression: str | None = None, reader_func: Any = None) -> Any:
        """The elements that `save` wrote."""
        kind, name = checked_kind(compression), str(path)
        if not os.path.exists(name):
            raise FileNotFoundError(f"Dataset.load: there is no file {name}")
        return cls._of(sources.Stream(lambda: (decode(r) for r in records(name, kind)), verb="load"))


def _shapes(structure: Any, given: Any) -> list[Any]:
    if structure is None:
        return [given]
    parts = [given[k] for k in structure[1]] if len(structure) == 3 else list(given)
    return [s for inner, part in zip(structure[-1], parts, strict=True) for s in _shapes(inner, part)]
