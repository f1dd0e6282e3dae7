"""Functions of a weight matrix: linear, bilinear, embedding, embedding_bag, one_hot."""

from __future__ import annotations

from monograph.core.dtype import int32, int64
from monograph.core.errors import ArgumentError
from monograph.core.modes import no_grad
from monograph.ops import contraction, index
from monograph.tensor import Tensor, arange, einsum, ones, where, zeros
from monograph.tensor.delivery import deliver
from monograph.tensor.dispatch import apply


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None, *, out: Tensor | None = None) -> Tensor:
    """x Aᵀ + b: input [..., in], weight [out, in], bias [out]."""
    if out is not None:
        return deliver(linear(input, weight, bias), out, exact=True)
    if bias is None:
        return apply(contraction.linear, input, weight)
    return apply(contraction.linear, input, weight, bias)


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x1ᵀ A x2 + b: inputs [..., in1] and [..., in2], weight [out, in1, in2], bias [out]."""
    y = einsum("...i,oij,...j->...o", input1, weight, input2)
    return y if bias is None else y + bias


def _limit_norms(weight: Tensor, used: Tensor, max_norm: float, norm_type: float) -> None:
    """Scales the rows that are looked up and longer than max_norm down to it, in place."""
    with no_grad():
        hit = zeros(weight.shape[0]).index_fill(0, used.reshape(-1).long(), 1.0) > 0
        norms = weight.detach().norm(norm_type, 1)
        factor = where(hit & (norms > max_norm), max_norm / (norms + 1e-7), 1.0)
        weight.mul_(factor.unsqueeze(1).to(weight.dtype))


def _shared_gradient(rows: Tensor, labels: Tensor, n: int) -> Tensor:
    """The rows, with gradients divided by how often each label occurs."""
    flat = labels.reshape(-1).long()
    counts = zeros(n, dtype=rows.dtype).index_add(0, flat, ones(flat.shape[0], dtype=rows.dtype))
    scaled = rows / counts.index_select(0, flat).reshape(labels.shape).unsqueeze(-1)
    return scaled + (rows - scaled).detach()


def embedding(
    input: Tensor, weight: Tensor, padding_idx: int | None = None, max_norm: float | None = None, norm_type: float = 2.0,
    scale_grad_by_freq: bool = False, sparse: bool = False,
) -> Tensor:  # fmt: skip
    """The rows of `weight` [num, dim] at the indices `input` [*]: [*, dim]. Row `padding_idx` gets no gradient."""
    if padding_idx is not None:
        n = weight.shape[0]
        if not -n <= padding_idx < n:
            raise AssertionError("Padding_idx must be within num_embeddings")
        padding_idx = padding_idx + n if padding_idx < 0 else padding_idx
    if max_norm is not None:
        _limit_norms(weight, input, max_norm, norm_type)
    rows = apply(index.embedding, weight, input, padding_idx=padding_idx)
    return _shared_gradient(rows, input, weight.shape[0]) if scale_grad_by_freq else rows


def embedding_bag(
    input: Tensor, weight: Tensor, offsets: Tensor | None = None, max_norm: float | None = None, norm_type: float = 2,
    scale_grad_by_freq: bool = False, mode: str = "mean", sparse: bool = False, per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False, padding_idx: int | None = None,
) -> Tensor:  # fmt: skip
    """Sum, mean or maximum of the rows of each bag: a row of a 2-d `input`, or the stretch of a 1-d one from one offset to the next."""
    if mode not in ("sum", "mean", "max"):
        raise ArgumentError("mode has to be one of sum, mean or max")
    if per_sample_weights is not None and per_sample_weights.shape != input.shape:
        raise ArgumentError(
            f"embedding_bag: If per_sample_weights ({list(per_sample_weights.shape)}) is not None, then it must have the same shape as "
            f"the input ({list(input.shape)})"
        )
    if per_sample_weights is not None and mode != "sum":
        raise NotImplementedError(
            f"embedding_bag: per_sample_weights was not None. per_sample_weights is only supported for mode='sum' (got mode='{mode}')."
        )
    if input.ndim == 2:
        if offsets is not None:
            raise ArgumentError("if input is 2D, then offsets has to be None, as input is treated as a mini-batch of bags of one length")
        bags, per_bag = input.shape
        ids = arange(bags).unsqueeze(1).expand(bags, per_bag).reshape(-1)
        flat = input.reshape(-1)
    elif input.ndim == 1:
        if offsets is None:
            raise ArgumentError("offsets has to be a 1D Tensor but got None")
        if offsets.ndim != 1:
            raise ArgumentError("offsets has to be a 1D Tensor")
        starts = offsets[:-1] if include_last_offset else offsets
        bags, flat = starts.shape[0], input
        ids = (arange(input.shape[0]).unsqueeze(1) >= starts.unsqueeze(0)).sum(1) - 1
    else:
        raise ArgumentError(f"input has to be 1D or 2D Tensor, but got Tensor of dimension {input.ndim}")
    rows = embedding(flat, weight, padding_idx, max_norm, norm_type, scale_grad_by_freq, sparse)
    if padding_idx is not None:
        counted = (flat != (padding_idx + weight.shape[0] if padding_idx < 0 else padding_idx)).to(rows.dtype)
    else:
        counted = ones(flat.shape[0], dtype=rows.dtype)
    if mode == "max":
        return _bag_maxima(rows, ids, counted, bags)
    scaled = rows * counted.unsqueeze(1)
    if per_sample_weights is not None:
        scaled = scaled * per_sample_weights.reshape(-1).unsqueeze(1)
    total = zeros((bags, weight.shape[1]), dtype=rows.dtype).index_add(0, ids, scaled)
    if mode == "sum":
        return total
    sizes = zeros(bags, dtype=rows.dtype).index_add(0, ids, counted)
    return total / sizes.clamp(min=1).unsqueeze(1)


def _bag_maxima(rows: Tensor, ids: Tensor, counted: Tensor, bags: int) -> Tensor:
    """The maximum of each bag, 0 for an empty one."""
    shown = where((counted > 0).unsqueeze(1), rows, float("-inf"))
    least = zeros((bags, rows.shape[1]), dtype=rows.dtype) - float("inf")
    top = least.scatter_reduce(0, ids.unsqueeze(1).expand(*rows.shape), shown, "amax")
    return where(top == float("-inf"), 0.0, top)


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """Rows of zeros with a 1 at the class, int64; -1 classes: as many as the largest class needs."""
    if tensor.dtype not in (int64, int32):
        raise RuntimeError("one_hot is only applicable to index tensor of type LongTensor.")
    if num_classes == -1:
        if tensor.numel() == 0:
            raise RuntimeError("Can not infer total number of classes from empty tensor.")
        num_classes = int(tensor.max().item()) + 1
    return apply(index.one_hot, tensor, num_classes=num_classes)
