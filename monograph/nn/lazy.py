"""Layers that learn the size of their input from the first batch: LazyLinear, LazyConv*, LazyBatchNorm* ..."""

from __future__ import annotations

from typing import Any

from monograph.core.dtype import int64
from monograph.nn.batchnorm import BatchNorm1d, BatchNorm2d, BatchNorm3d, InstanceNorm1d, InstanceNorm2d, InstanceNorm3d
from monograph.nn.conv import Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from monograph.nn.linear import Linear
from monograph.nn.parameter import UninitializedBuffer, UninitializedParameter, is_lazy
from monograph.tensor import Tensor, tensor


class LazyModuleMixin:
    """Some parameters have no shape before the first call, which then calls `initialize_parameters(*args, **kwargs)` with its arguments.

    Afterwards the module is one of the class `cls_to_become`, if it names one.
    """

    cls_to_become: Any = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        module: Any = self
        self._load_hook = module._register_load_state_dict_pre_hook(self._lazy_load_hook)
        self._initialize_hook = module.register_forward_pre_hook(self._infer_parameters, with_kwargs=True)

    def initialize_parameters(self, *args: Any, **kwargs: Any) -> None:
        """Gives the parameters their shapes. Overridden."""
        raise NotImplementedError(f"initialize_parameters is not implemented for {type(self).__name__}")

    def has_uninitialized_params(self) -> bool:
        """Whether any parameter or buffer has no shape yet."""
        module: Any = self
        return any(is_lazy(p) for table in (module._parameters, module._buffers) for p in table.values())

    def _infer_parameters(self, module: Any, args: Any, kwargs: Any = None) -> None:
        module.initialize_parameters(*args, **(kwargs or {}))
        if module.has_uninitialized_params():
            raise RuntimeError(f"module {type(self).__name__} has not been fully initialized")
        module._initialize_hook.remove()
        module._load_hook.remove()
        del module._initialize_hook, module._load_hook
        if module.cls_to_become is not None:
            module.__class__ = module.cls_to_become

    def _lazy_load_hook(
        self, state_dict: Any, prefix: str, local_metadata: Any, strict: bool, missing_keys: Any, unexpected_keys: Any, error_msgs: Any
    ) -> None:
        """A state with shapes gives them to parameters that have none."""
        module: Any = self
        for table in (module._parameters, module._buffers):
            for name, p in table.items():
                given = state_dict.get(prefix + name)
                if is_lazy(p) and given is not None and not is_lazy(given):
                    p.materialize(given.shape)


class LazyLinear(LazyModuleMixin, Linear):
    """`Linear` whose in_features is the last size of its first input.

    >>> import monograph as mg
    >>> layer = mg.nn.LazyLinear(3)
    >>> layer(mg.ones(2, 5)).shape, layer
    (monograph.Size([2, 3]), Linear(in_features=5, out_features=3, bias=True))
    """

    cls_to_become = Linear

    def __init__(self, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None) -> None:
        super().__init__(0, 0, False)
        self.weight = UninitializedParameter(device=device, dtype=dtype)
        self.out_features = out_features
        if bias:
            self.bias = UninitializedParameter(device=device, dtype=dtype)

    def reset_parameters(self) -> None:
        """Draws weight and bias, once they have a shape."""
        if not self.has_uninitialized_params() and self.in_features != 0:
            super().reset_parameters()

    def initialize_parameters(self, input: Tensor) -> None:
        """Shapes for the last size of the input."""
        if self.has_uninitialized_params():
            self.in_features = input.shape[-1]
            self.weight.materialize((self.out_features, self.in_features))  # type: ignore[attr-defined]
            if self.bias is not None:
                self.bias.materialize((self.out_features,))  # type: ignore[attr-defined]
            self.reset_parameters()
        elif self.in_features == 0:
            self.in_features = self.weight.shape[-1]


