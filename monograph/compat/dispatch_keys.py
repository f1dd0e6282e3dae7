"""The keys of torch's dispatcher, for libraries that name them when they register operators: ours ask two of them, CPU and Autograd."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from monograph.compat.operators import below_autograd


class DispatchKey:
    """A key; `DispatchKey.AutogradCPU` for any name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"DispatchKey.{self.name}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, DispatchKey) and self.name == other.name

    def __hash__(self) -> int:
        return hash(self.name)


_NAMES = (
    "Undefined CPU CUDA MPS XPU Meta Quantized Sparse Dense BackendSelect Python Fake Functionalize ADInplaceOrView AutogradOther "
    "Autograd AutogradCPU AutogradCUDA AutogradXPU AutogradMPS AutogradNestedTensor AutocastCPU AutocastCUDA AutocastXPU AutocastMPS "
    "CompositeExplicitAutograd CompositeImplicitAutograd CompositeExplicitAutogradNonFunctional Conjugate Negative ZeroTensor Tracer"
).split()
for _name in _NAMES:
    setattr(DispatchKey, _name, DispatchKey(_name))


class DispatchKeySet:
    """A set of keys."""

    def __init__(self, *keys: DispatchKey) -> None:
        self.keys = frozenset(keys)

    def __or__(self, other: DispatchKeySet) -> DispatchKeySet:
        return DispatchKeySet(*self.keys, *other.keys)

    def __and__(self, other: DispatchKeySet) -> DispatchKeySet:
        return DispatchKeySet(*(self.keys & other.keys))

    def __sub__(self, other: DispatchKeySet) -> DispatchKeySet:
        return DispatchKeySet(*(self.keys - other.keys))

    def has(self, key: DispatchKey) -> bool:
        """Whether the key is in the set."""
        return key in self.keys

    def __repr__(self) -> str:
        return f"DispatchKeySet({', '.join(sorted(key.name for key in self.keys))})"


@contextmanager
def exclude_keys(keys: DispatchKeySet) -> Iterator[None]:
    """Inside, operators do not ask these keys: of ours, those of autograd."""
    if any(key.name.startswith("Autograd") for key in keys.keys):
        with below_autograd():
            yield
    else:
        yield


@contextmanager
def include_keys(keys: Any) -> Iterator[None]:
    """Without effect: no key is left out unless it is excluded."""
    yield
