"""What the globals in a torch checkpoint stand for: tensors, storages, dtypes, plain containers, NumPy's arrays of numbers. Nothing
else.
"""

from __future__ import annotations

import math
from collections import Counter, OrderedDict, defaultdict
from typing import Any

import numpy as np

from monograph.core import dtype as dtypes
from monograph.core.dtype import dtype as DType
from monograph.core.errors import ArtifactError
from monograph.nn.parameter import Parameter
from monograph.serialization.pickle_machine import Constructor, key
from monograph.serialization.storages import Storage
from monograph.tensor import FUNCTIONS
from monograph.tensor.core import Device, Size, Tensor
from monograph.tensor.interop import host_array

STORAGES = {
    "DoubleStorage": dtypes.float64, "FloatStorage": dtypes.float32, "HalfStorage": dtypes.float16, "BFloat16Storage": dtypes.bfloat16,
    "LongStorage": dtypes.int64, "IntStorage": dtypes.int32, "ShortStorage": dtypes.int16, "CharStorage": dtypes.int8,
    "ByteStorage": dtypes.uint8,
    "BoolStorage": dtypes.bool_, "ComplexFloatStorage": dtypes.complex64, "ComplexDoubleStorage": dtypes.complex128,
}  # fmt: skip
FOREIGN_DTYPES = frozenset("complex32 qint8 quint8 qint32".split())
_ATTRIBUTES_OF_TENSORS = frozenset(dir(Tensor)) | {"_node", "_simple"}


class StorageKind:
    """A storage class named in a file, e.g. torch.FloatStorage."""

    def __init__(self, dtype: DType | None) -> None:
        self.dtype = dtype


class ClassName:
    """A class that only says what a tensor is: Tensor or Parameter."""

    def __init__(self, name: str) -> None:
        self.name = name


class NumpyType:
    """A NumPy dtype on its way: the file gives its byte order after it."""

    def __init__(self, dtype: np.dtype) -> None:
        self.dtype = dtype


def _storage(value: Any) -> Storage:
    if not isinstance(value, Storage):
        raise ArtifactError(f"a tensor is built on a {type(value).__name__} instead of a storage")
    return value


def _tensor(
    storage: Any,
    offset: Any,
    size: Any,
    stride: Any,
    requires_grad: Any = False,
    hooks: Any = None,
    metadata: Any = None,
    dtype: Any = None,
) -> Tensor:
    t = _storage(storage).tensor(offset, size, stride, dtype)
    if metadata:
        if not isinstance(metadata, dict) or not set(metadata) <= {"conj", "neg"}:
            raise ArtifactError(f"a tensor has unknown properties: {str(metadata)[:80]}")
        for name, function in (("conj", np.conj), ("neg", np.negative)):
            if metadata.get(name):
                t = FUNCTIONS["_from_host"](function(host_array(t)), t.dtype)
    return t.requires_grad_() if requires_grad is True else t


def _tensor_v3(
    storage: Any, offset: Any, size: Any, stride: Any, requires_grad: Any, hooks: Any, dtype: Any, metadata: Any = None
) -> Tensor:
    if not isinstance(dtype, DType):
        raise ArtifactError("a tensor on an untyped storage does not say its dtype")
    return _tensor(storage, offset, size, stride, requires_grad, hooks, metadata, dtype)


def _meta_tensor(dtype: Any, size: Any, stride: Any, requires_grad: Any) -> Tensor:
    if not isinstance(dtype, DType) or not isinstance(size, tuple | list) or not all(type(n) is int and 0 <= n < 2**60 for n in size):
        raise ArtifactError("a meta tensor has no proper shape and dtype")
    return FUNCTIONS["empty"](tuple(size), dtype=dtype, device="meta", requires_grad=requires_grad is True)


def _parameter(data: Any, requires_grad: Any, hooks: Any = None, state: Any = None) -> Parameter:
    if not isinstance(data, Tensor):
        raise ArtifactError(f"a parameter is built on a {type(data).__name__}")
    return set_state(Parameter(data.detach(), requires_grad is True), state or {})


def _of_type(build: Any, kind: Any, arguments: Any, state: Any) -> Any:
    if not isinstance(build, Constructor) or not isinstance(arguments, tuple) or not isinstance(kind, ClassName):
        raise ArtifactError("a tensor of a subclass that monograph does not have; save tensor.as_subclass(torch.Tensor) instead")
    made = build.build(*arguments)
    if not isinstance(made, Tensor):
        raise ArtifactError(f"a tensor is built by {build.name}")
    if kind.name == "Parameter" and not isinstance(made, Parameter):
        made = Parameter(made.detach(), made.requires_grad)
    return set_state(made, state or {})


def _ordered(*arguments: Any) -> OrderedDict[Any, Any]:
    return OrderedDict((key(k), v) for k, v in (arguments[0] if arguments else ()))


