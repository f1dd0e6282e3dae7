"""Floor 2: the vocabulary. One family of ops a file, every op one record. See README.md.

Every op is here under its own name. Where an op bears the name of its file
(`conv`, `cross_entropy`, `einsum`, `index`, `sort`, `source`) the name is the module, and the op is in it.
"""
# ruff: noqa: I001, RUF022 - one line for each file of ops

from __future__ import annotations

from monograph.ops import einsum
from monograph.ops.activation import (
    addcdiv, addcmul, celu, clamp, elu, gaussian_gate, gelu, hardsigmoid, hardswish, hardtanh, leaky_relu, lerp, log_sigmoid, mish, relu6,
    selu, silu, softplus, softsign, tanhshrink,
)  # fmt: skip
from monograph.ops.adaptive_pool import adaptive_avg_pool, adaptive_max_pool
from monograph.ops.attention import scaled_dot_product_attention
from monograph.ops.batch_norm import batch_norm_inference, batch_norm_training
from monograph.ops.compare import (
    bitwise_and, bitwise_not, bitwise_or, bitwise_xor, eq, ge, gt, isfinite, isinf, isnan, le, left_shift, logical_and, logical_not,
    logical_or, logical_xor, lt, ne, nonzero_divisor, right_shift, signbit,
)  # fmt: skip
from monograph.ops.complex_parts import angle, bitcast, conj, sgn
from monograph.ops.contraction import addmm, dot, linear, matmul, outer
from monograph.ops.conv import conv_backward_input, conv_backward_weight, conv_transpose
from monograph.ops.cross_entropy import cross_entropy_probs, nll_loss
from monograph.ops.elementwise import (
    abs, acos, acosh, add, asin, asinh, atan, atan2, atanh, cast, ceil, copysign, cos, cosh, div, erf, erfc, erfinv, exp, exp2, expm1,
    floor, floor_divide, fmax, fmin, fmod, frac, hypot, log, log10, log1p, log2, maximum, minimum, mul, neg, pow, reciprocal, relu,
    relu_backward, remainder, round, rsqrt, sigmoid, sigmoid_backward, sign, sin, sinh, sqrt, square, sub, tan, tanh, tanh_backward,
    trunc, where,
)  # fmt: skip
from monograph.ops.index import embedding, index_add, index_put, index_select, one_hot
from monograph.ops.loss import bce_loss, bce_with_logits, huber_loss, kl_div, l1_loss, mse_loss, smooth_l1_loss
from monograph.ops.movement import cat, flip, repeat, roll, stack, tril, triu
from monograph.ops.number_parts import frexp, gcd, nextafter, searchsorted
from monograph.ops.norm import group_norm, layer_norm, log_softmax, rms_norm, softmax
from monograph.ops.optim import adam_update, sgd_update
from monograph.ops.pool import avg_pool, avg_pool_backward, max_pool, max_pool_backward
from monograph.ops.random import bernoulli, dropout, random_int, random_normal, random_permutation, random_uniform
from monograph.ops.reduce import all, amax, amin, any, argmax, argmin, logsumexp, mean, prod, std, sum, var
from monograph.ops.scan import cummax, cummin, cumprod, cumsum, logcumsumexp
from monograph.ops.scattering import gather, scatter, scatter_add, scatter_reduce
from monograph.ops.sort import topk
from monograph.ops.source import arange, clone, detach, full, leaf, project, revalued, scalar
from monograph.ops.strided import as_strided
from monograph.ops.upsample import upsample_bilinear, upsample_nearest
from monograph.ops.views import diagonal, expand, pad, permute, reshape, slice, slice_scatter, unfold

__all__ = [
    "abs", "acos", "acosh", "adam_update", "adaptive_avg_pool", "adaptive_max_pool", "add", "addcdiv", "addcmul", "addmm", "all",
    "amax", "amin", "angle", "any", "arange", "argmax", "argmin", "as_strided", "asin", "asinh", "atan", "atan2", "atanh", "avg_pool",
    "avg_pool_backward", "batch_norm_inference", "batch_norm_training", "bce_loss", "bce_with_logits", "bernoulli", "bitcast",
    "bitwise_and", "bitwise_not", "bitwise_or", "bitwise_xor", "cast", "cat", "ceil", "celu", "clamp", "clone", "conj",
    "conv_backward_input", "conv_backward_weight", "conv_transpose", "copysign", "cos", "cosh", "cross_entropy_probs", "cummax",
    "cummin", "cumprod", "cumsum", "detach", "diagonal", "div", "dot", "dropout", "einsum", "elu", "embedding", "eq", "erf", "erfc",
    "erfinv", "exp", "exp2", "expand", "expm1", "flip", "floor", "floor_divide", "fmax", "fmin", "fmod", "frac", "frexp", "full",
    "gather", "gaussian_gate", "gcd", "ge", "gelu", "group_norm", "gt", "hardsigmoid", "hardswish", "hardtanh", "huber_loss", "hypot",
    "index_add", "index_put", "index_select", "isfinite", "isinf", "isnan", "kl_div", "l1_loss", "layer_norm", "le", "leaf", "leaky_relu",
    "left_shift", "lerp", "linear", "log", "log10", "log1p", "log2", "log_sigmoid", "log_softmax", "logcumsumexp", "logical_and",
    "logical_not", "logical_or", "logical_xor", "logsumexp", "lt", "matmul", "max_pool", "max_pool_backward", "maximum", "mean",
    "minimum", "mish", "mse_loss", "mul", "ne", "neg", "nextafter", "nll_loss", "nonzero_divisor", "one_hot", "outer", "pad", "permute",
    "pow", "prod", "project", "random_int", "random_normal", "random_permutation", "random_uniform", "reciprocal", "relu", "relu6",
    "relu_backward", "remainder", "repeat", "reshape", "revalued", "right_shift", "rms_norm", "roll", "round", "rsqrt", "scalar",
    "scaled_dot_product_attention", "scatter", "scatter_add", "scatter_reduce", "searchsorted", "selu", "sgd_update", "sgn", "sigmoid",
    "sigmoid_backward", "sign", "signbit", "silu", "sin", "sinh", "slice", "slice_scatter", "smooth_l1_loss", "softmax", "softplus",
    "softsign", "sqrt", "square", "stack", "std", "sub", "sum", "tan", "tanh", "tanh_backward", "tanhshrink", "topk", "tril", "triu",
    "trunc", "unfold", "upsample_bilinear", "upsample_nearest", "var", "where",
]  # fmt: skip
