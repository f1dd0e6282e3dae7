"""torch.library and torch.ops: operators that libraries define in Python, and torch's own by name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import monograph as mg
from monograph.compat import library
from monograph.compat.operators import OPERATORS, ops


@pytest.fixture(autouse=True)
def forget_operators() -> Iterator[None]:
    before = dict(OPERATORS)
    yield
    OPERATORS.clear()
    OPERATORS.update(before)


def test_define_and_impl() -> None:
    library.define("mine::scaled", "(Tensor x, float by=2.0, *, bool negate=False) -> Tensor")

    @library.impl("mine::scaled", "default")
    def scaled(x: mg.Tensor, by: float, *, negate: bool) -> mg.Tensor:
        return x * (-by if negate else by)

    x = mg.tensor([1.0, 2.0])
    assert ops.mine.scaled(x).tolist() == [2.0, 4.0]
    assert ops.mine.scaled.default(x, 3.0, negate=True).tolist() == [-3.0, -6.0]
    assert ops.mine.scaled.overloads() == ["default"] and ops.mine.scaled.default.name() == "mine::scaled"
    with pytest.raises(RuntimeError, match="missing value for argument 'x'"):
        ops.mine.scaled()
    with pytest.raises(RuntimeError, match="Unknown keyword argument 'other'"):
        ops.mine.scaled(x, other=1)
    with pytest.raises(RuntimeError, match=r"multiple times"):
        library.define("mine::scaled", "(Tensor x) -> Tensor")


def test_what_is_not_there() -> None:
    with pytest.raises(AttributeError, match=r"'_OpNamespace' 'mine' object has no attribute 'nothing'"):
        ops.mine.nothing  # noqa: B018
    library.define("mine::compiled", "(Tensor x) -> Tensor")
    with pytest.raises(NotImplementedError, match=r"Could not run 'mine::compiled'.*torch.library.impl"):
        ops.mine.compiled(mg.ones(2))
    with pytest.raises(OSError, match=r"Could not load this library: /nowhere/_C\.so"):
        ops.load_library("/nowhere/_C.so")
    with pytest.raises(ValueError, match=r"namespace::name"):
        library.define("without_namespace", "(Tensor x) -> Tensor")


def test_custom_op_differentiates_by_its_own_formula() -> None:
    @library.custom_op("mine::cube", mutates_args=())
    def cube(x: mg.Tensor, times: int = 1) -> mg.Tensor:
        return x**3 * times

    x = mg.tensor([2.0], requires_grad=True)
    with pytest.raises(RuntimeError, match="no autograd formula was registered"):
        cube(x).backward()

    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: mg.Tensor) -> None:
        ctx.save_for_backward(inputs[0])
        ctx.times = inputs[1]

    cube.register_autograd(lambda ctx, g: (g * 30 * ctx.saved_tensors[0] ** 2 * ctx.times, None), setup_context=setup_context)
    cube.register_fake(lambda x, times=1: mg.empty_like(x))
    out = cube(x, times=2)
    assert out.item() == 16.0
    out.backward()
    assert x.grad.item() == 30 * 4 * 2  # the formula that was given, not the derivative of what was computed
    assert ops.mine.cube(x.detach()).item() == 8.0


def test_schemas_are_inferred() -> None:
    def function(x: mg.Tensor, sizes: list[int], mask: mg.Tensor | None = None, *, flag: bool = True) -> tuple[mg.Tensor, mg.Tensor]:
        raise AssertionError

    schema = library.infer_schema(function, mutates_args=())
    assert schema == "(Tensor x, SymInt[] sizes, Tensor? mask=None, *, bool flag=True) -> (Tensor, Tensor)"


def test_library_objects() -> None:
    made = library.Library("ours", "DEF")
    made.define("twice(Tensor x) -> Tensor")
    made.impl("twice", lambda x: x * 2, "CompositeImplicitAutograd")
    x = mg.ones(2, requires_grad=True)
    ops.ours.twice(x).sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]
    with pytest.raises(ValueError, match="Unsupported kind"):
        library.Library("ours", "OTHER")


def test_torchs_own_operators() -> None:
    x = mg.arange(6.0).reshape(2, 3)
    assert ops.aten.add.Tensor(x, x).tolist() == (x + x).tolist()
    assert ops.aten.slice.Tensor(x, 1, 0, 2).tolist() == [[0.0, 1.0], [3.0, 4.0]]
    assert ops.aten.index.Tensor(x, [None, mg.tensor([2, 0])]).tolist() == [[2.0, 0.0], [5.0, 3.0]]
    assert ops.aten._to_copy.default(x, dtype=mg.int64).dtype is mg.int64
    assert "Scalar" in ops.aten._foreach_maximum_.overloads()
    with pytest.raises(NotImplementedError, match="internal to torch"):
        ops.aten._sparse_mm_reduce_impl.default(x)
    with pytest.raises(AttributeError, match="no attribute 'not_an_operator'"):
        ops.aten.not_an_operator  # noqa: B018


def test_ops_is_torchs_under_the_alias_only() -> None:
    with mg.as_torch() as torch:
        assert torch.ops is ops and torch.library is library
    assert mg.library is library


@pytest.mark.parametrize(("n", "k", "m"), [(3, 5, 2), (16, 1500, 7), (4, 0, 3), (1, 512, 1)])
def test_products_of_eight_bits_are_exact(n: int, k: int, m: int) -> None:
    rng = np.random.default_rng(0)
    b = rng.integers(-128, 128, (k, m)).astype(np.int8)
    b[:, 0] = -128
    for a in (np.full((n, k), -128, np.int8), rng.integers(0, 256, (n, k)).astype(np.uint8), np.full((n, k), 255, np.uint8)):
        wanted = a.astype(np.int32) @ b.astype(np.int32)
        out = mg.empty(n, m, dtype=mg.int32)
        for got in (mg._int_mm(mg.tensor(a), mg.tensor(b)), mg._int_mm(mg.tensor(a), mg.tensor(b), out=out), out):
            assert got.dtype is mg.int32 and (got.numpy() == wanted).all()
    with pytest.raises(RuntimeError, match="expected int8 or uint8 times int8"):
        mg._int_mm(mg.ones(2, 2), mg.ones(2, 2, dtype=mg.int8))
    with pytest.raises(RuntimeError, match="needs to match"):
        mg._int_mm(mg.ones(2, 2, dtype=mg.int8), mg.ones(3, 2, dtype=mg.int8))
