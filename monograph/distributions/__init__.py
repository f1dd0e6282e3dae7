"""torch.distributions: distributions with samples, densities, entropies and divergences. See README.md.

>>> import monograph as mg
>>> p, q = mg.distributions.Normal(0.0, 1.0), mg.distributions.Normal(1.0, 1.0)
>>> mg.distributions.kl_divergence(p, q).item()
0.5
"""

from __future__ import annotations

from monograph.distributions import constraint_registry, constraints, kl, transforms
from monograph.distributions.categorical import Categorical, Multinomial, OneHotCategorical, OneHotCategoricalStraightThrough
from monograph.distributions.compound import Independent, MixtureSameFamily, TransformedDistribution
from monograph.distributions.constraint_registry import biject_to, transform_to
from monograph.distributions.continuous import Cauchy, Exponential, Gumbel, HalfCauchy, Laplace, VonMises
from monograph.distributions.continuous_bernoulli import ContinuousBernoulli
from monograph.distributions.discrete import Bernoulli, Binomial, Geometric, NegativeBinomial, Poisson
from monograph.distributions.distribution import Distribution, ExponentialFamily
from monograph.distributions.elementwise_transforms import (
    AbsTransform,
    AffineTransform,
    CumulativeDistributionTransform,
    ExpTransform,
    PowerTransform,
    SigmoidTransform,
    SoftplusTransform,
    TanhTransform,
)
from monograph.distributions.gamma_family import Beta, Chi2, Dirichlet, FisherSnedecor, Gamma, InverseGamma, StudentT
from monograph.distributions.kl import kl_divergence, register_kl
from monograph.distributions.multivariate import LKJCholesky, LowRankMultivariateNormal, MultivariateNormal, Wishart
from monograph.distributions.normal import HalfNormal, LogisticNormal, LogNormal, Normal, Uniform
from monograph.distributions.powers import GeneralizedPareto, Kumaraswamy, Pareto, Weibull
from monograph.distributions.relaxed import LogitRelaxedBernoulli, RelaxedBernoulli, RelaxedOneHotCategorical
from monograph.distributions.transforms import ComposeTransform, IndependentTransform, ReshapeTransform, Transform, identity_transform
from monograph.distributions.vector_transforms import (
    CatTransform,
    CorrCholeskyTransform,
    LowerCholeskyTransform,
    PositiveDefiniteTransform,
    SoftmaxTransform,
    StackTransform,
    StickBreakingTransform,
)

for _name, _value in list(globals().items()):
    if isinstance(_value, type) and issubclass(_value, Transform):
        setattr(transforms, _name, _value)  # torch has them all in one module

__all__ = sorted(
    [name for name, value in globals().items() if isinstance(value, type) and not name.startswith("_")]
    + [
        "biject_to",
        "constraint_registry",
        "constraints",
        "identity_transform",
        "kl",
        "kl_divergence",
        "register_kl",
        "transform_to",
        "transforms",
    ]
)
