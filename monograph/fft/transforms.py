"""The transforms of torch.fft: one description of their arguments, one of their normalisation, and the ops they come down to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from monograph.core import dtype as dtypes
from monograph.core.errors import DimensionError
from monograph.core.shape import normalize_dim
from monograph.graph.node import Node
from monograph.ops.fourier import fft_c2c, fft_c2r, fft_r2c
from monograph.ops.movement import pad
from monograph.tensor.core import Tensor
from monograph.tensor.dispatch import cast_node, finish, read
from monograph.tensor.pointwise import deliver

Sizes = int | Sequence[int] | None
_SPELLED = {"float16": "Half", "bfloat16": "BFloat16", "complex64": "ComplexFloat", "complex128": "ComplexDouble", "float64": "Double"}


def scale_of(norm: str | None, forward: bool) -> str:
    """The op's scale for torch's `norm`: "backward" divides the inverse by n, "forward" the forward one, "ortho" both by its root."""
    if norm is None or norm == "backward":
        return "none" if forward else "size"
    if norm == "forward":
        return "size" if forward else "none"
    if norm == "ortho":
        return "root"
    raise RuntimeError(f'Invalid normalization mode: "{norm}"; use "forward", "backward" or "ortho"')


def spelled(d: Any) -> str:
    """A dtype in the words of torch's messages."""
    return _SPELLED.get(d.name, d.name.capitalize())


def _operand(name: str, input: Any, kind: str) -> Node:  # noqa: A002
    """The node of `input`; transforms of real values refuse complex ones."""
    if not isinstance(input, Tensor):
        raise TypeError(f"fft_{name}(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}")
    x = read(input)
    if x.dtype.is_complex and kind == "r2c":
        raise RuntimeError(f"{name} expects a real input tensor, but got {spelled(x.dtype)}")
    return x


def _cast(x: Node, kind: str) -> Node:
    """In a dtype that the transform takes: integers become the default float; half precision is refused, after bad dims, as in torch."""
    d = x.dtype if x.dtype.kind in "fc" else dtypes.default_float()
    if d.itemsize < 4:
        raise RuntimeError(f"Unsupported dtype {spelled(d)}: cast to float32 first, e.g. x.float()")
    return cast_node(x, d if kind == "r2c" else d.to_complex())


def _dim(dim: Any, rank: int, name: str) -> int:
    if isinstance(dim, bool) or not hasattr(dim, "__index__"):
        raise TypeError(f"fft_{name}(): argument 'dim' must be int, not {type(dim).__name__}")
    if not rank:
        raise DimensionError(f"Dimension specified as {dim} but tensor has no dimensions")
    return normalize_dim(dim, rank)


def _points(n: Any) -> Any:
    if n < 1:
        raise RuntimeError(f"Invalid number of data points ({n}) specified")
    return n


def resized(x: Node, dims: Sequence[int], sizes: Sequence[Any]) -> Node:
    """`x` with these sizes along these dims: trimmed at the end, or padded with zeros."""
    high: list[Any] = [0] * len(x.shape)
    for d, n in zip(dims, sizes, strict=True):
        high[d] = n - x.shape[d]
    return pad(x, low=(0,) * len(high), high=tuple(high), value=0) if any(high) else x


def _wrapped(node: Node, name: str, out: Tensor | None) -> Tensor:
    if out is not None and out.dtype.is_complex != node.dtype.is_complex:
        kind = "complex" if node.dtype.is_complex else "floating point"
        raise RuntimeError(f"{name} expects a {kind} output tensor, but got {spelled(out.dtype)}")
    return deliver(finish(node), out)


# ---- one dimension ----


