"""Weight and spectral normalisation: a weight computed anew, before each call, from parameters that are trained in its place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from monograph.core.modes import no_grad
from monograph.nn import functional as F
from monograph.nn.module import Module
from monograph.nn.parameter import Parameter
from monograph.tensor import Tensor, randn
from monograph.tensor.dispatch import assign


def norm_except_dim(v: Tensor, dim: int | None) -> Tensor:
    """The 2-norm over all dimensions but `dim` (None: over all), kept as dimensions of size 1."""
    if dim is None:
        return v.norm()
    dim = dim % v.ndim
    return v.norm(2, tuple(d for d in range(v.ndim) if d != dim), True) if v.ndim > 1 else v.abs()


class WeightNorm:
    """The forward pre-hook that makes `name` from its size `name`_g and its direction `name`_v (Salimans & Kingma 2016)."""

    def __init__(self, name: str, dim: int | None) -> None:
        self.name = name
        self.dim = dim

    def compute_weight(self, module: Module) -> Tensor:
        """g * v / |v|."""
        g, v = getattr(module, self.name + "_g"), getattr(module, self.name + "_v")
        return v * (g / norm_except_dim(v, self.dim))

    def __call__(self, module: Module, inputs: Any) -> None:
        object.__setattr__(module, self.name, self.compute_weight(module))  # not a change of structure: compiled programs go on


class SpectralNorm:
    """The forward pre-hook that divides a weight by its largest singular value, found by power iteration (Miyato et al. 2018)."""

    def __init__(self, name: str = "weight", n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12) -> None:
        if n_power_iterations <= 0:
            raise ValueError(f"Expected n_power_iterations to be positive, but got n_power_iterations={n_power_iterations}")
        self.name = name
        self.dim = dim
        self.n_power_iterations = n_power_iterations
        self.eps = eps

    def reshape_weight_to_matrix(self, weight: Tensor) -> Tensor:
        """[size of dim, everything else]."""
        if self.dim != 0:
            weight = weight.permute(self.dim, *[d for d in range(weight.ndim) if d != self.dim])
        return weight.reshape(weight.shape[0], -1)

    def compute_weight(self, module: Module, do_power_iteration: bool) -> Tensor:
        """weight / (uᵀ weight v); in training u and v take a step towards the singular vectors first."""
        weight = getattr(module, self.name + "_orig")
        u, v = getattr(module, self.name + "_u"), getattr(module, self.name + "_v")
        matrix = self.reshape_weight_to_matrix(weight)
        if do_power_iteration:
            with no_grad():
                for _ in range(self.n_power_iterations):
                    assign(v, F.normalize(matrix.t() @ u, dim=0, eps=self.eps))
                    assign(u, F.normalize(matrix @ v, dim=0, eps=self.eps))
        u, v = u.clone(), v.clone()
        return weight / (u * (matrix @ v)).sum()

    def __call__(self, module: Module, inputs: Any) -> None:
        object.__setattr__(module, self.name, self.compute_weight(module, do_power_iteration=module.training))


def _take_out(module: Module, name: str) -> Parameter:
    weight = module._parameters.get(name)
    if weight is None:
        raise ValueError(f"the module has no parameter {name!r} to normalise")
    del module._parameters[name]
    return weight


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Splits a weight into size and direction: parameters `name`_g and `name`_v. Returns the module.

    Raises RuntimeError if it is split already.
    """
    for hook in module._forward_pre_hooks.values():
        if isinstance(hook, WeightNorm) and hook.name == name:
            raise RuntimeError(f"Cannot register two weight_norm hooks on the same parameter {name}")
    hook = WeightNorm(name, dim)
    weight = _take_out(module, name)
    module.register_parameter(name + "_g", Parameter(norm_except_dim(weight.detach(), dim)))
    module.register_parameter(name + "_v", Parameter(weight.detach()))
    hook(module, None)
    module.register_forward_pre_hook(hook)
    return module


def remove_weight_norm(module: Module, name: str = "weight") -> Module:
    """Puts the weight back as one parameter. Returns the module."""
    hook = _remove(module, lambda h: isinstance(h, WeightNorm) and h.name == name, f"weight_norm of '{name}' not found in {module}")
    weight = hook.compute_weight(module).detach()
    for part in (name, name + "_g", name + "_v"):
        delattr(module, part)
    setattr(module, name, Parameter(weight))
    return module


def spectral_norm(module: Module, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None) -> Module:
    """Divides a weight by its largest singular value: parameter `name`_orig, buffers `name`_u and `name`_v. Returns the module."""
    if dim is None:
        dim = 1 if getattr(module, "transposed", False) else 0
    for other in module._forward_pre_hooks.values():
        if isinstance(other, SpectralNorm) and other.name == name:
            raise RuntimeError(f"Cannot register two spectral_norm hooks on the same parameter {name}")
    hook = SpectralNorm(name, n_power_iterations, dim, eps)
    weight = _take_out(module, name)
    with no_grad():
        height, width = hook.reshape_weight_to_matrix(weight).shape
        u = F.normalize(randn(height, dtype=weight.dtype), dim=0, eps=eps)
        v = F.normalize(randn(width, dtype=weight.dtype), dim=0, eps=eps)
    module.register_parameter(name + "_orig", weight)
    object.__setattr__(module, name, weight.detach())
    module.register_buffer(name + "_u", u)
    module.register_buffer(name + "_v", v)
    module.register_forward_pre_hook(hook)
    return module


def remove_spectral_norm(module: Module, name: str = "weight") -> Module:
    """Puts the normalised weight back as one parameter. Returns the module."""
    hook = _remove(module, lambda h: isinstance(h, SpectralNorm) and h.name == name, f"spectral_norm of '{name}' not found in {module}")
    with no_grad():
        weight = hook.compute_weight(module, do_power_iteration=False)
    for part in (name, name + "_u", name + "_v", name + "_orig"):
        delattr(module, part)
    module.register_parameter(name, Parameter(weight.detach()))
    return module


def _remove(module: Module, wanted: Callable[[Any], bool], complaint: str) -> Any:
    for number, hook in module._forward_pre_hooks.items():
        if wanted(hook):
            del module._forward_pre_hooks[number]
            return hook
    raise ValueError(complaint)
