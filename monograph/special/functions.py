"""The special functions: each checks and promotes its arguments and records one op."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from monograph.graph.op import OpDef
from monograph.ops import special as special_ops
from monograph.ops import special_bessel, special_normal
from monograph.tensor.core import Tensor
from monograph.tensor.dispatch import as_floating, emit, floating_operands, read
from monograph.tensor.pointwise import FUNCTIONS, deliver


def _tensor(x: Any, name: str) -> Any:
    if not isinstance(x, Tensor):
        raise TypeError(f"{name}(): argument 'input' (position 1) must be Tensor, not {type(x).__name__}")
    return as_floating(read(x))


def _one(name: str, op: OpDef) -> Callable[..., Tensor]:
    def function(input: Tensor, *, out: Tensor | None = None) -> Tensor:  # noqa: A002 - torch's name
        return deliver(emit(op, _tensor(input, name)), out)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{op.doc} Integers are taken as the default floating dtype."
    return function


def _two(name: str, op: OpDef) -> Callable[..., Tensor]:
    def function(input: Any, other: Any, *, out: Tensor | None = None) -> Tensor:  # noqa: A002
        if not isinstance(input, Tensor) and not isinstance(other, Tensor):
            raise TypeError(f"{name}(): at least one argument must be a Tensor, got {type(input).__name__} and {type(other).__name__}")
        return deliver(emit(op, *floating_operands(input, other, name)), out)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = f"{op.doc} Broadcasts and promotes."
    return function


lgamma = _one("lgamma", special_ops.lgamma)
gammaln = _one("gammaln", special_ops.lgamma)
digamma = _one("digamma", special_ops.digamma)
psi = _one("psi", special_ops.digamma)
i0, i0e = _one("i0", special_ops.i0), _one("i0e", special_ops.i0e)
i1, i1e = _one("i1", special_ops.i1), _one("i1e", special_ops.i1e)
bessel_j0, bessel_j1 = _one("bessel_j0", special_bessel.bessel_j0), _one("bessel_j1", special_bessel.bessel_j1)
bessel_y0, bessel_y1 = _one("bessel_y0", special_bessel.bessel_y0), _one("bessel_y1", special_bessel.bessel_y1)
modified_bessel_i0, modified_bessel_i1 = _one("modified_bessel_i0", special_ops.i0), _one("modified_bessel_i1", special_ops.i1)
modified_bessel_k0, modified_bessel_k1 = _one("modified_bessel_k0", special_bessel.k0), _one("modified_bessel_k1", special_bessel.k1)
scaled_modified_bessel_k0 = _one("scaled_modified_bessel_k0", special_bessel.scaled_k0)
scaled_modified_bessel_k1 = _one("scaled_modified_bessel_k1", special_bessel.scaled_k1)
spherical_bessel_j0 = _one("spherical_bessel_j0", special_bessel.spherical_j0)
airy_ai = _one("airy_ai", special_bessel.airy_ai)
erfcx = _one("erfcx", special_normal.erfcx)
ndtr, log_ndtr, ndtri = _one("ndtr", special_normal.ndtr), _one("log_ndtr", special_normal.log_ndtr), _one("ndtri", special_normal.ndtri)
entr = _one("entr", special_normal.entr)
sinc = _one("sinc", special_normal.sinc)

xlogy, xlog1py = _two("xlogy", special_normal.xlogy), _two("xlog1py", special_normal.xlog1py)
zeta = _two("zeta", special_ops.zeta)


def _of_tensors(name: str, op: OpDef) -> Callable[..., Tensor]:
    function = _two(name, op)

    def checked(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:  # noqa: A002
        for place, x in enumerate((input, other), 1):
            if not isinstance(x, Tensor):
                which = "input" if place == 1 else "other"
                raise TypeError(f"{name}(): argument '{which}' (position {place}) must be Tensor, not {type(x).__name__}")
        return function(input, other, out=out)

    checked.__name__, checked.__qualname__, checked.__doc__ = function.__name__, function.__qualname__, function.__doc__
    return checked


gammainc, gammaincc = _of_tensors("gammainc", special_ops.gammainc), _of_tensors("gammaincc", special_ops.gammaincc)

erf, erfc, erfinv, exp2, expm1, log1p = (FUNCTIONS[n] for n in ("erf", "erfc", "erfinv", "exp2", "expm1", "log1p"))
expit, round, logsumexp = FUNCTIONS["sigmoid"], FUNCTIONS["round"], FUNCTIONS["logsumexp"]  # noqa: A001


def logit(input: Tensor, eps: float | None = None, *, out: Tensor | None = None) -> Tensor:  # noqa: A002
    """log(x / (1 - x)); with eps, x is first limited to [eps, 1 - eps]. NaN outside [0, 1].

    >>> import monograph as mg
    >>> mg.special.logit(mg.tensor([0.5, 2.0]), eps=0.25).tolist()
    [0.0, 1.0986123085021973]
    """
    return deliver(emit(special_normal.logit, _tensor(input, "logit"), eps=None if eps is None else float(eps)), out)


def polygamma(n: Any, input: Any, *, out: Tensor | None = None) -> Tensor:  # noqa: A002
    """The n-th derivative of digamma: polygamma(n, x). As a tensor method: x.polygamma(n).

    Raises RuntimeError for a negative n.
    """
    if isinstance(n, Tensor):
        n, input = input, n  # noqa: A001
    return deliver(emit(special_ops.polygamma, _tensor(input, "polygamma"), n=int(n)), out)


def multigammaln(input: Tensor, p: int, *, out: Tensor | None = None) -> Tensor:  # noqa: A002
    """The logarithm of the multivariate gamma function of dimension p.

    Raises RuntimeError unless p >= 1.
    """
    if p < 1:
        raise RuntimeError(f"p has to be greater than or equal to 1, got {p}")
    steps = FUNCTIONS["arange"](0, p, dtype=read(input).dtype if read(input).dtype.kind == "f" else None) * -0.5
    terms = lgamma(input.unsqueeze(-1) + steps)  # type: ignore[attr-defined]
    return deliver(terms.sum(-1) + p * (p - 1) * math.log(math.pi) / 4, out)  # type: ignore[attr-defined]


def softmax(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:  # noqa: A002
    """exp(x) / sum(exp(x)) along a dimension."""
    return FUNCTIONS["softmax"](input, dim, dtype=dtype)


def log_softmax(input: Tensor, dim: int, *, dtype: Any = None) -> Tensor:  # noqa: A002
    """The logarithm of softmax."""
    return FUNCTIONS["log_softmax"](input, dim, dtype=dtype)