def _along(name: str, input: Any, n: Any, dim: Any, norm: str | None, out: Any, forward: bool, kind: str) -> Tensor:  # noqa: A002
    x = _operand(name, input, kind)
    d = _dim(dim, len(x.shape), name)
    x = _cast(x, kind)
    scale = scale_of(norm, forward)
    if kind == "c2r":
        length = _points(2 * (x.shape[d] - 1) if n is None else n)
        return _wrapped(fft_c2r(resized(x, [d], [length // 2 + 1]), dim=d, length=length, forward=forward, scale=scale), name, out)
    length = _points(x.shape[d] if n is None else n)
    x = resized(x, [d], [length])
    made = (
        fft_c2c(x, dims=(d,), forward=forward, scale=scale)
        if kind == "c2c"
        else fft_r2c(x, dim=d, length=length, forward=forward, scale=scale)
    )
    return _wrapped(made, name, out)


def fft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None, *, out: Tensor | None = None) -> Tensor:  # noqa: A002
    """The transform along `dim` of `n` points (trimmed or padded with zeros): y[k] = sum of x[j] exp(-2 pi i j k / n).

    Real input becomes complex; complex64 for float32 and integers. norm: "backward" (default), "forward" or "ortho". Raises RuntimeError
    for half precision, an unknown norm, n < 1.

    >>> import monograph as mg
    >>> mg.fft.fft(mg.ones(4)).abs()
    tensor([4., 0., 0., 0.])
    """
    return _along("fft", input, n, dim, norm, out, True, "c2c")


def ifft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None, *, out: Tensor | None = None) -> Tensor:  # noqa: A002
    """The inverse of `fft`."""
    return _along("ifft", input, n, dim, norm, out, False, "c2c")


def rfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None, *, out: Tensor | None = None) -> Tensor:  # noqa: A002
    """The first n // 2 + 1 values of `fft` of real input; the others are their conjugates. Raises RuntimeError for complex input."""
    return _along("rfft", input, n, dim, norm, out, True, "r2c")


def irfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None, *, out: Tensor | None = None) -> Tensor:  # noqa: A002
    """The inverse of `rfft`: `n` real values, by default 2 * (size - 1), so that an odd length must be said."""
    return _along("irfft", input, n, dim, norm, out, False, "c2r")


def hfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None, *, out: Tensor | None = None) -> Tensor:  # noqa: A002
    """The real transform of `n` values of which the first half is given, the rest being its mirrored conjugate."""
    return _along("hfft", input, n, dim, norm, out, True, "c2r")


def ihfft(input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None, *, out: Tensor | None = None) -> Tensor:  # noqa: A002
    """The inverse of `hfft`: the first half of a result that is its own mirrored conjugate."""
    return _along("ihfft", input, n, dim, norm, out, False, "r2c")


# ---- several dimensions ----


def _axes(name: str, x: Node, s: Sizes, dim: Sizes) -> tuple[list[int], list[Any]]:
    """Dimensions (in the order given) and sizes (-1: as it is)."""
    rank = len(x.shape)
    sizes = [s] if isinstance(s, int) else None if s is None else list(s)
    if dim is not None:
        given = [dim] if isinstance(dim, int) else list(dim)
        dims = [normalize_dim(d, rank) if rank else _dim(d, 0, name) for d in given]
        if len(set(dims)) != len(dims):
            raise RuntimeError("FFT dims must be unique")
        if sizes is not None and len(sizes) != len(dims):
            raise RuntimeError("When given, dim and shape arguments must have the same length")
    elif sizes is not None:
        if len(sizes) > rank:
            raise RuntimeError(f"Got shape with {len(sizes)} values but input tensor only has {rank} dimensions.")
        dims = list(range(rank - len(sizes), rank))
    else:
        dims = list(range(rank))
    found = [x.shape[d] if sizes is None or sizes[i] == -1 else sizes[i] for i, d in enumerate(dims)]
    return dims, found


