"""Integrals and slopes of sampled functions, covariances, Kronecker products."""

from __future__ import annotations

from typing import Any

from monograph.core import dtype as dtypes
from monograph.core.shape import normalize_dim
from monograph.tensor.core import Tensor
from monograph.tensor.delivery import takes_out
from monograph.tensor.dispatch import SCALAR_TYPES
from monograph.tensor.pointwise import FUNCTIONS as F
from monograph.tensor.pointwise import publish
from monograph.tensor.views import narrow, reshape, unsqueeze


def _steps(y: Tensor, x: Any, dx: Any, dim: int, name: str) -> tuple[Tensor, Tensor, Any]:
    """Neighbouring samples along `dim`, and their distances."""
    if y.dtype is dtypes.bool_ or (isinstance(x, Tensor) and x.dtype is dtypes.bool_):
        raise RuntimeError(f"{name}: received a bool input for `y`, but bool is not supported")
    n = y.shape[dim]
    left, right = narrow(y, dim, 0, max(n - 1, 0)), narrow(y, dim, min(1, n), max(n - 1, 0))
    if x is None:
        return left, right, dx
    if x.ndim == 1:
        if x.shape[0] != n:
            raise RuntimeError(f"{name}: There must be one `x` value for each sample point, got {x.shape[0]} for {n}")
        x = reshape(x, tuple(-1 if i == dim else 1 for i in range(y.ndim)))
    d = dim - y.ndim
    return left, right, narrow(x, d, 1, max(x.shape[d] - 1, 0)) - narrow(x, d, 0, max(x.shape[d] - 1, 0))


def trapezoid(y: Tensor, x: Tensor | None = None, *, dx: float = 1, dim: int = -1) -> Tensor:
    """The integral along `dim` by the trapezoidal rule; samples are at `x`, or `dx` apart.

    >>> import monograph as mg
    >>> mg.trapezoid(mg.tensor([1.0, 5.0, 10.0])).item()
    10.5
    """
    d = normalize_dim(dim, y.ndim)
    if not y.shape[d]:
        return F["zeros"](*y.shape[:d], *y.shape[d + 1 :], dtype=y.dtype)
    left, right, step = _steps(y, x, dx, d, "trapezoid")
    if isinstance(step, Tensor):
        return F["div"](F["sum"]((left + right) * step, d), 2)
    return F["sum"](left + right, d) * (step / 2)


def cumulative_trapezoid(y: Tensor, x: Tensor | None = None, *, dx: float = 1, dim: int = -1) -> Tensor:
    """The running integral along `dim` by the trapezoidal rule: one element fewer."""
    d = normalize_dim(dim, y.ndim)
    left, right, step = _steps(y, x, dx, d, "cumulative_trapezoid")
    if isinstance(step, Tensor):
        return F["div"](F["cumsum"]((left + right) * step, d), 2)
    return F["cumsum"](left + right, d) * (step / 2)


