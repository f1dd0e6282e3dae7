"""The registry of elementwise rules: op and kind of operands -> a formula on `Num`s, and what it costs.

Kinds are "f" (float32 and float64; 16-bit floats are widened before), "i" (signed), "u" (unsigned) and "b" (bool).
"""

from __future__ import annotations

from collections.abc import Callable

from monograph.targets.llvm.vecmath_numbers import Num

Formula = Callable[..., Num]

RULES: dict[tuple[str, str], Formula] = {}
COSTS: dict[str, int] = {}
TESTS: set[str] = set()  # ops whose result is bool whatever their operands are


def rule(name: str, kinds: str, cost: int = 1, test: bool = False) -> Callable[[Formula], Formula]:
    """Registers the formula of op `name` for operands of each of `kinds`; `cost` in rough cycles per vector; `test`: the result is bool."""

    def register(formula: Formula) -> Formula:
        for kind in kinds:
            key = name, kind
            if key in RULES:
                raise ValueError(f"op {name!r} already has a rule for kind {kind!r}")
            RULES[key] = formula
        COSTS[name] = max(cost, COSTS.get(name, 0))
        if test:
            TESTS.add(name)
        return formula

    return register
