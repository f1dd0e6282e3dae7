"""Sequences of different lengths: padded, packed, and back."""

from __future__ import annotations

import itertools
from collections import namedtuple
from collections.abc import Iterable
from typing import Any

from monograph.core.dtype import int64
from monograph.tensor import Tensor, cat, full, stack, tensor

_Fields = namedtuple("_Fields", ["data", "batch_sizes", "sorted_indices", "unsorted_indices"])


class PackedSequence(_Fields):
    """Sequences of different lengths as one tensor: all first elements (of the `batch_sizes[0]` sequences), then all second
    ones, and so on.

    Made by `pack_padded_sequence` and `pack_sequence`; recurrent layers take it.
    """

    __slots__ = ()

    def __new__(cls, data: Tensor, batch_sizes: Any = None, sorted_indices: Any = None, unsorted_indices: Any = None) -> PackedSequence:
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def _with(self, data: Tensor) -> PackedSequence:
        return self if data is self.data else PackedSequence(data, self.batch_sizes, self.sorted_indices, self.unsorted_indices)

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """The data in another dtype or on another device."""
        return self._with(self.data.to(*args, **kwargs))

    def float(self) -> PackedSequence:
        """The data as float32."""
        return self._with(self.data.float())

    def double(self) -> PackedSequence:
        """The data as float64."""
        return self._with(self.data.double())

    def half(self) -> PackedSequence:
        """The data as float16."""
        return self._with(self.data.half())

    def cpu(self) -> PackedSequence:
        """The data on the CPU."""
        return self._with(self.data.to(device="cpu"))

    def pin_memory(self) -> PackedSequence:
        """Nothing to pin: the computation is on the CPU."""
        return self

    @property
    def is_cuda(self) -> bool:
        """Whether the data is on a GPU: never."""
        return False

    def is_pinned(self) -> bool:
        """Whether the data is in pinned memory: never."""
        return False


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """The permutation that undoes `permutation`."""
    return None if permutation is None else permutation.argsort()


def pack_padded_sequence(input: Tensor, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True) -> PackedSequence:
    """Packs [T, N, *] (or [N, T, *]) whose sequences have the given lengths; with `enforce_sorted` they must be sorted, longest first."""
    sizes = [int(n) for n in (lengths.tolist() if isinstance(lengths, Tensor) else lengths)]
    if not sizes or min(sizes) <= 0:
        raise RuntimeError("Length of all samples has to be greater than 0, but found an element in 'lengths' that is <= 0")
    batch = input.shape[0 if batch_first else 1]
    if len(sizes) != batch:
        raise RuntimeError(f"Expected `len(lengths)` to be equal to batch_size, but got {len(sizes)} (batch_size={batch})")
    order = None
    if enforce_sorted:
        if any(a < b for a, b in itertools.pairwise(sizes)):
            raise RuntimeError(
                "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. You can pass `enforce_sorted=False` to "
                "pack_padded_sequence and/or pack_sequence to sidestep this requirement if you do not need ONNX exportability."
            )
    else:
        ranked = sorted(range(batch), key=lambda i: -sizes[i])
        order = tensor(ranked, dtype=int64)
        input = input.index_select(0 if batch_first else 1, order)
        sizes = [sizes[i] for i in ranked]
    x = input.transpose(0, 1) if batch_first else input
    if sizes[0] > x.shape[0]:
        raise RuntimeError(f"Expected sequence length to be at most {x.shape[0]} (the padded length), but got {sizes[0]}")
    counts = [sum(1 for n in sizes if n > t) for t in range(sizes[0])]
    data = cat([x[t, :count] for t, count in enumerate(counts)], 0)
    return PackedSequence(data, tensor(counts, dtype=int64), order)


def pad_packed_sequence(
    sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[Tensor, Tensor]:
    """(padded [T, N, *], lengths) of a packed sequence."""
    counts = sequence.batch_sizes.tolist()
    longest = len(counts)
    if total_length is not None:
        if total_length < longest:
            raise ValueError(
                "Expected total_length to be at least the length of the longest sequence in input, but got "
                f"total_length={total_length} and "
                f"max sequence length being {longest}"
            )
        longest = total_length
    batch, rest = counts[0], tuple(sequence.data.shape[1:])
    rows = []
    for part in sequence.data.split(counts, 0):
        missing = batch - part.shape[0]
        rows.append(part if not missing else cat([part, full((missing, *rest), padding_value, dtype=part.dtype)], 0))
    rows += [full((batch, *rest), padding_value, dtype=sequence.data.dtype)] * (longest - len(counts))
    padded = stack(rows, 1 if batch_first else 0)
    lengths = tensor([sum(1 for count in counts if count > i) for i in range(batch)], dtype=int64)
    if sequence.unsorted_indices is not None:
        padded = padded.index_select(0 if batch_first else 1, sequence.unsorted_indices)
        lengths = lengths.index_select(0, sequence.unsorted_indices)
    return padded, lengths


def pad_sequence(sequences: Any, batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right") -> Tensor:
    """Stacks sequences [L_i, *], padded to the longest: [T, N, *], or [N, T, *] with `batch_first`."""
    if isinstance(sequences, Tensor):
        sequences = sequences.unbind(0)
    elif not isinstance(sequences, Iterable):
        raise RuntimeError(f"pad_sequence: Expected iterable for input sequences, but got arg of type: {type(sequences)}")
    items = list(sequences)
    if padding_side not in ("left", "right"):
        raise RuntimeError(f"Expected padding_side to be one of left or right, but got {padding_side}")
    longest = max(s.shape[0] for s in items)
    rows = []
    for s in items:
        missing = longest - s.shape[0]
        if missing:
            filler = full((missing, *s.shape[1:]), padding_value, dtype=s.dtype)
            s = cat([s, filler] if padding_side == "right" else [filler, s], 0)
        rows.append(s)
    return stack(rows, 0 if batch_first else 1)


def unpad_sequence(padded_sequences: Tensor, lengths: Tensor, batch_first: bool = False) -> list[Tensor]:
    """The sequences of a padded tensor, each with its own length."""
    x = padded_sequences if batch_first else padded_sequences.transpose(0, 1)
    return [x[i, : int(n)] for i, n in enumerate(lengths.tolist())]


def pack_sequence(sequences: list[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Packs a list of sequences [L_i, *]."""
    return pack_padded_sequence(pad_sequence(sequences), [s.shape[0] for s in sequences], enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The sequences of a packed sequence."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
