"""Parameter updates, each a whole step of one parameter in one node: SGD with momentum, Adam and AdamW.

The order of operations is that of torch.optim's single-tensor code, so that losses stay together over many steps. Learning rate and step
count are run-time inputs: 0-d floating nodes of any precision (float64 keeps Python's numbers exact). What depends on them alone is
computed in float64, as Python would, and rounded once to the parameter's type. Half-precision parameters are updated in float32.
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
from monograph.graph.op import Family, NotDifferentiable, Sample, define
from monograph.ops.complex_parts import pairs, unpaired
from monograph.ops.elementwise import maximum, pow, sqrt
from monograph.ops.precision import narrow, widen
from monograph.ops.source import constant

OPTIM = Family.OPTIM
NO_GRADIENT = NotDifferentiable("an optimiser's step changes parameters in place; write the update in ops to differentiate through it")


@attrs
class SgdAttrs(Attrs):
    """Of torch.optim.SGD; `first`: there is no momentum buffer yet, it starts as the gradient."""

    weight_decay: float = 0.0
    momentum: float = 0.0
    dampening: float = 0.0
    nesterov: bool = False
    first: bool = False
    maximize: bool = False


@attrs
class AdamAttrs(Attrs):
    """Of torch.optim.Adam; `decoupled`: weight decay as in AdamW; `amsgrad`: the greatest second moment is a further state."""

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    weight_decay: float = 0.0
    decoupled: bool = False
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
            raise ShapeError(f"{name}: learning rate and step are 0-d floating-point inputs, got {s.dtype.name}{list(s.shape)}")
    return d


def _exact(x: np.ndarray) -> np.ndarray:
    return x.astype(np.complex128 if x.dtype.kind == "c" else np.float64)


# ---------------------------------------------------------------- SGD


def _sgd_type(a: SgdAttrs, p: Any, g: Any, lr: Any, *buffer: Any) -> tuple[Any, Any]:
    d = _check("sgd_update", p, (g, *buffer), (lr,))
    if len(buffer) != (1 if a.momentum and not a.first else 0):
        raise ShapeError(
            f"sgd_update takes a momentum buffer exactly if momentum is not 0 and it is not the first step, got {len(buffer)} for {a}"
        )
    return (((p.shape, d),) * (2 if a.momentum else 1)), None


def _sgd(a: SgdAttrs, p: Node, g: Node, lr: Node, *buffer: Node) -> tuple[Node, ...]:
    x, d = widen(p), widen(g)
    if a.maximize:
        d = -d
    if a.weight_decay:
        d = d + x * a.weight_decay
    new: Node | None = None
    if a.momentum:
        new = d if a.first else widen(buffer[0]) * a.momentum + d * (1 - a.dampening)
        d = d + new * a.momentum if a.nesterov else new
    updated = narrow(x + d * narrow(-lr, x.dtype), p.dtype)
    return (updated,) if new is None else (updated, narrow(new, p.dtype))


def _sgd_samples() -> Iterable[Sample]:
    draw = np.random.default_rng(22)
    p, g, m = (draw.standard_normal((3, 2)) for _ in range(3))
    lr = np.asarray(0.1)
    yield Sample((p, g, lr), SgdAttrs())
    yield Sample((p, g, lr), SgdAttrs(weight_decay=0.01, maximize=True))
    yield Sample((p, g, lr), SgdAttrs(momentum=0.9, dampening=0.5, first=True))
    yield Sample((p, g, lr, m), SgdAttrs(momentum=0.9, dampening=0.5))
    yield Sample((p, g, lr, m), SgdAttrs(momentum=0.9, weight_decay=0.1, nesterov=True))
    yield Sample((p.astype(np.float32), g.astype(np.float32), np.asarray(0.1, np.float32)), SgdAttrs(weight_decay=0.01))
    yield Sample((p.astype(np.float16), g.astype(np.float16), lr), SgdAttrs(), tolerance=1e-2)
    yield Sample((p + 1j * g, g - 1j * m, lr, m + 1j * p), SgdAttrs(momentum=0.9, weight_decay=0.1))
    yield Sample((p, g[:2], lr), SgdAttrs(), error=ShapeError, match="must be as the parameter")
    yield Sample((p, g, lr), SgdAttrs(momentum=0.9), error=ShapeError, match="takes a momentum buffer exactly if")
    yield Sample((p, g, np.ones(3)), SgdAttrs(), error=ShapeError, match="0-d floating-point inputs")
    yield Sample((np.ones(3, np.int64), np.ones(3, np.int64), lr), SgdAttrs(), error=DTypeError, match="floating-point parameters")


def _sgd_reference(a: SgdAttrs, p: np.ndarray, g: np.ndarray, lr: np.ndarray, *buffer: np.ndarray) -> tuple[np.ndarray, ...]:
    x, d = _exact(p), _exact(g) * (-1 if a.maximize else 1)
    d = d + a.weight_decay * x
    new = d if a.first or not buffer else a.momentum * _exact(buffer[0]) + (1 - a.dampening) * d
    if a.momentum:
        d = d + a.momentum * new if a.nesterov else new
    updated = (x - lr.astype(np.float64) * d).astype(p.dtype)
    return (updated, new.astype(p.dtype)) if a.momentum else (updated,)


sgd_update = define(
    "sgd_update", family=OPTIM, attrs=SgdAttrs, infer=_sgd_type, decompose=_sgd, vjp=NO_GRADIENT, reference=_sgd_reference,
    samples=_sgd_samples,
    doc="(parameter, gradient, lr, momentum buffer if any) to (new parameter, new buffer if there is momentum).",
)  # fmt: skip


# ---------------------------------------------------------------- Adam, AdamW


def _adam_type(a: AdamAttrs, p: Any, g: Any, m: Any, v: Any, step: Any, lr: Any, *greatest: Any) -> tuple[Any, Any]:
    d = _check("adam_update", p, (g, m, v, *greatest), (step, lr))
    if len(greatest) != int(a.amsgrad):
        raise ShapeError(f"adam_update takes the greatest second moment exactly if amsgrad is set, got {len(greatest)} for {a}")
    return (((p.shape, d),) * (4 if a.amsgrad else 3)), None


def _adam(a: AdamAttrs, p: Node, g: Node, m: Node, v: Node, step: Node, lr: Node, *greatest: Node) -> tuple[Node, ...]:
    if p.dtype.kind == "c":
        parts = [pairs(n) for n in (p, g, m, v, *greatest)]
        return tuple(unpaired(n, p.dtype) for n in _adam(a, *parts[:4], step, lr, *parts[4:]))
    x, d, m, v = widen(p), widen(g), widen(m), widen(v)
    wide, rate, steps = x.dtype, narrow(lr, float64), narrow(step, float64)
    if a.maximize:
        d = -d
    if a.weight_decay:
        if a.decoupled:
            x = x * narrow(1 - rate * a.weight_decay, wide)
        else:
            d = d + x * a.weight_decay
    # torch.lerp_(m, d, w): from the nearer end, so that the result is exact at both ends.
    m = m + (d - m) * (1 - a.beta1) if 1 - a.beta1 < 0.5 else d - (d - m) * (1 - (1 - a.beta1))
    v = v * a.beta2 + d * (1 - a.beta2) * d
    first = 1 - pow(constant(a.beta1, float64), steps)
    second = narrow(sqrt(1 - pow(constant(a.beta2, float64), steps)), wide)
    top = maximum(widen(greatest[0]), v) if a.amsgrad else v
    denominator = sqrt(top) / second + a.eps
    x = x + m * narrow(-(rate / first), wide) / denominator
    updated = [x, m, v, top] if a.amsgrad else [x, m, v]
    return tuple(narrow(u, p.dtype) for u in updated)


def _adam_reference(
    a: AdamAttrs, p: np.ndarray, g: np.ndarray, m: np.ndarray, v: np.ndarray, step: np.ndarray, lr: np.ndarray, *greatest: np.ndarray
) -> tuple[np.ndarray, ...]:
    if p.dtype.kind == "c":  # both parts, each by itself
        real = p.real.dtype
        parts = [np.ascontiguousarray(n)[..., None].view(real) for n in (p, g, m, v, *greatest)]
        updated = _adam_reference(a, *parts[:4], step, lr, *parts[4:])
        return tuple(u.view(p.dtype)[..., 0] for u in updated)
    x, d, rate, steps = p.astype(np.float64), g.astype(np.float64) * (-1 if a.maximize else 1), float(lr), float(step)
    if a.decoupled:
        x = x - rate * a.weight_decay * x
    else:
        d = d + a.weight_decay * x
    first = a.beta1 * m.astype(np.float64) + (1 - a.beta1) * d
    second = a.beta2 * v.astype(np.float64) + (1 - a.beta2) * d * d
    top = np.maximum(greatest[0].astype(np.float64), second) if a.amsgrad else second
    x = x - rate / (1 - a.beta1**steps) * first / (np.sqrt(top / (1 - a.beta2**steps)) + a.eps)
    return tuple(u.astype(p.dtype) for u in ((x, first, second, top) if a.amsgrad else (x, first, second)))


def _adam_samples() -> Iterable[Sample]:
    draw = np.random.default_rng(23)
    p, g, m = (draw.standard_normal((3, 2)) for _ in range(3))
    v, top = draw.uniform(0.1, 1, (3, 2)), draw.uniform(0.1, 1, (3, 2))
    step, lr = np.asarray(3.0, np.float32), np.asarray(0.01)
    yield Sample((p, g, m, v, step, lr), AdamAttrs())
    yield Sample((p, g, m * 0, v * 0, np.asarray(1.0, np.float32), lr), AdamAttrs(0.3, 0.99))
    yield Sample((p, g, m, v, step, lr), AdamAttrs(weight_decay=0.1, maximize=True))
    yield Sample((p, g, m, v, step, lr), AdamAttrs(weight_decay=0.1, decoupled=True))
    yield Sample((p, g, m, v, step, lr, top), AdamAttrs(amsgrad=True))
    yield Sample((*(x.astype(np.float32) for x in (p, g, m, v)), step, lr.astype(np.float32)), AdamAttrs(), tolerance=1e-5)
    yield Sample((np.zeros((0, 2)),) * 4 + (step, lr), AdamAttrs())
    yield Sample((p + 1j * g, g - 1j * m, m + 1j * p, v + 1j * top, step, lr), AdamAttrs(weight_decay=0.1))
    yield Sample((p, g, m[:2], v, step, lr), AdamAttrs(), error=ShapeError, match="must be as the parameter")
    yield Sample((p, g, m, v, np.ones(2), lr), AdamAttrs(), error=ShapeError, match="0-d floating-point inputs")
    yield Sample((p, g, m, v, step, lr), AdamAttrs(amsgrad=True), error=ShapeError, match="exactly if amsgrad is set")


adam_update = define(
    "adam_update", family=OPTIM, attrs=AdamAttrs, infer=_adam_type, decompose=_adam, vjp=NO_GRADIENT, reference=_adam_reference,
    samples=_adam_samples,
    doc="(parameter, gradient, m, v, step, lr, greatest v if amsgrad) to the new (parameter, m, v, greatest v if amsgrad); step is from 1.",
)  # fmt: skip
