"""Normal distributions of vectors, and distributions of matrices."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from monograph import linalg
from monograph.core.errors import MonographError
from monograph.distributions import constraints
from monograph.distributions.distribution import LOG_TWO_PI, Distribution, ExponentialFamily, drawn
from monograph.distributions.gamma_family import Beta, Chi2
from monograph.distributions.parameters import lazy_property
from monograph.distributions.tensors import mt
from monograph.special import digamma, lgamma, multigammaln


def half_log_det(lower: Any) -> Any:
    """Half the logarithm of det(L L^T)."""
    return lower.diagonal(dim1=-2, dim2=-1).log().sum(-1)


def mahalanobis(lower: Any, x: Any) -> Any:
    """x^T (L L^T)^-1 x for batches of vectors and factors."""
    shape = mt.broadcast_shapes(tuple(lower.shape[:-2]), tuple(x.shape[:-1]))
    n = x.shape[-1]
    if tuple(lower.shape[:-2]) == () and len(shape):
        flat = x.reshape(-1, n)  # one factor for many vectors: one triangular system
        return (linalg.solve_triangular(lower, flat.mT, upper=False) ** 2).sum(-2).reshape(shape)
    y = linalg.solve_triangular(lower, x.expand(*shape, n).unsqueeze(-1), upper=False)
    return (y**2).sum((-2, -1))


def _precision_to_scale_tril(precision: Any) -> Any:
    flipped = linalg.cholesky(precision.flip((-2, -1)))
    upper = flipped.flip((-2, -1)).mT
    one = mt.eye(precision.shape[-1], dtype=precision.dtype)
    return linalg.solve_triangular(upper, one, upper=False)


class MultivariateNormal(Distribution):
    """The normal distribution of vectors, of mean `loc`; one of covariance_matrix, precision_matrix and scale_tril is given.

    >>> import monograph as mg
    >>> d = mg.distributions.MultivariateNormal(mg.zeros(2), mg.eye(2))
    >>> d.sample((3,)).shape
    monograph.Size([3, 2])
    """

    arg_constraints: ClassVar[Any] = {
        "loc": constraints.real_vector,
        "covariance_matrix": constraints.positive_definite,
        "precision_matrix": constraints.positive_definite,
        "scale_tril": constraints.lower_cholesky,
    }
    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self,
        loc: Any,
        covariance_matrix: Any = None,
        precision_matrix: Any = None,
        scale_tril: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        if loc.ndim < 1:
            raise ValueError("loc must be at least one-dimensional.")
        given = {"covariance_matrix": covariance_matrix, "precision_matrix": precision_matrix, "scale_tril": scale_tril}
        given = {name: m for name, m in given.items() if m is not None}
        if len(given) != 1:
            raise ValueError("Exactly one of covariance_matrix or precision_matrix or scale_tril may be specified.")
        ((name, m),) = given.items()
        if m.ndim < 2:
            raise ValueError(f"{name} matrix must be at least two-dimensional, with optional leading batch dimensions")
        batch = mt.broadcast_shapes(tuple(m.shape[:-2]), tuple(loc.shape[:-1]))
        setattr(self, name, m.expand(*batch, *m.shape[-2:]))
        self.loc = loc.expand(*batch, loc.shape[-1])
        super().__init__(batch, self.loc.shape[-1:], validate_args=validate_args)
        if scale_tril is not None:
            self._lower = scale_tril
        elif covariance_matrix is not None:
            self._lower = linalg.cholesky(covariance_matrix)
        else:
            self._lower = _precision_to_scale_tril(precision_matrix)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = super().expand(batch_shape, _instance)
        new._lower = self._lower
        return new

    @lazy_property
    def scale_tril(self) -> Any:
        """L with covariance L L^T."""
        return self._lower.expand(*self._batch_shape, *self._event_shape, *self._event_shape)

    @lazy_property
    def covariance_matrix(self) -> Any:
        """The covariance."""
        return (self._lower @ self._lower.mT).expand(*self._batch_shape, *self._event_shape, *self._event_shape)

    @lazy_property
    def precision_matrix(self) -> Any:
        """The inverse of the covariance."""
        return linalg.cholesky_inverse(self._lower).expand(*self._batch_shape, *self._event_shape, *self._event_shape)

    @property
    def mean(self) -> Any:
        return self.loc

    @property
    def mode(self) -> Any:
        return self.loc

    @property
    def variance(self) -> Any:
        return (self._lower**2).sum(-1).expand(*self._batch_shape, *self._event_shape)

    def rsample(self, sample_shape: Any = ()) -> Any:
        eps = drawn(self.loc, self._extended_shape(sample_shape), normal=True)
        return self.loc + (self._lower @ eps.unsqueeze(-1)).squeeze(-1)

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        distance = mahalanobis(self._lower, value - self.loc)
        return -0.5 * (self._event_shape[0] * LOG_TWO_PI + distance) - half_log_det(self._lower)

    def entropy(self) -> Any:
        value = 0.5 * self._event_shape[0] * (1.0 + LOG_TWO_PI) + half_log_det(self._lower)
        return value.expand(self._batch_shape)


class LowRankMultivariateNormal(Distribution):
    """A normal vector of covariance cov_factor cov_factor^T + diag(cov_diag): work grows with the rank, not with the square of the size."""

    arg_constraints: ClassVar[Any] = {
        "loc": constraints.real_vector,
        "cov_factor": constraints.independent(constraints.real, 2),
        "cov_diag": constraints.independent(constraints.positive, 1),
    }
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, loc: Any, cov_factor: Any, cov_diag: Any, validate_args: bool | None = None) -> None:
        if loc.ndim < 1:
            raise ValueError("loc must be at least one-dimensional.")
        n = loc.shape[-1]
        if cov_factor.ndim < 2:
            raise ValueError("cov_factor must be at least two-dimensional, with optional leading batch dimensions")
        if cov_factor.shape[-2] != n:
            raise ValueError(f"cov_factor must be a batch of matrices with shape {n} x m")
        if cov_diag.shape[-1] != n:
            raise ValueError(f"cov_diag must be a batch of vectors with shape {n}")
        try:
            batch = mt.broadcast_shapes(tuple(loc.shape[:-1]), tuple(cov_factor.shape[:-2]), tuple(cov_diag.shape[:-1]))
        except MonographError as error:
            shapes = f"loc {tuple(loc.shape)}, cov_factor {tuple(cov_factor.shape)}, cov_diag {tuple(cov_diag.shape)}"
            raise ValueError(f"Incompatible batch shapes: {shapes}") from error
        self.loc, self.cov_diag = loc.expand(*batch, n), cov_diag.expand(*batch, n)
        self.cov_factor = cov_factor.expand(*batch, *cov_factor.shape[-2:])
        self._factor, self._diag = cov_factor, cov_diag
        self._capacitance = self._capacitance_tril(cov_factor, cov_diag)
        super().__init__(batch, (n,), validate_args=validate_args)

    @staticmethod
    def _capacitance_tril(factor: Any, diag: Any) -> Any:
        """The Cholesky factor of 1 + W^T D^-1 W."""
        scaled = factor.mT / diag.unsqueeze(-2)
        return linalg.cholesky(scaled @ factor + mt.eye(factor.shape[-1], dtype=factor.dtype))

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = super().expand(batch_shape, _instance)
        new._factor, new._diag, new._capacitance = self._factor, self._diag, self._capacitance
        return new

    @property
    def mean(self) -> Any:
        return self.loc

    @property
    def mode(self) -> Any:
        return self.loc

    @lazy_property
    def variance(self) -> Any:
        """The diagonal of the covariance."""
        return ((self._factor**2).sum(-1) + self._diag).expand(*self._batch_shape, *self._event_shape)

    @lazy_property
    def scale_tril(self) -> Any:
        """L with covariance L L^T."""
        n = self._event_shape[0]
        scaled = self._factor / self._diag.sqrt().unsqueeze(-1)
        inner = linalg.cholesky(scaled @ scaled.mT + mt.eye(n, dtype=scaled.dtype))
        return (self._diag.sqrt().unsqueeze(-1) * inner).expand(*self._batch_shape, n, n)

    @lazy_property
    def covariance_matrix(self) -> Any:
        """The covariance."""
        n = self._event_shape[0]
        diagonal = mt.eye(n, dtype=self._diag.dtype) * self._diag.unsqueeze(-1)
        return (self._factor @ self._factor.mT + diagonal).expand(*self._batch_shape, n, n)

    @lazy_property
    def precision_matrix(self) -> Any:
        """The inverse of the covariance (Woodbury's formula)."""
        n = self._event_shape[0]
        scaled = self._factor.mT / self._diag.unsqueeze(-2)
        a = linalg.solve_triangular(self._capacitance, scaled, upper=False)
        diagonal = mt.eye(n, dtype=self._diag.dtype) * self._diag.reciprocal().unsqueeze(-1)
        return (diagonal - a.mT @ a).expand(*self._batch_shape, n, n)

    def rsample(self, sample_shape: Any = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        w = drawn(self.loc, (*shape[:-1], self.cov_factor.shape[-1]), normal=True)
        d = drawn(self.loc, shape, normal=True)
        return self.loc + (self._factor @ w.unsqueeze(-1)).squeeze(-1) + self._diag.sqrt() * d

    def _half_log_det(self) -> Any:
        return half_log_det(self._capacitance) + 0.5 * self._diag.log().sum(-1)

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        diff = value - self.loc
        scaled = self._factor.mT / self._diag.unsqueeze(-2)
        inner = (scaled @ diff.unsqueeze(-1)).squeeze(-1)
        distance = (diff**2 / self._diag).sum(-1) - mahalanobis(self._capacitance, inner)
        return -0.5 * (self._event_shape[0] * LOG_TWO_PI + distance) - self._half_log_det()

    def entropy(self) -> Any:
        value = 0.5 * self._event_shape[0] * (1.0 + LOG_TWO_PI) + self._half_log_det()
        return value.expand(self._batch_shape)


class LKJCholesky(Distribution):
    """Cholesky factors of correlation matrices, of density det^(concentration - 1) (Lewandowski, Kurowicka, Joe 2009, the onion method)."""

    arg_constraints: ClassVar[Any] = {"concentration": constraints.positive}
    support = constraints.corr_cholesky

    def __init__(self, dim: int, concentration: Any = 1.0, validate_args: bool | None = None) -> None:
        if dim < 2:
            raise ValueError(f"Expected dim to be an integer greater than or equal to 2. Found dim={dim}.")
        self.dim = dim
        self.concentration = mt.as_tensor(concentration, dtype=getattr(concentration, "dtype", mt.get_default_dtype()))
        super().__init__(self.concentration.shape, (dim, dim), validate_args=validate_args)
        self._beta = self._rows_beta()

    def _rows_beta(self) -> Beta:
        marginal = self.concentration + 0.5 * (self.dim - 2)
        offset = mt.arange(self.dim - 1, dtype=self.concentration.dtype)
        first = mt.cat([mt.zeros(1, dtype=offset.dtype), offset])
        return Beta(first + 0.5, marginal.unsqueeze(-1) - 0.5 * first, validate_args=False)

    def _complete(self, new: Any) -> None:
        new.dim = self.dim
        new._beta = new._rows_beta()

    def sample(self, sample_shape: Any = ()) -> Any:
        y = self._beta.sample(sample_shape).unsqueeze(-1)
        u = drawn(self.concentration, self._extended_shape(sample_shape), normal=True).tril(-1)
        size = (u * u).sum(-1, keepdim=True).sqrt()
        unit = u / mt.where(size == 0, 1.0, size)
        first = mt.arange(self.dim).unsqueeze(-1) == 0
        y = mt.where(first, 0.0, y)
        w = y.sqrt() * unit
        diagonal = (1 - (w * w).sum(-1)).clamp(min=mt.finfo(w.dtype).tiny).sqrt()
        return w + mt.eye(self.dim, dtype=w.dtype) * diagonal.unsqueeze(-1)

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        diagonal = value.diagonal(dim1=-1, dim2=-2)[..., 1:]
        order = mt.arange(2, self.dim + 1, dtype=self.concentration.dtype)
        order = 2 * (self.concentration - 1).unsqueeze(-1) + self.dim - order
        body = (order * diagonal.log()).sum(-1)
        n = self.dim - 1
        alpha = self.concentration + 0.5 * n
        normaliser = 0.5 * n * math.log(math.pi) + multigammaln(alpha - 0.5, n) - lgamma(alpha) * n
        return body - normaliser


class Wishart(ExponentialFamily):
    """Sums of outer products of `df` normal vectors of the given covariance (Bartlett's decomposition)."""

    arg_constraints: ClassVar[Any] = {
        "covariance_matrix": constraints.positive_definite,
        "precision_matrix": constraints.positive_definite,
        "scale_tril": constraints.lower_cholesky,
        "df": constraints.greater_than(0),
    }
    support = constraints.positive_definite
    has_rsample = True

    def __init__(
        self,
        df: Any,
        covariance_matrix: Any = None,
        precision_matrix: Any = None,
        scale_tril: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        given = {"covariance_matrix": covariance_matrix, "precision_matrix": precision_matrix, "scale_tril": scale_tril}
        given = {name: m for name, m in given.items() if m is not None}
        if len(given) != 1:
            raise ValueError("Exactly one of covariance_matrix or precision_matrix or scale_tril may be specified.")
        ((name, m),) = given.items()
        if m.ndim < 2:
            raise ValueError("scale_tril must be at least two-dimensional, with optional leading batch dimensions")
        df = mt.as_tensor(df, dtype=m.dtype)
        batch = mt.broadcast_shapes(tuple(m.shape[:-2]), tuple(df.shape))
        event = tuple(m.shape[-2:])
        if bool((df <= event[-1] - 1).any().item()):
            raise ValueError(f"Value of df={df} expected to be greater than ndim - 1 = {event[-1] - 1}.")
        self.df = df.expand(*batch)
        setattr(self, name, m.expand(*batch, *event))
        super().__init__(batch, event, validate_args=validate_args)
        if scale_tril is not None:
            self._lower = scale_tril
        elif covariance_matrix is not None:
            self._lower = linalg.cholesky(covariance_matrix)
        else:
            self._lower = _precision_to_scale_tril(precision_matrix)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        new = super().expand(batch_shape, _instance)
        new._lower = self._lower
        return new

    @lazy_property
    def scale_tril(self) -> Any:
        """L with covariance L L^T."""
        return self._lower.expand(*self._batch_shape, *self._event_shape)

    @lazy_property
    def covariance_matrix(self) -> Any:
        """The covariance of the vectors."""
        return (self._lower @ self._lower.mT).expand(*self._batch_shape, *self._event_shape)

    @lazy_property
    def precision_matrix(self) -> Any:
        """Its inverse."""
        return linalg.cholesky_inverse(self._lower).expand(*self._batch_shape, *self._event_shape)

    def _df(self, dims: int) -> Any:
        return self.df.reshape(*self._batch_shape, *([1] * dims))

    @property
    def mean(self) -> Any:
        return self._df(2) * self.covariance_matrix

    @property
    def mode(self) -> Any:
        factor = self.df - self._event_shape[-1] - 1
        factor = mt.where(factor > 0, factor, math.nan)
        return factor.reshape(*self._batch_shape, 1, 1) * self.covariance_matrix

    @property
    def variance(self) -> Any:
        v = self.covariance_matrix
        d = v.diagonal(dim1=-2, dim2=-1)
        return self._df(2) * (v**2 + d.unsqueeze(-1) * d.unsqueeze(-2))

    def rsample(self, sample_shape: Any = ()) -> Any:
        p = self._event_shape[-1]
        df = self.df.unsqueeze(-1) - mt.arange(p, dtype=self.df.dtype)
        diagonal = Chi2(df, validate_args=False).rsample(sample_shape).sqrt()
        shape = self._extended_shape(sample_shape)
        noise = drawn(self.df, shape, normal=True).tril(-1) + mt.eye(p, dtype=diagonal.dtype) * diagonal.unsqueeze(-1)
        chol = self._lower @ noise
        return chol @ chol.mT

    def log_prob(self, value: Any) -> Any:
        if self._validate_args:
            self._validate_sample(value)
        p = self._event_shape[-1]
        inner = linalg.solve_triangular(self._lower, value, upper=False)
        trace = linalg.solve_triangular(self._lower.mT, inner, upper=True).diagonal(dim1=-2, dim2=-1).sum(-1)
        half = self.df / 2
        normaliser = self.df * (p / 2 * math.log(2.0) + half_log_det(self._lower)) + multigammaln(half, p)
        return -normaliser + 0.5 * (self.df - p - 1) * linalg.slogdet(value).logabsdet - 0.5 * trace

    def entropy(self) -> Any:
        p, half = self._event_shape[-1], self.df / 2
        spread = digamma(half.unsqueeze(-1) - 0.5 * mt.arange(p, dtype=half.dtype)).sum(-1)
        log_det = 2 * half_log_det(self._lower)
        body = (p + 1) / 2 * (log_det + p * math.log(2.0)) + multigammaln(half, p)
        return body - 0.5 * (self.df - p - 1) * spread + self.df * p / 2