def _slope(x: Tensor, spacing: Any, d: int, edge_order: int) -> Tensor:
    """Central differences along one dimension, one-sided at the ends."""
    n = x.shape[d]

    def at(i: int, length: int = 1) -> Tensor:
        return narrow(x, d, i, length)

    if not isinstance(spacing, Tensor):
        middle = (at(2, n - 2) - at(0, n - 2)) / (2 * spacing)
        if edge_order == 1:
            ends = (at(1) - at(0)) / spacing, (at(n - 1) - at(n - 2)) / spacing
        else:
            ends = (
                (at(0) * -1.5 + at(1) * 2.0 - at(2) * 0.5) / spacing,
                (at(n - 1) * 1.5 - at(n - 2) * 2.0 + at(n - 3) * 0.5) / spacing,
            )
        return F["cat"]([ends[0], middle, ends[1]], d)
    shape = tuple(-1 if i == d else 1 for i in range(x.ndim))
    gaps = narrow(spacing, 0, 1, n - 1) - narrow(spacing, 0, 0, n - 1)
    a, b = (reshape(narrow(gaps, 0, i, n - 2), shape) for i in (0, 1))
    middle = at(0, n - 2) * (-b / (a * (a + b))) + at(1, n - 2) * ((b - a) / (a * b)) + at(2, n - 2) * (a / (b * (a + b)))
    h = [narrow(gaps, 0, i, 1) for i in (0, n - 2)]
    if edge_order == 1:
        ends = (at(1) - at(0)) / reshape(h[0], shape), (at(n - 1) - at(n - 2)) / reshape(h[1], shape)
    else:
        a, b = (reshape(narrow(gaps, 0, i, 1), shape) for i in (0, 1))
        first = at(0) * (-(a * 2.0 + b) / (a * (a + b))) + at(1) * ((a + b) / (a * b)) + at(2) * (-a / (b * (a + b)))
        a, b = (reshape(narrow(gaps, 0, i, 1), shape) for i in (n - 3, n - 2))
        last = at(n - 3) * (b / (a * (a + b))) + at(n - 2) * (-(a + b) / (a * b)) + at(n - 1) * ((a + b * 2.0) / (b * (a + b)))
        ends = first, last
    return F["cat"]([ends[0], middle, ends[1]], d)


def gradient(input: Tensor, *, spacing: Any = None, dim: Any = None, edge_order: int = 1) -> tuple[Tensor, ...]:  # noqa: A002
    """The slope of sampled values along each dimension (or those in `dim`), by central differences.

    `spacing`: the distance of samples, one for all or one per dimension, or their coordinates, a vector per dimension.
    """
    n = input.ndim
    dims = list(range(n)) if dim is None else [normalize_dim(d, n) for d in (dim if isinstance(dim, tuple | list) else (dim,))]
    if len(set(dims)) != len(dims):
        raise RuntimeError(f"dim {next(d for d in dims if dims.count(d) > 1)} appears multiple times in the list of dims")
    spacing = 1 if spacing is None else spacing
    if isinstance(spacing, SCALAR_TYPES):
        steps: list[Any] = [spacing] * len(dims)
    else:
        steps = [spacing] if isinstance(spacing, Tensor) else list(spacing)
        if len(steps) != len(dims):
            raise RuntimeError(
                "torch.gradient expected spacing to be unspecified, a scalar, or a list of length equal to 'self.dim() = "
                f"{n}' or of 'dim', since got spacing of {len(steps)} for {len(dims)} dimensions"
            )
    if edge_order not in (1, 2):
        raise RuntimeError("torch.gradient only supports edge_order=1 and edge_order=2.")
    other = next((s for s in steps if isinstance(s, Tensor) and s.device != input.device), None)
    if other is not None:
        raise RuntimeError(
            f"torch.gradient expected each tensor to be on the same device, but got devices {input.device} and {other.device}: move one"
        )
    for d, step in zip(dims, steps, strict=True):
        if input.shape[d] < edge_order + 1:
            raise RuntimeError("torch.gradient expected each dimension size to be at least edge_order+1")
        if isinstance(step, Tensor) and (step.ndim != 1 or step.shape[0] != input.shape[d]):
            raise RuntimeError(
                f"torch.gradient expected each element of `spacing` to have one value for each of the {input.shape[d]} samples of dim {d}, "
                f"got {list(step.shape)}"
            )
    return tuple(_slope(input, step, d, edge_order) for d, step in zip(dims, steps, strict=True))


