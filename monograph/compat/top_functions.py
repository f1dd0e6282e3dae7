"""What torch has at its top besides: functions of `nn.functional` in the signatures of its C++, methods as functions, and a few of its own.

`monograph.NAME` asks here when nothing else has the name.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from monograph.nn import functional as F
from monograph.tensor import FUNCTIONS, Tensor, arange

REDUCTIONS = ("none", "mean", "sum")

# The same signature as in nn.functional.
SAME = frozenset(
    "adaptive_avg_pool1d avg_pool1d bilinear celu channel_shuffle conv1d conv2d conv3d conv_transpose1d conv_transpose2d conv_transpose3d "
    "cosine_similarity hardshrink max_pool1d max_pool2d max_pool3d pairwise_distance pdist pixel_shuffle pixel_unshuffle prelu rms_norm "
    "rrelu selu threshold max_pool1d_with_indices max_pool2d_with_indices".split()
)
# nn.functional's losses: how many tensors they take, and what comes after these, the reduction as a number among it.
BY_NUMBER: dict[str, tuple[int, tuple[str, ...]]] = {
    "binary_cross_entropy_with_logits": (2, ("weight", "pos_weight", "reduction")),
    "cosine_embedding_loss": (3, ("margin", "reduction")),
    "ctc_loss": (4, ("blank", "reduction", "zero_infinity")),
    "hinge_embedding_loss": (2, ("margin", "reduction")),
    "kl_div": (2, ("reduction",)),
    "margin_ranking_loss": (3, ("margin", "reduction")),
    "poisson_nll_loss": (2, ("log_input", "full", "eps", "reduction")),
    "triplet_margin_loss": (3, ("margin", "p", "eps", "swap", "reduction")),
}
# Names that are methods of Tensor and no functions of `monograph` yet.
METHODS = frozenset(
    "detach detach_ dequantize index_put_ is_nonzero is_same_size is_signed is_inference is_distributed get_device swapdims_".split()
)


def _by_number(name: str, operands: int, names: tuple[str, ...]) -> Callable[..., Any]:
    function = getattr(F, name)

    def named(*args: Any, **kwargs: Any) -> Any:
        if len(args) > operands + len(names):
            raise TypeError(f"{name}() takes at most {operands + len(names)} arguments, got {len(args)}")
        kwargs.update(zip(names, args[operands:], strict=False))
        reduction = kwargs.pop("reduction", 0)  # torch's signatures say 1, its functions do nothing of the kind
        if not isinstance(reduction, int):
            kind = type(reduction).__name__
            raise TypeError(f"{name}(): argument 'reduction' must be int, not {kind}: 0 for none, 1 for mean, 2 for sum")
        chosen = REDUCTIONS[reduction] if 0 <= reduction < len(REDUCTIONS) else "none"
        return function(*args[:operands], reduction=chosen, **kwargs)

    named.__name__ = name
    named.__doc__ = f"`nn.functional.{name}` with the reduction as a number: 0 none (also the default), 1 mean, 2 sum."
    return named


def embedding(weight: Tensor, indices: Tensor, padding_idx: int = -1, scale_grad_by_freq: bool = False, sparse: bool = False) -> Tensor:
    """`nn.functional.embedding` with the table first."""
    return F.embedding(indices, weight, None if padding_idx == -1 else padding_idx, None, 2.0, scale_grad_by_freq, sparse)


def dropout(input: Tensor, p: float, train: bool) -> Tensor:  # noqa: A002
    """`nn.functional.dropout`."""
    return F.dropout(input, p, train)


def alpha_dropout(input: Tensor, p: float, train: bool) -> Tensor:  # noqa: A002
    """`nn.functional.alpha_dropout`."""
    return F.alpha_dropout(input, p, train)


def feature_alpha_dropout(input: Tensor, p: float, train: bool) -> Tensor:  # noqa: A002
    """`nn.functional.feature_alpha_dropout`."""
    return F.feature_alpha_dropout(input, p, train)


def feature_dropout(input: Tensor, p: float, train: bool) -> Tensor:  # noqa: A002
    """Whole channels become 0: `nn.functional.dropout2d` for any number of dimensions."""
    if not train or p == 0:
        return input
    keep = F.dropout(input.new_ones((*input.shape[:2], *(1,) * (input.ndim - 2))), p, True)
    return input * keep


def batch_norm(
    input: Tensor, weight: Tensor | None, bias: Tensor | None, running_mean: Tensor | None, running_var: Tensor | None,  # noqa: A002
    training: bool, momentum: float, eps: float, cudnn_enabled: bool = False,
) -> Tensor:  # fmt: skip
    """`nn.functional.batch_norm`."""
    return F.batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)


def instance_norm(
    input: Tensor, weight: Tensor | None, bias: Tensor | None, running_mean: Tensor | None, running_var: Tensor | None,  # noqa: A002
    use_input_stats: bool, momentum: float, eps: float, cudnn_enabled: bool = False,
) -> Tensor:  # fmt: skip
    """`nn.functional.instance_norm`."""
    return F.instance_norm(input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps)


def layer_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5,  # noqa: A002
    cudnn_enable: bool = True,
) -> Tensor:  # fmt: skip
    """`nn.functional.layer_norm`."""
    return F.layer_norm(input, normalized_shape, weight, bias, eps)


def group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5,  # noqa: A002
    cudnn_enabled: bool = True,
) -> Tensor:  # fmt: skip
    """`nn.functional.group_norm`."""
    return F.group_norm(input, num_groups, weight, bias, eps)


def adaptive_max_pool1d(input: Tensor, output_size: Any) -> tuple[Tensor, Tensor]:  # noqa: A002
    """`nn.functional.adaptive_max_pool1d` with the indices."""
    return F.adaptive_max_pool1d(input, output_size, True)


def affine_grid_generator(theta: Tensor, size: Sequence[int], align_corners: bool) -> Tensor:
    """`nn.functional.affine_grid`."""
    return F.affine_grid(theta, size, align_corners)


def frobenius_norm(input: Tensor, dim: Any = (), keepdim: bool = False) -> Tensor:  # noqa: A002
    """The root of the sum of squares, over all elements or dimensions."""
    dims = (dim,) if isinstance(dim, int) else tuple(dim)
    return FUNCTIONS["norm"](input, 2, dims or None, keepdim)


def norm_except_dim(v: Tensor, pow: int = 2, dim: int = 0) -> Tensor:  # noqa: A002
    """Norms over all dimensions but one, which keep their places: weight normalisation divides by them.

    >>> import monograph as mg
    >>> norm_except_dim(mg.full((2, 4), 1.0)).tolist()
    [[2.0], [2.0]]
    """
    if dim == -1:
        return FUNCTIONS["norm"](v, pow)
    dim %= v.ndim
    return FUNCTIONS["norm"](v, pow, [d for d in range(v.ndim) if d != dim], True) if v.ndim > 1 else v.abs()


def inclusive_range(start: Any, end: Any = None, step: Any = 1, **kwargs: Any) -> Tensor:
    """torch.range: numbers from `start` to `end`, which is the last one if the step meets it; float32 unless a dtype is given.

    >>> inclusive_range(1, 4).tolist()
    [1.0, 2.0, 3.0, 4.0]
    """
    if end is None:
        start, end = 0, start
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if (end - start) / step < 0:
        raise RuntimeError(f"upper bound and lower bound inconsistent with step sign: start {start}, end {end}, step {step}")
    count = math.floor((end - start) / step) + 1
    made = arange(count, dtype=kwargs.pop("dtype", None) or FUNCTIONS["get_default_dtype"](), **kwargs)
    return made * step + start


def _gates(x: Tensor, h: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None, b_hh: Tensor | None) -> tuple[Tensor, Tensor]:
    return F.linear(x, w_ih, b_ih), F.linear(h, w_hh, b_hh)


def rnn_tanh_cell(
    input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None, b_hh: Tensor | None = None  # noqa: A002
) -> Tensor:  # fmt: skip
    """The next state of `nn.RNNCell`: input [B, I], hx [B, H], w_ih [H, I], w_hh [H, H]."""
    x, h = _gates(input, hx, w_ih, w_hh, b_ih, b_hh)
    return (x + h).tanh()


def rnn_relu_cell(
    input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None, b_hh: Tensor | None = None  # noqa: A002
) -> Tensor:  # fmt: skip
    """`rnn_tanh_cell` with relu."""
    x, h = _gates(input, hx, w_ih, w_hh, b_ih, b_hh)
    return (x + h).relu()


def gru_cell(
    input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None, b_hh: Tensor | None = None  # noqa: A002
) -> Tensor:  # fmt: skip
    """The next state of `nn.GRUCell`: input [B, I], hx [B, H], w_ih [3H, I], w_hh [3H, H]."""
    x, h = _gates(input, hx, w_ih, w_hh, b_ih, b_hh)
    (xr, xz, xn), (hr, hz, hn) = x.chunk(3, -1), h.chunk(3, -1)
    z, n = (xz + hz).sigmoid(), (xn + (xr + hr).sigmoid() * hn).tanh()
    return n + z * (hx - n)


def lstm_cell(
    input: Tensor, hx: Sequence[Tensor], w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None, b_hh: Tensor | None = None  # noqa: A002
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """The next (hidden, cell) of `nn.LSTMCell`: input [B, I], hx ([B, H], [B, H]), w_ih [4H, I], w_hh [4H, H]."""
    x, h = _gates(input, hx[0], w_ih, w_hh, b_ih, b_hh)
    i, f, g, o = (x + h).chunk(4, -1)
    cell = f.sigmoid() * hx[1] + i.sigmoid() * g.tanh()
    return o.sigmoid() * cell.tanh(), cell


def detach_copy(input: Tensor) -> Tensor:  # noqa: A002
    """A copy off the tape."""
    return input.detach().clone()


@lru_cache(1)
def _own() -> dict[str, Callable[..., Any]]:
    public = {name: thing for name, thing in globals().items() if callable(thing) and not name.startswith("_")}
    return {name: thing for name, thing in public.items() if getattr(thing, "__module__", "") == __name__ and name != "top_function"}


def _from_method(name: str) -> Callable[..., Any]:
    method = getattr(Tensor, name)

    def function(input: Tensor, *args: Any, **kwargs: Any) -> Any:  # noqa: A002
        if not isinstance(input, Tensor):
            raise TypeError(f"{name}(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}")
        return method(input, *args, **kwargs)

    function.__name__ = name
    function.__doc__ = f"`Tensor.{name}` as a function."
    return function


@lru_cache(None)
def top_function(name: str) -> Any:
    """torch's function of that name, None for what is not served here."""
    if not re.fullmatch(r"[a-z]\w*", name):
        return None
    name = "inclusive_range" if name == "range" else name
    if name in _own():
        return _own()[name]
    if name in SAME:
        return getattr(F, name)
    if name in BY_NUMBER:
        return _by_number(name, *BY_NUMBER[name])
    if name in METHODS or (name.endswith("_") and not name.endswith("__") and hasattr(Tensor, name)):
        return _from_method(name) if hasattr(Tensor, name) else None
    return getattr(F, name) if name.endswith("_") and hasattr(F, name) else None
