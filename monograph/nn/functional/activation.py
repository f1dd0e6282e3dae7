"""Activation functions. `inplace=True` writes the result into the input, as torch does."""

from __future__ import annotations

import warnings
from collections.abc import Callable

from monograph.core.dtype import default_float
from monograph.core.dtype import dtype as DType
from monograph.core.errors import ArgumentError
from monograph.graph.op import OpDef
from monograph.ops import activation as act
from monograph.tensor import FUNCTIONS, Tensor, rand, where, zeros_like
from monograph.tensor.delivery import deliver, takes_out
from monograph.tensor.dispatch import apply, read, store


def _done(result: Tensor, input: Tensor, inplace: bool, name: str) -> Tensor:
    return store(input, read(result), name) if inplace else result


def _simple(
    name: str, op: OpDef, doc: str, of_complex: Callable[[Tensor], Tensor] | None = None
) -> tuple[Callable[..., Tensor], Callable[..., Tensor]]:
    """An activation without settings, and its in-place form. `of_complex`: the formula for complex numbers, where torch has one."""

    def function(input: Tensor, inplace: bool = False) -> Tensor:
        y = apply(op, input) if of_complex is None or input.dtype.kind != "c" else of_complex(input)
        return store(input, read(y), name) if inplace else y

    def in_place(input: Tensor) -> Tensor:
        return function(input, True)

    function.__name__ = function.__qualname__ = name
    in_place.__name__ = in_place.__qualname__ = name + "_"
    function.__doc__, in_place.__doc__ = doc, f"In-place version of `{name}`."
    return function, in_place


silu, _ = _simple("silu", act.silu, "x * sigmoid(x), also called swish.", lambda x: x * x.sigmoid())
mish, _ = _simple("mish", act.mish, "x * tanh(softplus(x)).")
hardsigmoid, _ = _simple("hardsigmoid", act.hardsigmoid, "relu6(x + 3) / 6.")
hardswish, _ = _simple("hardswish", act.hardswish, "x * relu6(x + 3) / 6.")
relu6, _ = _simple("relu6", act.relu6, "min(max(x, 0), 6).")
selu, selu_ = _simple("selu", act.selu, "The self-normalising ELU (Klambauer et al. 2017).")

_relu = FUNCTIONS["relu"]


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(x, 0)."""
    return input.relu_() if inplace else _relu(input)


def relu_(input: Tensor) -> Tensor:
    """In-place version of `relu`."""
    return input.relu_()


def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + exp(-x))."""
    return input.sigmoid()


def tanh(input: Tensor) -> Tensor:
    """The hyperbolic tangent."""
    return input.tanh()


def gelu(input: Tensor, *, approximate: str = "none", out: Tensor | None = None) -> Tensor:
    """x times the normal distribution function of x; `approximate="tanh"` for the cheaper form."""
    y = apply(act.gelu, input, approximate=approximate)
    return y if out is None else deliver(y, out, exact=True)


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where positive, alpha * (exp(x) - 1) elsewhere."""
    return _done(apply(act.elu, input, alpha=alpha), input, inplace, "elu_")


def elu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """In-place version of `elu`."""
    return elu(input, alpha, True)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """max(0, x) + min(0, alpha * (exp(x / alpha) - 1))."""
    return _done(apply(act.celu, input, alpha=alpha), input, inplace, "celu_")


def celu_(input: Tensor, alpha: float = 1.0) -> Tensor:
    """In-place version of `celu`."""
    return celu(input, alpha, True)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """x where positive, negative_slope * x elsewhere."""
    return _done(apply(act.leaky_relu, input, negative_slope=negative_slope), input, inplace, "leaky_relu_")


def leaky_relu_(input: Tensor, negative_slope: float = 0.01) -> Tensor:
    """In-place version of `leaky_relu`."""
    return leaky_relu(input, negative_slope, True)


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """x where positive, weight * x elsewhere: one weight, or one per channel (dimension 1)."""
    n = weight.numel()
    if weight.ndim > 1:
        raise RuntimeError(f"prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = {weight.ndim}")
    if n != 1:
        channels = input.shape[1] if input.ndim > 1 else 1
        if n != channels:
            raise RuntimeError(
                f"Mismatch of parameter numbers and input channel size. Found parameter numbers = {n} and channel size = {channels}."
            )
        weight = weight.reshape(1, n, *[1] * (input.ndim - 2)) if input.ndim > 1 else weight
    elif weight.ndim:
        weight = weight.reshape(())
    return where(input > 0, input, weight * input)


def rrelu(input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False, inplace: bool = False) -> Tensor:
    """Leaky ReLU with slopes from U(lower, upper) when training, their mean otherwise."""
    if lower > upper:
        raise RuntimeError(f"Lower bound should be less than or equal to the upper bound, got {lower} and {upper}")
    if not training:
        return leaky_relu(input, (lower + upper) / 2, inplace)
    slope = rand(tuple(input.shape), dtype=input.dtype) * (upper - lower) + lower
    return _done(where(input >= 0, input, input * slope), input, inplace, "rrelu_")


def rrelu_(input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False) -> Tensor:
    """In-place version of `rrelu`."""
    return rrelu(input, lower, upper, training, True)


def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """x limited to [min_val, max_val]."""
    if min_val > max_val:
        raise ArgumentError("min_val cannot be greater than max_val")
    return _done(apply(act.hardtanh, input, min=min_val, max=max_val), input, inplace, "hardtanh_")


def hardtanh_(input: Tensor, min_val: float = -1.0, max_val: float = 1.0) -> Tensor:
    """In-place version of `hardtanh`."""
    return hardtanh(input, min_val, max_val, True)


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """x where x > threshold, else value."""
    return _done(where(input <= threshold, value, input), input, inplace, "threshold_")


def threshold_(input: Tensor, threshold_: float, value: float) -> Tensor:
    """In-place version of `threshold`."""
    return threshold(input, threshold_, value, True)


@takes_out
def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + exp(beta * x)) / beta; linear where beta * x > threshold."""
    return apply(act.softplus, input, beta=beta, threshold=threshold)


