"""Gradients against finite differences: `gradcheck` for first derivatives, `gradgradcheck` for second ones, `check_grads` for both."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from monograph.core.dtype import complex128, float64
from monograph.core.modes import enable_grad, no_grad
from monograph.tensor import FUNCTIONS
from monograph.tensor.autograd import grad
from monograph.tensor.core import Tensor
from monograph.tensor.interop import host_array


class GradcheckError(RuntimeError):
    """A gradient that finite differences do not confirm."""


def _as_tuple(x: Any) -> tuple[Any, ...]:
    return tuple(x) if isinstance(x, list | tuple) else (x,)


def _differentiable(outputs: Any) -> list[tuple[int, Tensor]]:
    """(position, tensor) of the outputs that gradients can flow from."""
    return [(i, o) for i, o in enumerate(_as_tuple(outputs)) if isinstance(o, Tensor) and o.dtype.kind in "fc"]


def _reals(array: np.ndarray) -> np.ndarray:
    """The numbers of an array as one vector of reals: a complex one is its two parts."""
    flat = np.ascontiguousarray(array).reshape(-1)
    return flat.view(flat.real.dtype) if flat.dtype.kind == "c" else flat


def _moved(x: Tensor, i: int, by: float) -> Tensor:
    """A copy of x with its i-th real number moved, that collects gradients as x does."""
    array = np.array(host_array(x.detach()))
    _reals_of_copy = array.reshape(-1)
    parts = _reals_of_copy.view(_reals_of_copy.real.dtype) if array.dtype.kind == "c" else _reals_of_copy
    parts[i] += by
    return FUNCTIONS["_from_host"](array, x.dtype).requires_grad_(x.requires_grad)


def _numerical(function: Callable[..., Any], inputs: tuple[Any, ...], at: int, eps: float) -> list[np.ndarray]:
    """Of each differentiable output, d output / d inputs[at] by central differences: [reals of the input, reals of the output]."""

    def values(by: float, i: int) -> list[np.ndarray]:
        moved = tuple(_moved(x, i, by) if k == at else x for k, x in enumerate(inputs))
        with enable_grad():  # the function may call backward itself
            return [_reals(np.array(host_array(o.detach()))).astype(np.float64) for _, o in _differentiable(function(*moved))]

    n = _reals(np.array(host_array(inputs[at].detach()))).size
    rows = []
    for i in range(n):
        rows.append([(up - down) / (2 * eps) for up, down in zip(values(eps, i), values(-eps, i), strict=True)])
    if not rows:
        return [np.zeros((0, v.size)) for v in values(0.0, 0)] if inputs[at].numel() else []  # type: ignore[attr-defined]
    return [np.stack([row[k] for row in rows]) for k in range(len(rows[0]))]


def _analytical(output: Tensor, x: Tensor, n_in: int) -> np.ndarray:
    """d output / d x from autograd, one vector-Jacobian product per real number of the output: [reals of x, reals of the output]."""
    shape, kind = tuple(output.shape), output.dtype
    n_out = _reals(np.array(host_array(output.detach()))).size
    columns = []
    for j in range(n_out):
        seed = np.zeros(shape, kind.np)
        flat = seed.reshape(-1)
        (flat.view(flat.real.dtype) if kind.kind == "c" else flat)[j] = 1
        (g,) = (
            grad(output, [x], FUNCTIONS["_from_host"](seed, kind), retain_graph=True, allow_unused=True)
            if output.requires_grad
            else (None,)
        )
        columns.append(np.zeros(n_in) if g is None else _reals(np.array(host_array(g.detach()))).astype(np.float64))
    return np.stack(columns, 1) if columns else np.zeros((n_in, 0))


def gradcheck(
    func: Callable[..., Any], inputs: Any, *, eps: float = 1e-6, atol: float = 1e-5, rtol: float = 1e-3, raise_exception: bool = True,
    nondet_tol: float = 0.0, check_undefined_grad: bool = True, check_grad_dtypes: bool = False, check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False, check_forward_ad: bool = False, check_backward_ad: bool = True, fast_mode: bool = False,
    masked: bool | None = None,
) -> bool:  # fmt: skip
    """True if the gradients of func(*inputs) with respect to every floating input that requires grad agree with finite differences.

    Raises GradcheckError with both Jacobians otherwise, or returns False if `raise_exception` is False. Use float64 inputs: differences
    in float32 are too coarse. Every element is checked, also with `fast_mode`.
    """
    inputs = _as_tuple(inputs)
    try:
        _check(func, inputs, eps, atol, rtol, nondet_tol, check_grad_dtypes)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True


def _check(
    func: Callable[..., Any], inputs: tuple[Any, ...], eps: float, atol: float, rtol: float, nondet_tol: float, dtypes_too: bool
) -> None:
    checked = [k for k, x in enumerate(inputs) if isinstance(x, Tensor) and x.requires_grad]
    if not checked:
        raise ValueError("gradcheck expects at least one input tensor to require gradient, but none of them have requires_grad=True.")
    for k in checked:
        if inputs[k].dtype.name not in ("float64", "complex128"):
            warnings.warn(
                f"Input #{k} requires gradient and is not a double precision floating point or complex. This check will likely fail if "
                f"all the inputs "
                "are not of double precision floating point or complex.",
                stacklevel=4,
            )
    inputs = tuple(x.detach().requires_grad_() if k in checked else x for k, x in enumerate(inputs))
    outputs = _differentiable(func(*inputs))
    for k in checked:
        numerical = _numerical(func, inputs, k, eps)
        if not any(o.requires_grad for _, o in outputs):
            if any(np.abs(n).max(initial=0.0) > atol for n in numerical):
                raise GradcheckError("Numerical gradient for function expected to be zero")
            continue
        n_in = _reals(np.array(host_array(inputs[k].detach()))).size
        for (position, output), expected in zip(outputs, numerical, strict=False):
            found = _analytical(output, inputs[k], n_in)
            again = _analytical(output, inputs[k], n_in)
            if not np.allclose(found, again, rtol=0, atol=nondet_tol, equal_nan=True):
                raise GradcheckError(
                    f"Backward is not reentrant, i.e., running backward with same input and grad_output multiple times gives different "
                    f"values, "
                    f"although analytical gradient matches numerical gradient.The tolerance for nondeterminism was {nondet_tol}."
                )
            if not np.allclose(found, expected, rtol=rtol, atol=atol, equal_nan=True):
                raise GradcheckError(
                    f"Jacobian mismatch for output {position} with respect to input {k},\n"
                    f"numerical:{FUNCTIONS['tensor'](expected)}\nanalytical:{FUNCTIONS['tensor'](found)}\n"
                )
            if dtypes_too and output.requires_grad:
                (g,) = grad(output, [inputs[k]], FUNCTIONS["ones_like"](output), retain_graph=True, allow_unused=True)
                if g is not None and g.dtype is not inputs[k].dtype:
                    raise GradcheckError("grad is incorrect dtype")


def gradgradcheck(
    func: Callable[..., Any], inputs: Any, grad_outputs: Any = None, *, eps: float = 1e-6, atol: float = 1e-5, rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False, raise_exception: bool = True, nondet_tol: float = 0.0, check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False, check_batched_grad: bool = False, check_fwd_over_rev: bool = False, check_rev_over_rev: bool = True,
    fast_mode: bool = False, masked: bool = False,
) -> bool:  # fmt: skip
    """`gradcheck` of the gradients themselves, so of second derivatives. `grad_outputs` by default are random, and are checked too."""
    inputs = _as_tuple(inputs)
    outputs = _differentiable(func(*inputs))
    if grad_outputs is None:
        rng = np.random.default_rng(0)
        seeds = [FUNCTIONS["_from_host"](rng.standard_normal(tuple(o.shape)), o.dtype).requires_grad_() for _, o in outputs]
    else:
        seeds = list(_as_tuple(grad_outputs))
    wanted = [k for k, x in enumerate(inputs) if isinstance(x, Tensor) and x.requires_grad]

    def gradients(*args: Any) -> tuple[Tensor, ...]:
        given, given_seeds = args[: len(inputs)], args[len(inputs) :]
        pairs = [(o, s) for (_, o), s in zip(_differentiable(func(*given)), given_seeds, strict=True) if o.requires_grad]
        xs = [given[k] for k in wanted]
        found = grad([o for o, _ in pairs], xs, [s for _, s in pairs], create_graph=True, allow_unused=True)
        return tuple(g for g in found if g is not None)

    return gradcheck(
        gradients, (*inputs, *seeds), eps=eps, atol=atol, rtol=rtol, raise_exception=raise_exception, nondet_tol=nondet_tol,
        check_grad_dtypes=check_grad_dtypes,
    )  # fmt: skip


def check_grads(
    function: Callable[..., Any], *inputs: Any, order: int = 2, eps: float = 1e-6, atol: float = 1e-5, rtol: float = 1e-3
) -> None:
    """Raises GradcheckError unless the derivatives of `function` up to `order` (1 or 2) agree with finite differences.

    Floating inputs are checked in float64 whatever their dtype and whether or not they require grad.

    >>> import monograph as mg
    >>> from monograph.testing import check_grads
    >>> check_grads(lambda x: mg.sin(x) * x, mg.linspace(0, 1, 3))
    """
    if order not in (1, 2):
        raise ValueError(f"check_grads: order is 1 or 2, got {order}")
    doubled = tuple(_double(x) for x in inputs)
    gradcheck(function, doubled, eps=eps, atol=atol, rtol=rtol)
    if order == 2:
        gradgradcheck(function, doubled, eps=eps, atol=atol, rtol=rtol)


def _double(x: Any) -> Any:
    if not isinstance(x, Tensor) or x.dtype.kind not in "fc":
        return x
    with no_grad():
        return x.detach().to(float64 if x.dtype.kind == "f" else complex128).clone().requires_grad_()  # type: ignore[attr-defined]


__all__ = ["GradcheckError", "check_grads", "gradcheck", "gradgradcheck"]