def _numpy_type(name: Any, align: Any = False, copy: Any = False) -> NumpyType:
    if not isinstance(name, str) or len(name) > 8 or name.lstrip("<>=|")[:1] not in tuple("biufcSUmM?"):
        raise ArtifactError(
            f"the file holds a NumPy array of dtype {str(name)[:40]!r}; numbers, strings and times are read, objects are not"
        )
    return NumpyType(np.dtype(name))


def _numpy_scalar(kind: Any, data: Any = b"") -> Any:
    if not isinstance(kind, NumpyType) or not isinstance(data, bytes | str):
        raise ArtifactError("a NumPy number has no proper dtype")
    raw = data.encode("latin1") if isinstance(data, str) else data
    if len(raw) != kind.dtype.itemsize:
        raise ArtifactError(f"a NumPy number of dtype {kind.dtype} has {len(raw)} bytes")
    return np.frombuffer(raw, kind.dtype)[0]


def _encode(text: Any, encoding: Any = "utf-8") -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", "utf-8", "ascii"):
        raise ArtifactError("a text in an unknown encoding")
    return text.encode(encoding)


def _plain(kind: type) -> Any:
    def build(*arguments: Any) -> Any:
        if arguments and isinstance(arguments[0], int) and kind is bytearray:
            raise ArtifactError("a bytearray of a size without content")
        values = arguments[0] if arguments else ()
        return kind(map(key, values)) if kind in (set, frozenset) else kind(*arguments)

    return build


def _size(values: Any = ()) -> Size:
    if not isinstance(values, tuple | list) or not all(type(n) is int for n in values):
        raise ArtifactError(f"a torch.Size of {str(values)[:40]}")
    return Size(values)


def _device(name: Any, index: Any = None) -> Device:
    if not isinstance(name, str) or not (index is None or type(index) is int):
        raise ArtifactError(f"a device called {str(name)[:40]}")
    try:
        return Device(name, index)
    except RuntimeError as error:
        raise ArtifactError(str(error)) from None


def _table() -> dict[tuple[str, str], Any]:
    def make(name: str, build: Any) -> Any:
        return Constructor(name, build)

    table: dict[tuple[str, str], Any] = {
        ("collections", "OrderedDict"): make("OrderedDict", _ordered),
        ("collections", "Counter"): make("Counter", lambda values=(): Counter({key(k): v for k, v in dict(values).items()})),
        ("collections", "defaultdict"): make("defaultdict", lambda *_: defaultdict(None)),
        ("_codecs", "encode"): make("_codecs.encode", _encode),
        ("torch", "Size"): make("torch.Size", _size),
        ("torch", "device"): make("torch.device", _device),
        ("torch", "Tensor"): ClassName("Tensor"),
        ("torch.nn.parameter", "Parameter"): ClassName("Parameter"),
        ("torch.nn.parameter", "Buffer"): ClassName("Tensor"),
        ("torch._utils", "_rebuild_tensor"): make(
            "_rebuild_tensor", lambda storage, offset, size, stride: _tensor(storage, offset, size, stride)
        ),
        ("torch._utils", "_rebuild_tensor_v2"): make("_rebuild_tensor_v2", _tensor),
        ("torch._utils", "_rebuild_tensor_v3"): make("_rebuild_tensor_v3", _tensor_v3),
        ("torch._utils", "_rebuild_meta_tensor_no_storage"): make("_rebuild_meta_tensor_no_storage", _meta_tensor),
        ("torch._utils", "_rebuild_parameter"): make("_rebuild_parameter", _parameter),
        ("torch._utils", "_rebuild_parameter_with_state"): make("_rebuild_parameter_with_state", _parameter),
        ("torch._tensor", "_rebuild_from_type_v2"): make("_rebuild_from_type_v2", _of_type),
        ("torch.storage", "UntypedStorage"): StorageKind(None),
        ("numpy", "dtype"): make("numpy.dtype", _numpy_type),
        ("numpy", "ndarray"): ClassName("ndarray"),
    }
    for builtins in ("builtins", "__builtin__"):
        for kind in (set, frozenset, bytearray, complex):
            table[builtins, kind.__name__] = make(kind.__name__, _plain(kind))
    for core in ("numpy.core.multiarray", "numpy._core.multiarray"):
        table[core, "scalar"] = make("numpy scalar", _numpy_scalar)
        table[core, "_reconstruct"] = make("numpy array", lambda *_: np.empty(0, np.uint8).view(PendingArray))
    table.update({("torch", name): StorageKind(d) for name, d in STORAGES.items()})
    table.update({("torch.cuda", name): StorageKind(d) for name, d in STORAGES.items()})
    table.update({("torch", d.name): d for d in dtypes.ALL})
    table.update({("torch", name): d for name, d in dtypes.ALIASES.items()})
    return table


class PendingArray(np.ndarray):
    """A NumPy array on its way: shape, dtype and content come after it. It becomes a plain array before the file is handed over."""

    finished: np.ndarray | None = None


