"""`summary`: the layers of a module with their output shapes and parameters, as a table."""

from __future__ import annotations

from typing import Any

from monograph.core.modes import no_grad
from monograph.core.trees import flatten
from monograph.nn.module import Module
from monograph.tensor.core import Tensor
from monograph.tensor.creation import zeros


class ModelSummaryTable:
    """What `summary` returns: `print` it. `total`, `trainable` and `bytes` are numbers, `rows` (name, class, output shape, parameters)."""

    def __init__(self, rows: list[tuple[str, str, str, int]], module: Module) -> None:
        self.rows = rows
        parameters = list(module.parameters())
        self.total = sum(p.numel() for p in parameters)
        self.trainable = sum(p.numel() for p in parameters if p.requires_grad)
        self.bytes = sum(p.numel() * p.element_size() for p in parameters)

    def __str__(self) -> str:
        table = [("layer", "class", "output shape", "parameters")]
        table += [(n or "(itself)", c, s or "", f"{p:,}") for n, c, s, p in self.rows]
        if not any(s for _, _, s, _ in self.rows):  # nothing went through the module
            table = [(*row[:2], row[3]) for row in table]  # type: ignore[misc]
        widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
        lines = [
            "  ".join(cell.rjust(w) if i + 1 == len(widths) else cell.ljust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True)))
            for row in table
        ]
        lines.insert(1, "  ".join("-" * w for w in widths))
        lines.append(f"{self.total:,} parameters ({_size(self.bytes)}), {self.trainable:,} of them trained")
        return "\n".join(lines)

    __repr__ = __str__


def summary(module: Module, *inputs: Any, input_size: Any = None, depth: int = 3) -> ModelSummaryTable:
    """The table of a module's layers down to `depth`. With inputs (tensors, or `input_size`: a shape with its batch dim) it shows output
    shapes.

    >>> from monograph import nn, train
    >>> train.summary(nn.Sequential(nn.Linear(4, 3), nn.ReLU()), input_size=(1, 4)).total
    15
    """
    if input_size is not None:
        sizes = [input_size] if all(isinstance(n, int) for n in input_size) else list(input_size)
        inputs = tuple(zeros(tuple(size)) for size in sizes)
    shapes: dict[str, str] = {}
    named = [(name, m) for name, m in module.named_modules() if name.count(".") < depth]
    if inputs:
        handles = [m.register_forward_hook(_noting(shapes, name)) for name, m in named]
        modes = [(m, m.training) for m in module.modules()]
        module.eval()
        try:
            with no_grad():
                module(*inputs)
        finally:
            for handle in handles:
                handle.remove()
            for m, training in modes:
                m.training = training
    rows = []
    for name, m in named:
        deepest = name.count(".") == depth - 1
        own = sum(p.numel() for p in m.parameters(recurse=deepest))
        rows.append((name, type(m).__name__, shapes.get(name, "?") if inputs else "", own))
    return ModelSummaryTable(rows, module)


def _noting(shapes: dict[str, str], name: str) -> Any:
    def hook(module: Module, args: Any, output: Any) -> None:
        found = [str(list(t.shape)) for t in flatten(output)[0] if isinstance(t, Tensor)]
        shapes[name] = ", ".join(found)

    return hook


def _size(count: float) -> str:
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.2f} GiB"
