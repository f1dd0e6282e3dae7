"""Which attentions this target computes whole, and how: one kernel each way, without a matrix of scores in memory."""

from __future__ import annotations

from typing import Any

from monograph.core.dtype import bool_
from monograph.core.shape import contiguous_strides, numel
from monograph.graph.node import Node
from monograph.ops import attention
from monograph.passes.views import View
from monograph.targets.cpu.heavy_lowering import FLOATS, Heavy, rule
from monograph.targets.cpu.steps import PlannedStep, Ref
from monograph.targets.llvm.kernels.attention import AttentionSpec
from monograph.targets.llvm.kernels.attention_plan import plan_attention
from monograph.targets.llvm.kernels.call import BufferRef
from monograph.targets.llvm.kernels.gemm_plan import Matrix

FEWEST_QUERIES = 8  # below, rows times matrices are as fast, and cut finer
FEWEST_KEYS = 8
FEWEST_BATCHES = 4  # of the backward pass, whose units are whole batch elements
LARGEST_SIZE = 256  # of a head: packed keys and values of one lie in a thread's scratch
MOST_DIMS = 3


def takes_attention(node: Node) -> bool:
    """Whether a node is an attention, or the gradient of one, that is computed whole. Asks for sizes only where it must."""
    backward = node.op is attention.attention_backward
    if not backward and node.op is not attention.scaled_dot_product_attention:
        return False
    q, k, v, *mask = node.inputs[2:] if backward else node.inputs
    if q.dtype.name not in FLOATS or len(q.shape) - 2 > MOST_DIMS:
        return False
    if any(len(x.shape) > len(q.shape) for x in (k, v, *mask)):
        return False
    if q.shape[-2] < FEWEST_QUERIES or k.shape[-2] < FEWEST_KEYS or q.shape[-1] > LARGEST_SIZE or v.shape[-1] > LARGEST_SIZE:
        return False
    if q.shape[-1] < 1 or v.shape[-1] < 1:
        return False
    return bool(numel(q.shape[:-2]) >= (FEWEST_BATCHES if backward else 1))


@rule(attention.scaled_dot_product_attention, takes_attention)
def _(h: Heavy, node: Node) -> list[PlannedStep]:
    names = ("q", "k", "v", *(("mask",) if len(node.inputs) > 3 else ()))
    return _steps(h, node, dict(zip(names, node.inputs, strict=True)), {"y": node})


@rule(attention.attention_backward, takes_attention)
def _(h: Heavy, node: Node) -> list[PlannedStep]:
    names = ("g", "y", "q", "k", "v", *(("mask",) if len(node.inputs) > 5 else ()))
    made = {x: h.output(node, i) or h.scratch_output(node, i) for i, x in enumerate(("gq", "gk", "gv"))}
    return _steps(h, node, dict(zip(names, node.inputs, strict=True)), made)


def _steps(h: Heavy, node: Node, given: dict[str, Node], made: dict[str, Node]) -> list[PlannedStep]:
    a: Any = node.attrs
    q, k, v = given["q"], given["k"], given["v"]
    batch = q.shape[:-2]
    refs: list[Ref] = []
    operands: dict[str, Matrix] = {}

    def add(name: str, x: Node, view: View) -> None:
        lead = len(batch) - (len(view.shape) - 2)
        walk = [0 if d < lead or view.shape[d - lead] == 1 else view.strides[d - lead] for d in range(len(batch))]
        row = 0 if len(view.shape) < 2 or (view.shape[-2] == 1 and name == "mask") else view.strides[-2]
        col = 0 if not view.shape or (view.shape[-1] == 1 and name == "mask") else view.strides[-1]
        operands[name] = Matrix(BufferRef(len(refs)), row, col, tuple(walk))
        refs.append(Ref(view.root, view.offset * x.dtype.itemsize))

    for name, x in given.items():
        add(name, x, h.view(x))
    for name, x in made.items():
        add(name, x, View(x, x.shape, contiguous_strides(x.shape), 0))
    letters = "".join(name[0] for name in ("q", "k", "v", "mask", "g") if name in operands and operands[name].col == 1)
    mask = given.get("mask")
    spec = AttentionSpec(q.dtype.name, "none" if mask is None else "bool" if mask.dtype is bool_ else mask.dtype.name, a.is_causal, letters)
    sizes = (q.shape[-2], k.shape[-2], q.shape[-1], v.shape[-1])
    scale = attention.attention_scale(a, q)
    call = plan_attention(spec, sizes, batch, scale, operands, h.machine, backward=len(made) > 1)
    return h.steps(node, [call], refs, outputs=len(made))
