"""`explain` and the debug ladder."""

from __future__ import annotations

from typing import Any

import pytest

import monograph as mg
from monograph import nn, optim
from monograph.core import knobs
from monograph.engine import ladder
from monograph.nn import functional as F
from monograph.targets.base import KernelInfo
from monograph.targets.cpu.machine import MachinePeak


def _step() -> Any:
    model = nn.Linear(6, 3)
    optimizer = optim.Adam(model.parameters(), lr=0.01)

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        if loss > 100:
            return loss.detach()
        loss.backward()
        optimizer.step()
        return loss.detach()

    return step


def test_report_of_a_training_step(target: str) -> None:
    text = str(mg.explain(_step(), mg.ones(4, 6), mg.tensor([0, 1, 2, 0])))
    for word in (
        "split:",
        "test_explain.py",
        "1 branch known",
        "%argument_0 = input : float32[4, 6]",
        "model.weight",
        "adam_update",
        "return %",
    ):
        assert word in text, text
    assert "2 captures" in text
    if target == "cpu":
        for word in ("kernels,", "MFLOP", "GB/s", "bound by", "of peak", "the machine's limits allow", "this machine"):
            assert word in text, text


def test_explaining_changes_nothing_of_a_known_call(target: str) -> None:
    w = mg.zeros(3)

    @mg.compile
    def f(x: Any) -> Any:
        w.add_(x * mg.rand(3))
        return w.sum()

    f(mg.ones(3))
    before, state = w.tolist(), mg.get_rng_state().tolist()
    e = mg.explain(f, mg.ones(3))
    assert w.tolist() == before and mg.get_rng_state().tolist() == state
    assert e.captures == 1 and len(e.pieces) == 1 and "random_uniform" in e.pieces[0].graph
    if target == "cpu":
        assert e.pieces[0].times is not None and len(e.pieces[0].times) == len(e.pieces[0].kernels)
        native = [i for i, k in enumerate(e.pieces[0].kernels) if k.name != "host"]
        assert "define" in e.ir(native[0])
        assert "ret" in e.assembly(native[0])


def test_a_kernel_is_bound_by_arithmetic_or_by_memory() -> None:
    peak = MachinePeak(flops=100e9, thread_flops=50e9, read_bw=10e9, copy_bw=10e9, threads=2)

    def kernel(flops: int, nbytes: int) -> KernelInfo:
        return KernelInfo("k", "map", (), (), 1, flops, nbytes, str, str)

    assert [ladder.bound_by(kernel(*work), peak) for work in ((1000, 10), (10, 1000), (0, 0))] == ["compute", "memory", "nothing known"]
    assert ladder.limit(kernel(10, 1000), peak) == pytest.approx(1e-7)
    assert ladder.share(kernel(10, 1000), 400, peak) == pytest.approx(0.25)
    rows = ladder.table([kernel(1000, 10), kernel(10, 1000)], [20, 400], peak).splitlines()
    assert rows[1].split()[-3:] == ["compute", "0.0", "50%"] and rows[2].split()[-3:] == ["memory", "0.1", "25%"]


def test_reasons_and_open_graphs() -> None:
    def prints(x: Any) -> Any:
        print("x")
        return x + 1

    assert "runs uncompiled: it calls print()" in str(mg.explain(prints, mg.ones(2)))
    model = nn.Linear(2, 2)
    assert "stay on the tape" in str(mg.explain(mg.compile(model), mg.ones(1, 2)))
    counts = {"n": 0}

    def counting(x: Any) -> Any:
        counts["n"] += 1
        return x

    assert "it changes" in str(mg.explain(counting, mg.ones(2)))


def test_ladder(capsys: pytest.CaptureFixture[str], target: str) -> None:
    with knobs.debug.scoped(6):
        mg.compile(lambda x: (x * 3 + 1).sum())(mg.ones(7))
    err = capsys.readouterr().err
    assert "-- graph --" in err and "float32[7]" in err
    if target == "cpu":
        for rung in ("kernels", "LLVM IR", "assembly", "timings"):
            assert f"-- {rung} --" in err
