"""Complex tensors: made of two real ones, seen as pairs of real numbers, their parts, their conjugates."""

from __future__ import annotations

from typing import Any

from monograph.core import dtype as dtypes
from monograph.core.dtype import dtype as DType
from monograph.core.shape import numel
from monograph.ops import complex_parts, elementwise, source
from monograph.ops.complex_parts import bitcast
from monograph.tensor.core import Tensor
from monograph.tensor.dispatch import apply_view, as_floating, emit, read
from monograph.tensor.movement import stack
from monograph.tensor.pointwise import FUNCTIONS, METHODS, deliver, publish, to_dtype
from monograph.tensor.strides import layout
from monograph.tensor.views import select, transpose, unsqueeze


def view_dtype(input: Tensor, dtype: DType) -> Tensor:  # noqa: A002
    """The same memory as another dtype: `Tensor.view(dtype)`. With elements of another size the last dimension grows or shrinks.

    Raises RuntimeError where the sizes do not fit, or the elements of the last dimension are not neighbours in memory.
    """
    old = input.dtype
    if dtype is old:
        return input
    if old.itemsize != dtype.itemsize and input.ndim:
        _refuse_gaps(input, f"view {old.name} as {dtype.name} (different element sizes)", max(dtype.itemsize // old.itemsize, 1))
    return apply_view(bitcast, input, dtype=dtype)


def _refuse_gaps(x: Tensor, what: str, ratio: int) -> None:
    strides, offset = layout(x)
    if strides[-1] != 1 and x.shape[-1] != 1 and numel(tuple(x.shape)):
        raise RuntimeError(f"self.stride(-1) must be 1 to {what}, but got {strides[-1]}; call .contiguous() first")
    if offset % ratio:
        raise RuntimeError(f"self.storage_offset() must be divisible by {ratio} to {what}, but got {offset}; call .clone() first")
    for d, n in enumerate(strides[:-1]):
        if n % ratio and x.shape[d] != 1:
            raise RuntimeError(f"self.stride({d}) must be divisible by {ratio} to {what}, but got {n}; call .contiguous() first")


def view_as_real(input: Tensor) -> Tensor:  # noqa: A002
    """A view of complex numbers as pairs of real ones: a last dimension of size 2 more.

    >>> import monograph as mg
    >>> mg.view_as_real(mg.tensor([1 + 2j])).tolist()
    [[1.0, 2.0]]
    """
    if input.dtype.kind != "c":
        raise RuntimeError(f"view_as_real is only supported for complex tensors, got {input.dtype.name}")
    if is_conj(input):
        raise RuntimeError(
            "view_as_real doesn't work on unresolved conjugated tensors. To resolve the conjugate tensor so you can view it as real, use "
            "self.resolve_conj(); however, be warned that the resulting tensor will NOT alias the original."
        )
    return _pairs(input)


def _pairs(x: Tensor) -> Tensor:
    return apply_view(bitcast, unsqueeze(x, -1), dtype=x.dtype.to_real())


def view_as_complex(input: Tensor) -> Tensor:  # noqa: A002
    """A view of pairs of real numbers, in a last dimension of size 2, as complex ones.

    >>> import monograph as mg
    >>> mg.view_as_complex(mg.tensor([[1.0, 2.0]])).tolist()
    [(1+2j)]
    """
    d = input.dtype
    if d is not dtypes.float32 and d is not dtypes.float64:
        raise RuntimeError(
            f"view_as_complex is only supported for floating point tensors of float32 or float64, but got a tensor of scalar type: {d.name}"
        )
    if not input.ndim:
        raise RuntimeError("Input tensor must have one or more dimensions")
    if input.shape[-1] != 2:
        raise RuntimeError(f"Tensor must have a last dimension of size 2, got shape {list(input.shape)}")
    strides, offset = layout(input)
    if strides[-1] != 1:
        raise RuntimeError("Tensor must have a last dimension with stride 1; call .contiguous() first")
    if offset % 2 or any(s % 2 for s in strides[:-1]):
        raise RuntimeError("Tensor must have a stride divisible by 2 for all but last dimension; call .contiguous() first")
    return select(apply_view(bitcast, input, dtype=d.to_complex()), -1, 0)


def complex_(real: Tensor, imag: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Complex numbers of their real and imaginary parts, of one floating dtype.

    >>> import monograph as mg
    >>> mg.complex(mg.tensor([1.0]), mg.tensor([2.0])).tolist()
    [(1+2j)]
    """
    a, b = _two_parts("complex", real, imag)
    return deliver(view_as_complex(stack([a, b], -1)), out, exact=True)


def polar(abs: Tensor, angle: Tensor, *, out: Tensor | None = None) -> Tensor:  # noqa: A002
    """Complex numbers of their sizes and angles."""
    size, turn = _two_parts("polar", abs, angle)
    return deliver(view_as_complex(stack([size * METHODS["cos"](turn), size * METHODS["sin"](turn)], -1)), out)


def _two_parts(name: str, a: Tensor, b: Tensor) -> Any:
    for x in (a, b):
        if not isinstance(x, Tensor):
            raise TypeError(f"{name}(): both arguments must be Tensors, got {type(x).__name__}")
    if a.dtype is not b.dtype:
        raise RuntimeError(
            f"Expected object of scalar type {a.dtype.name} but got scalar type {b.dtype.name} for second argument of {name}; convert one"
        )
    if a.dtype is not dtypes.float32 and a.dtype is not dtypes.float64:
        raise RuntimeError(f"Expected both inputs to be Float or Double tensors but got {a.dtype.name} and {b.dtype.name} ({name})")
    return FUNCTIONS["broadcast_tensors"](a, b)


def real(input: Tensor) -> Tensor:  # noqa: A002
    """The real parts, a view; the tensor itself if it is real."""
    return select(_pairs(input), -1, 0) if input.dtype.kind == "c" else input


def imag(input: Tensor) -> Tensor:  # noqa: A002
    """The imaginary parts, a view. Raises RuntimeError for real tensors."""
    if input.dtype.kind != "c":
        raise RuntimeError("imag is not implemented for tensors with non-complex dtypes.")
    return select(_pairs(input), -1, 1)


def conj(input: Tensor) -> Tensor:  # noqa: A002
    """The complex conjugates, a view: what is written through it is seen in the tensor, conjugated. A real tensor is its own."""
    return apply_view(complex_parts.conj, input) if input.dtype.kind == "c" else input


def is_conj(input: Tensor) -> bool:  # noqa: A002
    """Whether the tensor is a conjugated view of another."""
    return input._base is not None and sum(op is complex_parts.conj for op, _ in input._steps) % 2 == 1


def resolve_conj(input: Tensor) -> Tensor:  # noqa: A002
    """The tensor itself, or the values of a conjugated view in memory of their own."""
    return METHODS["clone"](input) if is_conj(input) else input


def conj_physical(input: Tensor, *, out: Tensor | None = None) -> Tensor:  # noqa: A002
    """The complex conjugates in memory of their own."""
    x = read(input)
    return deliver(emit(complex_parts.conj if x.dtype.kind == "c" else source.clone, x), out, x.dtype.kind in "iub")


def adjoint(input: Tensor) -> Tensor:  # noqa: A002
    """The conjugated transpose of the last two dimensions."""
    if input.ndim == 1:
        raise RuntimeError("tensor.adjoint() is only supported on matrices or batches of matrices. Got 1-D tensor.")
    return conj(transpose(input, -2, -1)) if input.ndim else conj(input)


def _hermitian(self: Tensor) -> Tensor:
    if self.ndim not in (0, 2):
        raise RuntimeError(f"tensor.H is only supported on matrices (2-D tensors). Got {self.ndim}-D tensor.")
    return conj(transpose(self, 0, 1)) if self.ndim else conj(self)


def angle(input: Tensor, *, out: Tensor | None = None) -> Tensor:  # noqa: A002
    """The angles in radians; of real numbers pi where they are negative, else 0."""
    return deliver(emit(complex_parts.angle, as_floating(read(input))), out)


def sgn(input: Tensor, *, out: Tensor | None = None) -> Tensor:  # noqa: A002
    """x / |x| of complex numbers, 0 of 0; the sign of real ones."""
    x = read(input)
    return deliver(emit(complex_parts.sgn if x.dtype.kind == "c" else elementwise.sign, x), out, x.dtype.kind in "iub")


def isreal(input: Tensor) -> Tensor:  # noqa: A002
    """Whether the imaginary part is zero; true of all real numbers."""
    if input.dtype.kind == "c":
        return FUNCTIONS["eq"](imag(input), 0)
    return FUNCTIONS["ones_like"](input, dtype=dtypes.bool_)


def vdot(input: Tensor, other: Tensor, *, out: Tensor | None = None) -> Tensor:  # noqa: A002
    """The sum of products of two vectors, the first one conjugated."""
    return FUNCTIONS["dot"](conj(input), other, out=out)


def _assign(part: Any) -> Any:
    def assign(self: Tensor, value: Any) -> None:
        METHODS["copy_"](part(self), value if isinstance(value, Tensor) else FUNCTIONS["tensor"](value))

    return assign


for _name, _function in {
    "view_as_real": view_as_real, "view_as_complex": view_as_complex, "complex": complex_, "polar": polar, "real": real, "imag": imag,
    "resolve_neg": lambda input: input, "is_neg": lambda input: False,
}.items():  # fmt: skip
    publish(_name, _function, method=_name.endswith("neg"))
for _function in (conj, is_conj, resolve_conj, adjoint, isreal, vdot):
    publish(_function.__name__, _function)
for _function in (conj_physical, sgn):
    publish(_function.__name__, _function, in_place=True)
publish("angle", angle)
FUNCTIONS["_view_dtype"] = view_dtype
METHODS.update(
    real=property(real, _assign(real)), imag=property(imag, _assign(imag)), H=property(_hermitian), mH=property(adjoint),
    cfloat=lambda self, memory_format=None: to_dtype(self, dtypes.complex64),
    cdouble=lambda self, memory_format=None: to_dtype(self, dtypes.complex128),
)  # fmt: skip
FUNCTIONS["resolve_neg"].__doc__ = "The tensor itself: a negation is never left pending."
FUNCTIONS["is_neg"].__doc__ = "False: a negation is never left pending."
