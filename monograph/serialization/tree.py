"""The tree of a saved object as JSON: containers, numbers, strings and the places of tensors. `encode` and `decode` are inverse.

Plain values and lists are JSON's own; everything else is an object with one key that names its kind, e.g. {"tuple": [...]}, {"tensor": 3}.
"""

from __future__ import annotations

import base64
import dataclasses
import math
from argparse import Namespace
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable
from enum import Enum
from pathlib import Path, PurePath
from types import SimpleNamespace
from typing import Any

import numpy as np

from monograph.core import dtype as dtypes
from monograph.core.dtype import dtype as DType
from monograph.core.errors import ArtifactError
from monograph.nn.module import Module
from monograph.serialization.modules import class_of, full_name, is_reference, is_trusted, reference, restore, state_of
from monograph.serialization.pickle_machine import DEEPEST, key
from monograph.tensor.core import Device, Size, Tensor

_SEQUENCES: dict[str, Any] = {"tuple": tuple, "set": set, "frozenset": frozenset}
_NAMESPACES: dict[str, Any] = {"argparse.Namespace": Namespace, "types.SimpleNamespace": SimpleNamespace}
ATTRIBUTES = "attributes"


class Encoder:
    """Turns an object into its JSON tree; `place(tensor, path)` is told of each tensor and says what stands for it."""

    def __init__(self, place: Callable[[Tensor, str], Any]) -> None:
        self._place = place
        self._on_path: set[int] = set()
        self._modules: dict[int, int] = {}  # modules met: a shared one is written once
        self._names: dict[int, str] = {}  # of parameters and buffers: their names as in state_dict()

    def encode(self, value: Any, path: str = "") -> Any:
        """The JSON tree of `value`. Raises TypeError naming the place of what is not data, ValueError for a container that contains
        itself.
        """
        if value is None or (isinstance(value, bool | str) and type(value) in (bool, str)):
            return value
        if type(value) is int:
            return value if abs(value) < 2**63 else {"int": str(value) if abs(value) < 10**4000 else hex(value)}
        if type(value) is float:
            return value if math.isfinite(value) else {"float": repr(value)}
        if isinstance(value, Tensor):
            return self._place(value, self._names.get(id(value), path))
        if isinstance(value, DType):
            return {"dtype": value.name}
        if isinstance(value, Device):
            return {"device": str(value)}
        if isinstance(value, Size):
            return {"size": list(value)}
        if isinstance(value, Enum):  # its value, which a str or int of a kind equals
            return self.encode(value.value, path)
        if type(value) is complex:
            return {"complex": [self.encode(value.real), self.encode(value.imag)]}
        if isinstance(value, bytes | bytearray):
            return {type(value).__name__: base64.b64encode(value).decode()}
        if isinstance(value, np.ndarray | np.generic):
            return self._array(value, path)
        if isinstance(value, PurePath):
            return {"path": str(value)}
        if is_reference(value):
            return {"reference": full_name(value)}
        if isinstance(value, slice | range):
            return {type(value).__name__: [self.encode(v) for v in (value.start, value.stop, value.step)]}
        return self._container(value, path)

    def _array(self, value: Any, path: str) -> Any:
        array = np.asarray(value)
        if array.dtype.kind not in "biufc":
            raise TypeError(f"save: {path or 'the object'} is a NumPy array of dtype {array.dtype}; arrays of numbers can be saved")
        data = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
        return {"numpy": [array.dtype.newbyteorder("<").str, list(array.shape), isinstance(value, np.generic), data]}

    def _container(self, value: Any, path: str) -> Any:
        if id(value) in self._on_path:
            raise ValueError(f"save: {path} contains itself; monograph saves trees")
        if len(self._on_path) >= DEEPEST:
            raise ValueError(f"save: containers are nested more than {DEEPEST} deep")
        self._on_path.add(id(value))
        try:
            if isinstance(value, Module):
                return self._module(value, path)
            if type(value) is list:
                return [self.encode(v, f"{path}[{i}]") for i, v in enumerate(value)]
            if isinstance(value, dict) and type(value) in (dict, OrderedDict, Counter, defaultdict):
                return self._dict(value, path)
            for kind, cls in _SEQUENCES.items():
                if type(value) is cls:
                    return {kind: [self.encode(v, f"{path}[{i}]") for i, v in enumerate(value)]}
            for kind, namespace in _NAMESPACES.items():
                if type(value) is namespace:
                    return {"namespace": [kind, self._items(vars(value), path)]}
            if dataclasses.is_dataclass(value) and not isinstance(value, type):  # its fields: a file makes no object of a foreign class
                fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value) if hasattr(value, field.name)}
                return {"namespace": ["argparse.Namespace", self._items(fields, path)]}
        finally:
            self._on_path.discard(id(value))
        raise TypeError(_refusal(value, path))

    def _module(self, module: Module, path: str) -> Any:
        known = self._modules.get(id(module))
        if known is not None:
            return {"same_module": known}
        self._modules[id(module)] = len(self._modules)
        state = state_of(module, path or "the object")
        tables = {f"{path}.{k}".lstrip("."): v for table in ("_parameters", "_buffers") for k, v in state.get(table, {}).items()}
        self._names.update({id(v): k for k, v in tables.items() if v is not None})
        return {"module": [full_name(type(module)), self._items(state, path)]}

    def _items(self, items: Any, path: str) -> Any:
        return [[self.encode(k), self.encode(v, f"{path}.{k}" if isinstance(k, str) and path else str(k))] for k, v in items.items()]

    def _dict(self, value: Any, path: str) -> Any:
        kind = "Counter" if isinstance(value, Counter) else "OrderedDict" if isinstance(value, OrderedDict) else "dict"
        made: dict[str, Any] = {kind: self._items(value, path)}
        if kind == "OrderedDict" and vars(value):
            made[ATTRIBUTES] = self._items(vars(value), path)
        return made


