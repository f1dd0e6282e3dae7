"""Pruning: masks that set parts of a parameter to zero, by size, at random, or as given."""

from __future__ import annotations

import numbers
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

from monograph.core.modes import no_grad
from monograph.nn.module import Module
from monograph.tensor import FUNCTIONS, Tensor


class BasePruningMethod(ABC):
    """A way to prune: a forward pre-hook that multiplies `<name>_orig` by `<name>_mask`. A subclass says what is pruned in
    `compute_mask(t, default_mask)`, and by `PRUNING_TYPE` ("unstructured", "structured", "global") how it adds to earlier prunings.
    """

    _tensor_name: str
    PRUNING_TYPE = "unstructured"

    def __call__(self, module: Any, inputs: Any) -> None:
        object.__setattr__(module, self._tensor_name, self.apply_mask(module))

    @abstractmethod
    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """A mask like `default_mask`, with zeros where more is pruned."""

    def apply_mask(self, module: Any) -> Any:
        """The original times its mask."""
        mask, original = getattr(module, self._tensor_name + "_mask"), getattr(module, self._tensor_name + "_orig")
        return mask.to(dtype=original.dtype) * original

    @classmethod
    def apply(cls, module: Any, name: str, *args: Any, importance_scores: Any = None, **kwargs: Any) -> Any:
        """Prunes a parameter of a module by this method, on top of what was pruned before. Returns the hook."""
        hooks = module._forward_pre_hooks
        earlier = [n for n, hook in hooks.items() if isinstance(hook, BasePruningMethod) and hook._tensor_name == name]
        old = hooks.pop(earlier[0]) if earlier else None
        method: Any = cls(*args, **kwargs)
        method._tensor_name = name
        original = getattr(module, name)
        scores = original if importance_scores is None else importance_scores
        if tuple(scores.shape) != tuple(original.shape):
            raise AssertionError(f"importance_scores should have the same shape as parameter {name} of {module}")
        if old is not None:
            container = old if isinstance(old, PruningContainer) else PruningContainer(old)
            container.add_pruning_method(method)
            container._tensor_name = name
            method = container
        else:
            weight = module._parameters[name]
            del module._parameters[name]
            module.register_parameter(name + "_orig", weight)
        try:
            with no_grad():
                before = getattr(module, name + "_mask") if old is not None else FUNCTIONS["ones_like"](original)
                mask = method.compute_mask(scores.detach(), before)
            module.register_buffer(name + "_mask", mask)
            object.__setattr__(module, name, method.apply_mask(module))
            module.register_forward_pre_hook(method)
        except Exception:
            if old is None:
                weight = module._parameters[name + "_orig"]
                del module._parameters[name + "_orig"]
                module.__dict__.pop(name, None)
                module.register_parameter(name, weight)
            raise
        return method

    def prune(self, t: Any, default_mask: Any = None, importance_scores: Any = None) -> Any:
        """A pruned copy of a tensor."""
        scores = t if importance_scores is None else importance_scores
        if tuple(scores.shape) != tuple(t.shape):
            raise AssertionError("importance_scores should have the same shape as tensor t")
        before = FUNCTIONS["ones_like"](t) if default_mask is None else default_mask
        return t * self.compute_mask(scores, before)

    def remove(self, module: Any) -> None:
        """Makes the pruning permanent: the parameter keeps its pruned value, mask and original go."""
        name = self._tensor_name
        if name is None:
            raise AssertionError(f"Module {module} has to be pruned before pruning can be removed")
        weight = self.apply_mask(module)
        module.__dict__.pop(name, None)
        original = module._parameters[name + "_orig"]
        original.data = weight.detach()
        del module._parameters[name + "_orig"]
        del module._buffers[name + "_mask"]
        module.register_parameter(name, original)


class PruningContainer(BasePruningMethod):
    """Prunings of one parameter, one after the other."""

    def __init__(self, *args: Any) -> None:
        self._pruning_methods: tuple[Any, ...] = ()
        if len(args) == 1:
            self._tensor_name = args[0]._tensor_name
            self.add_pruning_method(args[0])
        else:
            for method in args:
                self.add_pruning_method(method)

    def add_pruning_method(self, method: Any) -> None:
        """One more pruning of the same parameter."""
        if not isinstance(method, BasePruningMethod) and method is not None:
            raise TypeError(f"{type(method)} is not a BasePruningMethod subclass")
        if method is not None and hasattr(self, "_tensor_name") and self._tensor_name != method._tensor_name:
            raise ValueError(
                "Can only add pruning methods acting on the parameter named "
                f"'{self._tensor_name}' to PruningContainer {self}. Found '{method._tensor_name}'"
            )
        self._pruning_methods += (method,)

    def __len__(self) -> int:
        return len(self._pruning_methods)

    def __iter__(self) -> Any:
        return iter(self._pruning_methods)

    def __getitem__(self, index: Any) -> Any:
        return self._pruning_methods[index]

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """The earlier mask with what the last method prunes of what is left."""
        method, mask = self._pruning_methods[-1], default_mask.to(dtype=t.dtype)
        if method.PRUNING_TYPE == "unstructured":
            chosen = mask == 1
        elif method.PRUNING_TYPE == "structured":
            dim = method.dim if method.dim >= 0 else t.ndim + method.dim  # type: ignore[attr-defined]
            kept = (mask.sum([d for d in range(t.ndim) if d != dim]) != 0).nonzero().reshape(-1)
            old, scores = mask.index_select(dim, kept), t.index_select(dim, kept)
            return mask.index_copy(dim, kept, method.compute_mask(scores, default_mask=old).to(mask.dtype))
        elif method.PRUNING_TYPE == "global":
            chosen = FUNCTIONS["ones_like"](mask).bool()
        else:
            raise ValueError(f"Unrecognized PRUNING_TYPE {method.PRUNING_TYPE}")
        new = mask.clone()
        new[chosen] = method.compute_mask(t[chosen], default_mask=mask[chosen])
        return new


