"""From torch to monograph: the function that bears the same name, and arguments with the same values, strides and dtypes."""

from __future__ import annotations

import contextlib
import functools
import types
from collections.abc import Iterator
from typing import Any

import ml_dtypes
import numpy as np
import torch

import monograph as mg

NAMESPACES = (
    "", "Tensor", "nn.functional", "linalg", "special", "fft", "signal.windows", "masked", "sparse", "nn", "autograd", "random", "nn.init",
    "optim.lr_scheduler",
)  # fmt: skip
OUR_TEST_CODE = ("torch.testing._internal", "torch.testing")


class Absent(Exception):
    """monograph has no such name."""


class NotCarried(Exception):
    """An argument or a result of a kind that monograph does not have: sparse and nested layouts of torch's, complex32."""


def reach(root: Any, path: str) -> Any:
    for part in filter(None, path.split(".")):
        root = getattr(root, part)
    return root


def _names() -> Iterator[tuple[int, str]]:
    for namespace in NAMESPACES:
        module = reach(torch, namespace)
        for name in dir(module):
            value = getattr(module, name, None)
            if callable(value):
                yield id(value), f"{namespace}.{name}".lstrip(".")


@functools.cache
def names_by_identity() -> dict[int, str]:
    """What torch's functions are called: the shortest of their public names."""
    found: dict[int, str] = {}
    for key, name in _names():
        found.setdefault(key, name)
    return found


def ours(function: Any, name: str = "") -> Any:
    """Our counterpart of one of torch's functions, or of a Python function of its tests that calls them. Raises `Absent`."""
    known = _public_name(function, name) or names_by_identity().get(id(function))
    if known is not None:
        return _named(known)
    if isinstance(function, functools.partial):
        return functools.partial(ours(function.func), *map(to_ours, function.args), **{k: to_ours(v) for k, v in function.keywords.items()})
    if isinstance(function, types.FunctionType):
        return _transplanted(function, {})
    if getattr(function, "__module__", "") == "_operator":
        return function
    raise Absent(name or repr(function))


def _public_name(function: Any, name: str) -> str | None:
    """`name`, or `Tensor.name`, where torch has just this function under it."""
    for path in (name, f"Tensor.{name}"):
        try:
            if name and reach(torch, path) is function:
                return path
        except AttributeError:
            continue
    return None


def _named(name: str) -> Any:
    """Ours of the same name: a function of the module where torch has one there, else a method."""
    try:
        reach(torch, name)
        root: Any = mg
    except AttributeError:
        root = mg.Tensor
    try:
        return reach(root, name)
    except AttributeError:
        raise Absent(name) from None


def _transplanted(function: types.FunctionType, seen: dict[int, Any]) -> Any:
    """The same code with monograph where it says torch."""
    if id(function) in seen:
        return seen[id(function)]
    scope = dict(function.__globals__)
    closure = tuple(types.CellType(None) for _ in function.__closure__ or ())
    twin = types.FunctionType(function.__code__, scope, function.__name__, function.__defaults__, closure)
    twin.__kwdefaults__ = function.__kwdefaults__
    seen[id(function)] = twin
    for name in _global_names(function.__code__):
        if name in scope:
            scope[name] = _value_in_code(scope[name], seen)
    for cell, original in zip(closure, function.__closure__ or (), strict=True):
        cell.cell_contents = _value_in_code(original.cell_contents, seen)
    return twin


def _global_names(code: types.CodeType) -> set[str]:
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names |= _global_names(constant)
    return names


def _value_in_code(value: Any, seen: dict[int, Any]) -> Any:
    if value is torch:
        return mg
    if getattr(value, "__name__", "") == "freeze_rng_state":
        return contextlib.nullcontext
    if isinstance(value, types.ModuleType) and value.__name__.startswith("torch."):
        try:
            return reach(mg, value.__name__.removeprefix("torch."))
        except AttributeError:
            return value
    if value is torch.Tensor:
        return mg.Tensor
    known = names_by_identity().get(id(value))
    if known is not None:
        return _named(known)
    if isinstance(value, types.FunctionType) and (value.__module__ or "").startswith(OUR_TEST_CODE):
        return _transplanted(value, seen)
    if isinstance(value, functools.partial):
        return ours(value)
    return value


def to_ours(value: Any) -> Any:
    """An argument for monograph: tensors with their strides, dtypes, devices, and containers of these. A tensor that occurs twice has one
    twin; twins of tensors that share memory share memory."""
    return _carried(value, _Memory(value))


