"""Products, convolutions, pooling, normalisation, attention and losses."""

from __future__ import annotations

from parity.cases.describe import Case, Input, floats, integers
from parity.frames import FLOATS, HALVES

SUMS = 4.0    # these add up dozens of products, each framework in its own order


def case(text: str, *inputs: Input, dtypes=FLOATS, grad=True, **more) -> Case:
    return Case(text, eval(f"lambda t, x, *r: ({text})".replace("F.", "t.nn.functional.")), inputs, dtypes, grad, **{"loosen": SUMS, **more})


def shaped(*shape: int) -> Input:
    return floats(*shape, low=-2, high=2)


PRODUCTS = [
    case("x @ r[0]", shaped(*a), shaped(*b), dtypes=(*FLOATS, *HALVES) if len(a) == 2 else FLOATS)
    for a, b in (
        ((3, 4), (4, 5)), ((4,), (4,)), ((3, 4), (4,)), ((4,), (4, 5)), ((2, 3, 4), (4, 5)), ((2, 3, 4), (2, 4, 5)), ((2, 1, 3, 4), (5, 4, 2)),
        ((4,), (2, 4, 3)), ((2, 3, 4), (4,)), ((3, 0), (0, 4)), ((0, 3), (3, 2)), ((3, 4), (5, 4)), ((), (3,)), ((17, 33), (33, 65)),
    )
] + [
    case("x @ r[0]", floats(3, 4), floats(4, 5), dtypes=("int64", "int32"), grad=False),
    case("t.mm(x, r[0])", shaped(3, 4), shaped(4, 5)),
    case("t.mm(x, r[0])", shaped(3), shaped(3, 5)),
    case("t.mv(x, r[0])", shaped(3, 4), shaped(4)),
    case("t.dot(x, r[0])", shaped(4), shaped(4)),
    case("t.outer(x, r[0])", shaped(4), shaped(3)),
    case("t.bmm(x, r[0])", shaped(2, 3, 4), shaped(2, 4, 5)),
    case("t.bmm(x, r[0])", shaped(2, 3, 4), shaped(3, 4, 5)),
    case("t.addmm(x, r[0], r[1])", shaped(5), shaped(3, 4), shaped(4, 5)),
    case("t.addmm(x, r[0], r[1], beta=0.5, alpha=2)", shaped(3, 5), shaped(3, 4), shaped(4, 5)),
    case("t.baddbmm(x, r[0], r[1])", shaped(2, 3, 5), shaped(2, 3, 4), shaped(2, 4, 5)),
    *[
        case(f"t.einsum({equation!r}, x, *r)", *(shaped(*shape) for shape in shapes))
        for equation, shapes in (
            ("ij,jk->ik", ((3, 4), (4, 5))), ("bij,bjk->bik", ((2, 3, 4), (2, 4, 5))), ("ij->ji", ((3, 4),)), ("ij->", ((3, 4),)),
            ("ii->i", ((3, 3),)), ("ii", ((3, 3),)), ("i,j->ij", ((3,), (4,))), ("bhqd,bhkd->bhqk", ((2, 2, 3, 4), (2, 2, 5, 4))),
            ("...ij,...jk->...ik", ((2, 3, 4), (4, 5))), ("ij,jk,kl->il", ((2, 3), (3, 4), (4, 2))), ("ij,jk", ((3, 4), (5, 5))),
        )
    ],
    case("F.linear(x, r[0])", shaped(3, 4), shaped(5, 4), dtypes=(*FLOATS, *HALVES)),
    case("F.linear(x, r[0], r[1])", shaped(2, 3, 4), shaped(5, 4), shaped(5)),
    case("F.linear(x, r[0], r[1])", shaped(4), shaped(5, 4), shaped(5)),
    case("F.linear(x, r[0])", shaped(3, 4), shaped(5, 3)),
    case("F.bilinear(x, r[0], r[1])", shaped(3, 4), shaped(3, 5), shaped(2, 4, 5)),
    case("t.tensordot(x, r[0], dims=2)", shaped(2, 3, 4), shaped(3, 4, 5)),
    case("t.cdist(x, r[0])", shaped(3, 4), shaped(5, 4)),
]

