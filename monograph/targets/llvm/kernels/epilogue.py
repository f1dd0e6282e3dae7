"""The fused elementwise tail of a contraction, and the function that finishes rows of a computed tile.

An `Epilogue` is structure only. Its values are numbered: 0 is the result of the contraction (rounded to the op's dtype), then one per
operand, then one per instruction; the last value is the output. Operands are addressed like the output matrix: `row="stride"` moves with
the row (for a convolution: the output channel), `col="unit"` moves with the column (the position), "zero" stays.
"""

from __future__ import annotations

from dataclasses import dataclass

from monograph.targets.llvm.ir import Fn, Module, Val, lanes, vector
from monograph.targets.llvm.kernels.call import ensure_function
from monograph.targets.llvm.kernels.element import COMPUTE, STORAGE, copy_elements, either, narrow, tighten
from monograph.targets.llvm.loop_spec import Instr
from monograph.targets.llvm.scalar import emit_scalar


@dataclass(frozen=True, slots=True)
class EpilogueOperand:
    """A matrix read (or, named in `stores`, written) beside the output."""

    dtype: str
    row: str = "stride"  # "stride" | "zero"
    col: str = "unit"  # "unit" | "zero"


@dataclass(frozen=True, slots=True)
class Epilogue:
    """`instrs` over (result, operands...); `stores` are further outputs: (value, operand) pairs, such operands are not read."""

    instrs: tuple[Instr, ...]
    operands: tuple[EpilogueOperand, ...]
    out_dtype: str
    stores: tuple[tuple[int, int], ...] = ()


def identity(dtype: str) -> Epilogue:
    """No tail: the result as it is."""
    return Epilogue((), (), dtype)


def values_of(f: Fn, epilogue: Epilogue, dtype: str, result: Val, loads: list[Val], n: int) -> list[Val]:
    """All values of the epilogue, in numbering order, as vectors of n lanes in their own register types."""
    values = [result, *loads]
    dtypes = [dtype, *(operand.dtype for operand in epilogue.operands)]
    for instr in epilogue.instrs:
        if instr.op == "const":
            value = f.const(instr.attrs[0], register_type(instr.dtype))
        else:
            value = emit_scalar(
                f, instr.op, instr.attrs, instr.dtype, [values[a] for a in instr.args], tuple(dtypes[a] for a in instr.args)
            )
        values.append(f.splat(value, n))
        dtypes.append(instr.dtype)
    return values


def register_type(dtype: str) -> str:
    """The LLVM type of a value in an expression (bool is i1 there, a byte in memory)."""
    return "i1" if dtype == "bool" else STORAGE[dtype]


def to_register(f: Fn, dtype: str, stored: Val) -> Val:
    return f.icmp("ne", stored, 0) if dtype == "bool" else stored


def to_memory(f: Fn, dtype: str, value: Val) -> Val:
    return f.cast("zext", value, vector("i8", lanes(value.ty))) if dtype == "bool" else value


def finish_rows(module: Module, dtype: str, epilogue: Epilogue, width: int) -> str:
    """Adds `void(src, src_ld, out, out_ld, rows, columns, operands, operand_lds, stage)` and returns its name.

    It reads a rows x columns matrix of compute values from `src` (row stride in elements), applies the epilogue and writes `out`.
    `operands` points to one address per operand (its element for row 0, column 0), `operand_lds` to one row stride in elements each.
    `stage` is scratch for the last few columns of a row, which go through the same vector code as all others.
    """
    name = f"finish_{dtype}_{width}"

    def build(name: str) -> None:
        params = [("ptr", "src"), ("i64", "src_ld"), ("ptr", "out"), ("i64", "out_ld"), ("i64", "rows"), ("i64", "columns")]
        f = module.function(
            name, [*params, ("ptr", "operands"), ("ptr", "operand_lds"), ("ptr", "stage")], attrs="nounwind noinline", linkage="internal"
        )
        p = f.param
        writes = {operand: value for value, operand in epilogue.stores}
        bases = [f.load("ptr", f.gep(p("operands"), i, "ptr")) for i in range(len(epilogue.operands))]
        lds = [f.load("i64", f.gep(p("operand_lds"), i, "i64")) for i in range(len(epilogue.operands))]
        stages = [f.gep(p("stage"), 64 * (i + 1)) for i in range(len(epilogue.operands) + 1)]

        def row(i: Val) -> None:
            src = f.gep(p("src"), f.mul(i, p("src_ld")), COMPUTE[dtype])
            out = f.gep(p("out"), f.mul(i, p("out_ld")), STORAGE[epilogue.out_dtype])
            rows_of = [
                f.gep(base, f.mul(i, ld), STORAGE[operand.dtype]) if operand.row == "stride" else base
                for base, ld, operand in zip(bases, lds, epilogue.operands, strict=True)
            ]

            splats = {
                k: f.splat(to_register(f, operand.dtype, f.load(STORAGE[operand.dtype], rows_of[k])), width)
                for k, operand in enumerate(epilogue.operands)
                if operand.col == "zero" and k not in writes
            }

            def columns(j: Val, left: Val | None) -> None:
                """A vector of columns from j on; `left`: only so many are there."""

                def place(base: Val, stage: Val, element: str, fetch: bool) -> Val:
                    """Where to read or write full vectors: the matrix itself, or its stage where fewer columns are left."""
                    here = f.gep(base, j, element)
                    if left is None:
                        return here
                    if fetch:
                        copy_elements(f, stage, here, left, element)
                    return stage

                result = f.load(vector(COMPUTE[dtype], width), f.gep(src, j, COMPUTE[dtype]))
                result = to_register(f, dtype, tighten(f, dtype, result)) if narrow(dtype) else result
                loads = []
                for k, operand in enumerate(epilogue.operands):
                    ty = STORAGE[operand.dtype]
                    if k in writes:
                        loads.append(f.const(0, vector(ty, width)))
                    elif k in splats:
                        loads.append(splats[k])
                    else:
                        stored = f.load(vector(ty, width), place(rows_of[k], stages[k], ty, True))
                        loads.append(to_register(f, operand.dtype, stored))
                values = values_of(f, epilogue, dtype, result, loads, width) if epilogue.instrs else [result, *loads]
                targets = [(values[-1 if epilogue.instrs else 0], out, epilogue.out_dtype, stages[-1])]
                targets += [(values[v], rows_of[k], epilogue.operands[k].dtype, stages[k]) for k, v in writes.items()]
                for value, base, to, stage in targets:
                    ty = STORAGE[to]
                    f.store(to_memory(f, to, value), place(base, stage, ty, False))
                    if left is not None:
                        copy_elements(f, f.gep(base, j, ty), stage, left, ty)

            whole = f.binary("and", p("columns"), f.i64(-width))
            f.loop(0, whole, width, (), lambda j: columns(j, None))
            either(f, f.icmp("slt", whole, p("columns")), lambda: columns(whole, f.sub(p("columns"), whole)))

        f.loop(0, p("rows"), 1, (), row)
        f.ret()

    return ensure_function(module, name, build)


def stage_bytes(epilogue: Epilogue) -> int:
    """Scratch that `finish_rows` needs."""
    return 64 * (len(epilogue.operands) + 2) * 2
