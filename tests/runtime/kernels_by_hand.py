"""Small kernels for the tests of the runner, each a few lines of IR."""

from __future__ import annotations

from functools import cache

from monograph.targets.cpu.jit import jit
from monograph.targets.llvm.ir import Fn, Module, Val


def _compiled(name: str, fill) -> int:
    module = Module()
    function = module.function(name)
    fill(function)
    function.ret()
    return jit().compile(name, module.text())


@cache
def add_index() -> int:
    """args: target, value. `target[i] += i + value` for every unit i."""

    def write(f: Fn) -> None:
        target, value = f.word(f.param("args"), 0, "ptr"), f.word(f.param("args"), 1)

        def one(i: Val) -> None:
            at = f.gep(target, i, "i64")
            f.store(f.add(f.load("i64", at), f.add(i, value)), at)

        f.loop(f.param("begin"), f.param("end"), 1, (), one)

    return _compiled("test_add_index", write)


@cache
def through_scratch() -> int:
    """args: target, rounds. Counts to `rounds` in scratch memory for every unit, then `target[i] = count`: a shared scratch would show."""

    def write(f: Fn) -> None:
        target, rounds = f.word(f.param("args"), 0, "ptr"), f.word(f.param("args"), 1)
        scratch = f.param("scratch")

        def unit(i: Val) -> None:
            f.store(f.i64(0), scratch, extra="")

            def count(_: Val) -> None:
                f.line(f"store volatile i64 {f.add(f.emit('i64', f'load volatile i64, ptr {scratch}'), 1)}, ptr {scratch}")

            f.loop(0, rounds, 1, (), count)
            f.store(f.emit("i64", f"load volatile i64, ptr {scratch}"), f.gep(target, i, "i64"))

        f.loop(f.param("begin"), f.param("end"), 1, (), unit)

    return _compiled("test_through_scratch", write)


@cache
def note_addresses() -> int:
    """args: target. `target[0] = address of scratch`, `target[1] = address of args`."""

    def write(f: Fn) -> None:
        target = f.word(f.param("args"), 0, "ptr")
        f.store(f.cast("ptrtoint", f.param("scratch"), "i64"), target)
        f.store(f.cast("ptrtoint", f.param("args"), "i64"), f.gep(target, 1, "i64"))

    return _compiled("test_note_addresses", write)


@cache
def chain() -> int:
    """args: source, target, n. `target[i] = source[n - 1 - i] + 1`: wrong as soon as the step before is not complete."""

    def write(f: Fn) -> None:
        source, target, n = f.word(f.param("args"), 0, "ptr"), f.word(f.param("args"), 1, "ptr"), f.word(f.param("args"), 2)

        def one(i: Val) -> None:
            mirrored = f.sub(f.sub(n, 1), i)
            f.store(f.add(f.load("i64", f.gep(source, mirrored, "i64")), 1), f.gep(target, i, "i64"))

        f.loop(f.param("begin"), f.param("end"), 1, (), one)

    return _compiled("test_chain", write)


@cache
def spin() -> int:
    """args: rounds. Turns `rounds` times for every unit."""

    def write(f: Fn) -> None:
        rounds, scratch = f.word(f.param("args"), 0), f.param("scratch")
        f.loop(
            f.param("begin"),
            f.param("end"),
            1,
            (),
            lambda _: f.loop(0, rounds, 1, (), lambda j: f.line(f"store volatile i64 {j}, ptr {scratch}")) and None,
        )

    return _compiled("test_spin", write)
