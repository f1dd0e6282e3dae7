"""`load`: tells by the first bytes what a file is, and reads it without ever running anything from it."""

from __future__ import annotations

import io
import json
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import IO, Any

import numpy as np

from monograph.core.dtype import complex128
from monograph.core.errors import ArtifactError
from monograph.nn.parameter import Parameter
from monograph.ops import source
from monograph.serialization import tensor_file, torch_file
from monograph.serialization.tree import Decoder
from monograph.serialization.writing import FORMAT, TENSORS, TREE
from monograph.tensor import FUNCTIONS
from monograph.tensor.core import Tensor, node_of, wrap

LARGEST_TREE = 1 << 30
MOST_INFLATED = 1 << 30  # bytes that a compressed archive may unfold to without looking like a bomb
RATIO_OF_BOMBS = 200
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")


def load(
    f: Any, map_location: Any = None, pickle_module: Any = None, *, weights_only: bool | None = None, mmap: bool | None = None,
    **pickle_load_args: Any,
) -> Any:  # fmt: skip
    """The object in a file: ours, torch's `.pt` and `.pth` (zip and legacy), `.safetensors`, NumPy's `.npz` and `.npy`; told apart by
    content.

    `f` is a path or an object with `read` and `seek`. `map_location` as in torch: a device, a dict of names, or a function of (storage,
    location). No code in a file is ever run, and no pickle executed, whatever `weights_only` says: what only they could restore is
    refused with an error that names it. `weights_only=False` admits one thing more, the whole modules in files of ours, whose classes
    must be imported. `mmap` is accepted; files are read. Raises ArtifactError for damaged, hostile and unknown files.
    """
    if pickle_module is not None:
        raise RuntimeError("load() executes no pickle, so pickle_module= has nothing to do; leave it out")
    modules = weights_only is False
    if isinstance(f, str | bytes | os.PathLike):
        if mmap and not os.path.isfile(f):
            raise ValueError(f"mmap=True needs a file, {os.fsdecode(f)} is none")
        with open(f, "rb") as stream:
            return _load_checked(stream, map_location, modules)
    if mmap:
        raise ValueError("f must be a file path in order to use the mmap argument")
    if not hasattr(f, "read"):
        raise TypeError(f"load() takes a path or an object with read() and seek(), got {type(f).__name__}")
    seekable = hasattr(f, "seek") and (not hasattr(f, "seekable") or f.seekable())
    if seekable and hasattr(f, "readinto"):
        return _load_checked(f, map_location, modules)
    return _load_checked(io.BytesIO(f.read()), map_location, modules)


def _load_checked(stream: IO[bytes], map_location: Any, modules: bool) -> Any:
    """`_load`, with every error that a damaged file can cause turned into an ArtifactError."""
    try:
        return _load(stream, map_location, modules)
    except ArtifactError:
        raise
    except (ValueError, OverflowError, struct.error, RecursionError, zlib.error, EOFError) as error:
        raise ArtifactError(f"damaged file: {type(error).__name__}: {str(error)[:200]}") from error


def _load(stream: IO[bytes], map_location: Any, modules: bool) -> Any:
    start = stream.tell()
    size = stream.seek(0, os.SEEK_END) - start
    stream.seek(start)
    head = stream.read(16)
    stream.seek(start)
    if head[:4] in _ZIP:
        return _load_zip(stream, size, map_location, modules)
    if head[:6] == b"\x93NUMPY":
        return FUNCTIONS["_from_host"](_numpy_array(stream, size, "the file"))
    if len(head) >= 9 and head[8:9] == b"{" and int.from_bytes(head[:8], "little") <= size - 8:
        return _moved(tensor_file.read(stream, size)[0], map_location)
    if head[:1] == b"\x80":
        return torch_file.read_legacy(stream, size, map_location)
    if head[:4] == b"\x89HDF" or head[:4] == b"GGUF":
        raise ArtifactError(f"this is a {'HDF5' if head[1:2] == b'H' else 'GGUF'} file, which load() does not read")
    if size == 0:
        raise ArtifactError("the file is empty: nothing was ever written to it, or the write was cut off")
    raise ArtifactError(
        f"unknown kind of file (it begins with {head[:8]!r}); load() reads monograph's own files, torch's .pt and .pth, .safetensors, "
        f".npz and .npy. "
        "A download that failed often leaves a web page or a Git LFS pointer under the name of the file"
    )


def _load_zip(stream: IO[bytes], size: int, map_location: Any, modules: bool) -> Any:
    try:
        archive = zipfile.ZipFile(stream)
        entries = archive.infolist()
        check_archive(entries, size)
        names = {entry.filename for entry in entries}
        if TREE in names:
            return _load_own(archive, map_location, modules)
        if torch_file.pickle_name(names):
            return torch_file.read_archive(archive, map_location)
        if names and all(name.endswith(".npy") for name in names):
            return {entry.filename[:-4]: FUNCTIONS["_from_host"](_entry_array(archive, entry)) for entry in entries}
    except (zipfile.BadZipFile, EOFError, NotImplementedError, OSError, zipfile.LargeZipFile) as error:
        raise ArtifactError(f"damaged archive: {error}. The file is truncated or was changed after it was written") from None
    raise ArtifactError(
        f"an archive of {len(names)} entries that is neither monograph's, torch's nor NumPy's: {', '.join(sorted(names)[:4])}"
    )