CONVOLUTIONS = [
    case("F.conv2d(x, r[0])", shaped(2, 3, 6, 7), shaped(4, 3, 3, 3)),
    case("F.conv2d(x, r[0], r[1], stride=2, padding=1)", shaped(2, 3, 7, 6), shaped(4, 3, 3, 3), shaped(4)),
    case("F.conv2d(x, r[0], None, (1, 2), (0, 1), (2, 1))", shaped(1, 2, 9, 8), shaped(3, 2, 3, 2)),
    case("F.conv2d(x, r[0], groups=2)", shaped(2, 4, 5, 5), shaped(6, 2, 3, 3)),
    case("F.conv2d(x, r[0], groups=4, padding=1)", shaped(2, 4, 5, 5), shaped(4, 1, 3, 3)),
    case("F.conv2d(x, r[0], padding='same')", shaped(2, 3, 5, 5), shaped(4, 3, 3, 3)),
    case("F.conv2d(x, r[0], padding='valid')", shaped(2, 3, 5, 5), shaped(4, 3, 1, 1)),
    case("F.conv2d(x, r[0], r[1])", shaped(3, 6, 7), shaped(4, 3, 3, 3), shaped(4)),
    case("F.conv2d(x, r[0])", shaped(0, 3, 6, 7), shaped(4, 3, 3, 3)),
    case("F.conv2d(x, r[0])", shaped(2, 5, 6, 7), shaped(4, 3, 3, 3)),
    case("F.conv2d(x, r[0])", shaped(2, 3, 2, 2), shaped(4, 3, 3, 3)),
    case("F.conv1d(x, r[0], r[1], padding=2)", shaped(2, 3, 9), shaped(4, 3, 5), shaped(4)),
    case("F.conv1d(x, r[0], stride=3, dilation=2)", shaped(2, 3, 15), shaped(4, 3, 3)),
    case("F.conv_transpose2d(x, r[0])", shaped(2, 3, 4, 5), shaped(3, 4, 3, 3)),
    case("F.conv_transpose2d(x, r[0], r[1], stride=2, padding=1, output_padding=1)", shaped(2, 3, 4, 5), shaped(3, 4, 3, 3), shaped(4)),
    case("F.conv_transpose2d(x, r[0], groups=2, dilation=2)", shaped(1, 4, 4, 4), shaped(4, 3, 2, 2)),
    case("F.conv_transpose1d(x, r[0], stride=2)", shaped(2, 3, 6), shaped(3, 4, 3)),
    case("F.unfold(x, 3, padding=1)", shaped(2, 3, 5, 5)),
]

POOLING = [
    case("F.max_pool2d(x, 2)", shaped(2, 3, 6, 8)),
    case("F.max_pool2d(x, 3, stride=2, padding=1)", shaped(2, 3, 7, 7)),
    case("F.max_pool2d(x, (2, 3), stride=(2, 1), dilation=(2, 1))", shaped(1, 2, 7, 8)),
    case("F.max_pool2d(x, 2, ceil_mode=True)", shaped(1, 2, 5, 7)),
    case("F.max_pool2d(x, 2, return_indices=True)", shaped(1, 2, 4, 6)),
    case("F.max_pool2d(x, 2)", shaped(3, 4, 4)),
    case("F.max_pool2d(x, 2, padding=2)", shaped(1, 2, 5, 5)),
    case("F.max_pool1d(x, 2)", shaped(2, 3, 7)),
    case("F.avg_pool2d(x, 2)", shaped(2, 3, 6, 8)),
    case("F.avg_pool2d(x, 3, stride=2, padding=1)", shaped(2, 3, 7, 7)),
    case("F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False)", shaped(2, 3, 7, 7)),
    case("F.avg_pool2d(x, 2, ceil_mode=True)", shaped(1, 2, 5, 7)),
    case("F.avg_pool1d(x, 3, padding=1)", shaped(2, 3, 9)),
    case("F.adaptive_avg_pool2d(x, 1)", shaped(2, 3, 5, 7)),
    case("F.adaptive_avg_pool2d(x, (3, 2))", shaped(2, 3, 7, 5)),
    case("F.adaptive_avg_pool2d(x, (None, 2))", shaped(2, 3, 4, 5)),
    case("F.adaptive_avg_pool1d(x, 3)", shaped(2, 3, 7)),
    case("F.adaptive_max_pool2d(x, 2)", shaped(2, 3, 5, 5)),
    case("F.interpolate(x, scale_factor=2)", shaped(1, 2, 3, 4)),
    case("F.interpolate(x, size=(5, 7), mode='bilinear', align_corners=False)", shaped(1, 2, 3, 4)),
    case("F.pixel_shuffle(x, 2)", shaped(1, 8, 3, 3)),
]

NORMS = [
    case("F.layer_norm(x, (6,))", shaped(3, 6)),
    case("F.layer_norm(x, (4, 5), r[0], r[1])", shaped(3, 4, 5), shaped(4, 5), shaped(4, 5)),
    case("F.layer_norm(x, (5,))", shaped(3, 6)),
    case("F.layer_norm(x, (6,), eps=0.1)", shaped(3, 6)),
    case("F.group_norm(x, 2)", shaped(2, 4, 3, 3)),
    case("F.group_norm(x, 2, r[0], r[1])", shaped(2, 4, 5), shaped(4), shaped(4)),
    case("F.group_norm(x, 3)", shaped(2, 4, 5)),
    case("F.instance_norm(x)", shaped(2, 3, 5, 5)),
    case("F.rms_norm(x, (6,))", shaped(3, 6)),
    case("F.rms_norm(x, (6,), r[0], 1e-5)", shaped(3, 6), shaped(6)),
    case("F.batch_norm(x, None, None, training=True)", shaped(5, 3)),
    case("F.batch_norm(x, None, None, r[0], r[1], training=True)", shaped(4, 3, 5, 5), shaped(3), shaped(3), loosen=8.0),
    case("F.batch_norm(x, r[0], r[1].abs() + 0.5)", shaped(4, 3, 2), shaped(3), shaped(3), grad=False),
    case("F.batch_norm(x, None, None, training=True)", shaped(1, 3)),
]

