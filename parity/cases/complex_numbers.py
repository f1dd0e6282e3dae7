"""Calls on complex tensors: parts, arithmetic, functions, products, factorizations; and bits read as another dtype."""

from __future__ import annotations

import dataclasses

from parity.cases.describe import Case, Input, floats, integers, mask
from parity.frames import COMPLEX, FLOATS, WIDE_UNSIGNED

SHAPES = ((), (0,), (5,), (3, 4), (2, 3, 5))


def of(name: str):
    return lambda t, *xs: getattr(t, name)(*xs)


def each(name: str, low: float = -2, high: float = 2, dtypes=COMPLEX, grad: bool = True, call=None) -> list[Case]:
    return [Case(f"{name} {list(shape)}", call or of(name), (Input(shape, low, high),), dtypes, grad) for shape in SHAPES]


def pair(name: str, low: float = -2, high: float = 2, grad: bool = True, call=None) -> list[Case]:
    shapes = (((3, 4), (3, 4)), ((3, 1), (4,)), ((), (3,)), ((0, 3), (3,)))
    return [Case(f"{name} {list(a)} {list(b)}", call or of(name), (Input(a, low, high), Input(b, low, high)), COMPLEX, grad) for a, b in shapes]


FUNCTIONS = (
    "neg abs square exp exp2 expm1 log log2 log10 log1p sqrt rsqrt reciprocal sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh "
    "sigmoid sgn angle conj conj_physical"
).split()
PARTS = [
    *[case for name in FUNCTIONS for case in each(name)],
    *[case for name in ("isnan", "isinf", "isfinite", "isreal", "logical_not") for case in each(name, grad=False)],
    *each("real", call=lambda t, x: x.real),
    *each("imag", call=lambda t, x: x.imag),
    *each("view_as_real", call=lambda t, x: t.view_as_real(x.resolve_conj())),
    Case("view_as_complex", lambda t, x: t.view_as_complex(x.contiguous()), (floats(3, 2),)),
    Case("complex", of("complex"), (floats(3, 4), floats(4))),
    Case("polar", of("polar"), (floats(3, 4, low=0.1), floats(4))),
    Case("angle of real numbers", of("angle"), (floats(6),), (*FLOATS, "int64", "uint8")),
    Case("sgn of real numbers", of("sgn"), (floats(6),), (*FLOATS, "int64", "uint8"), False),
    Case("facts", lambda t, x: (x.is_complex(), x.is_conj(), x.conj().is_conj(), x.conj().conj().is_conj(), x.is_neg(), t.is_complex(x)), (floats(3),), (*COMPLEX, *FLOATS), False),
    Case("adjoint, H and mH", lambda t, x: (x.adjoint(), x.H, x.mH, x.mT), (floats(3, 4),), (*COMPLEX, *FLOATS)),
    Case("functions that order", lambda t, x: x.max(), (floats(3),), COMPLEX, False),
    Case("lt", lambda t, x: x < x, (floats(3),), COMPLEX, False),
    Case("sort", lambda t, x: x.sort(), (floats(3),), COMPLEX, False),
    Case("sign", of("sign"), (floats(3),), COMPLEX, False),
    Case("floor", of("floor"), (floats(3),), COMPLEX, False),
    Case("imag of real numbers", lambda t, x: x.imag, (floats(3),)),
]
ARITHMETIC = [
    *[case for name in ("add", "sub", "mul", "div") for case in pair(name, 0.3, 2)],
    *pair("pow", 0.3, 2),
    *pair("eq", grad=False),
    *pair("ne", grad=False),
    *pair("isclose", grad=False),
    *[Case(f"pow by {n}", lambda t, x, n=n: x**n, (floats(5, low=0.3),), COMPLEX) for n in (0, 1, 2, 3, -1, 0.5, -0.5, 1.5, 2j)],
    Case("a number to a power", lambda t, x: (2**x, (1 + 1j) ** x), (floats(5),), COMPLEX),
    Case("with numbers", lambda t, x: (x + 1, x * 2.5, x - 1j, 2 / x, x / (1 + 1j), -x), (floats(5, low=0.3),), COMPLEX),
    Case("with real tensors", lambda t, x, y: (x + y, x * y, y / x, x - y), (floats(5, low=0.3), floats(5)), COMPLEX),
    Case("real with complex", lambda t, x: (x * (1 + 2j), x + 1j, (x * 1j).abs(), (x * 1j).real), (floats(5),), FLOATS),
    Case("where", lambda t, c, a, b: (t.where(c, a, b), t.where(c, a, 1j)), (mask(3, 4), floats(3, 4), floats(4)), COMPLEX),
    Case("to", lambda t, x: (x.to(t.complex128), x.to(t.complex64), x.cdouble(), x.bool()), (floats(3, 4),), (*COMPLEX, *FLOATS)),
    Case("to real", lambda t, x: (x.to(t.float32), x.double()), (floats(3, 4),), COMPLEX),
    Case("scalars", lambda t, x: (x.item(), complex(x), x.tolist()), (floats(),), COMPLEX, False),
    Case("addcmul and addcdiv", lambda t, x, y: (t.addcmul(x, x, y), t.addcdiv(x, x, y, value=0.5)), (floats(3), floats(3)), COMPLEX),
    Case("lerp", lambda t, x, y: t.lerp(x, y, 0.25), (floats(3), floats(3)), COMPLEX),
    Case("allclose", lambda t, x: (t.allclose(x, x), t.allclose(x, x + 1), t.equal(x, x)), (floats(3),), COMPLEX, False),
]
REDUCTIONS = [
    *[case for name in ("sum", "mean", "prod") for case in each(name)],
    *[Case(f"{name} along 1", lambda t, x, name=name: getattr(t, name)(x, 1), (floats(3, 4),), COMPLEX) for name in ("sum", "mean", "prod", "cumsum", "cumprod", "var", "std")],
    Case("sum of several dims", lambda t, x: (x.sum((0, 2)), x.mean((1, 2), keepdim=True)), (floats(2, 3, 4),), COMPLEX),
    Case("variances", lambda t, x: (x.var(), x.std(), x.var(correction=0), t.var_mean(x, 0)), (floats(3, 4),), COMPLEX),
    Case("truth", lambda t, x: (x.any(), x.all(), t.count_nonzero(x)), (floats(3, 4),), COMPLEX, False),
    *[Case(f"norm {p}", lambda t, x, p=p: (x.norm(p), t.linalg.vector_norm(x, p, 0)), (floats(3, 4),), COMPLEX) for p in (1, 2, 3, float("inf"))],
]
MOVEMENT = [
    Case("cat and stack", lambda t, x, y: (t.cat([x, y]), t.stack([x, y], 1), t.cat([x, y.real])), (floats(3, 4), floats(3, 4)), COMPLEX),
    Case("indexing", lambda t, x, i: (x[0], x[:, 1::2], x[i], x[..., None], x[x.real > 0]), (floats(3, 4), integers(5)), COMPLEX),
    Case("select, gather, scatter", lambda t, x, i: (t.index_select(x, 0, i), x.gather(0, i[:, None]), x.scatter(0, i[:, None], 2j)), (floats(3, 4), integers(3)), COMPLEX),
    Case("flip, roll, repeat, tril", lambda t, x: (x.flip(0), x.roll(1, 1), x.repeat(2, 1), x.tril(), x.triu(1)), (floats(3, 4),), COMPLEX),
    Case("masked_fill, pad, diagonal", lambda t, x, m: (x.masked_fill(m, 1j), t.nn.functional.pad(x, (1, 0)), x.diagonal()), (floats(3, 4), mask(3, 4)), COMPLEX),
    Case("creation", lambda t: (t.zeros(2, dtype=t.complex64), t.full((2,), 1j), t.eye(2, dtype=t.complex128), t.tensor([1, 2j]), t.ones(2).cfloat()), (), COMPLEX, False),
    Case("texts", lambda t, x: [repr(v).replace(f"{t.__name__}.", "") for v in (x, x * 1e6, x.sum(), x[:, :0])], (floats(3, 4),), ("complex64",), False, layouts=("contiguous",)),
]
PRODUCTS = [
    Case("matmul", of("matmul"), (floats(3, 4), floats(4, 2)), COMPLEX),
    Case("matmul of batches", of("matmul"), (floats(2, 3, 4), floats(4, 2)), COMPLEX),
    Case("mv, dot, vdot, outer", lambda t, x, y: (x @ y, t.dot(x[0], y), t.vdot(x[0], y), t.outer(x[0], y)), (floats(3, 4), floats(4)), COMPLEX),
    Case("bmm", of("bmm"), (floats(2, 3, 4), floats(2, 4, 3)), COMPLEX),
    Case("addmm", lambda t, c, x, y: t.addmm(c, x, y, beta=0.5, alpha=2), (floats(3, 2), floats(3, 4), floats(4, 2)), COMPLEX),
    Case("einsum", lambda t, x, y: t.einsum("ij,kj->ik", x, y), (floats(3, 4), floats(2, 4)), COMPLEX),
    Case("linear", lambda t, x, w, b: t.nn.functional.linear(x, w, b), (floats(3, 4), floats(2, 4), floats(2)), COMPLEX),
    Case("vecdot", lambda t, x, y: t.linalg.vecdot(x, y), (floats(3, 4), floats(3, 4)), COMPLEX),
]
LINALG = [
    Case("solve", lambda t, a, b: t.linalg.solve(a, b), (floats(3, 3), floats(3, 2)), COMPLEX, loosen=20),
    Case("solve from the right", lambda t, a, b: t.linalg.solve(a, b, left=False), (floats(3, 3), floats(2, 3)), COMPLEX, loosen=20),
    Case("inv, det, slogdet", lambda t, a: (t.linalg.inv(a), t.linalg.det(a), t.linalg.slogdet(a)), (floats(2, 3, 3),), COMPLEX, loosen=50),
    Case("pinv", lambda t, a: t.linalg.pinv(a), (floats(4, 3),), ("complex128",), loosen=20),
    Case("cholesky", lambda t, a: (t.linalg.cholesky(a @ a.mH + t.eye(3)), t.linalg.cholesky(a @ a.mH + t.eye(3), upper=True)), (floats(3, 3),), ("complex128",)),
    Case("eigh", lambda t, a: (lambda w, v: (w, v.abs()))(*t.linalg.eigh(a @ a.mH)), (floats(3, 3),), ("complex128",)),
    Case("eigvals", lambda t, a: t.linalg.eigvals(a).abs().sum(), (floats(3, 3),), (*COMPLEX, *FLOATS), loosen=20),
    Case("svd", lambda t, a: (lambda u, s, v: (u.abs(), s, v.abs(), (u * s) @ v))(*t.linalg.svd(a, full_matrices=False)), (floats(4, 3),), ("complex128",), loosen=20),
    Case("qr", lambda t, a: (lambda q, r: (q @ r, r.abs()))(*t.linalg.qr(a)), (floats(4, 3),), ("complex128",)),
    Case("lu_factor", lambda t, a: t.linalg.lu_factor(a).LU, (floats(3, 3),), ("complex128",)),
    Case("matrix_exp", lambda t, a: t.linalg.matrix_exp(a), (floats(3, 3),), ("complex128",), loosen=20),
    Case("matrix norms", lambda t, a: [t.linalg.norm(a, p) for p in ("fro", "nuc", 1, 2, float("inf"))], (floats(3, 4),), COMPLEX, loosen=20),
    Case("cholesky_solve", lambda t, a, b: t.cholesky_solve(b, t.linalg.cholesky(a @ a.mH + t.eye(3))), (floats(3, 3), floats(3, 2)), ("complex128",), loosen=20),
    Case("lu_solve", lambda t, a, b: [t.linalg.lu_solve(*t.linalg.lu_factor(a), b, adjoint=way) for way in (False, True)], (floats(3, 3), floats(3, 2)), ("complex128",), loosen=20),
]
BITS = [
    Case("view(dtype) of one size", lambda t, x: (x.view(t.int32), x.view(t.int32).view(t.float32)), (floats(3, 4),), ("float32",), False, layouts=("contiguous",)),
    Case("view(dtype) of smaller elements", lambda t, x: (x.view(t.uint8), x.view(t.int16)), (floats(3, 4),), (*FLOATS, "int32"), False, layouts=("contiguous", "transposed")),
    Case("view(dtype) of larger elements", lambda t, x: (x.view(t.int64), x[:, 2:].view(t.float64)), (floats(3, 4),), ("float32", "int32"), False, layouts=("contiguous", "transposed")),
    Case("view(dtype) that does not fit", lambda t, x: x.view(t.int64), (floats(3, 5),), ("float32", "int8"), False, layouts=("contiguous",)),
    Case("view(dtype) of a 0-d tensor", lambda t, x: (x.view(t.int32), x.view(t.int16)), (floats(),), ("float32",), False),
    Case("view(dtype) of complex numbers", lambda t, x: (x.view(t.float32), x.view(t.int64)), (floats(3, 4),), ("complex64",), False, layouts=("contiguous",)),
    Case("wide unsigned integers", lambda t, x: (x * 3, x & 5, x | 3, x == 2, x.float(), x.sum(), x.sort()[0], x.to(t.int8), x / 2), (Input((3, 4), 0, 9),), WIDE_UNSIGNED, False),
]
# An expanded matrix is singular, and what a factorization says of it is its own affair.
REGULAR = [dataclasses.replace(case, layouts=("contiguous", "transposed")) for case in LINALG]
CASES = [*PARTS, *ARITHMETIC, *REDUCTIONS, *MOVEMENT, *PRODUCTS, *REGULAR, *BITS]