class _LazyConv(LazyModuleMixin):
    """What all lazy convolutions share."""

    dims: int
    in_channels = 0
    out_channels = 0

    def __init__(
        self, out_channels: int, kernel_size: Any, *args: Any, bias: Any = None, device: Any = None, dtype: Any = None, **kwargs: Any
    ) -> None:
        place = self._bias_at
        if len(args) > place:
            bias = args[place]
            args = (*args[:place], False, *args[place + 1 :])
        else:
            kwargs["bias"] = False
        super().__init__(0, 0, kernel_size, *args, **kwargs)
        self.out_channels = out_channels
        self.weight: Any = UninitializedParameter(device=device, dtype=dtype)
        if bias is None or bias:
            self.bias: Any = UninitializedParameter(device=device, dtype=dtype)

    _bias_at = 4  # of the arguments after kernel_size: stride, padding, dilation, groups, bias

    def reset_parameters(self) -> None:
        """Draws weight and bias, once they have a shape."""
        if not self.has_uninitialized_params() and self.in_channels != 0:
            super().reset_parameters()  # type: ignore[misc]

    def initialize_parameters(self, input: Tensor, *args: Any, **kwargs: Any) -> None:
        """Shapes for the number of channels of the input."""
        if not self.has_uninitialized_params():
            return
        if input.ndim not in (self.dims + 1, self.dims + 2):
            raise RuntimeError(
                f"Expected {self.dims + 1}D (unbatched) or {self.dims + 2}D (batched) input to {type(self).__name__}, but got input of "
                f"size: {list(input.shape)}"
            )
        channels = int(input.shape[-self.dims - 1])
        own: Any = self
        if channels % own.groups:
            raise ValueError("in_channels must be divisible by groups")
        self.in_channels = channels
        first, second = (channels, self.out_channels // own.groups) if own.transposed else (self.out_channels, channels // own.groups)
        self.weight.materialize((first, second, *own.kernel_size))
        if self.bias is not None:
            self.bias.materialize((self.out_channels,))
        self.reset_parameters()


class LazyConv1d(_LazyConv, Conv1d):  # type: ignore[misc]
    """`Conv1d` whose in_channels is that of its first input."""

    cls_to_become = Conv1d


class LazyConv2d(_LazyConv, Conv2d):  # type: ignore[misc]
    """`Conv2d` whose in_channels is that of its first input."""

    cls_to_become = Conv2d


class LazyConv3d(_LazyConv, Conv3d):  # type: ignore[misc]
    """`Conv3d` whose in_channels is that of its first input."""

    cls_to_become = Conv3d


class LazyConvTranspose1d(_LazyConv, ConvTranspose1d):  # type: ignore[misc]
    """`ConvTranspose1d` whose in_channels is that of its first input."""

    cls_to_become = ConvTranspose1d


class LazyConvTranspose2d(_LazyConv, ConvTranspose2d):  # type: ignore[misc]
    """`ConvTranspose2d` whose in_channels is that of its first input."""

    cls_to_become = ConvTranspose2d


class LazyConvTranspose3d(_LazyConv, ConvTranspose3d):  # type: ignore[misc]
    """`ConvTranspose3d` whose in_channels is that of its first input."""

    cls_to_become = ConvTranspose3d


class _LazyNorm(LazyModuleMixin):
    """What all lazy normalisations with statistics share."""

    num_features = 0

    def __init__(
        self, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True, track_running_stats: bool = True,
        device: Any = None, dtype: Any = None, *, bias: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(0, eps, momentum, False, False, device=device, dtype=dtype)
        self.affine, self.track_running_stats = affine, track_running_stats
        if affine:
            self.weight: Any = UninitializedParameter(device=device, dtype=dtype)
            if bias:
                self.bias: Any = UninitializedParameter(device=device, dtype=dtype)
        if track_running_stats:
            own: Any = self
            own.register_buffer("running_mean", UninitializedBuffer(device=device, dtype=dtype))
            own.register_buffer("running_var", UninitializedBuffer(device=device, dtype=dtype))
            own.register_buffer("num_batches_tracked", tensor(0, dtype=int64))

    def reset_parameters(self) -> None:
        """Sets statistics, weight and bias, once they have a shape."""
        if not self.has_uninitialized_params() and self.num_features != 0:
            super().reset_parameters()  # type: ignore[misc]

    def initialize_parameters(self, input: Tensor) -> None:
        """Shapes for the number of channels of the input."""
        if not self.has_uninitialized_params():
            return
        own: Any = self
        own._check_input_dim(input)
        places = getattr(self, "unbatched_dims", 0)
        self.num_features = int(input.shape[-places if places else 1])
        for table in (own._parameters, own._buffers):
            for p in table.values():
                if is_lazy(p):
                    p.materialize((self.num_features,))
        self.reset_parameters()


class LazyBatchNorm1d(_LazyNorm, BatchNorm1d):  # type: ignore[misc]
    """`BatchNorm1d` whose num_features is the number of channels of its first input."""

    cls_to_become = BatchNorm1d


class LazyBatchNorm2d(_LazyNorm, BatchNorm2d):  # type: ignore[misc]
    """`BatchNorm2d` whose num_features is the number of channels of its first input."""

    cls_to_become = BatchNorm2d


class LazyBatchNorm3d(_LazyNorm, BatchNorm3d):  # type: ignore[misc]
    """`BatchNorm3d` whose num_features is the number of channels of its first input."""

    cls_to_become = BatchNorm3d


class LazyInstanceNorm1d(_LazyNorm, InstanceNorm1d):  # type: ignore[misc]
    """`InstanceNorm1d` whose num_features is the number of channels of its first input."""

    cls_to_become = InstanceNorm1d


class LazyInstanceNorm2d(_LazyNorm, InstanceNorm2d):  # type: ignore[misc]
    """`InstanceNorm2d` whose num_features is the number of channels of its first input."""

    cls_to_become = InstanceNorm2d


class LazyInstanceNorm3d(_LazyNorm, InstanceNorm3d):  # type: ignore[misc]
    """`InstanceNorm3d` whose num_features is the number of channels of its first input."""

    cls_to_become = InstanceNorm3d
