"""`define` refuses records that lack a part, each for its own reason; the vocabulary is listed in one place."""

from __future__ import annotations

import inspect
import pickle
import subprocess
import sys
from typing import Any

import pytest

from monograph import ops
from monograph.core.attrs import Attrs, attrs
from monograph.graph.op import REGISTRY, VIA_DECOMPOSITION, Family, IncompleteRecord, NotDifferentiable, Trait, define, lookup
from tests.ops.record_checks import VOCABULARY

WHOLE: dict[str, Any] = {
    "family": Family.ELEMENTWISE,
    "infer": lambda a, x: (x.shape, x.dtype),
    "reference": lambda a, x: x,
    "vjp": lambda g, y, a, x: [g],
    "samples": list,
}


class UndeclaredAttrs:
    """Not made with @attrs."""


@pytest.mark.parametrize(
    ("name", "changes", "reason"),
    [
        ("exp", {}, "defined already"),
        ("planted", {"reference": None}, "no meaning"),
        ("planted", {"vjp": VIA_DECOMPOSITION}, "needs a decomposition"),
        ("planted", {"vjp": NotDifferentiable("")}, "say why"),
        ("planted", {"vjp": None}, "silence is not an answer"),
        ("planted", {"infer": None}, "lacks vjp, infer or samples"),
        ("planted", {"samples": None}, "lacks vjp, infer or samples"),
        ("planted", {"attrs": UndeclaredAttrs}, "declared with @attrs"),
        ("planted", {"traits": [Trait.VIEW]}, "how a write goes through it"),
    ],
)
def test_incomplete_records_are_refused(name: str, changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(IncompleteRecord, match=reason):
        define(name, **{**WHOLE, **changes})
    assert "planted" not in REGISTRY


@pytest.fixture
def planted() -> Any:
    @attrs
    class ScaleAttrs(Attrs):
        """A factor."""

        factor: float = 2.0

    yield define("planted", **{**WHOLE, "attrs": ScaleAttrs})
    del REGISTRY["planted"]


def test_a_whole_record_is_accepted_and_found(planted: Any) -> None:
    assert lookup("planted") is planted
    assert planted.make_attrs(factor=3.0).items() == [("factor", 3.0)]
    assert pickle.loads(pickle.dumps(planted)) is planted


def test_an_unknown_name_is_answered_with_close_ones() -> None:
    with pytest.raises(KeyError, match=r"no op is called 'logical'; close: .*logical_and"):
        lookup("logical")


def test_the_room_lists_every_op_that_is_not_a_gradient_of_its_own() -> None:
    modules = {name for name, value in vars(ops).items() if inspect.ismodule(value)}
    listed = {name: getattr(ops, name) for name in ops.__all__ if name not in modules}
    assert {name: REGISTRY[name] for name in listed} == listed
    # In a process of its own: the families of linalg and special are loaded with their rooms, which other tests may have done.
    script = "from monograph import ops; from monograph.graph.op import REGISTRY; print(*REGISTRY)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    left_out = set(VOCABULARY).intersection(loaded) - set(listed) - modules
    assert all(name.endswith("_backward") for name in left_out), sorted(left_out)
