"""The table of elementwise rules: how each elementwise op is written on scalars and vectors alike.

`emit_scalar` writes one op on values of any lane count; scalar tails and vector lanes get the same bits, because both run the same
operations. Names and semantics are PyTorch's. float16 and bfloat16 operands are widened to float32, the op is computed there and its
result rounded back. Rules live in files by family: `scalar_real` (floats), `scalar_integer`, `scalar_compare` (comparison, logic, bits)
and `scalar_random`; the functions behind them in `vecmath`.
"""

from __future__ import annotations

from typing import Any

from monograph.targets.llvm import scalar_compare, scalar_integer, scalar_random, scalar_real
from monograph.targets.llvm.convert import KINDS, NARROW, cast_number, compute_dtype, convert, narrow, value_type, widen
from monograph.targets.llvm.ir import Fn, Val, lanes
from monograph.targets.llvm.scalar_rules import COSTS, RULES, TESTS
from monograph.targets.llvm.vecmath_numbers import Num, select

FAMILIES = (scalar_compare, scalar_integer, scalar_random, scalar_real)  # importing them fills the table
ALIASES = {
    "negative": "neg", "absolute": "abs", "subtract": "sub", "multiply": "mul", "divide": "div", "true_divide": "div", "power": "pow",
    "less": "lt", "less_equal": "le", "greater": "gt", "greater_equal": "ge", "equal": "eq", "not_equal": "ne", "convert": "cast",
    "select": "where",
}  # fmt: skip
ROUNDING = {"floor": "floor_divide", "trunc": "trunc_divide"}
ORDER = (
    "bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float16", "bfloat16", "float32", "float64",
)  # fmt: skip


def emit_scalar(f: Fn, op: str, attrs: tuple[Any, ...], out_dtype: str, args: list[Val], in_dtypes: tuple[str, ...]) -> Val:
    """Writes one elementwise op.

    `args` are values of `in_dtypes` in their expression types (bool = i1, float16 = half, bfloat16 = bfloat), all with the same lanes or
    scalars that are to be broadcast. `attrs` matter only to div: ("floor",) or ("trunc",). Returns a value of `out_dtype`.
    Raises NotImplementedError when no rule exists (`supports` tells beforehand).
    """
    n = max(lanes(a.ty) for a in args)
    values = [Num(f, f.splat(a, n)) for a in args]
    op = _resolve(op, attrs)
    if op == "cast":
        return convert(f, values[0].v, in_dtypes[0], out_dtype)
    if op == "where":
        return _where(values, in_dtypes, out_dtype).v
    if op in scalar_random.EMITTERS:
        return scalar_random.emit_random(f, op, out_dtype, [v.v for v in values], in_dtypes)
    working = _working_dtype(op, in_dtypes, out_dtype)
    formula = RULES.get((op, KINDS[working]))
    if formula is None:
        given = f"{op}({', '.join(in_dtypes)}) -> {out_dtype}"
        raise NotImplementedError(f"no LLVM rule for {given}; cast the operands to a dtype it has a rule for")
    done = formula(*(cast_number(widen(v, d), compute_dtype(d), compute_dtype(working)) for v, d in zip(values, in_dtypes, strict=True)))
    if op in TESTS:
        return cast_number(done, "bool", out_dtype).v
    if working in NARROW:
        done = narrow(done, working)
    return cast_number(done, working, out_dtype).v


OWN_BITS = frozenset({"nextafter"})  # ops on a float's own bits, which float32 cannot stand in for


def supports(op: str, dtypes: tuple[str, ...]) -> bool:
    """Whether `emit_scalar` has a rule for the op on operands of these dtypes (for a float result of integers: give the float dtype)."""
    op = _resolve(op, ())
    if op in OWN_BITS and any(d in ("float16", "bfloat16") for d in dtypes):
        return False
    if op in ("cast", "where") or op in scalar_random.EMITTERS:
        return all(d in KINDS for d in dtypes)
    return all(d in KINDS for d in dtypes) and (op, KINDS[max(dtypes, key=ORDER.index)]) in RULES


def cost(op: str) -> int:
    """Rough cycles of the op per vector of eight float32: what recomputing it costs against saving it (a load or store costs about 1)."""
    op = _resolve(op, ())
    return scalar_random.COSTS.get(op, COSTS.get(op, 1))


def _resolve(op: str, attrs: tuple[Any, ...]) -> str:
    op = ALIASES.get(op, op)
    if op == "div":
        return next((ROUNDING[a] for a in attrs if a in ROUNDING), op)
    return op


def _working_dtype(op: str, in_dtypes: tuple[str, ...], out_dtype: str) -> str:
    """The dtype the operands are brought to: the result's, or for tests the widest operand's."""
    return max(in_dtypes, key=ORDER.index) if op in TESTS else out_dtype


def _where(values: list[Num], in_dtypes: tuple[str, ...], out_dtype: str) -> Num:
    cond = cast_number(values[0], in_dtypes[0], "bool")
    a, b = (cast_number(v, d, out_dtype) for v, d in zip(values[1:], in_dtypes[1:], strict=True))
    if out_dtype not in NARROW:
        return select(cond, a, b)
    chosen = select(cond, a.cast("bitcast", "i16"), b.cast("bitcast", "i16"))  # processors have no 16-bit float moves of their own
    return Num(a.f, a.f.cast("bitcast", chosen.v, value_type(out_dtype, lanes(a.ty))))
