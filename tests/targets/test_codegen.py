"""Compiling on several threads: the same bytes as on one, errors that come out, and kernels that need nothing from outside."""

from __future__ import annotations

import inspect
import itertools

import pytest

from monograph.targets.cpu import codegen
from monograph.targets.cpu.codegen import Compiler, JitError, compile_threads, object_codes
from monograph.targets.cpu.jit import jit, undefined_symbols
from monograph.targets.llvm.convert import KINDS, from_memory, memory_type, to_memory
from monograph.targets.llvm.ir import Module, Val, vector
from monograph.targets.llvm.scalar import emit_scalar, supports
from monograph.targets.llvm.scalar_rules import RULES
from tests.targets.elementwise_native import text


def kernels(n: int) -> dict[str, str]:
    """Texts of different length, some of kernels that get LLVM's longer pipeline."""
    texts = {}
    for i in range(n):
        name = f"{'sort' if i % 5 == 4 else 'loop'}_{i}"
        module = Module()
        f = module.function(name)

        def body(at: Val, *sums: Val, f=f, i=i) -> list[Val]:  # type: ignore[no-untyped-def]
            return [f.fma(s, s, f.load("<8 x float>", f.gep(f.param("scratch"), f.add(at, k * i)))) for k, s in enumerate(sums)]

        for value in f.loop(f.param("begin"), f.param("end"), 32, [f.const(0.5, "<8 x float>")] * (1 + i), body):
            f.store(value, f.param("scratch"))
        f.ret()
        texts[name] = module.text()
    return texts


def test_threads_make_the_same_bytes_as_one() -> None:
    texts = kernels(12)
    jit().compile_many({})  # LLVM is up
    one = Compiler()
    want = {name: one.object_code(name, ir) for name, ir in texts.items()}
    for threads in (1, 2, 5):
        with compile_threads.scoped(threads):
            got = object_codes(texts)
        assert list(got) == list(texts)
        assert got == want


def test_without_the_unlocked_calls_one_thread_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = kernels(3)
    want = object_codes(texts)
    monkeypatch.setattr(codegen, "_unlocked", dict)
    assert object_codes(texts) == want
    with pytest.raises(JitError, match="LLVM refuses the IR of f"):
        object_codes({"f": "define void @f() { ret i32 1 }"})


def test_an_error_in_one_of_many_comes_out() -> None:
    texts = kernels(6) | {"bad": "define void @bad() {\n  ret i32 %nothing\n}\n"}
    for threads in (1, 3):
        with compile_threads.scoped(threads), pytest.raises(JitError, match="LLVM refuses the IR of bad"):
            object_codes(texts)
    assert len(object_codes(kernels(2))) == 2


def test_ir_that_is_not_well_formed_is_refused() -> None:
    text = "define i32 @f(i1 %c) {\n  br i1 %c, label %a, label %b\na:\n  %x = add i32 1, 2\n  br label %b\nb:\n  ret i32 %x\n}\n"
    with pytest.raises(JitError, match="does not dominate"):
        object_codes({"f": text})


def called(texts: dict[str, str]) -> dict[str, list[str]]:
    """Functions that machine code of these IR texts expects from elsewhere, by name of the text."""
    found = {name: undefined_symbols(data) for name, data in object_codes(texts).items()}
    return {name: symbols for name, symbols in found.items() if symbols}


def named(name: str, ir: str) -> str:
    return ir.replace("@k(", f"@{name}(", 1)


def op_text(op: str, kind: str, dtype: str, lanes: int) -> str:
    """A kernel of this one op."""
    parameters = inspect.signature(RULES[op, kind]).parameters.values()
    if all(p.kind is not p.VAR_POSITIONAL for p in parameters):
        return text(op, dtype, (dtype,) * len(parameters), (), lanes)
    try:
        return text(op, dtype, (dtype,), (), lanes)
    except TypeError:  # a formula that is handed on does not say how many operands it takes: not one
        return text(op, dtype, (dtype, dtype), (), lanes)


@pytest.mark.parametrize("lanes", [1, 8])
def test_no_op_of_the_scalar_table_calls_a_library(lanes: int) -> None:
    """A missing instruction (float to bfloat16, double to float16 ...) would become a call of a function that this process has not."""
    texts = {}
    for op, kind in sorted(RULES):
        for dtype in KINDS:
            if KINDS[dtype] == kind and supports(op, (dtype,)):
                name = f"k_{op}_{dtype}"
                texts[name] = named(name, op_text(op, kind, dtype, lanes))
    assert len(texts) > 200
    assert called(texts) == {}


@pytest.mark.parametrize("lanes", [1, 8])
def test_no_cast_calls_a_library(lanes: int) -> None:
    pairs = {f"k_{source}_{target}": (source, target) for source, target in itertools.product(KINDS, KINDS)}
    assert called({name: named(name, text("cast", target, (source,), (), lanes)) for name, (source, target) in pairs.items()}) == {}


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_narrow_values_from_outside_a_loop_call_no_library(dtype: str) -> None:
    """Registers hold no bfloat16: one that lives from block to block would be converted there and back."""
    module = Module()
    f = module.function("k")
    args, ty = f.param("args"), memory_type(dtype)
    x, y, scale = f.word(args, 0, "ptr"), f.word(args, 1, "ptr"), from_memory(f, f.load(ty, f.word(args, 2, "ptr")), dtype)

    def body(i: Val) -> None:
        value = from_memory(f, f.load(vector(ty, 8), f.gep(x, i, ty), 2), dtype)
        for op in ("mul", "add", "maximum"):
            value = emit_scalar(f, op, (), dtype, [value, scale], (dtype, dtype))
        f.store(to_memory(f, value, dtype), f.gep(y, i, ty), 2)

    f.loop(f.param("begin"), f.param("end"), 8, (), body)
    f.ret()
    assert called({"k": module.text()}) == {}
