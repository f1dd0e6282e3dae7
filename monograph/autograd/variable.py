"""Variable: the name tensors had before they recorded their own history; old programs still wrap data in it."""

from __future__ import annotations

import warnings
from typing import Any

from monograph.tensor.core import Tensor


class _VariableType(type):
    """Every tensor is a Variable, and what Variable makes are tensors."""

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor)

    def __subclasscheck__(cls, subclass: type) -> bool:
        return subclass is cls or Tensor in subclass.__mro__

    def __call__(cls, data: Any = None, requires_grad: bool = False, volatile: bool = False, **kwargs: Any) -> Tensor:
        name = kwargs.pop("name", None)
        if kwargs:
            raise TypeError(f"Variable() got an unexpected keyword argument {next(iter(kwargs))!r}")
        if data is not None and not isinstance(data, Tensor):
            raise TypeError(f"Variable data has to be a tensor, but got {type(data).__name__}; write torch.tensor({data!r})")
        if volatile:
            warnings.warn("volatile was removed and now has no effect. Use `with torch.no_grad():` instead.", UserWarning, stacklevel=2)
        made: Any = Tensor() if data is None else data.detach()
        if requires_grad:
            made.requires_grad_()
        if name is not None:
            made.name = name
        return made


class Variable(metaclass=_VariableType):
    """A tensor on the same data, outside of any history, as old programs ask for it.

    Arguments: `data`, a tensor (none: an empty one); `requires_grad`. Gradients do not flow to `data`. Raises TypeError for data that
    is no tensor, RuntimeError where gradients are asked of whole numbers.

    >>> import monograph as mg
    >>> x = mg.autograd.Variable(mg.ones(2), requires_grad=True)
    >>> (x * x).sum().backward()
    >>> x.grad.tolist()
    [2.0, 2.0]
    >>> isinstance(mg.ones(1), mg.autograd.Variable)
    True
    """
