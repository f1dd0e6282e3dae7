"""The IR writer: loops that run the right number of times, what is hoisted, what is written once, and what must stay where it is."""

from __future__ import annotations

import ctypes
from collections.abc import Callable

import pytest

from monograph.targets.cpu.jit import jit
from monograph.targets.llvm.ir import Fn, Module, Val, const


def function(write: Callable[[Fn], Val]) -> tuple[str, Callable[[int, int], int]]:
    """The text of `i64 f(i64 a, i64 b)` that returns what `write` gives, and the function."""
    module = Module()
    f = module.function("f", [("i64", "a"), ("i64", "b")], "i64")
    f.ret(write(f))
    text = module.text()
    return text, ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64, ctypes.c_int64)(jit().compile("f", text))


def block_of(text: str, part: str) -> str:
    """The label of the block that has the (only) line with `part` in it."""
    label, found = "", []
    for line in text.splitlines():
        if line.endswith(":"):
            label = line[:-1]
        elif part in line:
            found.append(label)
    assert len(found) == 1, f"{part}: {found}\n{text}"
    return found[0]


@pytest.mark.parametrize("step", [1, 3])
def test_loops_run_as_often_as_range(step: int) -> None:
    _, count = function(lambda f: f.loop(f.param("a"), f.param("b"), step, [f.i64(0)], lambda i, n: [f.add(n, 1)])[0])
    for a, b in ((0, 0), (0, 1), (0, 7), (5, 5), (5, 3), (-4, 9)):
        assert count(a, b) == len(range(a, b, step))


def test_loops_of_known_length_and_nested_ones() -> None:
    def write(f: Fn) -> Val:
        def row(i: Val, total: Val) -> list[Val]:
            return f.loop(0, i, 1, [total], lambda j, t: [f.add(t, f.mul(i, j))])

        return f.add(f.loop(0, 6, 1, [f.i64(0)], row)[0], f.loop(3, 3, 1, [f.param("a")], lambda i, x: [f.i64(99)])[0])

    _, run = function(write)
    assert run(1000, 0) == 1000 + sum(i * j for i in range(6) for j in range(i))


def test_invariants_are_written_before_the_loop_that_they_do_not_change_in() -> None:
    def write(f: Fn) -> Val:
        a, b = f.param("a"), f.param("b")

        def outer(i: Val, total: Val) -> list[Val]:
            def inner(j: Val, t: Val) -> list[Val]:
                return [f.add(t, f.add(f.binary("xor", i, b), f.binary("and", f.mul(a, 7), j)))]

            return f.loop(0, b, 1, [total], inner)

        return f.loop(0, b, 1, [f.i64(0)], outer)[0]

    text, run = function(write)
    assert block_of(text, "mul i64") == "entry"
    assert block_of(text, "xor i64") == text.split(":\n")[1].split()[-1] != block_of(text, "and i64")
    assert run(5, 4) == sum((i ^ 4) + (35 & j) for i in range(4) for j in range(4))


def test_what_may_trap_stays_under_its_condition() -> None:
    def write(f: Fn) -> Val:
        a, b = f.param("a"), f.param("b")

        def body(i: Val, total: Val) -> list[Val]:
            (q,) = f.if_value(f.icmp("ne", b, 0), lambda: [f.udiv(a, b)], lambda: [f.i64(-1)])
            return [f.add(total, q)]

        return f.loop(0, 3, 1, [f.i64(0)], body)[0]

    text, run = function(write)
    assert block_of(text, "udiv").startswith("then")
    assert (run(10, 5), run(10, 0)) == (6, -3)


def test_repetitions_are_written_once_but_not_across_branches() -> None:
    def write(f: Fn) -> Val:
        a, b = f.param("a"), f.param("b")
        before = f.mul(a, b)
        (chosen,) = f.if_value(f.icmp("slt", a, b), lambda: [f.add(f.mul(a, b), f.add(a, 3))], lambda: [f.sub(f.mul(a, b), f.add(a, 3))])
        return f.add(chosen, f.add(f.mul(a, b), f.add(f.add(a, 3), before)))

    text, run = function(write)
    assert text.count("mul i64") == 1
    assert text.count("add i64 %a, 3") == 3
    assert run(2, 5) == 10 + 5 + 10 + 5 + 10
    assert run(5, 2) == 10 - 8 + 10 + 8 + 10


def test_loads_are_never_moved() -> None:
    def write(f: Fn) -> Val:
        p = f.cast("inttoptr", f.param("a"), "ptr")

        def body(i: Val) -> None:
            f.store(f.add(f.load("i64", p), i), p)

        f.loop(0, f.param("b"), 1, (), body)
        return f.load("i64", p)

    _, run = function(write)
    cell = ctypes.c_int64(10)
    assert run(ctypes.addressof(cell), 5) == 20


def test_constants_of_vectors_are_short() -> None:
    assert const(1.5, "<16 x float>") == "splat (float 0x3FF8000000000000)"
    assert const(True, "<8 x i1>") == "splat (i1 true)"
    assert const(-1, "i32") == "-1"
