"""Fuzzed calls of the whole public surface, the same ones every time: no crash, no foreign exception, no changed input, one answer."""

from __future__ import annotations

import pytest

from tests.fuzz.calls import texts_of
from tests.fuzz.running import judge, run_calls
from tests.fuzz.surface import names

# Found by long runs, and mended.
REGRESSIONS = (
    "mg.kron(1, t((2,), 'float32', 80, 'plain'))",
    "F.pixel_shuffle(1, 2)",
    "mg.linalg.cholesky_ex(slice(None))",
    "mg.fft.fft('text')",
    "mg.reshape((2, 3), (6,))",
    "mg.numel(float('inf'))",
    "mg.nonzero(1.5)",
    "mg.cartesian_prod(t((5,), 'float32', 95, 'plain'), 3)",
    "mg.atleast_1d(t((4,), 'float32', 41, 'plain'), 'cpu')",
    "mg.promote_types(t((3,), 'float32', 90, 'plain'), mg.int64)",
    "mg.can_cast(-1, 0.5)",
    "mg.full_like(t((5,), 'float64', 42, 'plain'), (1, 2))",
    "mg.lu_solve(t((3, 3), 'float64', 83, 'plain'), 1, index((3,), 2, 78, 'int32'))",
    "t((2, 4, 4), 'float64', 74, 'plain').long(None, None)",
    "t((2, 3), 'float64', 69, 'turned').tril((1, 0))",
    "F.elu(t((2, 4), 'float64', 28, 'row'), ..., True)",
    "t((2, 3, 4), 'float64', 19, 'plain').narrow_copy(-3, 0.0, 2)",
    "t((2, 3, 4), 'uint64', 35, 'grad').__mod__(t((2, 3, 4), 'uint64', 67, 'strided'))",
    "mg.zeros(2**40, 2**10)",
    "mg.ones((2**31, 2**31)).sum()",
    "t((3,), 'float32', 1, 'plain').expand(2**40, 3).clone()",
    "mg.grid_sampler_2d(range(3), 1j, 0, -1, 0.5)",
    "mg.smm(2, t((3, 3), 'float32', 38, 'special'))",
    "mg.eval(0.0, t((3,), 'float16', 47, 'strided'))",
)


def test_what_was_wrong_once() -> None:
    wrong = [f"{said}\n    {text}" for text, said in run_calls(REGRESSIONS, judge) if said]
    assert not wrong, "\n".join(wrong)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_calls_drawn_at_random(seed: int) -> None:
    wrong = [f"{said}\n    {text}" for text, said in run_calls(texts_of(seed, 60), judge) if said]
    assert not wrong, "\n".join(wrong)


def test_the_whole_surface_is_drawn_from() -> None:
    found = names()
    assert len(found) > 1000
    assert {"mg.add", "Tensor.add_", "F.conv2d", "nn.LSTM", "mg.linalg.svd", "mg.special.erf", "mg.fft.rfft", "mg.optim.Adam"} <= set(found)


def test_a_worker_that_dies_is_the_finding_of_its_call() -> None:
    def verdict(text: str) -> str:
        if text == "dies":
            import os  # noqa: PLC0415
            import signal  # noqa: PLC0415

            os.kill(os.getpid(), signal.SIGSEGV)
        return "" if text == "lives" else "odd"

    assert list(run_calls(["lives", "dies", "other"], verdict)) == [("lives", ""), ("dies", "[crash] SIGSEGV"), ("other", "odd")]
