"""torch.linalg: factorizations, systems of equations, norms. float32 and float64, batched, differentiable (general eigenvalues are not).

What a value can refuse (a singular matrix) is computed when it is asked for, so that errors come at the caller's line.

>>> import monograph as mg
>>> mg.linalg.det(mg.tensor([[1.0, 2.0], [3.0, 4.0]])).item()
-2.0
"""

from __future__ import annotations

from monograph.linalg.checks import LinAlgError
from monograph.linalg.decompositions import (
    cholesky,
    cholesky_ex,
    eig,
    eigh,
    eigvals,
    eigvalsh,
    householder_product,
    ldl_factor,
    ldl_factor_ex,
    ldl_solve,
    lu,
    lu_factor,
    lu_factor_ex,
    lu_unpack,
    qr,
    svd,
    svdvals,
)
from monograph.linalg.norms import cond, matrix_norm, matrix_rank, norm, vector_norm
from monograph.linalg.products import cross, diagonal, matmul, multi_dot, vander, vecdot
from monograph.linalg.solving import (
    cholesky_inverse,
    cholesky_solve,
    det,
    inv,
    inv_ex,
    logdet,
    lstsq,
    lu_solve,
    matrix_exp,
    matrix_power,
    pinv,
    slogdet,
    solve,
    solve_ex,
    solve_triangular,
    tensorinv,
    tensorsolve,
)
from monograph.tensor.foreign import all_refuse_foreign as _refuse_foreign

__all__ = [
    "LinAlgError",
    "cholesky",
    "cholesky_ex",
    "cholesky_inverse",
    "cholesky_solve",
    "cond",
    "cross",
    "det",
    "diagonal",
    "eig",
    "eigh",
    "eigvals",
    "eigvalsh",
    "householder_product",
    "inv",
    "inv_ex",
    "ldl_factor",
    "ldl_factor_ex",
    "ldl_solve",
    "logdet",
    "lstsq",
    "lu",
    "lu_factor",
    "lu_factor_ex",
    "lu_solve",
    "lu_unpack",
    "matmul",
    "matrix_exp",
    "matrix_norm",
    "matrix_power",
    "matrix_rank",
    "multi_dot",
    "norm",
    "pinv",
    "qr",
    "slogdet",
    "solve",
    "solve_ex",
    "solve_triangular",
    "svd",
    "svdvals",
    "tensorinv",
    "tensorsolve",
    "vander",
    "vecdot",
    "vector_norm",
]

_refuse_foreign(globals(), names=__all__)
