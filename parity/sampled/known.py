"""What is not compared, and where monograph differs from PyTorch on purpose or for now: patterns, and why.

Both lists are held to be exact: an entry of `KNOWN` that matches no disagreement of the fixed run fails the test.
"""

from __future__ import annotations

import dataclasses
import re

# Ops whose names are PyTorch's internals, or which need a layout or machine that monograph does not have. Full match of the op's name.
NOT_COMPARED = {
    r"torch\.ops\..*|_native_batch_norm_legit|_batch_norm_with_update|_softmax_backward_data|_unsafe_masked_index.*|_chunk_cat|"
    r"_segment_reduce.*|_upsample_bilinear2d_aa|native_dropout_backward|max_pool2d_with_indices_backward|torch\._scaled_mm.*|slice":
        "aten's internals, not part of torch's public interface",
    r"jiterator.*": "compiles CUDA source text",
    r"sparse\..*|to_sparse": "sparse layouts",
    r"chalf": "complex32: two half-precision numbers, which no processor computes with",
    r"hash_tensor": "an undocumented checksum of bits",
}  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Known:
    """Disagreements of ops whose name, dtype, check and message match (regular expressions, full match; the message: search)."""

    op: str
    reason: str
    check: str = ".*"
    dtype: str = ".*"
    message: str = ""
    in_fixed_run: bool = True  # False: seen with more samples or dtypes than `test_sampled.py` takes

    def matches(self, op: str, dtype: str, check: str, verdict: str) -> bool:
        return bool(
            re.fullmatch(self.op, op)
            and re.fullmatch(self.dtype, dtype)
            and re.fullmatch(self.check, check)
            and re.search(self.message, verdict)
        )


KNOWN: tuple[Known, ...] = (
    Known(r"special\.bessel_(j0|y1)", "torch's own series are good to 6e-6 there; ours agree with SciPy's to 1e-13", dtype="float64",
          message="value", in_fixed_run=False),
    Known(r"polygamma\[.*", "at its poles, negative whole numbers, torch gives what the sine of a rounded multiple of pi leaves; inf here",
          dtype="u?int.*|bool", message="value.*monograph inf", in_fixed_run=False),
    Known(r"linalg\.norm\[subgradients_at_zero\]", "torch's second derivative of a norm at zero is NaN; 0 here", "second", message="value",
          in_fixed_run=False),
    Known("matrix_exp", "torch's polynomial overflows in float16; computed in float64 and rounded here", dtype="float16", message="value",
          in_fixed_run=False),
    Known(r"nn\.functional\.adaptive_avg_pool1d", "an empty batch of integers or complex numbers passes there, one with elements does not",
          "unlisted", message="raises", in_fixed_run=False),
    Known(r"nn\.functional\.dropout3d", "in place without a batch and nothing to drop: torch counts its own reshaping as two writes",
          "inplace", message="version"),
    Known(
        "index_fill", "an index that occurs twice: torch's gradient of the value counts the element twice, which was written once",
        "gradient", message="value", in_fixed_run=False,
    ),
    Known(r"fft\.ihfft[2n]", "of one dimension only, torch's `out=` is not written", "out", message="(value|shape): ", in_fixed_run=False),
    Known("diff", "n = 0 with something prepended: torch's `out=` takes any dtype then", "out", message="raises", in_fixed_run=False),
    Known("native_group_norm", "torch's kernel refuses what is not contiguous; ours does not", "strided", message="no error",
          in_fixed_run=False),
    Known("as_strided_scatter", "torch's gradient goes to what was overwritten and not to the rest; its own gradcheck of it is expected to "
          "fail", "gradient", message="value"),
)  # fmt: skip


def not_compared(op: str) -> str:
    """Why an op is left out ("" if it is not)."""
    return next((reason for pattern, reason in NOT_COMPARED.items() if re.fullmatch(pattern, op)), "")


def known(op: str, dtype: str, check: str, verdict: str) -> Known | None:
    return next((k for k in KNOWN if k.matches(op, dtype, check, verdict)), None)
