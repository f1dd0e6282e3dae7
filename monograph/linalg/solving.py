"""Systems of equations, inverses, determinants and functions of matrices, with torch.linalg's signatures."""

from __future__ import annotations

from math import prod
from typing import Any, NamedTuple

from monograph.core.dtype import bfloat16, finfo, float16, float32, int32
from monograph.linalg.checks import LinAlgError, matrix, outputs, pair, settled, transposed, write_all
from monograph.linalg.checks import adjoint as _adjoint
from monograph.linalg.decompositions import order_of_pivots, svdvals
from monograph.ops import linalg_solve
from monograph.ops import matrix_exp as exponential
from monograph.tensor.core import Tensor
from monograph.tensor.dispatch import cast_node, emit
from monograph.tensor.pointwise import FUNCTIONS


class Slogdet(NamedTuple):
    """det = sign * exp(logabsdet)."""

    sign: Tensor
    logabsdet: Tensor


class InvEx(NamedTuple):
    """The inverse; info is not 0 where there is none."""

    inverse: Tensor
    info: Tensor


class SolveEx(NamedTuple):
    """The solution; info is not 0 where the matrix is singular."""

    result: Tensor
    info: Tensor


class Lstsq(NamedTuple):
    """The solution; squared residuals of overdetermined full-rank systems; rank; singular values."""

    solution: Tensor
    residuals: Tensor
    rank: Tensor
    singular_values: Tensor


def _is_vector(A: Tensor, B: Tensor) -> bool:
    return B.ndim == 1 or (A.ndim - 1 == B.ndim and tuple(B.shape) == tuple(A.shape[:-1]))


def solve(A: Tensor, B: Tensor, *, left: bool = True, out: Tensor | None = None) -> Tensor:
    """X with A X = B (left=False: X A = B). B is a matrix, or a vector for each matrix.

    Raises LinAlgError for a singular A.

    >>> import monograph as mg
    >>> mg.linalg.solve(mg.tensor([[2.0, 0.0], [0.0, 4.0]]), mg.tensor([2.0, 2.0])).tolist()
    [1.0, 0.5]
    """
    pair(A, B, "solve")
    if A.ndim >= 2 and _is_vector(A, B):
        if not left:
            raise RuntimeError(
                "linalg.solve: Vector broadcasting of the left hand side is not supported for left=False. "
                "In this case linalg.solve is equivalent to B / A.squeeze(-1)"
            )
        return write_all(settled(_solved(A, B.unsqueeze(-1))).squeeze(-1), out)  # type: ignore[attr-defined]
    if not left:
        return write_all(transposed(settled(_solved(transposed(A), transposed(B)))), out)
    return write_all(settled(_solved(A, B)), out)


def _solved(A: Tensor, B: Tensor) -> Tensor:
    return emit(linalg_solve.solve, *pair(A, B, "solve"))


def solve_ex(A: Tensor, B: Tensor, *, left: bool = True, check_errors: bool = False, out: Any = None) -> SolveEx:
    """`solve` that tells of singular matrices in `info`; then the result is NaN."""
    try:
        result = SolveEx(solve(A, B, left=left), FUNCTIONS["zeros"](tuple(A.shape[:-2]), dtype=int32))
    except LinAlgError:
        if check_errors:
            raise
        info = (det(A) == 0).to(int32)  # type: ignore[attr-defined]
        result = SolveEx(FUNCTIONS["full_like"](B, float("nan")), info)
    return write_all(result, out)


def solve_triangular(
    A: Tensor, B: Tensor, *, upper: bool, left: bool = True, unitriangular: bool = False, out: Tensor | None = None
) -> Tensor:
    """X with A X = B (left=False: X A = B) for triangular A, of which the other triangle is not read. inf or NaN where A is singular."""
    pair(A, B, "solve_triangular")
    if not left:
        return write_all(transposed(solve_triangular(transposed(A), transposed(B), upper=not upper, unitriangular=unitriangular)), out)
    made = emit(linalg_solve.solve_triangular, *pair(A, B, "solve_triangular"), upper=bool(upper), unitriangular=bool(unitriangular))
    return write_all(made, out)


