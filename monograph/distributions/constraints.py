"""Regions that parameters and samples lie in. `constraint.check(value)` says element by element (event by event) whether they do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from monograph import linalg
from monograph.distributions.tensors import mt
from monograph.tensor.core import Tensor


class Constraint:
    """A region. `event_dim`: how many of the last dimensions make one event; `is_discrete`: whether it consists of isolated points."""

    is_discrete = False
    event_dim = 0

    def check(self, value: Tensor) -> Any:
        """A bool for every event of `value`: whether it lies in the region."""
        raise NotImplementedError

    def __repr__(self) -> str:
        return self.__class__.__name__[1:] + "()"


class _Dependent(Constraint):
    """A region that depends on other variables: never checked."""

    def __init__(self, *, is_discrete: Any = NotImplemented, event_dim: Any = NotImplemented) -> None:
        self._is_discrete, self._event_dim = is_discrete, event_dim

    @property
    def is_discrete(self) -> bool:  # type: ignore[override]
        """Unknown unless it was given."""
        if self._is_discrete is NotImplemented:
            raise NotImplementedError(".is_discrete cannot be determined statically")
        return self._is_discrete

    @property
    def event_dim(self) -> int:  # type: ignore[override]
        """Unknown unless it was given."""
        if self._event_dim is NotImplemented:
            raise NotImplementedError(".event_dim cannot be determined statically")
        return self._event_dim

    def __call__(self, *, is_discrete: Any = NotImplemented, event_dim: Any = NotImplemented) -> _Dependent:
        known_discrete = self._is_discrete if is_discrete is NotImplemented else is_discrete
        return _Dependent(is_discrete=known_discrete, event_dim=self._event_dim if event_dim is NotImplemented else event_dim)

    def check(self, value: Tensor) -> Any:
        raise ValueError("Cannot determine validity of dependent constraint")


class dependent_property(property, _Dependent):  # noqa: N801 - torch's name
    """A property that gives a distribution's region from its parameters."""

    def __init__(self, fn: Any = None, *, is_discrete: Any = NotImplemented, event_dim: Any = NotImplemented) -> None:
        property.__init__(self, fn)
        _Dependent.__init__(self, is_discrete=is_discrete, event_dim=event_dim)

    def __call__(self, fn: Any) -> dependent_property:  # type: ignore[override]
        return dependent_property(fn, is_discrete=self._is_discrete, event_dim=self._event_dim)


def is_dependent(constraint: Any) -> bool:
    """Whether a constraint depends on other variables."""
    return isinstance(constraint, _Dependent)


class _Test(Constraint):
    """A region told by a function of the value."""

    def __init__(self, name: str, test: Callable[[Any], Any], event_dim: int = 0, is_discrete: bool = False) -> None:
        self._name, self._test = name, test
        self.event_dim, self.is_discrete = event_dim, is_discrete

    def check(self, value: Tensor) -> Any:
        return self._test(value)

    def __repr__(self) -> str:
        return self._name


class _Independent(Constraint):
    """A constraint whose last dimensions are taken together."""

    def __init__(self, base_constraint: Any, reinterpreted_batch_ndims: int) -> None:
        self.base_constraint, self.reinterpreted_batch_ndims = base_constraint, reinterpreted_batch_ndims

    @property
    def is_discrete(self) -> bool:  # type: ignore[override]
        """As the base."""
        return self.base_constraint.is_discrete

    @property
    def event_dim(self) -> int:  # type: ignore[override]
        """The base's and the dimensions taken together."""
        return self.base_constraint.event_dim + self.reinterpreted_batch_ndims

    def check(self, value: Tensor) -> Any:
        result = self.base_constraint.check(value)
        if result.ndim < self.reinterpreted_batch_ndims:
            raise ValueError(f"Expected value.dim() >= {self.event_dim} but got {value.ndim}")
        return result.reshape(*result.shape[: result.ndim - self.reinterpreted_batch_ndims], -1).all(-1)

    def __repr__(self) -> str:
        return f"Independent({self.base_constraint!r}, {self.reinterpreted_batch_ndims})"