class _Memory:
    """What is behind the tensors of one call."""

    def __init__(self, tree: Any) -> None:
        self.made: dict[int, Any] = {}
        self.whole: dict[tuple[int, torch.dtype], Any] = {}
        self.uses: dict[int, set[int]] = {}
        self._count(tree)

    def _count(self, tree: Any) -> None:
        if isinstance(tree, torch.Tensor):
            if tree.layout is torch.strided and tree.device.type == "cpu" and not tree.is_nested and not tree.requires_grad:
                self.uses.setdefault(tree.untyped_storage().data_ptr(), set()).add(id(tree))
        elif isinstance(tree, (tuple, list, dict)):
            for item in tree.values() if isinstance(tree, dict) else tree:
                self._count(item)

    def twin(self, value: torch.Tensor) -> Any:
        if id(value) not in self.made:
            self.made[id(value)] = self._part(value) if self._shares(value) else tensor(value)
        return self.made[id(value)]

    def _shares(self, value: torch.Tensor) -> bool:
        if value.layout is not torch.strided or value.device.type != "cpu" or value.is_nested or value.requires_grad:
            return False
        storage = value.untyped_storage()
        shown = value.numel() * value.itemsize  # what lies between elements, or before and behind them, `as_strided` shows
        return storage.nbytes() > 0 and (len(self.uses.get(storage.data_ptr(), ())) > 1 or storage.nbytes() > shown)

    def _part(self, value: torch.Tensor) -> Any:
        storage = value.untyped_storage()
        key = storage.data_ptr(), value.dtype
        if key not in self.whole:
            self.whole[key] = _fresh(array(torch.empty(0, dtype=value.dtype).set_(storage, 0, (storage.nbytes() // value.itemsize,), (1,))))
        return mg.as_strided(self.whole[key], tuple(value.shape), value.stride(), value.storage_offset())


def _carried(value: Any, memory: _Memory) -> Any:
    if isinstance(value, torch.Tensor):
        return memory.twin(value)
    if isinstance(value, (torch.dtype, torch.memory_format, torch.layout)):
        return _named(str(value).removeprefix("torch."))
    if isinstance(value, torch.device):
        return mg.device(str(value))
    if isinstance(value, torch.Generator):
        return mg.Generator()
    if isinstance(value, torch.Size):
        return tuple(value)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return tuple(_carried(item, memory) for item in value)
    if isinstance(value, (tuple, list)):
        return type(value)(_carried(item, memory) for item in value)
    if isinstance(value, dict):
        return {key: _carried(item, memory) for key, item in value.items()}
    if isinstance(value, slice):
        return slice(_carried(value.start, memory), _carried(value.stop, memory), _carried(value.step, memory))
    if isinstance(value, torch.nn.PairwiseDistance):
        return mg.nn.PairwiseDistance(value.norm, value.eps, value.keepdim)
    if callable(value) and id(value) in names_by_identity():
        return _named(names_by_identity()[id(value)])
    return value


def array(value: torch.Tensor) -> np.ndarray:
    """The elements of a torch tensor in row-major order; bfloat16 as ml_dtypes has it."""
    # A copy: torch does not resize memory any more that NumPy has seen.
    value = value.detach().resolve_conj().resolve_neg().clone(memory_format=torch.contiguous_format)
    if value.dtype is torch.bfloat16:
        return value.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    if value.dtype is torch.complex32:
        raise NotCarried("complex32")
    return value.numpy()


def _fresh(values: np.ndarray) -> Any:
    made = mg.from_numpy(values.copy()).clone()
    mg.eval(made)  # torch's arguments have values, too: some checks look at them only where they are known
    return made


NUMPY_DIMS = 64


def tensor(value: torch.Tensor) -> Any:
    """The same tensor: a view of the same kind where the original is not contiguous, a leaf where it collects gradients."""
    if value.layout is not torch.strided or value.is_nested or value.is_quantized:
        raise NotCarried(f"layout {value.layout}")
    if value.device.type == "meta":
        made = mg.empty(tuple(value.shape), dtype=to_ours(value.dtype), device="meta")
    elif value.dim() > NUMPY_DIMS:  # only their shape matters: these are the samples of errors
        made = mg.zeros(tuple(value.shape), dtype=to_ours(value.dtype))
    else:
        made = _strided(value)
    if value.requires_grad:
        made = made.detach().requires_grad_()
    return made


def _strided(value: torch.Tensor) -> Any:
    """Strides as slices of wider sizes, permuted and expanded; overlapping ones (unfold) come as contiguous values."""
    if value.is_contiguous() or not value.numel():
        return _fresh(array(value))
    kept = [d for d in range(value.dim()) if not (value.stride(d) == 0 and value.shape[d] > 1)]
    narrow = value
    for d in reversed(range(value.dim())):
        if d not in kept:
            narrow = narrow.select(d, 0)
    order = sorted(range(narrow.dim()), key=lambda d: (-narrow.stride(d), -narrow.shape[d]))
    sizes, strides = [narrow.shape[d] for d in order], [narrow.stride(d) for d in order]
    wide, steps = [], []
    for i, (size, stride) in enumerate(zip(sizes, strides, strict=True)):
        outer = strides[i - 1] if i else size * stride
        if size == 1 and i:
            wide, steps = [*wide, 1], [*steps, 1]
            strides[i] = outer
            continue
        if stride == 0 or outer % stride or outer // stride < size:
            return _fresh(array(value))
        wide, steps = [*wide, outer // stride], [*steps, 1]
    last = strides[-1] if strides else 1
    if strides:
        wide[-1], steps[-1] = wide[-1] * last, last
    base = np.zeros(wide, array(value[(0,) * value.dim()]).dtype)
    index = tuple(slice(0, (n - 1) * s + 1, s) for n, s in zip(sizes, steps, strict=True))
    base[index] = array(narrow.permute(order))
    made = _fresh(base)[index]
    made = made.permute([order.index(d) for d in range(len(order))])
    for d in range(value.dim()):
        if d not in kept:
            made = made.unsqueeze(d)
    return made.expand(tuple(value.shape))
