"""The text form: everything prints, reads back to the same, and hostile text is an ArtifactError with its line."""

from __future__ import annotations

import contextlib
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import monograph as mg  # noqa: F401 - the whole vocabulary
from monograph.core import symbol
from monograph.core.dtype import BY_NAME, float32, float64, from_numpy, int64
from monograph.core.errors import ArtifactError
from monograph.graph.node import Node
from monograph.graph.op import REGISTRY
from monograph.graph.rewrite import apart
from monograph.graph.text import from_text, to_text, type_text, value_text
from monograph.ops import elementwise, movement, reduce, source

NOT_PRINTED = {"source", "custom_function"}


def _samples() -> list[Any]:
    found = []
    for name, op in REGISTRY.items():
        if name in NOT_PRINTED:
            continue
        good = [s for s in op.samples() if s.error is None]
        found += [pytest.param(op, s, id=f"{name}-{i}") for i, s in enumerate(good)]
    return found


@pytest.mark.parametrize("op, sample", _samples())
def test_every_op_round_trips(op: Any, sample: Any) -> None:
    inputs = [source.placeholder(np.asarray(a).shape, from_numpy(np.asarray(a).dtype)) for a in sample.inputs]
    with apart():
        shape, dtype = op.infer(sample.attrs, *inputs)
        node = Node(op, tuple(inputs), sample.attrs, shape, dtype)
    text = to_text(inputs, [node])
    parsed = from_text(text)
    (again,) = parsed.outputs
    assert again.op is op and again.outputs == node.outputs
    assert value_text(tuple(v for _, v in again.attrs.items() if not callable(v))) == value_text(
        tuple(v for _, v in node.attrs.items() if not callable(v))
    )
    assert to_text(list(parsed.inputs.values()), parsed.outputs) == text


def _program() -> tuple[list[Node], list[Node], str]:
    x, w = source.placeholder((2, 3), float32), source.placeholder((3,), float32)
    with apart():
        y = elementwise.mul(x, movement.expand(w, shape=(2, 3)))
        z = reduce.sum(y, dims=(1,), keepdim=False)
    return [x, w], [z, y], to_text([x, w], [z, y], {x: "x", w: "layer.weight"})


def test_text_is_readable() -> None:
    _, _, text = _program()
    assert text == (
        "%x = input : float32[2, 3]\n"
        "%layer.weight = input : float32[3]\n"
        "%0 = expand(%layer.weight) {shape=(2, 3)} : float32[2, 3]\n"
        "%1 = mul(%x, %0) : float32[2, 3]\n"
        "%2 = sum(%1) {dims=(1,), keepdim=False} : float32[2]\n"
        "return %2, %1\n"
    )


@given(st.one_of(st.floats(), st.integers(-(2**63), 2**63), st.booleans(), st.none(), st.text(max_size=20)))
def test_values_read_back_exactly(value: Any) -> None:
    text = f"%x = input : float32[2]\n%0 = full() {{shape=(2,), value={value_text(value)}, dtype=float32}} : float32[2]\nreturn %0\n"
    (node,) = from_text(text).outputs
    back = node.attrs.value  # type: ignore[attr-defined]
    assert type(back) is type(value)
    assert back == value or (isinstance(value, float) and math.isnan(value) and math.isnan(back))
    if isinstance(value, float) and value == 0:
        assert math.copysign(1, value) == math.copysign(1, back)


def test_symbolic_sizes() -> None:
    scope = symbol.Scope()
    batch = scope.symbol("batch", 4)
    x = source.placeholder((batch, 6), float32)
    with apart():
        y = movement.reshape(x, shape=(batch * 2, 3))
        z = movement.reshape(y, shape=(batch * 6,))
    text = to_text([x], [z], {x: "x"})
    assert "float32[batch, 6]" in text and "sym(2*batch)" in text and "float32[6*batch]" in text
    again = from_text(text, {"batch": batch})
    assert to_text(list(again.inputs.values()), again.outputs, {again.inputs["x"]: "x"}) == text
    for n in (1, 5):
        (out,) = from_text(text, {"batch": n}).outputs
        assert out.shape == (6 * n,)
    with pytest.raises(ArtifactError, match="names 'batch'"):
        from_text(text)


def test_deep_graph() -> None:
    x = source.placeholder((2,), float32)
    with apart():
        y = x
        for _ in range(5000):
            y = elementwise.neg(y)
    parsed = from_text(to_text([x], [y]))
    assert len(parsed.nodes) == 5001