class Identity(BasePruningMethod):
    """Prunes nothing, but makes mask and original."""

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """The mask as it is."""
        return default_mask


class _Unstructured(BasePruningMethod):
    def __init__(self, amount: Any) -> None:
        _validate_pruning_amount_init(amount)
        self.amount = amount

    def _count(self, t: Any) -> int:
        size = t.nelement()
        count = _compute_nparams_toprune(self.amount, size)
        _validate_pruning_amount(count, size)
        return count


class RandomUnstructured(_Unstructured):
    """Prunes elements at random: a share of them, or a number."""

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """The mask with that many more zeros."""
        count, mask = self._count(t), default_mask.clone()
        if count:
            chosen = FUNCTIONS["topk"](FUNCTIONS["rand_like"](t).view(-1), k=count)[1]
            mask.view(-1)[chosen] = 0
        return mask


class L1Unstructured(_Unstructured):
    """Prunes the elements of smallest size: a share of them, or a number."""

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """The mask with that many more zeros."""
        count, mask = self._count(t), default_mask.clone()
        if count:
            chosen = FUNCTIONS["topk"](t.abs().view(-1), k=count, largest=False)[1]
            mask.view(-1)[chosen] = 0
        return mask


class _Structured(BasePruningMethod):
    PRUNING_TYPE = "structured"

    def __init__(self, amount: Any, dim: int = -1) -> None:
        _validate_pruning_amount_init(amount)
        self.amount = amount
        self.dim = dim

    def _scores(self, t: Any) -> Any:
        raise NotImplementedError

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """The mask with whole slices along `dim` set to zero."""
        if t.ndim <= 1:
            raise ValueError(f"Structured pruning can only be applied to a multidimensional tensor, got a tensor of size {tuple(t.shape)}")
        if not -t.ndim <= self.dim < t.ndim:
            raise IndexError(f"Invalid index {self.dim} for tensor of size {tuple(t.shape)}")
        size = t.shape[self.dim]
        count = _compute_nparams_toprune(self.amount, size)
        _validate_pruning_amount(count, size)
        if count == 0:
            return default_mask
        kept = FUNCTIONS["topk"](self._scores(t), k=size - count, largest=True)[1]
        flags = FUNCTIONS["zeros"](size, dtype=t.dtype).index_fill(0, kept, 1.0)  # type: ignore[attr-defined]
        shape = [1] * t.ndim
        shape[self.dim] = size
        return default_mask.to(dtype=t.dtype) * flags.reshape(shape)


class RandomStructured(_Structured):
    """Prunes slices along `dim` at random: a share of them, or a number."""

    def _scores(self, t: Any) -> Any:
        return FUNCTIONS["rand"](t.shape[self.dim])


class LnStructured(_Structured):
    """Prunes the slices along `dim` with the smallest n-norm: a share of them, or a number."""

    def __init__(self, amount: Any, n: Any, dim: int = -1) -> None:
        super().__init__(amount, dim)
        self.n = n

    def _scores(self, t: Any) -> Any:
        return _compute_norm(t, self.n, self.dim)


class CustomFromMask(BasePruningMethod):
    """Prunes where a given mask is zero."""

    PRUNING_TYPE = "global"

    def __init__(self, mask: Any) -> None:
        self.mask = mask

    def compute_mask(self, t: Any, default_mask: Any) -> Any:
        """Both masks."""
        return default_mask * self.mask.to(dtype=default_mask.dtype)


def identity(module: Any, name: str) -> Any:
    """Gives a parameter a mask of ones. Returns the module."""
    Identity.apply(module, name)
    return module


def random_unstructured(module: Any, name: str, amount: Any) -> Any:
    """Prunes elements of a parameter at random: a share (float) or a number (int) of them. Returns the module."""
    RandomUnstructured.apply(module, name, amount)
    return module