@takes_out
def logsigmoid(input: Tensor) -> Tensor:
    """log(sigmoid(x)), safe for large negative x."""
    return apply(act.log_sigmoid, input)


def softsign(input: Tensor) -> Tensor:
    """x / (1 + |x|). Integers are taken as the default floating dtype."""
    if input.dtype.kind == "c":
        return input / (1 + input.abs())
    return apply(act.softsign, input if input.dtype.kind in "fc" else input.to(default_float()))


def tanhshrink(input: Tensor) -> Tensor:
    """x - tanh(x). Integers are taken as the default floating dtype."""
    if input.dtype.kind == "c":
        return input - input.tanh()
    return apply(act.tanhshrink, input if input.dtype.kind in "fc" else input.to(default_float()))


@takes_out
def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """x where |x| > lambd, else 0."""
    return where(input.abs() <= lambd, zeros_like(input), input)


@takes_out
def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """Every element moved towards 0 by lambd, and not past it."""
    if lambd < 0:
        raise RuntimeError(f"lambda must be greater or equal to 0, but found to be {lambd}.")
    return where(input > lambd, input - lambd, where(input < -lambd, input + lambd, input * 0))


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """a * sigmoid(b), a and b the halves of the input along `dim`."""
    if input.ndim == 0:
        raise RuntimeError("glu does not support scalars because halving size must be even")
    if input.shape[dim] % 2:
        raise RuntimeError(f"Halving dimension must be even, but dimension {dim} is size {input.shape[dim]}")
    a, b = input.chunk(2, dim)
    return a * b.sigmoid()


def _implicit_dim(name: str, ndim: int, stacklevel: int) -> int:
    warnings.warn(
        f"Implicit dimension choice for {name} has been deprecated. Change the call to include dim=X as an argument.", stacklevel=stacklevel
    )
    return 0 if ndim in (0, 1, 3) else 1


def softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: DType | None = None) -> Tensor:
    """exp(x) / sum(exp(x)) along `dim`."""
    if dim is None:
        dim = _implicit_dim("softmax", input.ndim, _stacklevel)
    return FUNCTIONS["softmax"](input, dim, dtype)


def log_softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: DType | None = None) -> Tensor:
    """log(softmax(x)) along `dim`."""
    if dim is None:
        dim = _implicit_dim("log_softmax", input.ndim, _stacklevel)
    return FUNCTIONS["log_softmax"](input, dim, dtype)


def softmin(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: DType | None = None) -> Tensor:
    """softmax(-x) along `dim`."""
    if dim is None:
        dim = _implicit_dim("softmin", input.ndim, _stacklevel)
    return FUNCTIONS["softmax"](-input, dim, dtype)


def gumbel_softmax(logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1) -> Tensor:
    """A soft sample of a class (Jang et al. 2016); `hard`: one-hot, with the soft sample's gradient."""
    uniform = rand(tuple(logits.shape), dtype=logits.dtype)
    noise = -((1.0 - uniform).log().neg()).log()
    soft = FUNCTIONS["softmax"]((logits + noise) / tau, dim)
    if not hard:
        return soft
    index = soft.argmax(dim, keepdim=True)
    picked = zeros_like(logits).scatter(dim, index, 1.0)
    return picked - soft.detach() + soft
