"""The JIT: addresses that work, errors that name the line or the symbol, memo and structural keys, the debug ladder."""

from __future__ import annotations

import ctypes
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from monograph.targets.cpu.cache import ObjectCache
from monograph.targets.cpu.features import CpuFeatures, cpu_features, parse_size, read_caches, vector_bytes_of
from monograph.targets.cpu.jit import Jit, JitError, jit, undefined_symbols
from monograph.targets.llvm.ir import Module

ROOT = Path(__file__).resolve().parents[2]


def add_ir(name: str, n: int) -> str:
    return f"define i64 @{name}(i64 %x) {{\n  %y = add i64 %x, {n}\n  ret i64 %y\n}}\n"


def call(address: int, x: int) -> int:
    return ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)(address)(x)


@pytest.fixture
def own(tmp_path: Path) -> Jit:
    return Jit(ObjectCache(str(tmp_path / "objects")))


def test_one_and_many(own: Jit) -> None:
    address = own.compile("plus1", add_ir("plus1", 1))
    assert call(address, 41) == 42
    assert own.compile("plus1", add_ir("plus1", 1)) == address
    many = own.compile_many({f"plus{i}": add_ir(f"plus{i}", i) for i in range(1, 8)})
    assert many["plus1"] == address
    assert [call(many[f"plus{i}"], 0) for i in range(1, 8)] == list(range(1, 8))
    assert own.compiled == 7
    assert own.compile_many({}) == {}


def test_one_name_may_stand_for_several_functions(own: Jit) -> None:
    first, second = own.compile("f", add_ir("f", 1)), own.compile("f", add_ir("f", 2))
    assert (call(first, 0), call(second, 0)) == (1, 2)


def test_functions_of_one_module_share_its_globals(own: Jit) -> None:
    text = """
@count = internal global i64 0
define i64 @bump(i64 %x) {
  %old = atomicrmw add ptr @count, i64 %x seq_cst
  ret i64 %old
}
define i64 @look(i64 %x) {
  %now = load i64, ptr @count
  ret i64 %now
}
"""
    found = own.compile_module(("bump", "look"), text)
    call(found["bump"], 5)
    assert call(found["look"], 0) == 5


def test_a_structural_key_needs_no_text(tmp_path: Path) -> None:
    written = []

    def emit() -> str:
        written.append(1)
        return add_ir("g", 9)

    first = Jit(ObjectCache(str(tmp_path)))
    address = first.compile("g", emit, "add|9")
    assert first.compile("g", emit, "add|9") == address
    second = Jit(ObjectCache(str(tmp_path)))
    assert call(second.compile_many({"g": emit}, {"g": "add|9"})["g"], 1) == 10
    assert written == [1]
    assert (first.compiled, second.compiled) == (1, 0)
    second.compile("g", lambda: add_ir("g", 10), "add|10")
    assert second.compiled == 1


def test_the_c_library_is_there(own: Jit) -> None:
    text = "declare i32 @sched_yield()\ndeclare ptr @memset(ptr, i32, i64)\n" + (
        "define i64 @fill(i64 %p) {\n  %q = inttoptr i64 %p to ptr\n  %r = call ptr @memset(ptr %q, i32 7, i64 3)\n"
        "  %s = call i32 @sched_yield()\n  ret i64 0\n}\n"
    )
    room = ctypes.create_string_buffer(5)
    call(own.compile("fill", text), ctypes.addressof(room))
    assert room.raw == b"\7\7\7\0\0"


def test_errors_teach(own: Jit) -> None:
    with pytest.raises(JitError, match=r"(?s)LLVM refuses the IR of f: .*line 2: ret i32 %nothing"):
        own.compile("f", "define i32 @f() {\n  ret i32 %nothing\n}\n")
    with pytest.raises(JitError, match=r"the IR given for 'f' defines \['h'\], not 'f'"):
        own.compile("f", add_ir("h", 1))
    with pytest.raises(JitError, match="f calls not_in_any_library, which this process has not"):
        own.compile("f", "declare void @not_in_any_library()\ndefine void @f() {\n  call void @not_in_any_library()\n  ret void\n}\n")
    assert call(own.compile("f", add_ir("f", 3)), 0) == 3


def test_the_debug_ladder(own: Jit) -> None:
    module = Module()
    function = module.function("scale")
    function.store(function.add(function.param("begin"), 0), function.param("scratch"))
    function.ret()
    assert "add i64" in module.text()
    optimised = own.optimised_ir(module.text())
    assert "define void @scale" in optimised
    assert "add i64" not in optimised
    assert "scale:" in own.assembly(module.text())
    assert undefined_symbols(own.object_code(module.text())) == []
    assert undefined_symbols(b"no object at all") == []


def test_threads_compile_at_once(own: Jit) -> None:
    results: dict[int, int] = {}

    def work(i: int) -> None:
        results[i] = call(own.compile(f"t{i % 5}", add_ir(f"t{i % 5}", i % 5)), 100)

    workers = [threading.Thread(target=work, args=(i,)) for i in range(10)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert results == {i: 100 + i % 5 for i in range(10)}


def test_features_of_this_machine() -> None:
    cpu = cpu_features()
    assert isinstance(cpu, CpuFeatures)
    assert cpu.vector_bytes in (16, 32, 64)
    assert cpu.lanes(4) * 4 == cpu.vector_bytes
    assert 0 < cpu.l1d <= cpu.l2 <= cpu.l3
    assert cpu.cores >= 1
    assert not cpu.has("no-such-feature")
    assert jit().features is cpu


def test_vector_width_of_other_machines() -> None:
    wide = frozenset({"avx", "avx2", "avx512f", "avx512vl", "avx512bw", "avx512dq"})
    assert vector_bytes_of("x86_64", wide) == 64
    assert vector_bytes_of("x86_64", wide - {"avx512vl"}) == 32
    assert vector_bytes_of("x86_64", frozenset({"sse2"})) == 16
    assert vector_bytes_of("aarch64", frozenset({"neon", "sve"})) == 16


def test_cache_sizes_are_read_or_guessed(tmp_path: Path) -> None:
    caches = [("1", "Data", "48K"), ("1", "Instruction", "32K"), ("2", "Unified", "2M"), ("x", "?", "")]
    for index, (level, kind, size) in enumerate(caches):
        folder = tmp_path / f"index{index}"
        folder.mkdir()
        for field, text in (("level", level), ("type", kind), ("size", size)):
            (folder / field).write_text(text + "\n")
    assert read_caches(str(tmp_path)) == {"l1d": 48 * 1024, "l2": 2 << 20, "l3": 2 << 20}
    assert set(read_caches(str(tmp_path / "absent"))) == {"l1d", "l2", "l3"}
    assert [parse_size(text) for text in ("512", "32K", "1m", "1G")] == [512, 32768, 1 << 20, 1 << 30]


def test_importing_the_room_does_not_load_llvm() -> None:
    program = "import sys, monograph.targets.cpu.machine; print('llvmlite' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert result.stdout.strip() == "False", result.stderr