HOSTILE = {
    "unknown op": ("%0 = frobnicate() : float32[2]", "no op is called 'frobnicate'"),
    "newer op": ("%0 = full@99() {shape=(2,), value=1, dtype=float32} : float32[2]", "version 99"),
    "source": ("%0 = source() {shape=(2,), dtype=float32} : float32[2]", "no op is called 'source'"),
    "undefined": ("%1 = neg(%0) : float32[2]", "used before it is defined"),
    "twice": ("%0 = input : float32[2]\n%0 = input : float32[2]", "defined twice"),
    "wrong type": ("%0 = input : float32[2]\n%1 = neg(%0) : float32[3]", "the file says"),
    "wrong dtype": ("%0 = input : float99[2]", "is no dtype"),
    "negative size": ("%0 = input : float32[-2]", "a size of -2"),
    "huge": ("%0 = input : float32[999999999, 999999999]", "larger than any memory"),
    "digits": ("%0 = input : float32[" + "9" * 5000 + "]", "digits"),
    "attribute": ("%0 = full() {shape=(2,), value=1, dtype=float32, evil=1} : float32[2]", "no attribute 'evil'"),
    "provider": ("%0 = scalar() {value=1, dtype=float32, provider=1} : float32[]", "no attribute 'provider'"),
    "missing attribute": ("%0 = full() {value=1} : float32[2]", "attributes of full"),
    "attribute type": ('%0 = full() {shape="ab", value=1, dtype=float32} : float32[2]', "cannot be 'ab'"),
    "attribute twice": ("%0 = full() {value=1, value=2} : float32[2]", "again"),
    "code": ("%0 = full() {shape=__import__('os').system('true'), value=1, dtype=float32} : float32[2]", "cannot read"),
    "call": ("%0 = full() {shape=eval(1), value=1, dtype=float32} : float32[2]", "is no value"),
    "nested": ("%0 = full() {shape=" + "(" * 500 + ")" * 500 + ", value=1, dtype=float32} : float32[2]", "nested"),
    "nested size": ("%0 = input : float32[" + "(" * 500 + "1" + ")" * 500 + "]", "nested"),
    "division": ("%0 = input : float32[n//0]", "division|zero"),
    "unknown symbol": ("%0 = input : float32[m]", "names 'm'"),
    "rest": ("%0 = input : float32[2] and more", "too much"),
    "cut": ("%0 = input : float32[2", "bad size|too early"),
    "no return": ("%0 = input : float32[2]", "without a return"),
    "binary": ("\x00\x01\x02", "cannot read"),
    "string": ('%0 = full() {shape=(2,), value="abc, dtype=float32} : float32[2]', "cannot read"),
    "surrogate": ('%0 = full() {shape=(2,), value="\\ud8", dtype=float32} : float32[2]', "is no string"),
    "rank": ("%0 = input : float32[2, 3]\n%1 = sum(%0) {dims=(7,), keepdim=False} : float32[2]", "line 2"),
    "inputs": ("%0 = input : float32[2]\n%1 = add(%0) : float32[2]", "line 2"),
    "after return": ("%0 = input : float32[2]\nreturn %0\n%1 = neg(%0) : float32[2]", "follows the return"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_text(name: str) -> None:
    text, message = HOSTILE[name]
    with pytest.raises(ArtifactError, match=message) as caught:
        from_text(text + ("" if name in ("no return", "after return") else "\nreturn %0\n"), {"n": 4})
    assert "line " in str(caught.value)


@given(st.data())
def test_damaged_text_never_crashes(data: Any) -> None:
    _, _, text = _program()
    at = data.draw(st.integers(0, len(text) - 1))
    length = data.draw(st.integers(0, 5))
    new = data.draw(st.text(alphabet='%()[]{}=,:.0123456789abcx_"\\-+*/ \n\u00e9', max_size=4))
    with contextlib.suppress(ArtifactError):
        from_text(text[:at] + new + text[at + length :])


def test_types_and_values() -> None:
    x = source.placeholder((2, 0), int64)
    assert type_text(x) == "int64[2, 0]"
    assert value_text((1, (2.5,), None, float64, 'a"b')) == '(1, (2.5,), None, float64, "a\\"b")'
    assert value_text(1 + 2j) == "complex(1.0, 2.0)"
    with pytest.raises(ArtifactError, match="cannot be written as text"):
        value_text(len)
    with pytest.raises(ArtifactError, match="is no input of the program"):
        to_text([], [x])
    with pytest.raises(ArtifactError, match="is no name"):
        to_text([x], [x], {x: "a b"})
    assert set(BY_NAME) >= {"float32"}
