"""Modes: blocks, decorators, generators, threads."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from monograph.core.modes import MODES, enable_grad, inference_mode, no_grad, set_detect_anomaly, set_grad_enabled


def test_blocks_nest_and_restore() -> None:
    with no_grad():
        assert not MODES.grad
        with enable_grad():
            assert MODES.grad
        assert not MODES.grad
    assert MODES.grad
    with inference_mode():
        assert MODES.inference
        assert not MODES.grad
    assert not MODES.inference
    with set_detect_anomaly(True):
        assert MODES.anomaly
        assert MODES.now.special
    assert not MODES.anomaly
    assert not MODES.now.special


def test_one_object_may_be_entered_twice() -> None:
    off = no_grad()
    with off:
        with off:
            assert not MODES.grad
        assert not MODES.grad
    assert MODES.grad


def test_decorators() -> None:
    @no_grad()
    def with_call() -> bool:
        return MODES.grad

    @no_grad
    def without() -> bool:
        return MODES.grad

    @set_grad_enabled(False)
    def switched() -> bool:
        return MODES.grad

    assert MODES.grad
    assert not with_call()
    assert not without()
    assert not switched()
    assert MODES.grad
    assert with_call.__name__ == "with_call"


def test_a_generator_keeps_its_mode_to_itself() -> None:
    @no_grad()
    def numbers() -> Iterator[bool]:
        yield MODES.grad
        try:
            yield MODES.grad
        except KeyError:
            yield not MODES.grad

    running = numbers()
    assert next(running) is False
    assert MODES.grad
    assert next(running) is False
    assert running.throw(KeyError()) is True  # type: ignore[attr-defined]
    assert MODES.grad
    assert list(running) == []


def test_threads_have_their_own() -> None:
    seen: list[bool] = []
    with no_grad():
        thread = threading.Thread(target=lambda: seen.append(MODES.grad))
        thread.start()
        thread.join()
    assert seen == [True]
