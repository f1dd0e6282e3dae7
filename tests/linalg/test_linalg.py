"""mg.linalg against NumPy: values, gradients by finite differences, errors that come where they are asked for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import monograph as mg
from monograph import linalg
from monograph.core.modes import MODES
from monograph.graph.node import record
from monograph.graph.op import OpDef, Sample
from monograph.ops import linalg as factorizations
from monograph.ops import linalg_ldl, linalg_lu, linalg_solve, linalg_spectral, matrix_exp
from tests.ops.record_checks import GradientCase, inputs_of, nodes_for, samples
from tests.targets.test_cpu_records import check

rng = np.random.default_rng(0)
SQUARE, BATCH, TALL, WIDE = rng.normal(size=(4, 4)), rng.normal(size=(2, 3, 3)), rng.normal(size=(5, 3)), rng.normal(size=(3, 5))
DEFINITE = SQUARE @ SQUARE.T + 4 * np.eye(4)
SINGULAR = np.ones((3, 3))


def tensor(a: np.ndarray, grad: bool = False) -> Any:
    return mg.tensor(a, requires_grad=grad)


# ---- records ----

MODULES = (factorizations, linalg_solve, linalg_spectral, linalg_lu, linalg_ldl, matrix_exp)
HOMES = ("monograph.ops.linalg", "monograph.ops.matrix")
OPS = {id(op): op for m in MODULES for op in vars(m).values() if isinstance(op, OpDef) and op.infer.__module__.startswith(HOMES)}
GOOD, GOOD_NAMES = samples(True, OPS.values())
BAD, BAD_NAMES = samples(False, OPS.values())


@pytest.mark.parametrize("case", range(len(GOOD)), ids=GOOD_NAMES)
def test_record(case: int) -> None:
    op, sample = GOOD[case]
    check(op, sample, None, rtol=max(2e-5, sample.tolerance), atol=max(1e-6, sample.tolerance))
    gradients = GradientCase(op, sample)
    if gradients.applies and op.differentiable:
        gradients.check_both_orders()
    MODES.pending.clear()


@pytest.mark.parametrize("case", range(len(BAD)), ids=BAD_NAMES)
def test_bad_operands_are_refused_when_recorded(case: int) -> None:
    op, sample = BAD[case]
    assert isinstance(sample, Sample)
    with pytest.raises(sample.error or Exception, match=sample.match):
        record(op, tuple(nodes_for(inputs_of(sample))), sample.attrs)


# ---- gradients where the input counts as symmetric ----


def slopes(function: Callable[[Any], Any], a: np.ndarray) -> None:
    """First and second derivatives of Re(sum(weights * function(x))) against central differences."""

    def drawn(like: Any) -> np.ndarray:
        values = rng.normal(size=tuple(like.shape))
        return values + 1j * rng.normal(size=values.shape) if "complex" in str(like.dtype) else values

    weights = [drawn(o) for o in outputs(function(tensor(a)))]

    def total(x: Any) -> Any:
        return sum(mg.real((o * tensor(w)).sum()) for o, w in zip(outputs(function(x)), weights, strict=True))

    direction, second_weights, step = drawn(a), tensor(drawn(a)), 1e-5

    def slope(at: np.ndarray, order: int) -> Any:
        x = tensor(at, grad=True)
        (g,) = mg.autograd.grad(total(x), x, create_graph=order > 1)
        return g if order == 1 else mg.autograd.grad(mg.real((g * second_weights).sum()), x)[0]

    def difference(value: Callable[[np.ndarray], float]) -> float:
        return (value(a + step * direction) - value(a - step * direction)) / (2 * step)

    def along(g: np.ndarray) -> float:
        return float((np.conj(g) * direction).sum().real)

    first = difference(lambda at: total(tensor(at)).item())
    np.testing.assert_allclose(along(slope(a, 1).numpy()), first, rtol=1e-6, atol=1e-7)
    second = difference(lambda at: mg.real((slope(at, 1) * second_weights).sum()).item())
    np.testing.assert_allclose(along(slope(a, 2).numpy()), second, rtol=1e-5, atol=1e-6)


def outputs(value: Any) -> list[Any]:
    return list(value) if isinstance(value, tuple) else [value]


def symmetric(x: Any) -> Any:
    return x @ x.mH + mg.eye(x.shape[-1], dtype=x.dtype)


SMOOTH = {
    "cholesky": lambda x: linalg.cholesky(symmetric(x)),
    "cholesky upper": lambda x: linalg.cholesky(symmetric(x), upper=True),
    "eigh": lambda x: (lambda w, v: (w, v.abs() ** 2))(*linalg.eigh(symmetric(x))),
    "eigvalsh": lambda x: linalg.eigvalsh(symmetric(x)),
    "cholesky_solve": lambda x: mg.cholesky_solve(x, linalg.cholesky(symmetric(x))),
    "lu": lambda x: linalg.lu(x)[1:],
    "lu_solve": lambda x: linalg.lu_solve(*linalg.lu_factor(x), x),
    "pinv": lambda x: linalg.pinv(x[..., :2]),
    "matrix_power": lambda x: linalg.matrix_power(x, -3),
    "nuc": lambda x: linalg.matrix_norm(x, "nuc"),
    "cond": lambda x: linalg.cond(x),
    "slogdet": lambda x: linalg.slogdet(x).logabsdet,
    "eig": lambda x: (lambda w, v: (w, v.abs() ** 2))(*linalg.eig(x)),
    "svd": lambda x: (lambda u, s, vh: (u.abs() ** 2, s, vh.abs() ** 2, u @ vh))(*linalg.svd(x[..., :2], full_matrices=False)),
    "lu_solve left": lambda x: linalg.lu_solve(*linalg.lu_factor(x), x, left=False),
    "lu_solve adjoint": lambda x: linalg.lu_solve(*linalg.lu_factor(x), x, adjoint=True),
    "householder": lambda x: linalg.householder_product(x, x[..., 0, :]),
    "multi_dot": lambda x: linalg.multi_dot([x[0], x[1], x[0]]) if x.ndim == 3 else x,
}  # fmt: skip


@pytest.mark.parametrize("name", SMOOTH)
@pytest.mark.parametrize("kind", ["real", "complex"])
def test_gradients_of_both_orders(name: str, kind: str) -> None:
    slopes(SMOOTH[name], BATCH if kind == "real" else BATCH + 1j * np.flip(BATCH, -1))


# ---- values ----


def test_factorizations_multiply_to_the_matrix() -> None:
    for a in (SQUARE, BATCH, TALL, WIDE):
        x = tensor(a)
        q, r = linalg.qr(x)
        u, s, vh = linalg.svd(x, full_matrices=False)
        p, lower, upper = linalg.lu(x)
        for product in (q @ r, (u * s.unsqueeze(-2)) @ vh, p @ lower @ upper):
            np.testing.assert_allclose(product.numpy(), a, atol=1e-12)
        assert [t.shape[-2:] for t in linalg.svd(x)] == [a.shape[-2:-1] * 2, s.shape[-2:] if a.ndim > 2 else s.shape, a.shape[-1:] * 2]
    w, v = linalg.eig(tensor(SQUARE))
    np.testing.assert_allclose(SQUARE @ v.numpy(), v.numpy() * w.numpy(), atol=1e-12)
    w, v = linalg.eigh(tensor(DEFINITE))
    np.testing.assert_allclose(((v * w) @ v.mT).numpy(), DEFINITE, atol=1e-10)


def test_systems() -> None:
    b = rng.normal(size=(4, 2))
    np.testing.assert_allclose(linalg.solve(tensor(SQUARE), tensor(b)).numpy(), np.linalg.solve(SQUARE, b))
    np.testing.assert_allclose(linalg.solve(tensor(SQUARE), tensor(b.T), left=False).numpy(), b.T @ np.linalg.inv(SQUARE))
    np.testing.assert_allclose(linalg.solve(tensor(SQUARE), tensor(b[:, 0])).numpy(), np.linalg.solve(SQUARE, b[:, 0]))
    found = linalg.lstsq(tensor(TALL), tensor(np.ones((5, 2))), driver="gelsd")
    expected, residuals, rank, values = np.linalg.lstsq(TALL, np.ones((5, 2)), rcond=None)
    for got, want in zip(found, (expected, residuals, rank, values), strict=True):
        np.testing.assert_allclose(got.numpy(), want)
    factors = linalg.lu_factor(tensor(SQUARE))
    for adjoint in (False, True):
        got = linalg.lu_solve(*factors, tensor(b), adjoint=adjoint).numpy()
        np.testing.assert_allclose((SQUARE.T if adjoint else SQUARE) @ got, b, atol=1e-12)


@pytest.mark.parametrize("order", [None, 0, 1, 2, 3, 0.5, -1, np.inf, -np.inf])
def test_vector_norms(order: Any) -> None:
    v = SQUARE[0]
    np.testing.assert_allclose(linalg.norm(tensor(v), order).item(), np.linalg.norm(v, order))


@pytest.mark.parametrize("order", ["fro", "nuc", 1, -1, 2, -2, np.inf, -np.inf])
def test_matrix_norms(order: Any) -> None:
    np.testing.assert_allclose(linalg.norm(tensor(SQUARE), order).item(), np.linalg.norm(SQUARE, order))
    np.testing.assert_allclose(linalg.cond(tensor(SQUARE), order).item(), np.linalg.cond(SQUARE, order))
    kept = linalg.matrix_norm(tensor(BATCH), order, dim=(0, 2), keepdim=True)
    np.testing.assert_allclose(kept.numpy(), np.linalg.norm(BATCH, order, axis=(0, 2), keepdims=True))


def test_gradient_of_a_norm_at_zero_is_zero() -> None:
    x = mg.zeros(3, requires_grad=True)
    linalg.norm(x).backward()
    np.testing.assert_array_equal(x.grad.numpy(), np.zeros(3))


def test_gradient_of_the_determinant_of_a_singular_matrix() -> None:
    x = tensor(np.array([[1.0, 2.0], [2.0, 4.0]]), grad=True)
    linalg.det(x).backward()
    np.testing.assert_allclose(x.grad.numpy(), [[4.0, -2.0], [-2.0, 1.0]], atol=1e-12)


def test_products_and_ranks() -> None:
    a, b = rng.normal(size=(2, 3)), rng.normal(size=(2, 3))
    np.testing.assert_allclose(linalg.cross(tensor(a), tensor(b)).numpy(), np.cross(a, b))
    np.testing.assert_allclose(linalg.vecdot(tensor(a), tensor(b)).numpy(), (a * b).sum(-1))
    np.testing.assert_allclose(
        linalg.multi_dot([tensor(m) for m in (SQUARE, SQUARE[:, :2], SQUARE[:2])]).numpy(), SQUARE @ SQUARE[:, :2] @ SQUARE[:2]
    )
    assert linalg.matrix_rank(tensor(SINGULAR)).item() == 1
    assert linalg.matrix_rank(tensor(np.stack([np.eye(3), SINGULAR])), hermitian=True).tolist() == [3, 1]
    np.testing.assert_allclose(linalg.vander(tensor(a[0])).numpy(), np.vander(a[0], increasing=True))


# ---- refusals ----


def test_singular_input_is_an_error_at_the_call() -> None:
    assert issubclass(linalg.LinAlgError, RuntimeError)
    with pytest.raises(linalg.LinAlgError, match=r"(?s)linalg.inv: The diagonal element 2 is zero.*test_linalg.py"):
        linalg.inv(tensor(SINGULAR))
    with pytest.raises(linalg.LinAlgError, match=r"\(Batch element 1\): The solver failed because the input matrix is singular"):
        linalg.solve(tensor(np.stack([np.eye(3), SINGULAR])), tensor(np.ones((2, 3, 1))))
    with pytest.raises(linalg.LinAlgError, match="leading minor of order 1 is not positive-definite"):
        linalg.cholesky(tensor(-DEFINITE))
    with pytest.raises(linalg.LinAlgError, match="holds NaN or inf"):
        linalg.svdvals(tensor(SQUARE * np.nan))


def test_a_caller_may_try_again_with_jitter() -> None:
    a = tensor(SINGULAR)
    try:
        factor = linalg.cholesky(a)
    except RuntimeError:
        factor = linalg.cholesky(a + 0.1 * mg.eye(3, dtype=mg.float64))
    np.testing.assert_allclose((factor @ factor.mT).numpy(), SINGULAR + 0.1 * np.eye(3))


def test_ex_functions_tell_instead_of_raising() -> None:
    batch = tensor(np.stack([np.eye(3), -np.eye(3)]))
    assert linalg.cholesky_ex(batch).info.tolist() == [0, 1]
    assert linalg.inv_ex(tensor(np.stack([np.eye(3), SINGULAR * 0]))).info.tolist() == [0, 1]
    assert linalg.lu_factor_ex(tensor(np.zeros((2, 2)))).info.item() == 1
    with pytest.raises(linalg.LinAlgError):
        linalg.cholesky_ex(batch, check_errors=True)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: linalg.inv(mg.ones(3)), "at least 2 dimensions"),
        (lambda: linalg.det(mg.ones(2, 3)), "square matrices, but they are 2 by 3"),
        (lambda: linalg.inv(mg.ones(2, 2, dtype=mg.int64)), "cast it first"),
        (lambda: linalg.solve(mg.ones(2, 2), mg.ones(2, 2, dtype=mg.float64)), "same dtype"),
        (lambda: linalg.qr(mg.ones(2, 2), mode="full"), "unrecognized mode 'full'"),
        (lambda: linalg.matrix_norm(mg.ones(2, 2), 3), "Order 3 not supported"),
        (lambda: linalg.cross(mg.ones(2), mg.ones(2)), "must have length 3"),
    ],
)
def test_wrong_arguments(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(RuntimeError, match=message):
        call()


def test_methods_and_old_names() -> None:
    x = tensor(SQUARE)
    np.testing.assert_allclose(x.inverse().numpy(), np.linalg.inv(SQUARE))
    np.testing.assert_allclose(x.det().item(), np.linalg.det(SQUARE))
    np.testing.assert_allclose(mg.svd(x).V.numpy(), linalg.svd(x).Vh.mT.numpy())
    np.testing.assert_allclose(mg.cholesky(tensor(DEFINITE), True).numpy(), np.linalg.cholesky(DEFINITE).T)


def test_inside_a_compiled_function() -> None:
    step = mg.compile(lambda a, b: linalg.solve(a, b).sum())
    for scale in (1.0, 2.0):
        got = step(tensor(SQUARE * scale), tensor(np.ones((4, 1)))).item()
        np.testing.assert_allclose(got, np.linalg.solve(SQUARE * scale, np.ones((4, 1))).sum())


def test_least_squares_of_half_known_systems_have_torchs_gradients() -> None:
    a = tensor(TALL, grad=True)
    values = linalg.lstsq(a, tensor(TALL), driver="gelsd").singular_values
    assert not values.requires_grad  # as in torch: only the solution and the residuals are differentiable


def test_hermitian_pseudo_inverse_reads_the_lower_triangle() -> None:
    lower = np.tril(DEFINITE)
    np.testing.assert_allclose(linalg.pinv(tensor(lower), hermitian=True).numpy(), np.linalg.inv(DEFINITE), rtol=1e-9)


@pytest.mark.parametrize("order", [1, 2, np.inf, "fro", "nuc"])
def test_matrix_norms_of_nothing_are_zero(order: Any) -> None:
    assert linalg.norm(mg.zeros(0, 3), order).item() == 0.0


def test_norms_in_half_precision_do_not_overflow() -> None:
    assert linalg.vector_norm(mg.tensor([8.5], dtype=mg.float16), 6).item() == 8.5
    assert mg.tensor([300.0, 400.0], dtype=mg.float16).norm().item() == 500.0


def test_householders_vectors() -> None:
    reflectors, tau = mg.geqrf(tensor(TALL))
    r = np.linalg.qr(TALL, "complete")[1]
    np.testing.assert_allclose(np.abs(np.triu(reflectors.numpy())[:3]), np.abs(r[:3]), rtol=1e-9)
    other = rng.normal(size=(5, 2))
    for transpose in (False, True):
        whole = linalg.householder_product(mg.cat([reflectors, mg.zeros(5, 2, dtype=mg.float64)], 1), tau)
        matrix = whole.T if transpose else whole
        left = mg.ormqr(reflectors, tau, tensor(other), True, transpose)
        np.testing.assert_allclose(left.numpy(), (matrix @ tensor(other)).numpy(), atol=1e-12)
        right = mg.ormqr(reflectors, tau, tensor(other.T), False, transpose)
        np.testing.assert_allclose(right.numpy(), (tensor(other.T) @ matrix).numpy(), atol=1e-12)
    with pytest.raises(RuntimeError, match=r"must be equal to input\.shape"):
        mg.ormqr(reflectors, tau, tensor(other[:3]))


def test_older_names_of_solvers() -> None:
    lower = np.tril(SQUARE) + 3 * np.eye(4)
    solution, copy = mg.triangular_solve(tensor(SQUARE), tensor(lower), upper=False)
    np.testing.assert_allclose(lower @ solution.numpy(), SQUARE, atol=1e-9)
    assert copy.tolist() == lower.tolist()
    factors, pivots, info = mg.lu(tensor(SQUARE), get_infos=True)
    assert info.item() == 0
    np.testing.assert_allclose((SQUARE @ mg.lu_solve(tensor(TALL[:4]), factors, pivots).numpy()), TALL[:4], atol=1e-9)


def test_low_rank_approximations() -> None:
    exact = TALL @ rng.normal(size=(3, 6))
    u, s, v = mg.svd_lowrank(tensor(exact), q=3)
    np.testing.assert_allclose((u * s @ v.T).numpy(), exact, atol=1e-9)
    u, s, v = mg.pca_lowrank(tensor(exact), q=3)
    np.testing.assert_allclose((u * s @ v.T).numpy(), exact - exact.mean(0), atol=1e-9)
    with pytest.raises(ValueError, match="not greater than min"):
        mg.svd_lowrank(tensor(exact), q=9)


def test_products_added_to_a_tensor() -> None:
    m, v, w = tensor(SQUARE), tensor(SQUARE[0]), tensor(SQUARE[1])
    np.testing.assert_allclose(mg.addmv(v, m, w, beta=2, alpha=0.5).numpy(), 2 * SQUARE[0] + 0.5 * SQUARE @ SQUARE[1])
    np.testing.assert_allclose(mg.addr(m, v, w, alpha=3).numpy(), SQUARE + 3 * np.outer(SQUARE[0], SQUARE[1]))
    np.testing.assert_allclose(mg.addbmm(tensor(BATCH[0]), tensor(BATCH), tensor(BATCH)).numpy(), BATCH[0] + (BATCH @ BATCH).sum(0))
    nothing_read = mg.addmm(mg.full((4, 4), float("nan"), dtype=mg.float64), m, m, beta=0)
    np.testing.assert_allclose(nothing_read.numpy(), SQUARE @ SQUARE)
    with pytest.raises(RuntimeError, match="same dtype"):
        mg.addmm(m.float(), m, m)
    with pytest.raises(RuntimeError, match="must not be a floating point"):
        mg.addr(m.long(), v.long(), w.long(), beta=1.5)


def test_einsum_with_lists_and_tensordot_with_ones() -> None:
    m = tensor(SQUARE)
    np.testing.assert_allclose(mg.einsum(m, [0, 1], m, [1, 2], [0, 2]).numpy(), SQUARE @ SQUARE)
    assert mg.einsum("i->", mg.ones(300, dtype=mg.int8)).item() == 300
    assert mg.tensordot(mg.ones(1, 1, 1), mg.ones(2, 1, 2), dims=([0, 1], [2, 0])).tolist() == [[4.0]]
    with pytest.raises(RuntimeError, match="contracted dimensions need to match"):
        mg.tensordot(m, mg.ones(3, 4, dtype=mg.float64), 1)