def l1_unstructured(module: Any, name: str, amount: Any, importance_scores: Any = None) -> Any:
    """Prunes the smallest elements of a parameter: a share (float) or a number (int) of them. Returns the module.

    >>> import monograph as mg
    >>> from monograph.nn.utils import prune
    >>> layer = prune.l1_unstructured(mg.nn.Linear(2, 3), "weight", amount=2)
    >>> int((layer.weight == 0).sum())
    2
    """
    L1Unstructured.apply(module, name, amount=amount, importance_scores=importance_scores)
    return module


def random_structured(module: Any, name: str, amount: Any, dim: int) -> Any:
    """Prunes slices of a parameter along `dim` at random. Returns the module."""
    RandomStructured.apply(module, name, amount, dim)
    return module


def ln_structured(module: Any, name: str, amount: Any, n: Any, dim: int, importance_scores: Any = None) -> Any:
    """Prunes the slices of a parameter along `dim` with the smallest n-norm. Returns the module."""
    LnStructured.apply(module, name, amount, n, dim, importance_scores=importance_scores)
    return module


def custom_from_mask(module: Any, name: str, mask: Any) -> Any:
    """Prunes a parameter where `mask` is zero. Returns the module."""
    CustomFromMask.apply(module, name, mask)
    return module


def global_unstructured(parameters: Any, pruning_method: Any, importance_scores: Any = None, **kwargs: Any) -> None:
    """Prunes parameters, given as (module, name) pairs, as if they were one."""
    if not isinstance(parameters, Iterable):
        raise TypeError("global_unstructured(): parameters is not an Iterable")
    pairs = list(parameters)
    given = {} if importance_scores is None else importance_scores
    if not isinstance(given, dict):
        raise TypeError("global_unstructured(): importance_scores must be of type dict")
    relevant = FUNCTIONS["cat"]([given.get((m, name), getattr(m, name)).reshape(-1) for m, name in pairs])
    default = FUNCTIONS["cat"]([getattr(m, name + "_mask", FUNCTIONS["ones_like"](getattr(m, name))).reshape(-1) for m, name in pairs])
    container = PruningContainer()
    container._tensor_name = "temp"
    method = pruning_method(**kwargs)
    method._tensor_name = "temp"
    container.add_pruning_method(method)
    if method.PRUNING_TYPE != "unstructured":
        raise TypeError(
            f'Only "unstructured" PRUNING_TYPE supported for the `pruning_method`. Found method {pruning_method} of type '
            f"{method.PRUNING_TYPE}"
        )
    with no_grad():
        final = container.compute_mask(relevant.detach(), default)
    at = 0
    for m, name in pairs:
        param = getattr(m, name)
        n = param.numel()
        custom_from_mask(m, name, final[at : at + n].reshape(param.shape))
        at += n


def remove(module: Any, name: str) -> Any:
    """Makes the pruning of a parameter permanent. Returns the module. Raises ValueError if it was not pruned."""
    for number, hook in module._forward_pre_hooks.items():
        if isinstance(hook, BasePruningMethod) and hook._tensor_name == name:
            hook.remove(module)
            del module._forward_pre_hooks[number]
            return module
    raise ValueError(f"Parameter '{name}' of module {module} has to be pruned before pruning can be removed")


def is_pruned(module: Module) -> bool:
    """Whether any parameter in the module is pruned."""
    return any(isinstance(hook, BasePruningMethod) for _, sub in module.named_modules() for hook in sub._forward_pre_hooks.values())


def _validate_pruning_amount_init(amount: Any) -> None:
    if not isinstance(amount, numbers.Real):
        raise TypeError(f"Invalid type for amount: {amount}. Must be int or float.")
    if (isinstance(amount, numbers.Integral) and int(amount) < 0) or (
        not isinstance(amount, numbers.Integral) and (float(amount) > 1.0 or float(amount) < 0.0)
    ):
        raise ValueError(f"amount={amount} should either be a float in the range [0, 1] or a non-negative integer")


def _validate_pruning_amount(amount: Any, tensor_size: int) -> None:
    if isinstance(amount, numbers.Integral) and int(amount) > tensor_size:
        raise ValueError(f"amount={amount} should be smaller than the number of parameters to prune={tensor_size}")


def _compute_nparams_toprune(amount: Any, tensor_size: int) -> int:
    return int(amount) if isinstance(amount, numbers.Integral) else round(amount * tensor_size)


def _compute_norm(t: Any, n: Any, dim: int) -> Tensor:
    dims = [d for d in range(t.ndim) if d != dim % t.ndim]
    return FUNCTIONS["norm"](t, p=n, dim=dims)


__all__ = [
    "BasePruningMethod", "CustomFromMask", "Identity", "L1Unstructured", "LnStructured", "PruningContainer",
    "RandomStructured", "RandomUnstructured", "custom_from_mask", "global_unstructured", "identity", "is_pruned", "l1_unstructured",
    "ln_structured", "random_structured", "random_unstructured", "remove",
]  # fmt: skip
