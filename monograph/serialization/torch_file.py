"""torch's own files, read by a machine that runs no code: the zip archives of today and the legacy files from before 2020."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from typing import IO, Any

from monograph.core.errors import ArtifactError
from monograph.runtime.buffers import Buffer
from monograph.serialization import pickle_machine
from monograph.serialization.storages import LARGEST, Storage
from monograph.serialization.tensor_file import read_exactly
from monograph.serialization.torch_globals import StorageKind, find_global, finish, objection, set_state
from monograph.tensor.core import Device

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
LARGEST_PICKLE = 1 << 30
KNOWN_DEVICES = ("cpu", "meta", "cuda", "mps", "xpu", "xla", "hpu", "npu", "mtia", "ipu", "privateuseone")


def mapping(map_location: Any) -> Callable[[str], str]:
    """location in the file -> device type to load to ("cpu" or "meta"), or an error as torch raises it on a machine without GPUs."""

    def place(location: str) -> str:
        wanted: Any = location
        if isinstance(map_location, dict):
            wanted = map_location.get(location, location)
        elif map_location is not None and not callable(map_location):
            wanted = map_location
        kind = wanted.type if isinstance(wanted, Device) else str(wanted).partition(":")[0]
        if kind in ("cpu", "meta"):
            return kind
        if map_location is None and kind not in KNOWN_DEVICES:
            raise ArtifactError(f"a storage of the file lives on an unknown device: {location[:40]!r}")
        raise RuntimeError(
            f"Attempting to deserialize object on a {kind.upper()} device but {kind}.is_available() is False. If you are running on a "
            f"CPU-only machine, "
            "please use load with map_location=monograph.device('cpu') to map your storages to the CPU."
        )

    return place


def _settle(storage: Storage, map_location: Any) -> Storage:
    """Applies map_location to a storage that was read."""
    if callable(map_location):
        answer = map_location(storage, storage.location)
        if answer is not None:
            return answer if isinstance(answer, Storage) else storage
        map_location = None
    storage.meta = mapping(map_location)(storage.location) == "meta"
    return storage


def pickle_name(names: set[str]) -> str | None:
    """The entry of a torch archive that describes the object; None if this is no torch archive. Raises ArtifactError for TorchScript."""
    found = sorted(name for name in names if name.endswith("data.pkl") and name.count("/") <= 1)
    if not found:
        return None
    root = found[0][: -len("data.pkl")]
    if f"{root}constants.pkl" in names:
        raise ArtifactError(
            "this is a TorchScript archive (torch.jit.save): it holds code. Save the state of the module instead, "
            "torch.save(module.state_dict(), path)"
        )
    return found[0]


def _identity(pid: Any) -> tuple[StorageKind, str, str, int]:
    """(kind, key, location, number of elements) of a persistent id."""
    if not isinstance(pid, tuple) or len(pid) < 5 or pid[0] not in ("storage", b"storage"):
        raise ArtifactError(f"the file refers to something that is no storage: {str(pid)[:80]}")
    kind, key, location, numel = pid[1:5]
    if not isinstance(kind, StorageKind) or type(numel) is not int or not 0 <= numel < LARGEST:
        raise ArtifactError(f"a storage of the file has no proper type or size: {str(pid)[:80]}")
    if not isinstance(location, str) or not isinstance(key, str | int):
        raise ArtifactError("a storage of the file has no proper name or location")
    return kind, str(key), location, numel


def read_archive(archive: zipfile.ZipFile, map_location: Any) -> Any:
    """The object in a torch archive. Raises ArtifactError for whatever does not add up."""
    names = set(archive.namelist())
    pickled = pickle_name(names) or ""
    root = pickled[: -len("data.pkl")]
    if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
        raise ArtifactError("the entries of this torch archive are compressed, which torch never does")
    if archive.getinfo(pickled).file_size > LARGEST_PICKLE:
        raise ArtifactError("damaged torch archive: its description is larger than a gigabyte")
    swap = f"{root}byteorder" in names and archive.read(f"{root}byteorder") == b"big"
    storages: dict[str, tuple[StorageKind, Storage]] = {}

    def persistent(pid: Any) -> Storage:
        kind, key, location, numel = _identity(pid)
        known = storages.get(key)
        if known is None:
            known = storages[key] = (kind, _settle(_read_record(archive, f"{root}data/{key}", kind, location, numel, swap), map_location))
        return known[1] if known[0].dtype is kind.dtype else _as_other_kind(known[1], kind)

    return _object(io.BytesIO(archive.read(pickled)), persistent)


def _as_other_kind(storage: Storage, kind: StorageKind) -> Storage:
    other = Storage(storage.buffer, kind.dtype, storage.location)
    other.meta = storage.meta
    return other


def _read_record(archive: zipfile.ZipFile, name: str, kind: StorageKind, location: str, numel: int, swap: bool) -> Storage:
    try:
        info = archive.getinfo(name)
    except KeyError:
        raise ArtifactError(f"damaged torch archive: the storage {name!r} lacks") from None
    itemsize = kind.dtype.itemsize if kind.dtype is not None else 1
    nbytes = numel * itemsize
    if nbytes > info.file_size:
        raise ArtifactError(f"damaged torch archive: the storage {name!r} should have {nbytes:,} bytes and has {info.file_size:,}")
    buffer = Buffer(nbytes)
    with archive.open(info) as stream:
        read_exactly(stream, buffer, nbytes, f"storage {name!r}")
        stream.read(info.file_size - nbytes)  # to the end, where the checksum is compared
    if swap:
        if kind.dtype is None:
            raise ArtifactError("an untyped storage written on a big-endian machine")
        array = buffer.array((numel,), kind.dtype.np)
        array[...] = array.byteswap()
    return Storage(buffer, kind.dtype, location)


def _object(stream: IO[bytes], persistent: Callable[[Any], Any]) -> Any:
    made = pickle_machine.run(stream, pickle_machine.Surroundings(find_global, persistent, set_state))
    pickle_machine.check_result(made, objection)
    return finish(made)


def _plain(stream: IO[bytes], what: str) -> Any:
    def refuse(*_: Any) -> Any:
        raise ArtifactError(f"damaged legacy file: {what} is not plain")

    return pickle_machine.run(stream, pickle_machine.Surroundings(refuse, refuse, refuse))


def read_legacy(stream: IO[bytes], size: int, map_location: Any) -> Any:
    """The object in a file of torch before 1.6: several pickles, then the storages one after the other."""
    start = stream.tell()
    first: Any = None
    try:
        first = _plain(stream, "the magic number")
    except ArtifactError:
        stream.seek(start)
        _object(stream, lambda pid: None)  # names the class or function that the pickle refers to
    if first != MAGIC:
        raise ArtifactError(
            "this is a plain pickle, not a file of torch.save. monograph never executes pickles: unpickle it in a program that trusts it, "
            "and save what it holds with mg.save"
        )
    protocol, system = _plain(stream, "the protocol"), _plain(stream, "the system")
    if protocol != PROTOCOL:
        raise ArtifactError(f"the legacy file has protocol {str(protocol)[:20]}, {PROTOCOL} is the known one")
    big = isinstance(system, dict) and system.get("little_endian") is False
    storages: dict[str, Storage] = {}
    claimed = 0

    def persistent(pid: Any) -> Storage:
        nonlocal claimed
        if isinstance(pid, tuple) and pid[:1] == ("module",):
            raise ArtifactError("the legacy file holds a whole pickled module; in torch, save module.state_dict() instead")
        kind, key, location, numel = _identity(pid)
        if kind.dtype is None:
            raise ArtifactError("a legacy file with an untyped storage")
        if len(pid) > 5 and pid[5] is not None:
            raise ArtifactError("the legacy file holds a view of a storage, as torch before 0.4 wrote; save it again with a newer torch")
        if key not in storages:
            claimed += numel * kind.dtype.itemsize
            if claimed > size:
                raise ArtifactError(f"damaged legacy file: its storages claim {claimed:,} bytes, the file has {size:,}")
            storages[key] = _settle(Storage(Buffer(numel * kind.dtype.itemsize), kind.dtype, location), map_location)
        return storages[key]

    made = pickle_machine.run(stream, pickle_machine.Surroundings(find_global, persistent, set_state))
    pickle_machine.check_result(made, objection)
    keys = _plain(stream, "the list of storages")
    if not isinstance(keys, list) or sorted(map(str, keys)) != sorted(storages):
        raise ArtifactError("damaged legacy file: the storages that it lists are not those that its tensors use")
    for key in keys:
        _fill(stream, storages[str(key)], str(key), big)
    return finish(made)


def _fill(stream: IO[bytes], storage: Storage, key: str, big: bool) -> None:
    count = stream.read(8)
    numel = storage.buffer.nbytes // storage.dtype.itemsize  # type: ignore[union-attr]
    if len(count) < 8 or int.from_bytes(count, "little") != numel:
        raise ArtifactError(f"damaged or truncated legacy file: storage {key} should have {numel:,} elements")
    read_exactly(stream, storage.buffer, storage.buffer.nbytes, f"storage {key}")
    if big:
        array = storage.buffer.array((numel,), storage.dtype.np)  # type: ignore[union-attr]
        array[...] = array.byteswap()
