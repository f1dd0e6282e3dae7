"""What the compiler lets go of: the pages of LLVM's code, which come back by themselves."""

from __future__ import annotations

import os
import sys

import pytest

from monograph.targets.cpu import codegen, resident
from monograph.targets.cpu.jit import Jit

IR = "define i64 @{name}(i64 %a) {{\n  %b = add i64 %a, {step}\n  ret i64 %b\n}}\n"


def _resident_kilobytes(library: str) -> int:
    total, inside = 0, False
    with open("/proc/self/smaps", encoding="utf-8") as lines:
        for line in lines:
            if "-" in line.split(maxsplit=1)[0] and not line.split(maxsplit=1)[0].endswith(":"):
                inside = line.rstrip("\n").endswith(library)
            elif inside and line.startswith("Rss:"):
                total += int(line.split()[1])
    return total


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_the_pages_of_llvm_go_and_come_back() -> None:
    """After a compilation its pages are let go, and the next compilation works as the first did."""
    jit = Jit()
    assert jit.object_code(IR.format(name="first", step=1))
    library = os.path.realpath(codegen.llvm().ffi.lib._name)
    before = _resident_kilobytes(library)
    resident.give_back(library)
    after = _resident_kilobytes(library)
    assert after < before // 2
    assert jit.object_code(IR.format(name="second", step=2)) == Jit().object_code(IR.format(name="second", step=2))


def test_a_library_that_is_not_loaded_is_left_alone() -> None:
    """Nothing is advised of files that are not in this process."""
    assert resident._unchanging(os.path.realpath(__file__)) == ()
    resident.give_back(os.path.realpath(__file__))
