"""torch.nn.parallel on one device: the wrappers keep the structure that scripts rely on (`.module`, names in state_dict) and call the
module. What moves tensors between graphics cards is here to be imported, and refuses as torch does where there are none.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from monograph.nn.module import Module
from monograph.tensor.function import Function


class DataParallel(Module):
    """Calls `module`: with one device there is nothing to divide the batch among. Parameters are named `module.*`, as with torch."""

    def __init__(self, module: Module, device_ids: Any = None, output_device: Any = None, dim: int = 0) -> None:
        super().__init__()
        self.module = module
        self.device_ids: list[Any] = []
        self.dim = dim

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """module(*args, **kwargs)."""
        return self.module(*args, **kwargs)


class DistributedDataParallel(Module):
    """Calls `module`, in a world of one process: its gradients are the mean over all processes already."""

    def __init__(
        self, module: Module, device_ids: Any = None, output_device: Any = None, dim: int = 0, broadcast_buffers: bool = True,
        init_sync: bool = True, process_group: Any = None, bucket_cap_mb: float | None = None, find_unused_parameters: bool = False,
        check_reduction: bool = False, gradient_as_bucket_view: bool = False, static_graph: bool = False, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__()
        if not any(p.requires_grad for p in module.parameters()):
            raise RuntimeError("DistributedDataParallel is not needed when a module doesn't have any parameters that require a gradient.")
        self.module = module
        self.device_ids = None
        self.require_backward_grad_sync = True

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """module(*args, **kwargs)."""
        return self.module(*args, **kwargs)

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        """Gradients add up without being exchanged: there is nobody to exchange them with."""
        before, self.require_backward_grad_sync = self.require_backward_grad_sync, False
        try:
            yield
        finally:
            self.require_backward_grad_sync = before


def data_parallel(
    module: Module, inputs: Any, device_ids: Any = None, output_device: Any = None, dim: int = 0, module_kwargs: Any = None
) -> Any:
    """module(*inputs, **module_kwargs)."""
    return module(*(inputs if isinstance(inputs, tuple) else (inputs,)), **(module_kwargs or {}))


def parallel_apply(modules: Sequence[Module], inputs: Sequence[Any], kwargs_tup: Any = None, devices: Any = None) -> list[Any]:
    """Each module of its own inputs, one after another.

    >>> import monograph as mg
    >>> [y.item() for y in mg.nn.parallel.parallel_apply([mg.nn.ReLU(), mg.nn.Identity()], [mg.tensor(-1.0), mg.tensor(2.0)])]
    [0.0, 2.0]
    """
    if len(modules) != len(inputs):
        raise AssertionError(f"The number of modules {len(modules)} is not equal to the number of inputs {len(inputs)}")
    keywords = kwargs_tup or [{}] * len(modules)
    return [data_parallel(m, x, module_kwargs=k) for m, x, k in zip(modules, inputs, keywords, strict=True)]


class _BetweenCards(Function):
    """Base of what copies tensors from one graphics card to others."""

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Refused: tensors here are the processor's. Raises AssertionError, as torch does."""
        raise AssertionError(f"{cls.__name__} function not implemented for CPU tensors: there is one device here, call the module itself")


class Broadcast(_BetweenCards):
    """Copies of tensors for each of several cards: refused."""


class ReduceAddCoalesced(_BetweenCards):
    """Sums of tensors from several cards: refused."""


class Scatter(_BetweenCards):
    """The parts of a batch, one for each of several cards: refused."""


class Gather(_BetweenCards):
    """A batch of parts that lie on several cards: refused."""


def replicate(network: Module, devices: Sequence[Any], detach: bool = False) -> list[Module]:
    """Copies of a module for each of several cards: refused with AssertionError."""
    return Broadcast.apply(devices, *network.parameters())


def scatter(inputs: Any, target_gpus: Sequence[Any], dim: int = 0) -> Any:
    """The parts of a batch, one for each of several cards: refused with AssertionError."""
    return Scatter.apply(target_gpus, None, dim, inputs)


def scatter_kwargs(inputs: Any, kwargs: Any, target_gpus: Sequence[Any], dim: int = 0) -> Any:
    """As `scatter`, for positional and named arguments."""
    return scatter((inputs, kwargs), target_gpus, dim)


def gather(outputs: Any, target_device: Any, dim: int = 0) -> Any:
    """The batch of parts that lie on several cards: refused with AssertionError."""
    return Gather.apply(target_device, dim, outputs)
