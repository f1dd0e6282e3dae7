"""torch.special's functions against SciPy: values, edges, promotion, gradients, forms."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import special as scipy_special

import monograph as mg
from monograph import special
from monograph.core.modes import MODES
from monograph.ops import special_bessel
from tests.ops.record_checks import GradientCase, samples
from tests.targets.test_cpu_records import check

X = np.concatenate([np.linspace(-6, 6, 49) + 0.013, [30.0, -30.0, 1e-8]])
POSITIVE = np.concatenate([np.linspace(0.02, 8, 40), [1e-5, 50.0, 700.0]])
PROBABILITIES = np.array([1e-300, 1e-9, 0.01, 0.3, 0.5, 0.9, 1 - 1e-12, 0, 1])
ONE = {name: (getattr(scipy_special, name), X) for name in "psi gammaln i0 i0e i1 i1e erfcx ndtr log_ndtr entr expit".split()}
ONE |= {"digamma": (scipy_special.psi, X), "lgamma": (scipy_special.gammaln, X), "sinc": (np.sinc, X)}
ONE |= {"ndtri": (scipy_special.ndtri, PROBABILITIES), "logit": (scipy_special.logit, np.array([0.0, 1e-9, 0.2, 0.5, 0.99, 1.0]))}


@pytest.mark.parametrize("name", ONE)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_values_are_scipys(name: str, dtype: type) -> None:
    reference, x = ONE[name]
    x = x.astype(dtype)
    with np.errstate(all="ignore"):
        expected = reference(x.astype(np.float64))
        expected = np.where(np.abs(expected) > np.finfo(dtype).max, np.copysign(np.inf, expected), expected)
    got = getattr(special, name)(mg.tensor(x)).numpy()
    assert got.dtype == dtype
    tolerance = 1e-12 if dtype is np.float64 else 4e-6
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 5])
def test_polygamma(n: int) -> None:
    np.testing.assert_allclose(special.polygamma(n, mg.tensor(POSITIVE)).numpy(), scipy_special.polygamma(n, POSITIVE), rtol=1e-12)
    assert mg.tensor(POSITIVE).polygamma(n).shape == POSITIVE.shape
    with pytest.raises(RuntimeError, match="negative n"):
        special.polygamma(-1, mg.ones(2))


def test_trigamma_of_negative_numbers() -> None:
    x = np.array([-0.5, -1.25, -3.75, 0.3])
    # psi'(x) = psi'(x + n) + 1 / x^2 + ... + 1 / (x + n - 1)^2
    expected = scipy_special.polygamma(1, x + 5) + sum(1 / (x + k) ** 2 for k in range(5))
    np.testing.assert_allclose(special.polygamma(1, mg.tensor(x)).numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("name", ["gammainc", "gammaincc"])
def test_incomplete_gamma_functions(name: str) -> None:
    a, x = np.meshgrid([0.01, 0.5, 1.0, 7.5, 60.0, 900.0], [0.001, 0.4, 3.0, 20.0, 70.0, 1000.0])
    got = getattr(special, name)(mg.tensor(a), mg.tensor(x)).numpy()
    np.testing.assert_allclose(got, getattr(scipy_special, name)(a, x), rtol=1e-9, atol=1e-300)


def test_zeta() -> None:
    s, q = np.meshgrid([1.1, 2.0, 3.5, 30.0], [0.05, 1.0, 2.5, 40.0])
    np.testing.assert_allclose(special.zeta(mg.tensor(s), mg.tensor(q)).numpy(), scipy_special.zeta(s, q), rtol=1e-12)
    got = special.zeta(mg.tensor([2.0, 1.0, 0.5, 2.5]), mg.tensor([-1.0, 2.0, 2.0, -0.5])).numpy()
    assert got[0] == got[1] == math.inf
    assert np.isnan(got[2:]).all()


def test_x_log_y_at_zero() -> None:
    x, y = mg.tensor([0.0, 0.0, 0.0, 2.0]), mg.tensor([0.0, -1.0, math.nan, 3.0])
    np.testing.assert_array_equal(special.xlogy(x, y).numpy(), np.float32([0, 0, np.nan, 2 * np.log(np.float32(3))]))
    np.testing.assert_allclose(special.xlog1py(2, mg.tensor(0.5)).item(), 2 * math.log1p(0.5), rtol=1e-6)
    with pytest.raises(TypeError, match="at least one argument must be a Tensor"):
        special.xlogy(1.0, 2.0)


def test_multigammaln() -> None:
    x = np.array([3.0, 4.5, 20.0])
    np.testing.assert_allclose(special.multigammaln(mg.tensor(x), 3).numpy(), [scipy_special.multigammaln(v, 3) for v in x], rtol=1e-12)
    with pytest.raises(RuntimeError, match="greater than or equal to 1"):
        special.multigammaln(mg.tensor(x), 0)


POLYNOMIALS = {
    "chebyshev_polynomial_t": scipy_special.eval_chebyt, "chebyshev_polynomial_u": scipy_special.eval_chebyu,
    "shifted_chebyshev_polynomial_t": scipy_special.eval_sh_chebyt, "hermite_polynomial_h": scipy_special.eval_hermite,
    "hermite_polynomial_he": scipy_special.eval_hermitenorm, "laguerre_polynomial_l": scipy_special.eval_laguerre,
    "legendre_polynomial_p": scipy_special.eval_legendre,
}  # fmt: skip


@pytest.mark.parametrize("name", POLYNOMIALS)
def test_polynomials(name: str) -> None:
    x = np.linspace(-0.95, 0.95, 11)
    for n in (0, 1, 2, 6):
        np.testing.assert_allclose(getattr(special, name)(mg.tensor(x), n).numpy(), POLYNOMIALS[name](n, x), rtol=1e-10, atol=1e-12)
    orders = mg.tensor([0, 1, 2, 3])
    expected = [POLYNOMIALS[name](k, 0.3) for k in range(4)]
    np.testing.assert_allclose(getattr(special, name)(mg.full((4,), 0.3, dtype=mg.float64), orders).numpy(), expected, rtol=1e-10)


def test_integers_out_and_methods() -> None:
    assert special.lgamma(mg.tensor([3])).dtype is mg.float32
    out = mg.empty(2)
    assert special.digamma(mg.tensor([1.0, 2.0]), out=out) is out
    np.testing.assert_allclose(out.numpy(), scipy_special.psi([1.0, 2.0]), rtol=1e-6)
    x = mg.tensor([0.3, 0.6])
    np.testing.assert_array_equal(x.lgamma().numpy(), mg.lgamma(x).numpy())
    np.testing.assert_array_equal(x.logit(eps=0.4).numpy(), mg.logit(x, 0.4).numpy())
    with pytest.raises(TypeError, match="must be Tensor, not float"):
        special.i0(1.0)


def test_second_gradients() -> None:
    for function in (
        special.lgamma,
        special.i0e,
        special.ndtr,
        special.log_ndtr,
        special.sinc,
        lambda v: special.ndtri(v / 4),
        special.erfcx,
    ):
        x = mg.tensor([0.7, 1.3], dtype=mg.float64, requires_grad=True)
        step = 1e-5
        (slope,) = mg.autograd.grad(function(x).sum(), x, create_graph=True)
        (second,) = mg.autograd.grad(slope.sum(), x)
        with mg.no_grad():
            first = (function(x + step) - function(x - step)) / (2 * step)
            curved = (function(x + 1e-3) - 2 * function(x) + function(x - 1e-3)) / 1e-6
        np.testing.assert_allclose(slope.detach().numpy(), first.numpy(), rtol=1e-7)
        np.testing.assert_allclose(second.numpy(), curved.numpy(), rtol=1e-4, atol=1e-6)


BESSEL = {
    "bessel_j0": scipy_special.j0, "bessel_j1": scipy_special.j1, "bessel_y0": scipy_special.y0, "bessel_y1": scipy_special.y1,
    "modified_bessel_i0": scipy_special.i0, "modified_bessel_i1": scipy_special.i1,
    "modified_bessel_k0": scipy_special.k0, "modified_bessel_k1": scipy_special.k1,
    "scaled_modified_bessel_k0": scipy_special.k0e, "scaled_modified_bessel_k1": scipy_special.k1e,
    "spherical_bessel_j0": lambda x: scipy_special.spherical_jn(0, x), "airy_ai": lambda x: scipy_special.airy(x)[0],
}  # fmt: skip


@pytest.mark.parametrize("name", BESSEL)
def test_bessel_functions(name: str) -> None:
    x = np.concatenate([np.geomspace(1e-9, 60, 200), [7.999, 8.0, 8.001, 2.0, 2.0001]])
    if name == "airy_ai":
        x = np.concatenate([np.linspace(-40, 20, 301), [-3.0, -3.0001, 2.0, 2.0001]])
    got = getattr(special, name)(mg.tensor(x)).numpy()
    np.testing.assert_allclose(got, BESSEL[name](x), rtol=2e-13, atol=2e-15)
    single = getattr(special, name)(mg.tensor(x.astype(np.float32)))
    assert single.dtype is mg.float32
    np.testing.assert_allclose(single.numpy(), BESSEL[name](x.astype(np.float32).astype(np.float64)), rtol=2e-7, atol=1e-30)


def test_bessel_functions_at_the_edges() -> None:
    x = mg.tensor([0.0, -1.0, math.inf, math.nan], dtype=mg.float64)
    for name in ("bessel_y0", "bessel_y1"):
        assert getattr(special, name)(x)[0].item() == -math.inf
        assert math.isnan(getattr(special, name)(x)[1].item())
    for name in ("modified_bessel_k0", "modified_bessel_k1", "scaled_modified_bessel_k0", "scaled_modified_bessel_k1"):
        values = getattr(special, name)(x).tolist()
        assert values[0] == math.inf and math.isnan(values[1]) and values[2] == 0.0 and math.isnan(values[3])
    assert math.isnan(special.airy_ai(x)[2].item())


def test_airys_gradient_is_differentiable() -> None:
    x = mg.tensor([-4.0, -1.0, 0.5, 3.0], dtype=mg.float64, requires_grad=True)
    (slope,) = mg.autograd.grad(special.airy_ai(x).sum(), x, create_graph=True)
    np.testing.assert_allclose(slope.detach().numpy(), scipy_special.airy(x.detach().numpy())[1], rtol=1e-12)
    (second,) = mg.autograd.grad(slope.sum(), x)
    np.testing.assert_allclose(second.numpy(), (x * special.airy_ai(x)).detach().numpy(), rtol=1e-12)


def test_polynomials_of_fractional_and_mixed_degrees() -> None:
    degrees = mg.tensor([0.0, 1.9, 3.2, -1.0])
    np.testing.assert_allclose(
        special.hermite_polynomial_h(mg.tensor([0.5] * 4), degrees).numpy(), [*scipy_special.eval_hermite([0, 1, 3], 0.5), 0.0], rtol=1e-6
    )


def test_in_place_methods_of_special_functions() -> None:
    x = mg.tensor([1.5, 2.5])
    expected = mg.lgamma(x).tolist()
    assert x.lgamma_() is x
    assert x.tolist() == expected


RECORDS = "bessel_j0 bessel_j1 bessel_y0 bessel_y1 k0 k1 scaled_k0 scaled_k1 spherical_j0 airy_ai airy_ai_slope".split()
GOOD, GOOD_NAMES = samples(True, [getattr(special_bessel, name) for name in RECORDS])


@pytest.mark.parametrize("case", range(len(GOOD)), ids=GOOD_NAMES)
def test_bessel_record(case: int) -> None:
    op, sample = GOOD[case]
    check(op, sample, None, rtol=max(2e-5, sample.tolerance), atol=max(1e-6, sample.tolerance))
    gradients = GradientCase(op, sample)
    if gradients.applies:
        gradients.check_both_orders()
    MODES.pending.clear()
