"""Lowering of pooling onto the plane kernels: one and two spatial dims (three go to the reference)."""

from __future__ import annotations

from math import prod
from typing import Any

from monograph.graph.node import Node
from monograph.ops import pool
from monograph.targets.cpu.heavy_lowering import Heavy, rule
from monograph.targets.cpu.steps import PlannedStep, Ref
from monograph.targets.llvm.kernels.call import BufferRef
from monograph.targets.llvm.kernels.pool import plan_avg_pool, plan_avg_pool_backward, plan_max_pool, plan_max_pool_backward
from monograph.targets.llvm.kernels.pool_shape import PoolShape

FLOATS = ("float32", "float64", "float16", "bfloat16")


def _two(values: tuple[int, ...], fill: int) -> tuple[int, int]:
    """One spatial dim is a plane of height one."""
    return (fill, values[0]) if len(values) == 1 else (values[0], values[1])


def _shape(a: Any, inputs: tuple[int, ...], outputs: tuple[int, ...], n: int) -> PoolShape:
    return PoolShape(
        prod(inputs[: len(inputs) - n]),
        _two(inputs[len(inputs) - n :], 1),
        _two(outputs[len(outputs) - n :], 1),
        _two(a.kernel, 1),
        _two(a.stride, 1),
        _two(a.padding, 0),
        _two(getattr(a, "dilation", (1,) * n), 1),
    )


def _fits(node: Node) -> bool:
    a: Any = node.attrs
    n = len(a.kernel) if hasattr(a, "kernel") else len(a.input_spatial)
    return n <= 2 and all(i.dtype.name in (*FLOATS, "int64") and prod(i.shape) for i in node.inputs)


@rule(pool.max_pool, lambda node: _fits(node) and node.inputs[0].dtype.name in FLOATS)
def _(h: Heavy, node: Node) -> list[PlannedStep]:
    x = node.inputs[0]
    a: Any = node.attrs
    values, indices = h.output(node, 0), h.output(node, 1)
    shape = _shape(a, x.shape, node.shape[0][0], len(a.kernel))
    calls = plan_max_pool(x.dtype.name, shape, BufferRef(0), BufferRef(1), BufferRef(2), h.machine, with_indices=indices is not None)
    stand_in = h.scratch_output(node, 0) if values is None else values
    return h.steps(node, calls, [h.ref(x), Ref(stand_in), Ref(indices) if indices is not None else None], outputs=2)


@rule(pool.max_pool_backward, _fits)
def _(h: Heavy, node: Node) -> list[PlannedStep]:
    g, indices = node.inputs
    n = len(node.attrs.input_spatial)  # type: ignore[attr-defined]
    planes = prod(node.shape[: len(node.shape) - n])
    size, out = _two(node.shape[len(node.shape) - n :], 1), _two(g.shape[len(g.shape) - n :], 1)
    shape = PoolShape(planes, size, out, (1, 1), (1, 1))
    calls = plan_max_pool_backward(node.dtype.name, shape, BufferRef(0), BufferRef(1), BufferRef(2), h.machine)
    return h.steps(node, calls, [h.ref(g), h.ref(indices), Ref(node)])


@rule(pool.avg_pool, _fits)
def _(h: Heavy, node: Node) -> list[PlannedStep]:
    x = node.inputs[0]
    a: Any = node.attrs
    shape = _shape(a, x.shape, node.shape, len(a.kernel))
    calls = plan_avg_pool(node.dtype.name, shape, BufferRef(0), BufferRef(1), a.count_include_pad, a.divisor_override or 0, h.machine)
    return h.steps(node, calls, [h.ref(x), Ref(node)])


@rule(pool.avg_pool_backward, _fits)
def _(h: Heavy, node: Node) -> list[PlannedStep]:
    g = node.inputs[0]
    a: Any = node.attrs
    shape = _shape(a, node.shape, g.shape, len(a.kernel))
    calls = plan_avg_pool_backward(
        node.dtype.name, shape, BufferRef(0), BufferRef(1), a.count_include_pad, a.divisor_override or 0, h.machine
    )
    return h.steps(node, calls, [h.ref(g), Ref(node)])
