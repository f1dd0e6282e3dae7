"""The reference target: runs any graph, op by op, in plain NumPy. It is the meaning of every op. See README.md."""

from __future__ import annotations

from monograph.targets.reference.interpreter import apply, run

__all__ = ["apply", "run"]