TABLE = _table()


def find_global(module: str, name: str) -> Any:
    """What the global stands for. Raises ArtifactError naming it, and saying what to do, if it is code or unknown."""
    found = TABLE.get((module, name))
    if found is not None:
        return found
    full = f"{module}.{name}"[:200]
    if module == "torch" and name in FOREIGN_DTYPES:
        raise ArtifactError(
            f"the file holds a tensor of dtype {full}, which monograph does not have; convert it in torch before saving, e.g. "
            f"tensor.to(torch.float32)"
        )
    if name in ("_rebuild_sparse_tensor", "_rebuild_qtensor", "_rebuild_nested_tensor", "_rebuild_wrapper_subclass", "_get_layout"):
        raise ArtifactError(
            f"the file holds a sparse, quantised, nested or wrapped tensor ({full}); save a dense one instead, e.g. tensor.to_dense()"
        )
    if module.startswith("torch.nn.") or module == "__main__":
        advice = (
            "It is a whole pickled object. In torch, save its state, torch.save(model.state_dict(), path), and load that into the model"
        )
    else:
        advice = "In torch, save a dict of tensors, numbers and strings instead"
    raise ArtifactError(
        f"the file refers to {full}. monograph never runs code from a file: it reads tensors, numbers, strings and plain containers only, "
        f"whatever weights_only says. {advice}."
    )


def set_state(target: Any, state: Any) -> Any:
    """Puts a pickled state into an object of ours; returns what stands in its place. Raises ArtifactError for state it cannot have."""
    if isinstance(target, NumpyType):
        order = state[1] if isinstance(state, tuple) and len(state) > 1 else "|"
        if order not in ("<", ">", "=", "|"):
            raise ArtifactError("a NumPy dtype with fields; arrays of plain numbers are read")
        target.dtype = target.dtype.newbyteorder(order) if order in "<>" else target.dtype  # type: ignore[arg-type]
        return target
    if isinstance(target, PendingArray):
        return _fill_array(target, state)
    if isinstance(state, tuple) and len(state) == 2 and (state[0] is None or isinstance(state[0], dict)):
        state = {**(state[0] or {}), **(state[1] or {})}
    if not isinstance(state, dict) or not all(isinstance(k, str) for k in state):
        raise ArtifactError(f"the file sets the state of a {type(target).__name__}, which has none")
    if isinstance(target, OrderedDict):
        vars(target).update({k: v for k, v in state.items() if not k.startswith("__")})
        return target
    if isinstance(target, Tensor):
        vars(target).update({k: v for k, v in state.items() if k not in _ATTRIBUTES_OF_TENSORS and not k.startswith("__")})
        return target
    if state:
        raise ArtifactError(f"the file sets the state of a {type(target).__name__}, which has none")
    return target


def _fill_array(target: PendingArray, state: Any) -> PendingArray:
    ok = isinstance(state, tuple) and len(state) == 5 and isinstance(state[1], tuple) and isinstance(state[2], NumpyType)
    data = state[4].encode("latin1") if ok and isinstance(state[4], str) else state[4] if ok else None
    if not ok or not isinstance(data, bytes | bytearray) or not all(type(n) is int and n >= 0 for n in state[1]):
        raise ArtifactError("a NumPy array in the file has no proper shape, dtype and content")
    _, shape, kind, fortran, _ = state
    if math.prod(shape) * kind.dtype.itemsize != len(data):
        raise ArtifactError(f"a NumPy array of shape {shape} and dtype {kind.dtype} has {len(data)} bytes")
    target.finished = np.frombuffer(bytearray(data), kind.dtype).reshape(shape, order="F" if fortran else "C")
    return target


def finish(value: Any, done: dict[int, Any] | None = None) -> Any:
    """The result with every pending NumPy array replaced by the plain one; containers that are shared stay shared."""
    done = {} if done is None else done
    if isinstance(value, PendingArray):
        if value.finished is None:
            raise ArtifactError("a NumPy array in the file has no content")
        return value.finished
    if not isinstance(value, dict | list | tuple) or isinstance(value, Size):
        return value
    if id(value) in done:
        return done[id(value)]
    if isinstance(value, tuple):
        made: Any = tuple([finish(v, done) for v in value])
        done[id(value)] = made if any(a is not b for a, b in zip(made, value, strict=True)) else value
        return done[id(value)]
    done[id(value)] = value
    for k, v in list(value.items() if isinstance(value, dict) else enumerate(value)):
        value[k] = finish(v, done)
    return value


def objection(value: Any, path: str) -> str | None:
    """Why a leaf of a loaded tree cannot be handed to the user; None if it can."""
    if isinstance(value, Storage):
        return f"{path} is a bare storage; save the tensor that uses it"
    if isinstance(value, Constructor | ClassName | StorageKind | NumpyType):
        return f"{path} is a reference to a class or function of torch, not data"
    return None
