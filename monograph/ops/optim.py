"""Parameter updates, each a whole step of one parameter in one node: SGD with momentum, Adam and AdamW.

The order of operations is that of torch.optim's single-tensor code, so that losses stay together over many steps. Every number that a
schedule may change is a run-time input, as is the step count: 0-d floating nodes of any precision (float64 keeps Python's numbers exact).
Attributes say only what the update is made of. What depends on the numbers alone is computed in float64, as Python would, and rounded once
to the parameter's type. Half-precision parameters are updated in float32.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from monograph.core.attrs import Attrs, attrs
from monograph.core.dtype import dtype as DType
from monograph.core.dtype import float64
from monograph.core.errors import DTypeError, ShapeError
from monograph.graph.node import Node
from monograph.graph.op import VIA_DECOMPOSITION, Family, Sample, define
from monograph.ops import source
from monograph.ops.complex_parts import pairs, unpaired
from monograph.ops.elementwise import maximum, pow, sqrt
from monograph.ops.precision import narrow, widen

OPTIM = Family.OPTIM


@attrs
class SgdAttrs(Attrs):
    """Of torch.optim.SGD; `decay`, `momentum`: there is any; `first`: there is no momentum buffer yet, it starts as the gradient."""

    decay: bool = False
    momentum: bool = False
    nesterov: bool = False
    first: bool = False
    maximize: bool = False


@attrs
class AdamAttrs(Attrs):
    """Of torch.optim.Adam; `decay`: there is weight decay; `decoupled`: it is AdamW's; `slow`: 1 - beta1 is less than a half; `amsgrad`:
    the greatest second moment is a further state.
    """

    decay: bool = False
    decoupled: bool = False
    slow: bool = True
    amsgrad: bool = False
    maximize: bool = False


def _check(name: str, p: Any, states: tuple[Any, ...], scalars: tuple[Any, ...]) -> DType:
    d = p.dtype
    if d.kind not in "fc":
        raise DTypeError(f"{name} updates floating-point parameters, got {d.name}")
    for s in states:
        if s.shape != p.shape or s.dtype is not d:
            raise ShapeError(
                f"{name}: gradient and state must be as the parameter, {d.name}{list(p.shape)}, got {s.dtype.name}{list(s.shape)}"
            )
    for s in scalars:
        if s.shape != () or s.dtype.kind != "f":
            raise ShapeError(f"{name}: learning rate, step and the like are 0-d floating-point inputs, got {s.dtype.name}{list(s.shape)}")
    return d


def _exact(x: np.ndarray) -> np.ndarray:
    return x.astype(np.complex128 if x.dtype.kind == "c" else np.float64)


# ---------------------------------------------------------------- SGD


def _sgd_inputs(a: SgdAttrs, given: tuple[Any, ...]) -> tuple[tuple[Any, ...], ...]:
    """What follows the learning rate: ((weight decay), (momentum, dampening), (momentum buffer), all the numbers); () for what is not
    there.
    """
    wanted = int(a.decay) + 2 * int(a.momentum) + int(a.momentum and not a.first)
    if len(given) != wanted:
        raise ShapeError(
            "sgd_update takes weight decay, momentum and dampening where there are any, and a momentum buffer exactly if there is "
            f"momentum and it is not the first step: {wanted} inputs after the learning rate, got {len(given)} for {a}"
        )
    decay, rest = (given[:1], given[1:]) if a.decay else ((), given)
    return decay, rest[:2], rest[2:], (*decay, *rest[:2])


def _sgd_type(a: SgdAttrs, p: Any, g: Any, lr: Any, *more: Any) -> tuple[Any, Any]:
    _, _, buffer, numbers = _sgd_inputs(a, more)
    d = _check("sgd_update", p, (g, *buffer), (lr, *numbers))
    return (((p.shape, d),) * (2 if a.momentum else 1)), None


def _sgd(a: SgdAttrs, p: Node, g: Node, lr: Node, *more: Node) -> tuple[Node, ...]:
    decay, inertia, buffer, _ = _sgd_inputs(a, more)
    x, d = widen(p), widen(g)
    if a.maximize:
        d = -d
    if decay:
        d = d + x * narrow(decay[0], x.dtype)
    new: Node | None = None
    if inertia:
        momentum, share = narrow(inertia[0], x.dtype), narrow(1 - narrow(inertia[1], float64), x.dtype)
        new = source.detach(d) if a.first else widen(buffer[0]) * momentum + d * share
        d = d + new * momentum if a.nesterov else new
    updated = narrow(x + d * narrow(-lr, x.dtype), p.dtype)
    return (updated,) if new is None else (updated, narrow(new, p.dtype))


def _sgd_samples() -> Iterable[Sample]:
    draw = np.random.default_rng(22)
    p, g, m = (draw.standard_normal((3, 2)) for _ in range(3))
    lr, decay, momentum, dampening, none = (np.asarray(n) for n in (0.1, 0.01, 0.9, 0.5, 0.0))
    yield Sample((p, g, lr), SgdAttrs())
    yield Sample((p, g, lr, decay), SgdAttrs(decay=True, maximize=True))
    yield Sample((p, g, lr, momentum, dampening), SgdAttrs(momentum=True, first=True), grad_inputs=(0, 2))  # the buffer starts detached
    yield Sample((p, g, lr, momentum, dampening, m), SgdAttrs(momentum=True))
    yield Sample((p, g, lr, decay, momentum, none, m), SgdAttrs(decay=True, momentum=True, nesterov=True))
    yield Sample((p.astype(np.float32), g.astype(np.float32), np.asarray(0.1, np.float32), decay), SgdAttrs(decay=True))
    yield Sample((p.astype(np.float16), g.astype(np.float16), lr), SgdAttrs(), tolerance=1e-2)
    yield Sample((p + 1j * g, g - 1j * m, lr, decay, momentum, none, m + 1j * p), SgdAttrs(decay=True, momentum=True))
    yield Sample((p, g[:2], lr), SgdAttrs(), error=ShapeError, match="must be as the parameter")
    yield Sample((p, g, lr), SgdAttrs(momentum=True), error=ShapeError, match="a momentum buffer exactly if")
    yield Sample((p, g, np.ones(3)), SgdAttrs(), error=ShapeError, match="0-d floating-point inputs")
    yield Sample((np.ones(3, np.int64), np.ones(3, np.int64), lr), SgdAttrs(), error=DTypeError, match="floating-point parameters")


def _sgd_reference(a: SgdAttrs, p: np.ndarray, g: np.ndarray, lr: np.ndarray, *more: np.ndarray) -> tuple[np.ndarray, ...]:
    decay, inertia, buffer, _ = _sgd_inputs(a, more)
    x, d = _exact(p), _exact(g) * (-1 if a.maximize else 1)
    if decay:
        d = d + float(decay[0]) * x
    new = d
    if inertia:
        momentum, dampening = map(float, inertia)
        new = d if a.first else momentum * _exact(buffer[0]) + (1 - dampening) * d
        d = d + momentum * new if a.nesterov else new
    updated = (x - lr.astype(np.float64) * d).astype(p.dtype)
    return (updated, new.astype(p.dtype)) if a.momentum else (updated,)


sgd_update = define(
    "sgd_update", family=OPTIM, attrs=SgdAttrs, infer=_sgd_type, decompose=_sgd, vjp=VIA_DECOMPOSITION, reference=_sgd_reference,
    samples=_sgd_samples,
    doc="(parameter, gradient, lr, weight decay if any, momentum and dampening if any, momentum buffer if any) to (new parameter, new "
    "buffer if there is momentum).",
)  # fmt: skip


# ---------------------------------------------------------------- Adam, AdamW


def _adam_numbers(a: AdamAttrs, given: tuple[Any, ...]) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """((weight decay if any), (greatest second moment if any)) of what follows eps."""
    if len(given) != int(a.decay) + int(a.amsgrad):
        raise ShapeError(
            f"adam_update takes weight decay exactly if there is any, and the greatest second moment exactly if amsgrad is set, got "
            f"{len(given)} inputs after eps for {a}"
        )
    return given[: int(a.decay)], given[int(a.decay) :]


def _adam_type(a: AdamAttrs, p: Any, g: Any, m: Any, v: Any, *numbers: Any) -> tuple[Any, Any]:
    if len(numbers) < 5:
        raise ShapeError(f"adam_update takes step, lr, beta1, beta2 and eps after the second moment, got {len(numbers)} inputs")
    decay, greatest = _adam_numbers(a, numbers[5:])
    d = _check("adam_update", p, (g, m, v, *greatest), (*numbers[:5], *decay))
    return (((p.shape, d),) * (4 if a.amsgrad else 3)), None


def _adam(
    a: AdamAttrs, p: Node, g: Node, m: Node, v: Node, step: Node, lr: Node, beta1: Node, beta2: Node, eps: Node, *more: Node
) -> tuple[Node, ...]:
    decay, greatest = _adam_numbers(a, more)
    if p.dtype.kind == "c":
        parts = [pairs(n) for n in (p, g, m, v, *greatest)]
        return tuple(unpaired(n, p.dtype) for n in _adam(a, *parts[:4], step, lr, beta1, beta2, eps, *decay, *parts[4:]))
    x, d, m, v = widen(p), widen(g), widen(m), widen(v)
    wide = x.dtype
    rate, steps, beta1, beta2 = (narrow(n, float64) for n in (lr, step, beta1, beta2))
    share = 1 - beta1
    if a.maximize:
        d = -d
    if decay:
        if a.decoupled:
            x = x * narrow(1 - rate * narrow(decay[0], float64), wide)
        else:
            d = d + x * narrow(decay[0], wide)
    # torch.lerp_(m, d, w): from the nearer end, so that the result is exact at both ends.
    m = m + (d - m) * narrow(share, wide) if a.slow else d - (d - m) * narrow(1 - share, wide)
    v = v * narrow(beta2, wide) + d * narrow(1 - beta2, wide) * d
    first = 1 - pow(beta1, steps)
    second = narrow(sqrt(1 - pow(beta2, steps)), wide)
    top = maximum(widen(greatest[0]), v) if greatest else v
    denominator = sqrt(top) / second + narrow(eps, wide)
    x = x + m * narrow(-(rate / first), wide) / denominator
    updated = [x, m, v, top] if greatest else [x, m, v]
    return tuple(narrow(u, p.dtype) for u in updated)


def _adam_reference(
    a: AdamAttrs, p: np.ndarray, g: np.ndarray, m: np.ndarray, v: np.ndarray, *numbers: np.ndarray
) -> tuple[np.ndarray, ...]:
    decay, greatest = _adam_numbers(a, numbers[5:])
    if p.dtype.kind == "c":  # both parts, each by itself
        real = p.real.dtype
        parts = [np.ascontiguousarray(n)[..., None].view(real) for n in (p, g, m, v, *greatest)]
        updated = _adam_reference(a, *parts[:4], *numbers[:5], *decay, *parts[4:])
        return tuple(u.view(p.dtype)[..., 0] for u in updated)
    steps, rate, beta1, beta2, eps = map(float, numbers[:5])
    x, d = p.astype(np.float64), g.astype(np.float64) * (-1 if a.maximize else 1)
    if decay:
        if a.decoupled:
            x = x - rate * float(decay[0]) * x
        else:
            d = d + float(decay[0]) * x
    first = beta1 * m.astype(np.float64) + (1 - beta1) * d
    second = beta2 * v.astype(np.float64) + (1 - beta2) * d * d
    top = np.maximum(greatest[0].astype(np.float64), second) if greatest else second
    x = x - rate / (1 - beta1**steps) * first / (np.sqrt(top / (1 - beta2**steps)) + eps)
    return tuple(u.astype(p.dtype) for u in ((x, first, second, top) if greatest else (x, first, second)))


# Inputs whose gradients finite differences tell: not the betas close to 1, where 1 - beta is ill conditioned. A calm sample has all.
FEW = (0, 1, 2, 3, 5)


def _adam_samples() -> Iterable[Sample]:
    draw = np.random.default_rng(23)
    p, g, m = (draw.standard_normal((3, 2)) for _ in range(3))
    v, top = draw.uniform(0.1, 1, (3, 2)), draw.uniform(0.1, 1, (3, 2))
    step, decay = np.asarray(3.0, np.float32), np.asarray(0.1)
    usual = tuple(np.asarray(n) for n in (0.01, 0.9, 0.999, 1e-8))
    yield Sample((p, g, m, v, step, *usual), AdamAttrs(), grad_inputs=FEW)
    calm = tuple(np.asarray(n) for n in (0.01, 0.6, 0.7, 1e-3))
    yield Sample((p, g, m, v, step, *calm, decay), AdamAttrs(decay=True, slow=True))
    quick = tuple(np.asarray(n) for n in (0.01, 0.3, 0.99, 1e-8))
    yield Sample((p, g, m * 0, v * 0, np.asarray(1.0, np.float32), *quick), AdamAttrs(slow=False), grad_inputs=(0,))
    yield Sample((p, g, m, v, step, *usual, decay), AdamAttrs(decay=True, maximize=True), grad_inputs=FEW)
    yield Sample((p, g, m, v, step, *usual, decay), AdamAttrs(decay=True, decoupled=True), grad_inputs=FEW)
    yield Sample((p, g, m, v, step, *usual, top), AdamAttrs(amsgrad=True), grad_inputs=FEW)
    yield Sample((p, g, m, v, step, *usual, decay, top), AdamAttrs(decay=True, amsgrad=True), grad_inputs=FEW)
    single = tuple(x.astype(np.float32) for x in (p, g, m, v))
    yield Sample((*single, step, usual[0].astype(np.float32), *usual[1:]), AdamAttrs(), tolerance=1e-5, grad_inputs=FEW)
    yield Sample((np.zeros((0, 2)),) * 4 + (step, *usual), AdamAttrs(), grad_inputs=FEW)
    yield Sample((p + 1j * g, g - 1j * m, m + 1j * p, v + 1j * top, step, *usual, decay), AdamAttrs(decay=True), grad_inputs=FEW)
    yield Sample((p, g, m[:2], v, step, *usual), AdamAttrs(), error=ShapeError, match="must be as the parameter")
    yield Sample((p, g, m, v, np.ones(2), *usual), AdamAttrs(), error=ShapeError, match="0-d floating-point inputs")
    yield Sample((p, g, m, v, step), AdamAttrs(), error=ShapeError, match="takes step, lr, beta1, beta2 and eps")
    yield Sample((p, g, m, v, step, *usual), AdamAttrs(amsgrad=True), error=ShapeError, match="exactly if amsgrad is set")


adam_update = define(
    "adam_update", family=OPTIM, attrs=AdamAttrs, infer=_adam_type, decompose=_adam, vjp=VIA_DECOMPOSITION, reference=_adam_reference,
    samples=_adam_samples,
    doc="(parameter, gradient, m, v, step, lr, beta1, beta2, eps, weight decay if any, greatest v if amsgrad) to the new (parameter, m, v, "
    "greatest v if amsgrad); step is from 1.",
)  # fmt: skip
