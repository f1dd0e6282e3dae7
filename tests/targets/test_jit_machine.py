"""The measured limits: plausible, and measured once."""

from __future__ import annotations

from monograph.runtime.threads import get_num_threads
from monograph.targets.cpu.machine import machine_peak


def test_limits_are_plausible_and_remembered() -> None:
    peak = machine_peak()
    assert machine_peak() is peak
    assert peak.threads == get_num_threads()
    assert peak.thread_flops > 1e9
    assert peak.flops > 0.3 * peak.thread_flops
    assert peak.read_bw > 1e8
    assert peak.copy_bw > 1e8
