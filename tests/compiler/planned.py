"""What the compiler makes of a piece of Tensor code: the steps of its plans, and the graphs between its passes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import monograph as mg
from monograph.engine import evaluator
from monograph.graph.node import Node, topological
from monograph.passes.graph import Graph, extract, quiet
from monograph.targets.cpu.plan import CpuPlan

Step = tuple[str, ...]


def tensors(*shapes: tuple[int, ...], dtype: str = "float32") -> list[Any]:
    """Inputs of these shapes that are in memory already."""
    made = [mg.tensor(np.random.default_rng(i).uniform(-1, 1, s).astype(dtype)) for i, s in enumerate(shapes)]
    mg.eval(*made)
    return made


def plans_of(function: Callable[..., Any], *inputs: Any) -> list[CpuPlan]:
    """The plans that running a function needs."""
    plans: list[CpuPlan] = []
    run = evaluator.run

    def noting(order: list[Node], outputs: list[Node]) -> Any:
        plans.append(CpuPlan(*evaluator.structure(order, outputs)[1:], outputs))
        return run(order, outputs)

    evaluator.run = noting
    try:
        values = function(*inputs)
        mg.eval(*(values if isinstance(values, tuple | list) else (values,)))
    finally:
        evaluator.run = run
    return plans


def steps_of(function: Callable[..., Any], *shapes: tuple[int, ...]) -> list[Step]:
    """The ops of each step of the single plan of a function of float32 inputs."""
    (plan,) = plans_of(function, *tensors(*shapes))
    return [step.ops for step in plan.steps]


def graph_of(function: Callable[..., Any], *inputs: Any) -> Graph:
    """The pending graph of a function's results, cut loose as a target gets it."""
    values = function(*inputs)
    outputs = [v._read() if v._base is not None else v._node for v in (values if isinstance(values, tuple | list) else (values,))]
    order = topological(outputs, stop=lambda n: n.value is not None)
    _, sources, scalars = evaluator.structure(order, outputs)
    with quiet():
        return extract(sources, scalars, outputs)


def ops_of(graph: Graph) -> list[str]:
    """The names of a graph's ops, sources left out."""
    return [n.op.name for n in graph.nodes() if n.op.name not in ("source", "scalar")]