ATTENTION = [
    case("F.scaled_dot_product_attention(x, r[0], r[1])", *[shaped(2, 2, 5, 4)] * 3),
    case("F.scaled_dot_product_attention(x, r[0], r[1], is_causal=True)", *[shaped(2, 2, 5, 4)] * 3),
    case("F.scaled_dot_product_attention(x, r[0], r[1])", shaped(2, 3, 4), shaped(2, 7, 4), shaped(2, 7, 6)),
    case("F.scaled_dot_product_attention(x, r[0], r[1], attn_mask=r[2] > 0)", *[shaped(2, 5, 4)] * 3, shaped(5, 5), grad=False),
    case("F.scaled_dot_product_attention(x, r[0], r[1], attn_mask=r[2])", *[shaped(2, 5, 4)] * 3, shaped(5, 5)),
    case("F.scaled_dot_product_attention(x, r[0], r[1], scale=0.3)", *[shaped(2, 5, 4)] * 3),
]

TARGET = integers(6, high=4)
LOSSES = [
    case("F.cross_entropy(x, r[0])", shaped(6, 5), TARGET, dtypes=(*FLOATS, "bfloat16")),
    case("F.cross_entropy(x, r[0], reduction='none')", shaped(6, 5), TARGET),
    case("F.cross_entropy(x, r[0], reduction='sum', label_smoothing=0.1)", shaped(6, 5), TARGET),
    case("F.cross_entropy(x, r[0], ignore_index=2)", shaped(6, 5), TARGET),
    case("F.cross_entropy(x, r[0], weight=r[1].abs())", shaped(6, 5), TARGET, shaped(5), grad=False),
    case("F.cross_entropy(x, r[0].softmax(-1))", shaped(6, 5), shaped(6, 5)),
    case("F.cross_entropy(x, r[0])", shaped(2, 5, 3), integers(2, 3, high=4)),
    case("F.cross_entropy(x, r[0])", shaped(5), integers(high=4)),
    case("F.cross_entropy(x, r[0])", shaped(6, 5), integers(5, high=4)),
    case("F.cross_entropy(x, r[0])", shaped(6, 5), integers(6, low=9, high=9)),
    case("F.nll_loss(x.log_softmax(1), r[0])", shaped(6, 5), TARGET),
    case("F.nll_loss(x.log_softmax(1), r[0], reduction='sum')", shaped(6, 5), TARGET),
    case("F.mse_loss(x, r[0])", shaped(6, 5), shaped(6, 5), dtypes=(*FLOATS, *HALVES)),
    case("F.mse_loss(x, r[0], reduction='none')", shaped(6, 5), shaped(6, 5)),
    case("F.l1_loss(x, r[0])", shaped(6, 5), shaped(6, 5)),
    case("F.smooth_l1_loss(x, r[0], beta=0.5)", shaped(6, 5), shaped(6, 5)),
    case("F.huber_loss(x, r[0], delta=0.7)", shaped(6, 5), shaped(6, 5)),
    case("F.binary_cross_entropy_with_logits(x, r[0].sigmoid())", shaped(6, 5), shaped(6, 5)),
    case("F.binary_cross_entropy_with_logits(x, r[0].sigmoid(), pos_weight=t.tensor(2.0, dtype=x.dtype))", shaped(6, 5), shaped(6, 5)),
    case("F.binary_cross_entropy(x.sigmoid(), r[0].sigmoid())", shaped(6, 5), shaped(6, 5)),
    case("F.kl_div(x.log_softmax(1), r[0].softmax(1), reduction='batchmean')", shaped(6, 5), shaped(6, 5)),
    case("F.dropout(x, 0.0)", shaped(6, 5)),
    case("F.dropout(x, 0.5, training=False)", shaped(6, 5)),
    case("F.dropout(x, 1.0)", shaped(6, 5)),
    case("F.dropout(x, 1.5)", shaped(6, 5)),
    case("F.glu(x)", shaped(6, 4)),
    case("F.prelu(x, r[0])", shaped(2, 3, 4), shaped(3)),
]

CASES = [*PRODUCTS, *CONVOLUTIONS, *POOLING, *NORMS, *ATTENTION, *LOSSES]