def _over(name: str, input: Any, s: Sizes, dim: Sizes, norm: str | None, out: Any, forward: bool, kind: str) -> Tensor:  # noqa: A002
    x = _operand(name, input, kind)
    dims, sizes = _axes(name, x, s, dim)
    x = _cast(x, kind)
    scale = scale_of(norm, forward)
    if kind == "c2c":
        for n in sizes:
            _points(n)
        x = resized(x, dims, sizes)
        return _wrapped(fft_c2c(x, dims=tuple(sorted(dims)), forward=forward, scale=scale) if dims else x, name, out)
    if not dims:
        raise RuntimeError(f"{name} must transform at least one axis")
    *others, last = dims
    rest = tuple(sorted(others))
    if kind == "r2c":
        for n in sizes:
            _points(n)
        made = fft_r2c(resized(x, dims, sizes), dim=last, length=sizes[-1], forward=forward, scale=scale)
        return _wrapped(fft_c2c(made, dims=rest, forward=forward, scale=scale) if rest else made, name, out)
    told = s is not None and (s if isinstance(s, int) else list(s)[-1]) != -1
    length = _points(sizes[-1] if told else 2 * (x.shape[last] - 1))
    for n in sizes[:-1]:
        _points(n)
    x = resized(x, dims, [*sizes[:-1], length // 2 + 1])
    if rest:
        x = fft_c2c(x, dims=rest, forward=forward, scale=scale)
    return _wrapped(fft_c2r(x, dim=last, length=length, forward=forward, scale=scale), name, out)


def fftn(input: Tensor, s: Sizes = None, dim: Sizes = None, norm: str | None = None, *, out: Tensor | None = None) -> Tensor:  # noqa: A002
    """`fft` along several dimensions: all, those of `dim`, or the last len(s); sizes `s` trim or pad, -1 leaves one as it is.

    >>> import monograph as mg
    >>> mg.fft.fftn(mg.ones(2, 2)).abs()
    tensor([[4., 0.],
            [0., 0.]])
    """
    return _over("fftn", input, s, dim, norm, out, True, "c2c")


def ifftn(input: Tensor, s: Sizes = None, dim: Sizes = None, norm: str | None = None, *, out: Tensor | None = None) -> Tensor:  # noqa: A002
    """The inverse of `fftn`."""
    return _over("ifftn", input, s, dim, norm, out, False, "c2c")


def rfftn(input: Tensor, s: Sizes = None, dim: Sizes = None, norm: str | None = None, *, out: Tensor | None = None) -> Tensor:  # noqa: A002
    """`rfft` along the last of the dimensions, `fft` along the others."""
    return _over("rfftn", input, s, dim, norm, out, True, "r2c")


def irfftn(input: Tensor, s: Sizes = None, dim: Sizes = None, norm: str | None = None, *, out: Tensor | None = None) -> Tensor:  # noqa: A002
    """The inverse of `rfftn`."""
    return _over("irfftn", input, s, dim, norm, out, False, "c2r")


def hfftn(input: Tensor, s: Sizes = None, dim: Sizes = None, norm: str | None = None, *, out: Tensor | None = None) -> Tensor:  # noqa: A002
    """`hfft` along the last of the dimensions, `fft` along the others."""
    return _over("hfftn", input, s, dim, norm, out, True, "c2r")


def ihfftn(input: Tensor, s: Sizes = None, dim: Sizes = None, norm: str | None = None, *, out: Tensor | None = None) -> Tensor:  # noqa: A002
    """The inverse of `hfftn`."""
    return _over("ihfftn", input, s, dim, norm, out, False, "r2c")


def fft2(input: Tensor, s: Sizes = None, dim: Sizes = (-2, -1), norm: str | None = None, *, out: Tensor | None = None) -> Tensor:  # noqa: A002
    """`fftn` of the last two dimensions."""
    return _over("fft2", input, s, dim, norm, out, True, "c2c")


def ifft2(input: Tensor, s: Sizes = None, dim: Sizes = (-2, -1), norm: str | None = None, *, out: Tensor | None = None) -> Tensor:  # noqa: A002
    """`ifftn` of the last two dimensions."""
    return _over("ifft2", input, s, dim, norm, out, False, "c2c")


def rfft2(input: Tensor, s: Sizes = None, dim: Sizes = (-2, -1), norm: str | None = None, *, out: Tensor | None = None) -> Tensor:  # noqa: A002
    """`rfftn` of the last two dimensions."""
    return _over("rfft2", input, s, dim, norm, out, True, "r2c")


def irfft2(input: Tensor, s: Sizes = None, dim: Sizes = (-2, -1), norm: str | None = None, *, out: Tensor | None = None) -> Tensor:  # noqa: A002
    """`irfftn` of the last two dimensions."""
    return _over("irfft2", input, s, dim, norm, out, False, "c2r")


def hfft2(input: Tensor, s: Sizes = None, dim: Sizes = (-2, -1), norm: str | None = None, *, out: Tensor | None = None) -> Tensor:  # noqa: A002
    """`hfftn` of the last two dimensions."""
    return _over("hfft2", input, s, dim, norm, out, True, "c2r")


def ihfft2(input: Tensor, s: Sizes = None, dim: Sizes = (-2, -1), norm: str | None = None, *, out: Tensor | None = None) -> Tensor:  # noqa: A002
    """`ihfftn` of the last two dimensions."""
    return _over("ihfft2", input, s, dim, norm, out, False, "r2c")