class _Bounded(Constraint):
    """A region between bounds, of which the name tells which are included."""

    fields: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"{type(self).__name__[1:]}({', '.join(f'{f}={getattr(self, f)}' for f in self.fields)})"


class _GreaterThan(_Bounded):
    fields = ("lower_bound",)

    def __init__(self, lower_bound: Any) -> None:
        self.lower_bound = lower_bound

    def check(self, value: Any) -> Any:
        return self.lower_bound < value


class _GreaterThanEq(_GreaterThan):
    def check(self, value: Any) -> Any:
        return self.lower_bound <= value


class _IntegerGreaterThan(_GreaterThan):
    is_discrete = True

    def check(self, value: Any) -> Any:
        return (value % 1 == 0) & (value >= self.lower_bound)


class _LessThan(_Bounded):
    fields = ("upper_bound",)

    def __init__(self, upper_bound: Any) -> None:
        self.upper_bound = upper_bound

    def check(self, value: Any) -> Any:
        return value < self.upper_bound


class _Interval(_Bounded):
    fields = ("lower_bound", "upper_bound")

    def __init__(self, lower_bound: Any, upper_bound: Any) -> None:
        self.lower_bound, self.upper_bound = lower_bound, upper_bound

    def check(self, value: Any) -> Any:
        return (value >= self.lower_bound) & (value <= self.upper_bound)


class _HalfOpenInterval(_Interval):
    def check(self, value: Any) -> Any:
        return (value >= self.lower_bound) & (value < self.upper_bound)


class _IntegerInterval(_Interval):
    is_discrete = True

    def check(self, value: Any) -> Any:
        return (value % 1 == 0) & (value >= self.lower_bound) & (value <= self.upper_bound)


class _Multinomial(Constraint):
    """Counts that are not negative and add up to at most `upper_bound`."""

    is_discrete = True
    event_dim = 1

    def __init__(self, upper_bound: Any) -> None:
        self.upper_bound = upper_bound

    def check(self, x: Any) -> Any:
        return (x >= 0).all(-1) & (x.sum(-1) <= self.upper_bound)


class _Cat(Constraint):
    """Parts of one dimension in regions of their own."""

    def __init__(self, cseq: Any, dim: int = 0, lengths: Any = None) -> None:
        self.cseq, self.dim = list(cseq), dim
        self.lengths = [1] * len(self.cseq) if lengths is None else list(lengths)

    @property
    def is_discrete(self) -> bool:  # type: ignore[override]
        """Whether any part is."""
        return any(c.is_discrete for c in self.cseq)

    @property
    def event_dim(self) -> int:  # type: ignore[override]
        """The greatest of the parts."""
        return max(c.event_dim for c in self.cseq)

    def check(self, value: Any) -> Any:
        parts, start = [], 0
        for c, n in zip(self.cseq, self.lengths, strict=True):
            parts.append(c.check(value.narrow(self.dim, start, n)))
            start += n
        return mt.cat(parts, self.dim)


class _Stack(_Cat):
    """Slices along one dimension in regions of their own."""

    def __init__(self, cseq: Any, dim: int = 0) -> None:
        super().__init__(cseq, dim)

    @property
    def event_dim(self) -> int:  # type: ignore[override]
        """The greatest of the parts, and the dimension itself if it belongs to the event."""
        dim = max(c.event_dim for c in self.cseq)
        return dim + 1 if self.dim + dim < 0 else dim

    def check(self, value: Any) -> Any:
        return mt.stack([c.check(value.select(self.dim, i)) for i, c in enumerate(self.cseq)], self.dim)


class MixtureSameFamilyConstraint(Constraint):
    """What a sample of a mixture satisfies: any component's region (`base_constraint` of the components, checked for each)."""

    def __init__(self, base_constraint: Any) -> None:
        self.base_constraint = base_constraint

    @property
    def is_discrete(self) -> bool:  # type: ignore[override]
        """As the components."""
        return self.base_constraint.is_discrete

    @property
    def event_dim(self) -> int:  # type: ignore[override]
        """As the components."""
        return self.base_constraint.event_dim

    def check(self, value: Any) -> Any:
        result = self.base_constraint.check(value.unsqueeze(-1 - self.event_dim))
        return result.all(-1)

    def __repr__(self) -> str:
        return f"MixtureSameFamilyConstraint({self.base_constraint!r})"


