"""From constraints to transforms of the real numbers: `biject_to` one to one, `transform_to` in whatever way suits optimisation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from monograph.distributions import constraints
from monograph.distributions import elementwise_transforms as e
from monograph.distributions import transforms as t
from monograph.distributions import vector_transforms as v


class ConstraintRegistry:
    """Calling it with a constraint gives a Transform whose codomain it is.

    >>> import monograph as mg
    >>> D = mg.distributions
    >>> D.biject_to(D.constraints.positive)(mg.tensor(0.0)).item()
    1.0
    """

    def __init__(self) -> None:
        self._makers: dict[type, Callable[[Any], Any]] = {}

    def register(self, constraint: Any, factory: Any = None) -> Any:
        """Tells what makes the transform for a class of constraints (or the class of the constraint given)."""
        if factory is None:
            return lambda function: self.register(constraint, function)
        kind = type(constraint) if isinstance(constraint, constraints.Constraint) else constraint
        if not isinstance(kind, type) or not issubclass(kind, constraints.Constraint):
            raise TypeError(f"Expected constraint to be either a Constraint subclass or instance, but got {constraint}")
        self._makers[self._key(constraint)] = factory
        return factory

    @staticmethod
    def _key(constraint: Any) -> Any:
        """Regions that are told by a test alone are known by their name."""
        return (
            repr(constraint)
            if isinstance(constraint, constraints._Test)
            else (type(constraint) if isinstance(constraint, constraints.Constraint) else constraint)
        )

    def __call__(self, constraint: Any) -> Any:
        try:
            make = self._makers[self._key(constraint)]
        except KeyError:
            raise NotImplementedError(f"Cannot transform {type(constraint).__name__} constraints") from None
        return make(constraint)


biject_to = ConstraintRegistry()
transform_to = ConstraintRegistry()


def _interval(constraint: Any) -> Any:
    lower, upper = constraint.lower_bound, constraint.upper_bound
    if isinstance(lower, int | float) and isinstance(upper, int | float) and lower == 0 and upper == 1:
        return e.SigmoidTransform()
    return t.ComposeTransform([e.SigmoidTransform(), e.AffineTransform(lower, upper - lower)])


def _above(constraint: Any) -> Any:
    if isinstance(constraint.lower_bound, int | float) and constraint.lower_bound == 0:
        return e.ExpTransform()
    return t.ComposeTransform([e.ExpTransform(), e.AffineTransform(constraint.lower_bound, 1)])


for _registry in (biject_to, transform_to):
    _registry.register(constraints.real, lambda c: t.identity_transform)
    _registry.register(constraints.greater_than, _above)
    _registry.register(constraints.greater_than_eq, _above)
    _registry.register(constraints.less_than, lambda c: t.ComposeTransform([e.ExpTransform(), e.AffineTransform(c.upper_bound, -1)]))
    _registry.register(constraints.interval, _interval)
    _registry.register(constraints.half_open_interval, _interval)
    _registry.register(constraints.lower_cholesky, lambda c: v.LowerCholeskyTransform())
    _registry.register(constraints.positive_definite, lambda c: v.PositiveDefiniteTransform())
    _registry.register(constraints.positive_semidefinite, lambda c: v.PositiveDefiniteTransform())
    _registry.register(constraints.corr_cholesky, lambda c: v.CorrCholeskyTransform())

biject_to.register(constraints.simplex, lambda c: v.StickBreakingTransform())
transform_to.register(constraints.simplex, lambda c: v.SoftmaxTransform())
biject_to.register(constraints.independent, lambda c: t.IndependentTransform(biject_to(c.base_constraint), c.reinterpreted_batch_ndims))
transform_to.register(
    constraints.independent, lambda c: t.IndependentTransform(transform_to(c.base_constraint), c.reinterpreted_batch_ndims)
)
biject_to.register(constraints.cat, lambda c: v.CatTransform([biject_to(p) for p in c.cseq], c.dim, c.lengths))
transform_to.register(constraints.cat, lambda c: v.CatTransform([transform_to(p) for p in c.cseq], c.dim, c.lengths))
biject_to.register(constraints.stack, lambda c: v.StackTransform([biject_to(p) for p in c.cseq], c.dim))
transform_to.register(constraints.stack, lambda c: v.StackTransform([transform_to(p) for p in c.cseq], c.dim))