def cov(
    input: Tensor, *, correction: int = 1, fweights: Tensor | None = None, aweights: Tensor | None = None  # noqa: A002
) -> Tensor:  # fmt: skip
    """The covariance matrix of variables (rows) over observations (columns), with integer and real weights of these."""
    if input.ndim > 2:
        raise RuntimeError(f"cov(): expected input to have two or fewer dimensions but got an input with {input.ndim} dimensions")
    if input.dtype is dtypes.bool_:
        raise RuntimeError("cov(): bool dtype is not supported for input")
    x = reshape(input, (1, -1)) if input.ndim < 2 else input
    count = x.shape[1]
    weights: Any = None
    for name, w in (("fweights", fweights), ("aweights", aweights)):
        if w is None:
            continue
        if w.ndim > 1:
            raise RuntimeError(f"cov(): expected {name} to have one or fewer dimensions but got {name} with {w.ndim} dimensions")
        if w.dtype.kind not in ("iu" if name == "fweights" else "f"):
            wanted = "integral" if name == "fweights" else "floating point"
            raise RuntimeError(f"cov(): expected {name} to have {wanted} dtype but got {name} with {w.dtype.name} dtype")
        if w.numel() != count:  # type: ignore[attr-defined]
            raise RuntimeError(f"cov(): expected {name} to have the same numel as there are observations in the input: {count}")
        if count and bool((w < 0).any().item()):
            raise RuntimeError(f"cov(): {name} cannot be negative")
        weights = reshape(w, -1) if weights is None else weights * reshape(w, -1)
    if weights is None:
        total: Any = count
        mean = F["sum"](x, 1, True) / total if count else F["sum"](x, 1, True) * float("nan")
    else:
        total = F["sum"](weights)
        if count == 0 or bool((total == 0).item()):
            raise RuntimeError("cov(): weights sum to zero, can't be normalized")
        mean = F["sum"](x * weights, 1, True) / total
    if aweights is None or weights is None:
        norm = total - correction
    elif correction == 0:
        norm = total
    else:
        norm = total - correction * F["sum"](weights * reshape(aweights, -1)) / total
    centred = x - mean
    norm = F["clamp"](norm, min=0) if isinstance(norm, Tensor) else max(norm, 0)
    right = centred if weights is None else centred * weights
    other = F["transpose"](right, 0, 1)
    c = F["div"](F["matmul"](centred, F["conj"](other) if other.dtype.kind == "c" else F["_to_dtype"](other, centred.dtype)), norm)
    return reshape(c, ()) if input.ndim < 2 else F["squeeze"](c)


def corrcoef(input: Tensor) -> Tensor:  # noqa: A002
    """The correlation matrix of variables (rows) over observations (columns)."""
    if input.ndim > 2:
        raise RuntimeError(f"corrcoef(): expected input to have two or fewer dimensions but got an input with {input.ndim} dimensions")
    c = cov(input)
    if not c.ndim:
        return c / c
    d = F["sqrt"](F["real"](F["diagonal"](c)) if c.dtype.kind == "c" else F["diagonal"](c))
    d = F["_to_dtype"](d, c.dtype)
    scaled = F["div"](F["div"](c, unsqueeze(d, 1)), unsqueeze(d, 0))
    if scaled.dtype.kind == "c":
        return F["complex"](F["clip"](F["real"](scaled), -1, 1), F["clip"](F["imag"](scaled), -1, 1))
    return F["clip"](scaled, -1, 1)


def kron(input: Tensor, other: Tensor) -> Tensor:  # noqa: A002
    """The Kronecker product: every element of `input` times all of `other`."""
    n = max(input.ndim, other.ndim)
    a, b = ([1] * (n - t.ndim) + list(t.shape) for t in (input, other))
    left = reshape(input, tuple(s for p in a for s in (p, 1)))
    right = reshape(other, tuple(s for p in b for s in (1, p)))
    return reshape(F["mul"](left, right), tuple(p * q for p, q in zip(a, b, strict=True)))


F.update(trapezoid=trapezoid, trapz=trapezoid, cumulative_trapezoid=cumulative_trapezoid, gradient=gradient)
publish("cov", cov)
publish("corrcoef", corrcoef)
F["kron"] = takes_out(publish("kron", kron), exact=False)