def _lower(x: Any) -> Any:
    return (x.tril() == x).reshape(*x.shape[:-2], -1).all(-1)


def _positive_diagonal(x: Any) -> Any:
    return (x.diagonal(dim1=-2, dim2=-1) > 0).all(-1)


def _unit_rows(x: Any) -> Any:
    length = (x * x).sum(-1).sqrt()
    return (abs(length - 1) < 1e-4 * x.shape[-1]).all(-1) if x.dtype.itemsize < 8 else (abs(length - 1) < 1e-8 * x.shape[-1]).all(-1)


def _symmetric(x: Any) -> Any:
    if x.shape[-1] != x.shape[-2]:
        return mt.zeros(tuple(x.shape[:-2]), dtype=mt.bool)
    return mt.isclose(x, x.mT, atol=1e-6).reshape(*x.shape[:-2], -1).all(-1)


def _semidefinite(x: Any) -> Any:

    return _symmetric(x) & (linalg.eigvalsh(x) >= 0).all(-1)


def _definite(x: Any) -> Any:

    return _symmetric(x) & (linalg.cholesky_ex(x).info == 0)


dependent = _Dependent()
independent = _Independent
boolean = _Test("Boolean()", lambda x: (x == 0) | (x == 1), is_discrete=True)
one_hot = _Test("OneHot()", lambda x: ((x == 0) | (x == 1)).all(-1) & (x.sum(-1) == 1), 1, True)
nonnegative_integer = _IntegerGreaterThan(0)
positive_integer = _IntegerGreaterThan(1)
integer_interval = _IntegerInterval
real = _Test("Real()", lambda x: x == x)
real_vector = independent(real, 1)
positive = _GreaterThan(0.0)
nonnegative = _GreaterThanEq(0.0)
greater_than = _GreaterThan
greater_than_eq = _GreaterThanEq
less_than = _LessThan
multinomial = _Multinomial
unit_interval = _Interval(0.0, 1.0)
interval = _Interval
half_open_interval = _HalfOpenInterval
simplex = _Test("Simplex()", lambda x: (x >= 0).all(-1) & (abs(x.sum(-1) - 1) < 1e-6), 1)
lower_triangular = _Test("LowerTriangular()", _lower, 2)
lower_cholesky = _Test("LowerCholesky()", lambda x: _lower(x) & _positive_diagonal(x), 2)
corr_cholesky = _Test("CorrCholesky()", lambda x: _lower(x) & _positive_diagonal(x) & _unit_rows(x), 2)
square = _Test("Square()", lambda x: mt.full(tuple(x.shape[:-2]), x.shape[-1] == x.shape[-2], dtype=mt.bool), 2)
symmetric = _Test("Symmetric()", _symmetric, 2)
positive_semidefinite = _Test("PositiveSemidefinite()", _semidefinite, 2)
positive_definite = _Test("PositiveDefinite()", _definite, 2)
cat = _Cat
stack = _Stack

__all__ = [
    "Constraint",
    "MixtureSameFamilyConstraint",
    "boolean",
    "cat",
    "corr_cholesky",
    "dependent",
    "dependent_property",
    "greater_than",
    "greater_than_eq",
    "half_open_interval",
    "independent",
    "integer_interval",
    "interval",
    "is_dependent",
    "less_than",
    "lower_cholesky",
    "lower_triangular",
    "multinomial",
    "nonnegative",
    "nonnegative_integer",
    "one_hot",
    "positive",
    "positive_definite",
    "positive_integer",
    "positive_semidefinite",
    "real",
    "real_vector",
    "simplex",
    "square",
    "stack",
    "symmetric",
    "unit_interval",
]
