"""Which ops compute in the low dtype under `amp.autocast`, and which insist on float32. As torch's lists for the CPU."""

from __future__ import annotations

from collections.abc import Sequence

from monograph.core.dtype import dtype as DType
from monograph.core.dtype import float32, float64, promote
from monograph.graph.node import Node
from monograph.graph.op import OpDef
from monograph.ops import elementwise

LOW = frozenset("matmul linear addmm baddbmm conv conv_transpose einsum scaled_dot_product_attention multi_head_attention prelu".split())
SINGLE = frozenset(
    (
        "mse_loss l1_loss smooth_l1_loss huber_loss nll_loss cross_entropy cross_entropy_probs bce_loss bce_with_logits kl_div "
        "soft_margin_loss ctc_loss poisson_nll_loss prod cumprod quantile cdist trace grid_sample fft rfft irfft cholesky qr svd eigh "
        "solve lu inverse det lstsq"
    ).split()
)
WIDEST = frozenset(("cat", "stack", "index_copy"))
FIRST = frozenset(("add",))  # reaches the dispatcher with two dtypes only where a layer adds its bias to a result in the low dtype
MIXED = frozenset(("layer_norm", "rms_norm", "group_norm", "batch_norm_training", "batch_norm_inference"))


def mixed(inputs: Sequence[Node]) -> bool:
    """Whether low values meet parameters in float32."""
    return inputs[0].dtype.itemsize == 2 and any(n.dtype is float32 for n in inputs[1:])


def cast_inputs(op: OpDef, inputs: Sequence[Node], low: DType) -> tuple[Node, ...]:
    """The inputs of an op in the dtype that autocasting to `low` asks for. float64, integers and bools stay as they are."""
    name = op.name
    if name in LOW:
        return tuple([_cast(n, low) for n in inputs])
    if name in SINGLE:
        return tuple([_cast(n, float32) for n in inputs])
    if name in WIDEST or name in FIRST:
        floating = [n.dtype for n in inputs if n.dtype.kind == "f"]
        if len(floating) == len(inputs) and any(d is not floating[0] for d in floating):
            to = floating[0]
            for d in floating[1:] if name in WIDEST else ():
                to = promote(to, d)
            return tuple([n if n.dtype is to else elementwise.cast(n, dtype=to) for n in inputs])
    return tuple(inputs)


def _cast(n: Node, to: DType) -> Node:
    d = n.dtype
    return n if d is to or d.kind != "f" or d is float64 else elementwise.cast(n, dtype=to)