def check_archive(entries: list[zipfile.ZipInfo], size: int) -> None:
    """Refuses archives whose entries claim more than they can hold: bombs, overlaps, doubled and outside names."""
    inflated = sum(entry.file_size for entry in entries)
    packed = sum(entry.compress_size for entry in entries)
    if packed > size or any(entry.header_offset >= size for entry in entries):
        raise ArtifactError(f"damaged archive: its entries claim {packed:,} bytes, the file has {size:,}")
    if inflated > max(MOST_INFLATED, RATIO_OF_BOMBS * size):
        raise ArtifactError(f"the archive of {size:,} bytes would unfold to {inflated:,}: it looks like a zip bomb and is not read")
    names = [entry.filename for entry in entries]
    if len(set(names)) != len(names):
        raise ArtifactError("damaged archive: it holds two entries of one name")
    for entry in entries:
        if entry.flag_bits & 1:
            raise ArtifactError(f"the archive is encrypted ({entry.filename[:80]!r}); files of tensors never are")
        if entry.compress_type == zipfile.ZIP_STORED and entry.file_size != entry.compress_size:
            raise ArtifactError(
                f"damaged archive: {entry.filename[:80]!r} claims {entry.file_size:,} bytes and has {entry.compress_size:,}"
            )
        if entry.filename.startswith("/") or ".." in entry.filename.split("/"):
            raise ArtifactError(f"the archive names a place outside itself: {entry.filename[:80]!r}")


def _load_own(archive: zipfile.ZipFile, map_location: Any, modules: bool) -> Any:
    if archive.getinfo(TREE).file_size > LARGEST_TREE:
        raise ArtifactError("damaged file: its tree is larger than a gigabyte")
    try:
        document = json.loads(archive.read(TREE).decode("utf-8", "surrogatepass"))
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"damaged file: its tree is no JSON ({type(error).__name__})") from None
    if not isinstance(document, dict) or type(document.get("format")) is not int:
        raise ArtifactError("damaged file: its tree does not say its format")
    if document["format"] > FORMAT:
        raise ArtifactError(f"the file has format {document['format']}, this monograph reads up to {FORMAT}: install a newer one")
    try:
        info = archive.getinfo(TENSORS)
    except KeyError:
        raise ArtifactError(f"damaged file: {TENSORS} lacks") from None
    with archive.open(info) as entry:
        tensors, _ = tensor_file.read(entry, info.file_size)
    tensors = _moved(tensors, map_location)
    used: set[str] = set()
    parameters: dict[Any, Parameter] = {}

    def tensor(place: Any) -> Tensor:
        if "meta" in place:
            name, shape = place["meta"]
            t = FUNCTIONS["empty"](tuple(int(n) for n in shape), dtype=FUNCTIONS[name], device="meta")
        else:
            name = place["name"]
            if name not in tensors:
                raise ArtifactError(f"damaged file: the tensor {name!r} lacks")
            t = tensors[name]
            if place.get("dtype") == "complex128":
                t = tensors[name] = t if t.dtype is complex128 else _paired(t)
            if name in used or "parameter" in place:
                t = t.detach()
            used.add(name)
        if "parameter" in place:
            number = place["parameter"]
            if number not in parameters:
                parameters[number] = Parameter(t, place.get("requires_grad") is True)
            return parameters[number]
        return t.requires_grad_() if place.get("requires_grad") is True else t

    return Decoder(tensor, modules).decode(document.get("tree"))


def _paired(t: Tensor) -> Tensor:
    node = node_of(t)
    if not node.shape or node.shape[-1] != 2 or node.dtype.name != "float64":
        raise ArtifactError("damaged file: a complex tensor is not stored as pairs")
    return wrap(source.from_value(node.value, node.shape[:-1], complex128))


def _moved(tensors: dict[str, Tensor], map_location: Any) -> dict[str, Tensor]:
    """Tensors saved without a device live on the CPU; `map_location` may ask for another place."""
    if map_location is None:
        return tensors
    place = torch_file.mapping(map_location)
    return {name: t.to(device="meta") if place("cpu") == "meta" else t for name, t in tensors.items()}  # type: ignore[attr-defined]


def _entry_array(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> np.ndarray:
    with archive.open(entry) as stream:
        return _numpy_array(stream, entry.file_size, entry.filename)


def _numpy_array(stream: IO[bytes], size: int, what: str) -> np.ndarray:
    """An array in NumPy's own format, numbers only; the header is checked against the bytes that are there."""
    readers: dict[tuple[int, int], Callable[..., Any]] = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    try:
        begin = np.lib.format.read_magic(stream)
        shape, fortran, dtype = readers[begin](stream)
    except (ValueError, KeyError, SyntaxError, TypeError, RecursionError, MemoryError) as error:
        raise ArtifactError(f"damaged NumPy array ({what}): {error}") from None
    if dtype.hasobject or dtype.kind not in "biufc":
        raise ArtifactError(f"{what} is a NumPy array of dtype {dtype}; arrays of numbers are read, objects never")
    count = 1
    for n in shape:
        count *= n
    if any(n < 0 for n in shape) or count * dtype.itemsize > size:
        raise ArtifactError(f"damaged NumPy array ({what}): shape {shape} needs {count * dtype.itemsize:,} bytes, {size:,} are there")
    data = stream.read(count * dtype.itemsize)
    if len(data) != count * dtype.itemsize:
        raise ArtifactError(f"the file is truncated: {what} has {len(data):,} of {count * dtype.itemsize:,} bytes")
    return np.frombuffer(data, dtype).reshape(shape, order="F" if fortran else "C")
