"""Ready parametrisations: orthogonal matrices, weight normalisation, spectral normalisation."""

from __future__ import annotations

from enum import Enum, auto
from typing import Any

from monograph.core.modes import no_grad
from monograph.linalg import householder_product, matrix_exp, qr, solve
from monograph.nn import functional as F
from monograph.nn.module import Module
from monograph.nn.utils import parametrize
from monograph.nn.utils.reparametrize import norm_except_dim
from monograph.tensor import FUNCTIONS, Tensor
from monograph.tensor.dispatch import assign


class _OrthMaps(Enum):
    matrix_exp = auto()
    cayley = auto()
    householder = auto()


class _Orthogonal(Module):
    """An orthogonal (or, if it is not square, semi-orthogonal) matrix from any matrix."""

    base: Tensor

    def __init__(self, weight: Any, orthogonal_map: _OrthMaps, *, use_trivialization: bool = True) -> None:
        super().__init__()
        if weight.is_complex() and orthogonal_map is _OrthMaps.householder:
            raise ValueError("The householder parametrization does not support complex tensors.")
        self.shape = weight.shape
        self.orthogonal_map = orthogonal_map
        if use_trivialization:
            self.register_buffer("base", None)

    def forward(self, X: Any) -> Any:
        """The orthogonal matrix of X."""
        n, k = X.size(-2), X.size(-1)
        transposed = n < k
        if transposed:
            X = X.mT
            n, k = k, n
        if self.orthogonal_map is _OrthMaps.householder:
            A = X.tril(-1)
            tau = 2.0 / (1.0 + (A * A).sum(-2))
            Q = householder_product(A, tau)
            Q = Q * X.diagonal(dim1=-2, dim2=-1).int().unsqueeze(-2)  # signs: no gradient
        else:
            X = X.tril()
            if n != k:
                X = FUNCTIONS["cat"]([X, X.new_zeros((*X.shape[:-2], n, n - k))], -1)
            A = X - X.mT
            if self.orthogonal_map is _OrthMaps.matrix_exp:
                Q = matrix_exp(A)
            else:
                one = FUNCTIONS["eye"](n, dtype=A.dtype)
                Q = solve(one + A * -0.5, one + A * 0.5)
            if n != k:
                Q = Q[..., :k]
        base = self._buffers.get("base")
        if base is not None:
            Q = base @ Q
        return Q.mT if transposed else Q

    def right_inverse(self, Q: Any) -> Any:
        """A matrix that gives Q, if Q is orthogonal; the base that moves zero to Q, where there is one."""
        if tuple(Q.shape) != tuple(self.shape):
            raise ValueError(
                f"Expected a matrix or batch of matrices of shape {tuple(self.shape)}. Got a tensor of shape {tuple(Q.shape)}."
            )
        start = Q
        n, k = Q.size(-2), Q.size(-1)
        transpose = n < k
        if transpose:
            Q = Q.mT
            n, k = k, n
        if "base" not in self._buffers:
            if self.orthogonal_map is not _OrthMaps.householder:
                raise NotImplementedError(
                    "It is not possible to assign to the matrix exponential or the Cayley parametrizations when use_trivialization=False."
                )
            A, tau = _reflectors(Q)
            A.diagonal(dim1=-2, dim2=-1).sign_()
            A.diagonal(dim1=-2, dim2=-1)[tau == 0.0] *= -1
            return A.mT if transpose else A
        if n == k:
            Q = Q.clone() if _is_orthogonal(Q) else _make_orthogonal(Q)
        else:
            N = FUNCTIONS["randn"]((*Q.shape[:-2], n, n - k), dtype=Q.dtype)
            Q = _make_orthogonal(FUNCTIONS["cat"]([Q, N], -1))
        self.base = Q
        neg_id = FUNCTIONS["zeros_like"](start)
        neg_id.diagonal(dim1=-2, dim2=-1).fill_(-1.0)
        return neg_id


def _is_orthogonal(Q: Any) -> bool:
    n, k = Q.size(-2), Q.size(-1)
    return bool(FUNCTIONS["allclose"](Q.mT @ Q, FUNCTIONS["eye"](k, dtype=Q.dtype), atol=10 * n * FUNCTIONS["finfo"](Q.dtype).eps))


def _make_orthogonal(A: Any) -> Any:
    """A matrix with orthonormal columns near A: its QR factor with the signs of R's diagonal."""
    Q, R = qr(A)
    return Q * R.diagonal(dim1=-2, dim2=-1).sign().unsqueeze(-2)


def _reflectors(Q: Any) -> tuple[Any, Any]:
    """(below the diagonal the Householder vectors, above it R; tau) of a matrix: LAPACK's geqrf."""
    A, taus = Q.clone(), []
    for j in range(Q.shape[-1]):
        x = A[..., j:, j]
        alpha, tail = x[..., 0], x[..., 1:]
        rest = (tail * tail).sum(-1)
        beta = -FUNCTIONS["copysign"]((alpha * alpha + rest).sqrt(), alpha)
        trivial = rest == 0
        tau = FUNCTIONS["where"](trivial, 0.0, (beta - alpha) / FUNCTIONS["where"](trivial, 1.0, beta))
        scaled = tail / FUNCTIONS["where"](trivial, 1.0, alpha - beta).unsqueeze(-1)
        v = FUNCTIONS["cat"]([FUNCTIONS["ones_like"](alpha).unsqueeze(-1), scaled], -1)
        block = A[..., j:, j + 1 :]
        if block.shape[-1]:
            A[..., j:, j + 1 :] = block - tau[..., None, None] * v.unsqueeze(-1) * (v.unsqueeze(-2) @ block)
        A[..., j, j] = FUNCTIONS["where"](trivial, alpha, beta)
        A[..., j + 1 :, j] = scaled
        taus.append(tau)
    return A, FUNCTIONS["stack"](taus, -1)