def inv(A: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The inverse of square matrices.

    Raises LinAlgError for a singular one.
    """
    return write_all(settled(emit(linalg_solve.inv, matrix(A, "inv"))), out)


def inv_ex(A: Tensor, *, check_errors: bool = False, out: Any = None) -> InvEx:
    """`inv` that tells of singular matrices in `info`; then the inverse is NaN."""
    try:
        result = InvEx(inv(A), FUNCTIONS["zeros"](tuple(A.shape[:-2]), dtype=int32))
    except LinAlgError:
        if check_errors:
            raise
        result = InvEx(FUNCTIONS["full_like"](A, float("nan")), (det(A) == 0).to(int32))  # type: ignore[attr-defined]
    return write_all(result, out)


def det(A: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The determinant; its gradient exists for singular matrices too."""
    return write_all(emit(linalg_solve.det, matrix(A, "det")), out)


def slogdet(A: Tensor, *, out: Any = None) -> Slogdet:
    """Sign and logarithm of the absolute value of the determinant (0 and -inf for singular matrices)."""
    return write_all(Slogdet(*outputs(linalg_solve.slogdet(matrix(A, "slogdet")))), out)


def logdet(input: Tensor) -> Tensor:  # noqa: A002
    """The logarithm of the determinant, NaN where it is negative (torch.logdet)."""
    sign, value = slogdet(input)
    if input.dtype.kind == "c":
        return FUNCTIONS["log"](sign) + value  # type: ignore[operator]
    return FUNCTIONS["where"](sign < 0, float("nan"), value)  # type: ignore[operator]


def _cutoff(A: Tensor, atol: Any, rtol: Any) -> tuple[float, float]:
    """torch's defaults: eps * max(m, n) relative, unless only an absolute one is given."""
    absolute = 0.0 if atol is None else float(atol)
    if rtol is None:
        rtol = finfo(A.dtype).eps * max(A.shape[-2:]) if absolute == 0.0 else 0.0
    return absolute, float(rtol)


def pinv(A: Tensor, *, atol: Any = None, rtol: Any = None, hermitian: bool = False, out: Tensor | None = None, rcond: Any = None) -> Tensor:
    """The Moore-Penrose inverse: singular values up to max(atol, rtol * the greatest) count as zero."""
    x = matrix(A, "pinv")
    if len(x.shape) < 2:
        raise RuntimeError(f"linalg.pinv(Float{{{list(x.shape)}}}) expected a tensor with 2 or more dimensions of floating types")
    absolute, relative = _cutoff(A, atol, rcond if rtol is None else rtol)
    if hermitian:  # the lower triangle is read, and of its diagonal the real part, as by eigh
        if x.shape[-1] != x.shape[-2]:
            raise RuntimeError(f"linalg.pinv: expected square matrices with hermitian=True, got shape {list(x.shape)}")
        lower: Any = A
        half = lower.tril(-1) + FUNCTIONS["diag_embed"](lower.diagonal(dim1=-2, dim2=-1).real.to(A.dtype) / 2)
        x = matrix(half + _adjoint(half), "pinv")
    return write_all(emit(linalg_solve.pinv, x, atol=absolute, rtol=relative), out)


def lstsq(A: Tensor, B: Tensor, rcond: Any = None, *, driver: str | None = None, out: Any = None) -> Lstsq:
    """The shortest X that minimises |A X - B|, by singular values whatever `driver` ("gelsy", "gels", "gelsd" or "gelss") asks for."""
    if driver not in (None, "gels", "gelsy", "gelsd", "gelss"):
        raise RuntimeError(f"torch.linalg.lstsq: parameter `driver` should be one of (gels, gelsy, gelsd, gelss), got {driver}")
    pair(A, B, "lstsq")
    if A.ndim < 2:
        raise RuntimeError("torch.linalg.lstsq: input must have at least 2 dimensions.")
    if B.ndim < 1:
        raise RuntimeError("torch.linalg.lstsq: other must have at least 1 dimension.")
    vector = A.ndim - 1 == B.ndim and tuple(B.shape) == tuple(A.shape[:-1])
    b = B.unsqueeze(-1) if vector else B  # type: ignore[attr-defined]
    absolute, relative = _cutoff(A, None, rcond)
    x = emit(linalg_solve.lstsq, *pair(A, b, "lstsq"), atol=absolute, rtol=relative)
    values = svdvals(A.detach())
    rank = (
        (values > values.amax(-1, keepdim=True) * relative).sum(-1)
        if values.shape[-1]
        else FUNCTIONS["zeros"](tuple(A.shape[:-2]), dtype=int32)
    )  # type: ignore[attr-defined, operator]
    residuals = FUNCTIONS["empty"](0, dtype=values.dtype)
    if driver not in (None, "gelsy") and A.shape[-2] > A.shape[-1] and bool((rank == A.shape[-1]).all().item()):
        residuals = (abs(A @ x - b) ** 2).sum(-2)  # type: ignore[operator]
    nothing = FUNCTIONS["empty"](0, dtype=values.dtype)
    result = Lstsq(
        x.squeeze(-1) if vector else x,  # type: ignore[attr-defined]
        residuals,
        FUNCTIONS["empty"](0, dtype=rank.dtype) if driver == "gels" else rank,
        values if driver in ("gelsd", "gelss") else nothing,
    )
    return write_all(result, out)


def lu_solve(LU: Tensor, pivots: Tensor, B: Tensor, *, left: bool = True, adjoint: bool = False, out: Tensor | None = None) -> Tensor:
    """X with A X = B (A^H X = B for adjoint, X A = B for left=False), of the result of `lu_factor(A)`."""
    if pivots.dtype is not int32:
        raise RuntimeError(f"linalg.lu_solve: pivots should be a Tensor of scalar type torch.int32, got {pivots.dtype.name}")
    if not left:
        return write_all(_adjoint(lu_solve(LU, pivots, _adjoint(B), adjoint=not adjoint)), out)
    order = order_of_pivots(pivots, LU.shape[-1]).long()  # type: ignore[attr-defined]
    lead = FUNCTIONS["broadcast_shapes"](tuple(LU.shape[:-2]), tuple(B.shape[:-2]))
    b = B.expand(*lead, *B.shape[-2:])  # type: ignore[attr-defined]
    rows = order.expand(*lead, order.shape[-1]).unsqueeze(-1).expand(*lead, order.shape[-1], b.shape[-1])
    if not adjoint:
        y = solve_triangular(LU, b.gather(-2, rows), upper=False, unitriangular=True)
        return write_all(solve_triangular(LU, y, upper=True), out)
    y = solve_triangular(_adjoint(LU), b, upper=False)
    z = solve_triangular(_adjoint(LU), y, upper=True, unitriangular=True)
    return write_all(FUNCTIONS["zeros_like"](z).scatter(-2, rows, z), out)


def cholesky_solve(input: Tensor, L: Tensor, upper: bool = False, *, out: Tensor | None = None) -> Tensor:  # noqa: A002
    """X with A X = input, where A = L L^H (upper: U^H U) (torch.cholesky_solve)."""
    lower = _adjoint(L) if upper else L
    y = solve_triangular(lower, input, upper=False)
    return write_all(solve_triangular(_adjoint(lower), y, upper=True), out)


def cholesky_inverse(L: Tensor, upper: bool = False, *, out: Tensor | None = None) -> Tensor:
    """The inverse of A = L L^H (torch.cholesky_inverse)."""
    return write_all(cholesky_solve(FUNCTIONS["eye"](L.shape[-1], dtype=L.dtype), L, upper), out)


def matrix_exp(A: Tensor) -> Tensor:
    """The exponential of square matrices. Half precision is computed in float32."""
    x = matrix(A, "matrix_exp")
    if x.dtype in (float16, bfloat16):
        return emit(exponential.matrix_exp, cast_node(x, float32)).to(x.dtype)  # type: ignore[attr-defined]
    return emit(exponential.matrix_exp, x)


def matrix_power(A: Tensor, n: int, *, out: Tensor | None = None) -> Tensor:
    """A to the n-th power, by repeated squaring; of the inverse for negative n."""
    if A.ndim < 2 or A.shape[-1] != A.shape[-2]:
        raise RuntimeError(f"linalg.matrix_power: A must be batches of square matrices, got shape {list(A.shape)}")
    if n < 0:
        A, n = inv(A), -n
    if n == 0:
        return write_all(FUNCTIONS["eye"](A.shape[-1], dtype=A.dtype).expand(*A.shape).clone(), out)
    result: Any = None
    while True:
        if n & 1:
            result = A if result is None else result @ A
        n >>= 1
        if not n:
            return write_all(result.clone() if result is A else result, out)
        A = A @ A  # type: ignore[operator]


def tensorinv(A: Tensor, ind: int = 2, *, out: Tensor | None = None) -> Tensor:
    """The inverse of A as a map from its last dimensions to its first `ind` ones."""
    if ind <= 0:
        raise RuntimeError("Expected a strictly positive integer for 'ind'")
    first, last = tuple(A.shape[:ind]), tuple(A.shape[ind:])
    if prod(first) != prod(last):
        raise RuntimeError(
            f"Expected self to satisfy the requirement prod(self.shape[ind:]) == prod(self.shape[:ind]), "
            f"but got {prod(last)} != {prod(first)}"
        )
    return write_all(inv(A.reshape(prod(first), prod(last))).reshape(*last, *first), out)  # type: ignore[attr-defined]


def tensorsolve(A: Tensor, B: Tensor, dims: Any = None, *, out: Tensor | None = None) -> Tensor:
    """X with tensordot(A, X, X.ndim) = B."""
    if dims is not None:
        A = A.movedim(tuple(dims), tuple(range(A.ndim - len(dims), A.ndim)))  # type: ignore[attr-defined]
    shape = tuple(A.shape[B.ndim :])
    if prod(shape) != B.numel():  # type: ignore[attr-defined]
        raise RuntimeError(
            "Expected self to satisfy the requirement prod(self.shape[other.ndim:]) == prod(self.shape[:other.ndim]), "
            f"got {list(A.shape)} and {list(B.shape)}"
        )
    return write_all(solve(A.reshape(-1, prod(shape)), B.reshape(-1)).reshape(*shape), out)  # type: ignore[attr-defined]
