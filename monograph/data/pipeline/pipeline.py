"""`Pipeline`: a dataset made of tf.data's verbs. What `monograph.data.Dataset.from_...` returns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from monograph.core import trees
from monograph.data.dataset import CONSTRUCTORS, IterableDataset
from monograph.data.pipeline import storage
from monograph.data.pipeline.batching import Batch, PaddedBatch, Padding, Unbatch, Window
from monograph.data.pipeline.buckets import Resample, by_length
from monograph.data.pipeline.constructors import Constructors
from monograph.data.pipeline.elements import to_host, to_user
from monograph.data.pipeline.iterator import DatasetIterator, first_spec
from monograph.data.pipeline.nested import GroupByWindow, Interleave
from monograph.data.pipeline.order import Concatenate, Repeat, Shuffle
from monograph.data.pipeline.single import Assert, Enumerate, Filter, IgnoreErrors, Map, Scan, Shard, Skip, Take, TakeWhile, Unique
from monograph.data.pipeline.stage import AUTOTUNE, INFINITE_CARDINALITY, UNKNOWN_CARDINALITY, Function, Stage
from monograph.data.pipeline.threads import ParallelMap, Prefetch

Fn = Callable[..., Any]


def stage_of(dataset: Any) -> Stage:
    """The stage of a pipeline; raises TypeError for anything else."""
    if not isinstance(dataset, Pipeline):
        raise TypeError(
            f"expected a dataset made by monograph.data.Dataset.from_... , got {type(dataset).__name__}; see Dataset.from_source"
        )
    return dataset.stage


class Pipeline(Constructors, IterableDataset[Any]):
    """A dataset as a chain of verbs: nothing is read before it is iterated, each iteration is a new pass.

    Functions get tensors (an element that is a tuple as several arguments) and return tensors, arrays, numbers or text, in tuples and
    dicts. Text stays
    Python's, batches of text are object arrays.

    >>> import monograph as mg
    >>> ds = mg.data.Dataset.range(6).map(lambda x: x * x).filter(lambda x: x % 2 == 0).batch(2)
    >>> [batch.tolist() for batch in ds]
    [[0, 4], [16]]
    """

    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    # ---- looking ----
    def __iter__(self) -> DatasetIterator:
        return DatasetIterator(self.stage)

    def as_numpy_iterator(self) -> DatasetIterator:
        """Elements as NumPy arrays."""
        return DatasetIterator(self.stage, lambda e: trees.map_leaves(_numpy, to_user(e)))

    def __bool__(self) -> bool:
        return True

    def __len__(self) -> int:
        n = self.stage.cardinality()
        if n == INFINITE_CARDINALITY:
            raise TypeError("The dataset is infinite.")
        if n == UNKNOWN_CARDINALITY:
            raise TypeError("The dataset length is unknown.")
        return n

    def cardinality(self) -> int:
        """The number of elements, or INFINITE_CARDINALITY (-1) or UNKNOWN_CARDINALITY (-2)."""
        return self.stage.cardinality()

    @property
    def element_spec(self) -> Any:
        """TensorSpecs in the structure of an element. Functions of `map` are asked with the first element."""
        return first_spec(self.stage)

    def __repr__(self) -> str:
        return f"<Dataset {self.stage.describe()}>"

    def _then(self, stage: Stage) -> Pipeline:
        return Pipeline(stage)

    # ---- one at a time ----
    def map(self, map_func: Fn, num_parallel_calls: int | None = None, deterministic: bool | None = None, name: Any = None) -> Pipeline:
        """map_func(element), in `num_parallel_calls` threads (AUTOTUNE: one for each core) if wanted.

        The order is kept, except with deterministic=False. An error in the function arrives with its traceback and the element's number.
        """
        if num_parallel_calls is None:
            return self._then(Map(self.stage, map_func))
        return self._then(ParallelMap(self.stage, map_func, num_parallel_calls, deterministic is not False))

    def filter(self, predicate: Fn, name: Any = None) -> Pipeline:
        """Elements for which the predicate holds."""
        return self._then(Filter(self.stage, predicate))

    def take_while(self, predicate: Fn, name: Any = None) -> Pipeline:
        """Elements before the first for which the predicate does not hold."""
        return self._then(TakeWhile(self.stage, predicate))

    def enumerate(self, start: int = 0, name: Any = None) -> Pipeline:
        """(number, element)."""
        return self._then(Enumerate(self.stage, int(start)))

    def take(self, count: int, name: Any = None) -> Pipeline:
        """The first `count` elements; -1 for all."""
        return self._then(Take(self.stage, int(count)))

    def skip(self, count: int, name: Any = None) -> Pipeline:
        """All but the first `count` elements; -1 leaves none."""
        return self._then(Skip(self.stage, int(count)))

    def shard(self, num_shards: int, index: int, name: Any = None) -> Pipeline:
        """Every `num_shards`-th element, from number `index` on."""
        return self._then(Shard(self.stage, int(num_shards), int(index)))

    def scan(self, initial_state: Any, scan_func: Fn, name: Any = None) -> Pipeline:
        """scan_func(state, element) -> (new state, output): the outputs."""
        return self._then(Scan(self.stage, initial_state, scan_func))

    def unique(self, name: Any = None) -> Pipeline:
        """Elements that were not there before."""
        return self._then(Unique(self.stage))

    def ignore_errors(self, log_warning: bool = False, name: Any = None) -> Pipeline:
        """Leaves out elements whose making raised an error."""
        return self._then(IgnoreErrors(self.stage, log_warning))

    def assert_cardinality(self, expected_cardinality: int) -> Pipeline:
        """Says how many elements there are, where it cannot be known; reading raises RuntimeError if that was wrong."""
        return self._then(Assert(self.stage, int(expected_cardinality)))

    # ---- batches ----
    def batch(
        self, batch_size: int, drop_remainder: bool = False, num_parallel_calls: int | None = None, deterministic: bool | None = None,
        name: Any = None,
    ) -> Pipeline:  # fmt: skip
        """`batch_size` elements at a time, stacked; the last batch may be smaller unless `drop_remainder`.

        Raises ShapeError for elements of different shapes.
        """
        return self._then(Batch(self.stage, batch_size, bool(drop_remainder)))

    def padded_batch(
        self, batch_size: int, padded_shapes: Any = None, padding_values: Any = None, drop_remainder: bool = False, name: Any = None
    ) -> Pipeline:
        """As `batch`, with elements filled up: `padded_shapes` for each component (None or -1: the longest of the batch)."""
        return self._then(PaddedBatch(self.stage, batch_size, Padding(padded_shapes, padding_values), bool(drop_remainder)))

    def unbatch(self, name: Any = None) -> Pipeline:
        """The rows of each element."""
        return self._then(Unbatch(self.stage))

    def rebatch(self, batch_size: int, drop_remainder: bool = False, name: Any = None) -> Pipeline:
        """Batches of another size."""
        return self.unbatch().batch(batch_size, drop_remainder)

    def window(self, size: int, shift: int | None = None, stride: int = 1, drop_remainder: bool = False, name: Any = None) -> Pipeline:
        """Datasets of `size` elements each, for every component one."""
        return self._then(Window(self.stage, size, shift, stride, bool(drop_remainder), Pipeline))

    def group_by_window(
        self, key_func: Fn, reduce_func: Fn, window_size: int | None = None, window_size_func: Fn | None = None, name: Any = None
    ) -> Pipeline:
        """Elements gathered by key_func(element); of a full window of one key, reduce_func(key, window) makes a dataset of what follows."""
        if (window_size is None) == (window_size_func is None):
            raise ValueError("Either the `window_size` argument or the `window_size_func` argument must be specified, and not both.")
        size: Any = window_size if window_size_func is None else window_size_func
        return self._then(GroupByWindow(self.stage, key_func, reduce_func, size, Pipeline))

    def bucket_by_sequence_length(
        self, element_length_func: Fn, bucket_boundaries: Sequence[int], bucket_batch_sizes: Sequence[int], padded_shapes: Any = None,
        padding_values: Any = None, pad_to_bucket_boundary: bool = False, no_padding: bool = False, drop_remainder: bool = False,
        name: Any = None,
    ) -> Pipeline:  # fmt: skip
        """Padded batches of elements of like length: bucket i holds lengths from boundary i - 1 on and below boundary i."""
        return by_length(
            self, element_length_func, bucket_boundaries, bucket_batch_sizes, padded_shapes, padding_values, pad_to_bucket_boundary,
            no_padding, drop_remainder,
        )  # fmt: skip

    # ---- order ----
    def shuffle(
        self, buffer_size: int, seed: int | None = None, reshuffle_each_iteration: bool | None = None, name: Any = None
    ) -> Pipeline:
        """Each element drawn from a buffer of the next `buffer_size`: all of them, for a uniform shuffle.

        Passes have different orders unless reshuffle_each_iteration=False; with a `seed` they are the same in every program.
        """
        return self._then(Shuffle(self.stage, buffer_size, seed, reshuffle_each_iteration is not False))

    def repeat(self, count: int | None = None, name: Any = None) -> Pipeline:
        """The elements `count` times, or endlessly."""
        return self._then(Repeat(self.stage, -1 if count is None else int(count)))

    def concatenate(self, dataset: Any, name: Any = None) -> Pipeline:
        """These elements, then those."""
        return self._then(Concatenate([self.stage, stage_of(dataset)]))

    def interleave(
        self, map_func: Fn, cycle_length: int | None = None, block_length: int | None = None, num_parallel_calls: int | None = None,
        deterministic: bool | None = None, name: Any = None,
    ) -> Pipeline:  # fmt: skip
        """map_func(element) is a dataset; up to `cycle_length` of them are open, `block_length` elements are taken from each in turn."""
        return self._then(Interleave(self.stage, map_func, cycle_length, block_length, num_parallel_calls, "interleave"))

    def flat_map(self, map_func: Fn, name: Any = None) -> Pipeline:
        """map_func(element) is a dataset; their elements one after the other."""
        return self._then(Interleave(self.stage, map_func, 1, 1, None, "flat_map"))

    def rejection_resample(self, class_func: Fn, target_dist: Any, initial_dist: Any = None, seed: int | None = None) -> Pipeline:
        """(class, element), where classes come in the proportions of `target_dist`."""
        return self._then(Resample(self.stage, class_func, target_dist, initial_dist, seed))

    # ---- ahead, and kept ----
    def prefetch(self, buffer_size: int = AUTOTUNE, name: Any = None) -> Pipeline:
        """A thread makes the next `buffer_size` elements while this one is used."""
        return self._then(Prefetch(self.stage, int(buffer_size)))

    def cache(self, filename: Any = "", name: Any = None) -> Pipeline:
        """Elements are made in the first whole pass and kept, in memory or in a file."""
        return self._then(storage.CacheFile(self.stage, str(filename)) if filename else storage.Cache(self.stage))

    def save(self, path: Any, compression: str | None = None, shard_func: Any = None, checkpoint_args: Any = None) -> None:
        """Writes all elements to one file; `Dataset.load` reads them."""
        storage.save(self.stage, str(path), compression)

    # ---- the whole ----
    def reduce(self, initial_state: Any, reduce_func: Fn, name: Any = None) -> Any:
        """The state after reduce_func(state, element) for each element.

        >>> import monograph as mg
        >>> mg.data.Dataset.range(5).reduce(0, lambda total, x: total + x)
        tensor(10)
        """
        function = Function(reduce_func, "reduce", unpack=False)
        state, run = to_host(initial_state), self.stage.run()
        try:
            for index, element in enumerate(run):
                state = to_host(function(element, index, to_user(state)))
        finally:
            run.close()
        return to_user(state)

    def get_single_element(self, name: Any = None) -> Any:
        """The only element; raises ValueError if there is none or another."""
        found = list(self.take(2))
        if len(found) != 1:
            raise ValueError("Dataset was empty." if not found else "Dataset had more than one element.")
        return found[0]

    def apply(self, transformation_func: Fn) -> Any:
        """transformation_func(self)."""
        made = transformation_func(self)
        stage_of(made)
        return made

    def with_options(self, options: Any, name: Any = None) -> Pipeline:
        """tf's options tune its runtime; they change nothing here."""
        return self

    def options(self) -> dict[str, Any]:
        """None are set."""
        return {}


def _numpy(leaf: Any) -> Any:
    if hasattr(leaf, "numpy"):
        array = leaf.numpy()
        return array if array.ndim else array[()]
    return leaf


CONSTRUCTORS.append(Pipeline)