def orthogonal(module: Any, name: str = "weight", orthogonal_map: str | None = None, *, use_trivialization: bool = True) -> Module:
    """Keeps a matrix (or a batch of them) orthogonal: through "matrix_exp", "cayley" or "householder". Returns the module.

    >>> import monograph as mg
    >>> layer = mg.nn.utils.parametrizations.orthogonal(mg.nn.Linear(3, 3))
    >>> mg.allclose(layer.weight @ layer.weight.t(), mg.eye(3), atol=1e-5)
    True
    """
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    if weight.ndim < 2:
        raise ValueError(f"Expected a matrix or batch of matrices. Got a tensor of {weight.ndim} dimensions.")
    if orthogonal_map is None:
        orthogonal_map = "matrix_exp" if weight.shape[-2] == weight.shape[-1] or weight.dtype.kind == "c" else "householder"
    if orthogonal_map not in _OrthMaps.__members__:
        raise ValueError(f'orthogonal_map has to be one of "matrix_exp", "cayley", "householder". Got: {orthogonal_map}')
    made = _Orthogonal(weight, _OrthMaps[orthogonal_map], use_trivialization=use_trivialization)
    parametrize.register_parametrization(module, name, made, unsafe=True)
    return module


class _WeightNorm(Module):
    """weight = g * v / |v|."""

    def __init__(self, dim: int | None = 0) -> None:
        super().__init__()
        self.dim = dim if dim != -1 else None

    def forward(self, weight_g: Any, weight_v: Any) -> Any:
        """The weight of its size and its direction."""
        return weight_v * (weight_g / norm_except_dim(weight_v, self.dim))

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """(size, direction) of a weight."""
        return norm_except_dim(weight, self.dim), weight


def weight_norm(module: Any, name: str = "weight", dim: int | None = 0) -> Module:
    """Splits a weight into size (`parametrizations.<name>.original0`) and direction (`original1`). Returns the module.

    States saved with the older `nn.utils.weight_norm` (<name>_g, <name>_v) are read too.
    """
    parametrize.register_parametrization(module, name, _WeightNorm(dim), unsafe=True)

    def old_names(
        state_dict: Any, prefix: str, local_metadata: Any, strict: bool, missing_keys: Any, unexpected_keys: Any, error_msgs: Any
    ) -> None:
        g_key, v_key = f"{prefix}{name}_g", f"{prefix}{name}_v"
        if g_key in state_dict and v_key in state_dict:
            state_dict[f"{prefix}parametrizations.{name}.original0"] = state_dict.pop(g_key)
            state_dict[f"{prefix}parametrizations.{name}.original1"] = state_dict.pop(v_key)

    module._register_load_state_dict_pre_hook(old_names)
    return module


class _SpectralNorm(Module):
    """weight / its largest singular value, found by power iteration while training."""

    _u: Tensor
    _v: Tensor

    def __init__(self, weight: Any, n_power_iterations: int = 1, dim: int = 0, eps: float = 1e-12) -> None:
        super().__init__()
        if dim >= weight.ndim or dim < -weight.ndim:
            raise IndexError(f"Dimension out of range (expected to be in range of [-{weight.ndim}, {weight.ndim - 1}] but got {dim})")
        if n_power_iterations <= 0:
            raise ValueError(f"Expected n_power_iterations to be positive, but got n_power_iterations={n_power_iterations}")
        self.dim = dim if dim >= 0 else dim + weight.ndim
        self.eps = eps
        if weight.ndim > 1:
            self.n_power_iterations = n_power_iterations
            matrix = self._matrix(weight)
            h, w = matrix.size()
            u, v = FUNCTIONS["randn"](h, dtype=matrix.dtype), FUNCTIONS["randn"](w, dtype=matrix.dtype)
            self.register_buffer("_u", F.normalize(u, dim=0, eps=eps))
            self.register_buffer("_v", F.normalize(v, dim=0, eps=eps))
            self._power_method(matrix, 15)

    def _matrix(self, weight: Any) -> Any:
        if self.dim != 0:
            weight = weight.permute(self.dim, *[d for d in range(weight.ndim) if d != self.dim])
        return weight.flatten(1)

    def _power_method(self, matrix: Any, n_power_iterations: int) -> None:
        with no_grad():
            for _ in range(n_power_iterations):
                assign(self._u, F.normalize(matrix @ self._v, dim=0, eps=self.eps))
                assign(self._v, F.normalize(matrix.mT @ self._u, dim=0, eps=self.eps))

    def forward(self, weight: Any) -> Any:
        """The normalised weight."""
        if weight.ndim == 1:
            return F.normalize(weight, dim=0, eps=self.eps)
        matrix = self._matrix(weight)
        if self.training:
            self._power_method(matrix, self.n_power_iterations)
        u, v = FUNCTIONS["clone"](self._u), FUNCTIONS["clone"](self._v)
        return weight / (u * (matrix @ v)).sum()

    def right_inverse(self, value: Tensor) -> Tensor:
        """The value itself."""
        return value


def spectral_norm(module: Any, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None) -> Module:
    """Divides a weight by its largest singular value. Returns the module."""
    weight = getattr(module, name, None)
    if not isinstance(weight, Tensor):
        raise ValueError(f"Module '{module}' has no parameter or buffer with name '{name}'")
    if dim is None:
        dim = 1 if getattr(module, "transposed", False) else 0
    parametrize.register_parametrization(module, name, _SpectralNorm(weight, n_power_iterations, dim, eps))
    return module


__all__ = ["orthogonal", "spectral_norm", "weight_norm"]
