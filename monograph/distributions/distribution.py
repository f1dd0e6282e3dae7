"""The base of all distributions: shapes, validation, and what every distribution answers."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from monograph.core.modes import no_grad
from monograph.distributions import constraints
from monograph.distributions.parameters import holds, lazy_property
from monograph.distributions.tensors import mt
from monograph.tensor.core import Size, Tensor


class Distribution:
    """A batch of distributions over events: `batch_shape` of independent ones, each over tensors of `event_shape`.

    A subclass gives `arg_constraints`, `support`, and as many of sample, rsample, log_prob, entropy, cdf, icdf, mean, variance, mode as
    it has. Parameters and values are checked (`validate_args`), which looks at them; a capture and `vmap` skip that.
    """

    has_rsample = False
    has_enumerate_support = False
    _validate_args = True
    arg_constraints: ClassVar[Any] = {}
    support: Any = None
    _kept: ClassVar[tuple[str, ...]] = ()  # parameters that `expand` expands, with the dims of one event each in `arg_constraints`

    @staticmethod
    def set_default_validate_args(value: bool) -> None:
        """Whether distributions made from now on check their parameters and values."""
        if value not in (True, False):
            raise ValueError
        Distribution._validate_args = value

    def __init__(self, batch_shape: Any = (), event_shape: Any = (), validate_args: bool | None = None) -> None:
        self._batch_shape, self._event_shape = Size(batch_shape), Size(event_shape)
        if validate_args is not None:
            self._validate_args = validate_args
        if self._validate_args:
            self._check_parameters()

    def _check_parameters(self) -> None:
        for name, constraint in self.arg_constraints.items():
            if constraints.is_dependent(constraint):
                continue
            if name not in self.__dict__ and isinstance(getattr(type(self), name, None), lazy_property):
                continue
            value = getattr(self, name)
            if not holds(constraint.check(value)):
                raise ValueError(
                    f"Expected parameter {name} ({type(value).__name__} of shape {tuple(value.shape)}) of distribution {self!r} "
                    f"to satisfy the constraint {constraint!r}, but found invalid values:\n{value}"
                )

    # ---- shapes ----
    @property
    def batch_shape(self) -> Size:
        """The shape of the parameters: independent distributions."""
        return self._batch_shape

    @property
    def event_shape(self) -> Size:
        """The shape of one sample of one distribution."""
        return self._event_shape

    def _extended_shape(self, sample_shape: Any = ()) -> Size:
        """The shape of samples."""
        return Size((*sample_shape, *self._batch_shape, *self._event_shape))

    def expand(self, batch_shape: Any, _instance: Any = None) -> Any:
        """The same distribution with its parameters expanded to `batch_shape`."""
        new = self._get_checked_instance(type(self), _instance)
        batch_shape = Size(batch_shape)
        for name in self._kept or tuple(self.arg_constraints):
            if name in self.__dict__:
                value = self.__dict__[name]
                constraint = self.arg_constraints.get(name)
                event = constraint.event_dim if constraint is not None else 0
                new.__dict__[name] = value.expand(*batch_shape, *value.shape[value.ndim - event :])
        self._complete(new)
        Distribution.__init__(new, batch_shape, self._event_shape, validate_args=False)
        new._validate_args = self._validate_args
        return new

    def _complete(self, new: Any) -> None:
        """Gives an expanded copy what is neither parameter nor shape."""

    def _get_checked_instance(self, cls: type, _instance: Any = None) -> Any:
        if _instance is None and type(self).__init__ is not cls.__init__:  # type: ignore[misc]
            raise NotImplementedError(
                f"Subclass {type(self).__name__} of {cls.__name__} that defines a custom __init__ method "
                "must also define a custom .expand() method."
            )
        return type(self).__new__(type(self)) if _instance is None else _instance

    # ---- answers ----
    @property
    def mean(self) -> Any:
        """The mean."""
        raise NotImplementedError

    @property
    def mode(self) -> Any:
        """The most probable value."""
        raise NotImplementedError(f"{type(self)} does not implement mode")

    @property
    def variance(self) -> Any:
        """The variance."""
        raise NotImplementedError

    @property
    def stddev(self) -> Any:
        """The standard deviation."""
        return self.variance.sqrt()

    def sample(self, sample_shape: Any = ()) -> Any:
        """Samples of shape `sample_shape + batch_shape + event_shape`, off the tape."""
        with no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: Any = ()) -> Any:
        """Samples that are differentiable functions of the parameters."""
        raise NotImplementedError

    def sample_n(self, n: int) -> Any:
        """n samples."""
        return self.sample((n,))

    def log_prob(self, value: Any) -> Any:
        """The logarithm of the density (or probability) at `value`."""
        raise NotImplementedError

    def cdf(self, value: Any) -> Any:
        """The probability of a sample up to `value`."""
        raise NotImplementedError

    def icdf(self, value: Any) -> Any:
        """The value up to which a sample lies with probability `value`."""
        raise NotImplementedError

    def enumerate_support(self, expand: bool = True) -> Any:
        """All values of a discrete distribution along a new first dimension."""
        raise NotImplementedError

    def entropy(self) -> Any:
        """The entropy, in nats."""
        raise NotImplementedError

    def perplexity(self) -> Any:
        """exp(entropy)."""
        return self.entropy().exp()

    # ---- checks ----
    def _validate_sample(self, value: Any) -> None:
        if not isinstance(value, Tensor):
            raise ValueError("The value argument to log_prob must be a Tensor")
        event_start = value.ndim - len(self._event_shape)
        if tuple(value.shape[max(event_start, 0) :]) != tuple(self._event_shape):
            raise ValueError(
                f"The right-most size of value must match event_shape: {tuple(value.shape)} vs {tuple(self._event_shape)} "
                f"of {type(self).__name__}."
            )
        full = (*self._batch_shape, *self._event_shape)
        for i, j in zip(reversed(tuple(value.shape)), reversed(full), strict=False):
            if i not in (1, j) and j != 1:
                raise ValueError(f"Value is not broadcastable with batch_shape+event_shape: {tuple(value.shape)} vs {tuple(full)}.")
        try:
            support = self.support
        except NotImplementedError:
            return
        if support is None or constraints.is_dependent(support):
            return
        if not holds(support.check(value)):
            raise ValueError(
                f"Expected value argument ({type(value).__name__} of shape {tuple(value.shape)}) "
                f"to be within the support ({support!r}) of the distribution {self!r}, but found invalid values:\n{value}"
            )

    def __repr__(self) -> str:
        names = [k for k in self.arg_constraints if k in self.__dict__]
        shown = [f"{p}: {self.__dict__[p] if self.__dict__[p].numel() == 1 else tuple(self.__dict__[p].shape)}" for p in names]
        return f"{type(self).__name__}({', '.join(shown)})"


class ExponentialFamily(Distribution):
    """A distribution whose density is exp(<natural parameters, statistics> - log normaliser) times a carrier."""


LOG_TWO_PI = math.log(2 * math.pi)
EULER = 0.5772156649015329


def drawn(like: Any, shape: Any, normal: bool = False) -> Any:
    """Uniform (or standard normal) numbers of a shape, of the dtype of `like`."""
    return (mt.randn if normal else mt.rand)(tuple(shape), dtype=like.dtype)


def drawn_open(like: Any, shape: Any) -> Any:
    """Uniform numbers of (0, 1): no logarithm of them is infinite."""
    return drawn(like, shape).clamp(min=mt.finfo(like.dtype).tiny)
