"""Differences that random calls meet and that are meant, by a pattern of the call and what is said of it."""

from __future__ import annotations

KNOWN = {
    r"linalg\.(eigh|eig|svd|qr)\(|\.(svd|qr)\(": "vectors are unique up to their sign (or a phase)",
    r"linalg\.(solve_ex|inv_ex|lu_factor_ex)\(.*nan": "of a singular matrix each library leaves what it had when it found out",
    r"output with shape .* \(out=\)": "`out=` that is a view of another size: torch resizes its memory, ours belongs to the whole",
    r"sparse_cs[rc] needs two sparse dimensions": "batches of compressed matrices are not built",
    r"LU without pivoting": "not built for the CPU there either, unless there is nothing to do",
    r"modified_bessel_|special\.(bessel|airy|zeta)\w*\(.*2 results against 1": "torch knows no gradient of these functions, monograph does",
}