def _refusal(value: Any, path: str) -> str:
    where = path or "the object"
    name = f"{type(value).__module__}.{type(value).__qualname__}"
    if callable(value):
        return f"save: {where} is a function or class ({name}); files of monograph hold data, never code"
    return (
        f"save: {where} is a {name}; tensors, numbers, strings, bytes, dicts, lists, tuples, sets and argparse.Namespace can be saved: "
        "convert it, e.g. with vars(...)"
    )


class Decoder:
    """Turns a JSON tree back into the object; `tensor(description)` gives the tensor that stands at a place."""

    def __init__(self, tensor: Callable[[Any], Tensor], modules: bool = False) -> None:
        self._tensor = tensor
        self._with_modules = modules
        self._modules: list[Module] = []

    def decode(self, node: Any, depth: int = 0) -> Any:
        """The object of a JSON tree. Raises ArtifactError for a tree that `Encoder` never makes."""
        if depth > DEEPEST:
            raise ArtifactError(f"the file nests containers more than {DEEPEST} deep")
        if isinstance(node, list):
            return [self.decode(v, depth + 1) for v in node]
        if not isinstance(node, dict):
            return node
        kinds = [k for k in node if k != ATTRIBUTES]
        if len(kinds) != 1:
            raise ArtifactError(f"the tree has a place of unclear kind: {sorted(node)[:4]}")
        try:
            return self._kind(kinds[0], node[kinds[0]], node, depth)
        except ArtifactError:
            raise
        except (TypeError, ValueError, KeyError, IndexError, AttributeError, OverflowError, RuntimeError) as error:
            raise ArtifactError(f"the tree has a damaged {kinds[0]!r}: {error}") from None

    def _pairs(self, items: Any, depth: int) -> list[tuple[Any, Any]]:
        return [(key(self.decode(k, depth + 1)), self.decode(v, depth + 1)) for k, v in items]

    def _kind(self, kind: str, content: Any, node: Any, depth: int) -> Any:
        if kind == "tensor":
            return self._tensor(content)
        if kind in ("module", "same_module", "reference"):
            return self._of_class(kind, content, depth)
        if kind == "dict":
            return dict(self._pairs(content, depth))
        if kind == "OrderedDict":
            made = OrderedDict(self._pairs(content, depth))
            vars(made).update({str(k): v for k, v in self._pairs(node.get(ATTRIBUTES, ()), depth) if not str(k).startswith("__")})
            return made
        if kind == "Counter":
            return Counter(dict(self._pairs(content, depth)))
        if kind in _SEQUENCES:
            values = [self.decode(v, depth + 1) for v in content]
            return tuple(values) if kind == "tuple" else _SEQUENCES[kind](map(key, values))
        if kind == "namespace":
            name, items = content
            return _NAMESPACES[name](**dict(self._pairs(items, depth)))
        return _leaf(kind, content)

    def _of_class(self, kind: str, content: Any, depth: int) -> Any:
        if kind == "reference":
            return reference(content)
        if kind == "same_module":
            return self._modules[content]
        name, items = content
        if not self._with_modules and not is_trusted(str(name)):
            raise ArtifactError(
                f"the file holds a whole module ({str(name).replace(':', '.')}). If you trust where it comes from, load(path, "
                f"weights_only=False) gives it back, "
                "once its class is imported, or name its classes with serialization.add_safe_globals([...]); better save model.state_dict()"
            )
        cls = class_of(name)
        module: Any = object.__new__(cls)
        self._modules.append(module)
        return restore(module, dict(self._pairs(items, depth)))


def _leaf(kind: str, content: Any) -> Any:
    if kind == "int":
        return int(content, 16 if "x" in content[:3] else 10)
    if kind == "float":
        return float(content)
    if kind == "complex":
        return complex(*(_leaf("float", v["float"]) if isinstance(v, dict) else float(v) for v in content))
    if kind in ("bytes", "bytearray"):
        data = base64.b64decode(content, validate=True)
        return data if kind == "bytes" else bytearray(data)
    if kind == "size":
        return Size(int(n) for n in content)
    if kind == "dtype":
        return dtypes.by_name(content)
    if kind == "device":
        return Device(content)
    if kind == "path":
        return Path(content)
    if kind in ("slice", "range"):
        return (slice if kind == "slice" else range)(*content)
    if kind == "numpy":
        name, shape, scalar, data = content
        dtype = np.dtype(name)
        if dtype.kind not in "biufc":
            raise ArtifactError(f"the tree holds a NumPy array of dtype {dtype}")
        array = np.frombuffer(bytearray(base64.b64decode(data, validate=True)), dtype).reshape(tuple(shape))
        return array[()] if scalar else array
    raise ArtifactError(f"the tree has a place of unknown kind {kind!r}: the file was written by a newer monograph, or is damaged")
