"""What a kernel template hands back: sources of kernels and the calls that run them, with symbolic buffers.

A planner (`plan_gemm`, `plan_conv_forward`, `plan_max_pool` ...) turns an op with known sizes into a list of `KernelCall`s, to be run in
order with a barrier between them. The words of a call are its argument record (see the ABI in this room's README): plain integers, or
symbols that the caller replaces by addresses:

* `BufferRef(i, byte_offset)`: operand i of the op (inputs first, then outputs, then epilogue operands; each planner says which is which);
* `TempBuffer(nbytes)`: scratch space shared by the calls of one plan; the caller places it in its arena (64-byte aligned, uninitialised);
* `ConstBuffer(data)`: read-only bytes made by the planner (64-byte aligned), for instance a table of tap offsets.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from monograph.targets.llvm.ir import Fn, Module, Val


class Features(Protocol):
    """What is read of the processor's description (`targets.cpu.CpuFeatures` has it)."""

    @property
    def vector_bytes(self) -> int: ...
    @property
    def l1d(self) -> int: ...
    @property
    def l2(self) -> int: ...
    @property
    def cores(self) -> int: ...
    @property
    def architecture(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Machine:
    """What the planners and templates need to know of a processor. `threads` shapes the units of work only, never a result.

    `winograd`: whether 3x3 convolutions may be computed by Winograd's algorithm where that is estimated to be faster.
    """

    vector_bytes: int = 32
    vector_registers: int = 16
    l1_bytes: int = 32 << 10
    l2_bytes: int = 512 << 10
    threads: int = 1
    winograd: bool = False

    @staticmethod
    def of(features: Features, winograd: bool = False) -> Machine:
        """The machine of a feature record."""
        few = features.architecture in ("x86_64", "amd64", "i686") and features.vector_bytes < 64
        return Machine(features.vector_bytes, 16 if few else 32, features.l1d, features.l2, features.cores, winograd)

    def lanes(self, element_bytes: int) -> int:
        """Elements of this size in one vector register."""
        return max(1, self.vector_bytes // element_bytes)


@dataclass(frozen=True, slots=True)
class BufferRef:
    """The address of operand `operand` of the op, plus `byte_offset`."""

    operand: int
    byte_offset: int = 0


@dataclass(frozen=True, eq=False, slots=True)
class TempBuffer:
    """Uninitialised memory that lives from the first to the last call of the plan that mentions it."""

    nbytes: int


@dataclass(frozen=True, eq=False, slots=True)
class ConstBuffer:
    """Read-only bytes that belong to the plan."""

    data: bytes


Word = int | BufferRef | TempBuffer | ConstBuffer


@dataclass(frozen=True, slots=True)
class KernelSource:
    """One kernel, before it is compiled: its function name, its structural key and the function that writes its IR.

    Two sources are the same kernel exactly when their keys are equal; equal keys have equal names, in every process.
    """

    name: str
    key: tuple[Any, ...]
    emit: Callable[[Module], None] = field(compare=False)

    @staticmethod
    def make(stem: str, key: tuple[Any, ...], emit: Callable[[Module, str], None]) -> KernelSource:
        """A source whose name is `stem` with a hash of the key."""
        name = f"{stem}_{hashlib.blake2b(repr(key).encode(), digest_size=8).hexdigest()}"
        return KernelSource(name, (stem, *key), lambda module: emit(module, name))

    def text(self) -> str:
        """A whole IR module with this kernel and its helpers."""
        module = Module()
        self.emit(module)
        return module.text()


class Layout:
    """Names of the words of an argument record, in order; a name that ends in `*` is a pointer."""

    def __init__(self, *names: str) -> None:
        self.types = {name.rstrip("*"): "ptr" if name.endswith("*") else "i64" for name in names}
        self.size = len(self.types)

    def read(self, f: Fn, args: Val) -> dict[str, Val]:
        """All words, loaded."""
        return {name: f.word(args, i, ty) for i, (name, ty) in enumerate(self.types.items())}

    def fill(self, **words: Word) -> list[Word]:
        """The record, from a value for every name."""
        if words.keys() != self.types.keys():
            raise ValueError(
                f"argument record: missing {sorted(self.types.keys() - words.keys())}, unknown {sorted(words.keys() - self.types.keys())}"
            )
        return [words[name] for name in self.types]


@dataclass(slots=True)
class KernelCall:
    """One parallel run of a kernel over `n_units` units, in ranges of at least `grain` units where the caller can choose."""

    kernel: KernelSource
    words: list[Word]
    n_units: int
    grain: int = 1
    scratch_bytes: int = 0
    flops: int = 0
    nbytes: int = 0


def flops(calls: Sequence[KernelCall]) -> int:
    """Useful arithmetic operations of a plan (a multiply-add counts two)."""
    return sum(call.flops for call in calls)


def traffic(calls: Sequence[KernelCall]) -> int:
    """Estimated bytes a plan moves from and to memory."""
    return sum(call.nbytes for call in calls)


def ensure_function(module: Module, name: str, build: Callable[[str], None]) -> str:
    """Adds an internal helper function once per module and returns its name."""
    if all(fn.name != name for fn in module.functions):
        build(name)
    return name


def round_up(value: int, multiple: int) -> int:
    """The least multiple of `multiple` that is not below `value`."""
    return -(-value // multiple) * multiple


def contiguous_strides(shape: Sequence[int]) -> tuple[int, ...]:
    """Row-major strides in elements."""
    out, step = [], 1
    for size in reversed(shape):
        out.append(step)
        step *= size
    return tuple(reversed(out))
