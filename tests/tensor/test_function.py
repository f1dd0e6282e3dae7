"""TensorFlow's `function`: signatures, concrete functions, and the errors of calls that do not fit."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import monograph as mg
from monograph.core.errors import CaptureError

ANY3, INT = mg.TensorSpec((None, 3), mg.float32, name="a"), mg.TensorSpec((), mg.int32)


@pytest.fixture
def scaled() -> Any:
    @mg.function(input_signature=[ANY3, INT])
    def scaled(x: Any, n: Any) -> Any:
        return {"y": x * 2.0, "n": n}

    return scaled


@pytest.fixture
def _compiled_again() -> Iterator[None]:
    yield
    mg.run_functions_eagerly(False)


def test_calls_are_compiled_and_values_cast(scaled: Any) -> None:
    for _ in range(3):
        assert scaled(mg.ones(2, 3), 1)["y"].tolist() == [[2.0] * 3] * 2
    assert scaled.experimental_get_tracing_count() == 1
    found = scaled([[1.0, 2.0, 3.0]], np.int32(4))
    assert found["y"].tolist() == [[2.0, 4.0, 6.0]] and found["n"].dtype is mg.int32
    assert scaled(n=1, x=np.zeros((4, 3)))["y"].dtype is mg.float32


@pytest.mark.parametrize(
    ("args", "kwargs", "match"),
    [
        ((mg.zeros(2, 4), 1), {}, r"Can not cast TensorSpec\(shape=\(2, 4\).* to TensorSpec\(shape=\(None, 3\)"),
        ((mg.zeros(2, 3, dtype=mg.float64), 1), {}, "Can not cast"), ((mg.zeros(2, 3),), {}, "missing a required argument: 'n'"),
        ((mg.zeros(2, 3), 1, 3), {}, "too many positional"), (("a", 1), {}, "Cannot convert 'a'"), ((mg.zeros(2, 3), 1.5), {}, "1.5"),
        ((mg.zeros(2, 3),), {"m": 1}, "Binding inputs to monograph.function failed"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(scaled: Any, args: Any, kwargs: Any, match: str) -> None:
    with pytest.raises(TypeError, match=match):
        scaled(*args, **kwargs)


def test_bad_signatures_are_refused() -> None:
    with pytest.raises(TypeError, match="1 extra type constraints"):
        mg.function(lambda x: x, input_signature=[INT, INT])
    with pytest.raises(TypeError, match="tuple or a list"):
        mg.function(lambda x: x, input_signature=3)
    with pytest.raises(TypeError, match="missing type constraint for y"):
        mg.function(lambda x, y: x, input_signature=[INT])
    with pytest.raises(TypeError, match="holds TensorSpecs"):
        mg.function(lambda x: x, input_signature=[3])
    with pytest.raises(ValueError, match="a size is a number"):
        mg.TensorSpec((-1,))


def test_nested_signatures() -> None:
    f = mg.function(lambda d, t: d["x"] + t[1], input_signature=[{"x": mg.TensorSpec((2,))}, (INT, mg.TensorSpec(()))])
    assert f({"x": [1.0, 2.0]}, (0, 3.0)).tolist() == [4.0, 5.0]
    with pytest.raises(TypeError, match="a dict with the keys"):
        f({"z": [1.0, 2.0]}, (0, 3.0))
    with pytest.raises(TypeError, match="a tuple of 2"):
        f({"x": [1.0, 2.0]}, (0,))


def test_concrete_functions(scaled: Any) -> None:
    concrete = scaled.get_concrete_function()
    assert concrete.structured_input_signature == ((ANY3, INT), {})
    assert concrete.inputs == [ANY3, INT]
    assert concrete.structured_outputs == {"y": mg.TensorSpec((None, 3)), "n": INT}
    assert len(concrete.outputs) == 2
    assert "mul" in concrete.graph and "float32[s0, 3]" in concrete.graph
    assert concrete(mg.ones(5, 3), 2)["y"].shape == (5, 3)
    assert scaled.get_concrete_function() is concrete
    with pytest.raises(TypeError, match="does not fit the input signature"):
        scaled.get_concrete_function(mg.TensorSpec((2, 4)), INT)


def test_values_are_part_of_a_concrete_function() -> None:
    @mg.function
    def power(x: Any, k: int = 2, *, name: str = "a") -> Any:
        return x**k

    assert power(mg.tensor(3.0)).item() == 9.0 and power(mg.tensor(3.0), 3).item() == 27.0
    assert power(np.array([1.0, 2.0])).tolist() == [1.0, 4.0]
    concrete = power.get_concrete_function(mg.TensorSpec((None,), mg.float32), 3)
    assert concrete.structured_input_signature == ((mg.TensorSpec((None,), mg.float32), 3), {"name": "a"})
    x = mg.tensor([1.0, 2.0], requires_grad=True)
    concrete(x).sum().backward()
    assert x.grad.tolist() == [3.0, 12.0]
    assert concrete(x, 3).tolist() == concrete(x=x).tolist() == [1.0, 8.0]
    for call, match in (
        (lambda: concrete(mg.ones(1, 1)), "Can not cast"), (lambda: concrete(mg.tensor([1])), "Can not cast"),
        (lambda: concrete(), "missing a required argument: 'x'"), (lambda: concrete(x, 4), r"Can not cast 4 to Literal\[3\]"),
        (lambda: concrete(x, bogus=1), "unexpected keyword argument 'bogus'"),
    ):  # fmt: skip
        with pytest.raises(TypeError, match=match):
            call()
    text = power.pretty_printed_concrete_signatures()
    assert "k (POSITIONAL_OR_KEYWORD): Literal[3]" in text and "name (KEYWORD_ONLY): Literal['a']" in text
    assert "Output Type:\n  TensorSpec(shape=(None,), dtype=monograph.float32, name=None)" in text
    assert power.pretty_printed_concrete_signatures(verbose=False).splitlines()[0].startswith("power_0(x: TensorSpec")


def test_python_that_looks_at_values_has_no_graph() -> None:
    f = mg.function(lambda x: x * 2 if x.sum() > 0 else x)
    assert f(mg.ones(2)).tolist() == [2.0, 2.0] and f(-mg.ones(2)).tolist() == [-1.0, -1.0]
    with pytest.raises(CaptureError, match="looks at a tensor's value"):
        _ = f.get_concrete_function(mg.TensorSpec((2,))).graph


def test_methods_have_a_function_for_each_object() -> None:
    class Scale:
        def __init__(self, by: float) -> None:
            self.by = by

        @mg.function
        def __call__(self, x: Any) -> Any:
            return x * self.by

        @mg.function(input_signature=[mg.TensorSpec((None,))])
        def twice(self, x: Any) -> Any:
            return self(self(x))

    two, three = Scale(2.0), Scale(3.0)
    assert two.twice([1.0]).item() == 4.0 and three.twice([1.0]).item() == 9.0
    assert two.twice is two.twice and two.twice is not three.twice
    assert two.twice.get_concrete_function().inputs == [mg.TensorSpec((None,))]
    other = copy.deepcopy(two)
    other.by = 5.0
    assert other.twice([1.0]).item() == 25.0 and two.twice([1.0]).item() == 4.0


@pytest.mark.usefixtures("_compiled_again")
def test_functions_run_eagerly() -> None:
    ran = []
    f = mg.function(lambda x: ran.append(1) or x + 1)
    assert not mg.functions_run_eagerly()
    mg.run_functions_eagerly(True)
    assert mg.functions_run_eagerly()
    for _ in range(3):
        f(mg.ones(1))
    assert len(ran) == 3 and f.experimental_get_tracing_count() == 0


def test_a_training_step() -> None:
    mg.manual_seed(0)
    model = mg.nn.Linear(2, 1)
    optimizer = mg.optim.SGD(model.parameters(), lr=0.1)

    @mg.function
    def step(x: Any, y: Any) -> Any:
        with mg.GradientTape() as tape:
            loss = ((model(x).squeeze(-1) - y) ** 2).mean()
        for p, g in zip(model.parameters(), tape.gradient(loss, list(model.parameters())), strict=True):
            p.grad = g
        optimizer.step()
        return loss

    x = mg.randn(16, 2)
    losses = [step(x, x.sum(1)).item() for _ in range(40)]
    assert losses[-1] < 0.01 * losses[0]
    assert step.experimental_get_tracing_count() < 10
