"""Complex numbers, wide unsigned integers, bits read as another dtype, integers divided by zero. Values against torch's: parity/."""

from __future__ import annotations

import operator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import monograph as mg
from monograph.core import knobs
from monograph.core.dtype import promote

Z = np.array([1 + 2j, 3 - 1j, 0.5j])
WIDE = (mg.uint16, mg.uint32, mg.uint64)


# ---- complex numbers ----


def test_parts_are_views() -> None:
    z: Any = mg.tensor([1 + 2j, 3 + 4j])
    z.real[0] = 10.0
    z.imag = mg.tensor([7.0, 8.0])
    assert z.tolist() == [10 + 7j, 3 + 8j]
    z.conj()[0] = 1 + 1j
    mg.view_as_real(z)[1, 1] = -5.0
    assert z.tolist() == [1 - 1j, 3 - 5j]
    part = z.real
    z.mul_(2)
    assert part.tolist() == [2.0, 6.0]
    pairs: Any = mg.tensor([[1.0, 2.0], [3.0, 4.0]])
    mg.view_as_complex(pairs).mul_(1j)
    assert pairs.tolist() == [[-2.0, 1.0], [-4.0, 3.0]]


def test_conjugated_views_know_that_they_are() -> None:
    z: Any = mg.tensor(Z)
    assert [z.is_conj(), z.conj().is_conj(), z.conj().conj().is_conj(), z[None].mH.is_conj()] == [False, True, False, True]
    assert not z.conj().resolve_conj().is_conj()
    real: Any = mg.ones(2)
    assert real.conj() is real and real.real is real
    with pytest.raises(RuntimeError, match="imag is not implemented"):
        _ = real.imag


@pytest.mark.parametrize("target", ["cpu", "reference"])
def test_arithmetic_with_numbers_and_real_tensors(target: str) -> None:
    with knobs.target.scoped(target):
        z, x = mg.tensor(Z), mg.tensor([1.0, 2.0, 3.0], dtype=mg.float64)
        for op in (operator.add, operator.sub, operator.mul, operator.truediv):
            for other, value in ((x, x.numpy()), (2.5, 2.5), (1 - 2j, 1 - 2j)):
                np.testing.assert_allclose(op(z, other).numpy(), op(Z, value), rtol=1e-14)
        mixed: Any = x * 1j
        assert mixed.dtype is mg.complex128 and mg.cat([z, x]).dtype is mg.complex128
        assert (mg.ones(2) * mg.tensor(1j, dtype=mg.complex128)).dtype is mg.complex64


def test_a_real_leaf_gets_a_real_gradient() -> None:
    x: Any = mg.tensor([3.0, 4.0], requires_grad=True)
    (x * (1 + 2j)).abs().sum().backward()
    assert x.grad.dtype is mg.float32
    np.testing.assert_allclose(x.grad.numpy(), [5**0.5] * 2, rtol=1e-6)


def test_a_complex_leaf_descends_along_its_gradient() -> None:
    z: Any = mg.tensor(Z, requires_grad=True)
    (z.abs() ** 2).sum().backward()
    np.testing.assert_allclose(z.grad.numpy(), 2 * Z)
    with pytest.raises(RuntimeError, match="real scalar outputs but got complex128"):
        (z * z).sum().backward()


@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop", "Adagrad", "NAdam"])
def test_optimisers_treat_both_parts_alike(name: str) -> None:
    z: Any = mg.nn.Parameter(mg.tensor(Z))
    pairs: Any = mg.nn.Parameter(mg.view_as_real(mg.tensor(Z)).clone())
    steps = [getattr(mg.optim, name)([p], lr=0.1) for p in (z, pairs)]
    for _ in range(3):
        for p, optimizer, square in ((z, steps[0], z.abs() ** 2), (pairs, steps[1], pairs**2)):
            optimizer.zero_grad()
            square.sum().backward()
            optimizer.step()
            del p
    np.testing.assert_allclose(mg.view_as_real(z.detach()).numpy(), pairs.detach().numpy(), rtol=1e-12)


def test_random_complex_numbers_have_variance_one() -> None:
    mg.manual_seed(0)
    z: Any = mg.randn(20_000, dtype=mg.complex64)
    assert abs(z.var().item() - 1) < 0.05 and abs(z.real.var().item() - 0.5) < 0.05
    assert mg.rand(100, dtype=mg.complex128).imag.min().item() >= 0  # type: ignore[attr-defined]


def test_complex_texts() -> None:
    assert repr(mg.tensor([1 + 2j, 3 - 100j])) == "tensor([1.+2.j, 3.-100.j])"
    assert repr(mg.tensor([-1.5 - 2.25j, -100.5 + 3j])) == "tensor([  -1.5000-2.2500j, -100.5000+3.0000j])"
    assert repr(mg.tensor(1j)) == "tensor(0.+1.j)"


def test_complex_numbers_have_no_order() -> None:
    z: Any = mg.tensor(Z)
    for call in (lambda: z < z, z.max, z.sort, z.sign, lambda: z // 2):
        with pytest.raises(RuntimeError, match=r"complex128|complex numbers"):
            call()


# ---- wide unsigned integers ----


@pytest.mark.parametrize("target", ["cpu", "reference"])
@pytest.mark.parametrize("dtype", WIDE)
def test_wide_unsigned_integers(dtype: Any, target: str) -> None:
    most = mg.iinfo(dtype).max
    with knobs.target.scoped(target):
        a: Any = mg.tensor([most, most - 1, 7], dtype=dtype)
        b: Any = mg.tensor([1, 2, 3], dtype=dtype)
        assert (a + b).tolist() == [0, 0, 10] and (a // b).tolist() == [most, (most - 1) // 2, 2]
        assert (b < a).all().item() and a.max().item() == most and a.argmin().item() == 2
        assert a.sort().values.tolist() == [7, most - 1, most] and (a >> 1).tolist() == [most >> 1, most >> 1, 3]
        assert a.double().to(mg.float64).tolist()[2] == 7.0 and (~b).tolist() == [most - 1, most - 2, most - 3]
        assert mg.where(b > 1, a, b).tolist() == [1, most - 1, 7] and a[b > 1].tolist() == [most - 1, 7]
        assert mg.cat([a, b]).scatter(0, mg.tensor([0]), b[:1]).tolist() == [1, most - 1, 7, 1, 2, 3]


def test_promotion_of_unsigned_integers() -> None:
    assert promote(mg.uint16, mg.uint8) is mg.uint16 and promote(mg.uint32, mg.uint64) is mg.uint64
    assert promote(mg.uint16, mg.int8) is mg.int32 and promote(mg.uint32, mg.int32) is mg.int64 and promote(mg.uint8, mg.int64) is mg.int64
    assert promote(mg.uint64, mg.float16) is mg.float16 and promote(mg.uint16, mg.complex64) is mg.complex64
    with pytest.raises(RuntimeError, match="attempted to promote uint64 and int8"):
        promote(mg.uint64, mg.int8)
    with pytest.raises(RuntimeError, match=r"write dtype=monograph\.uint64"):
        mg.tensor([2**63])


def test_every_dtype_is_saved_and_loaded(tmp_path: Path) -> None:
    kept = {d.name: mg.tensor([0, 1, 3], dtype=d) for d in (*WIDE, mg.complex64, mg.complex128)}
    mg.save(kept, tmp_path / "kept")
    for name, t in mg.load(tmp_path / "kept").items():
        assert t.dtype.name == name and t.equal(kept[name])


# ---- bits ----


def test_a_view_of_the_bits_shares_memory() -> None:
    x: Any = mg.tensor([1.0, 2.0])
    x.view(mg.int32)[0] = 0x40000000
    assert x.tolist() == [2.0, 2.0]
    halves = x.view(mg.int16)
    assert halves.shape == (4,) and halves.dtype is mg.int16 and halves.stride() == (1,)
    x.fill_(0.0)
    assert halves.tolist() == [0, 0, 0, 0]
    with pytest.raises(RuntimeError, match=r"stride\(-1\) must be 1"):
        mg.ones(3, 4).t().view(mg.int16)  # type: ignore[attr-defined]
    with pytest.raises(RuntimeError, match="must be divisible by 2"):
        mg.ones(3).view(mg.int64)  # type: ignore[attr-defined]


def test_bits_have_no_gradient() -> None:
    x: Any = mg.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="reads bits"):
        x.view(mg.float64).sum().backward()


# ---- integers divided by zero ----


@pytest.mark.parametrize("target", ["cpu", "reference"])
def test_integers_divided_by_zero(target: str) -> None:
    a: Any = mg.arange(40)
    with knobs.target.scoped(target):
        for call in (operator.floordiv, operator.mod, mg.fmod, lambda x, y: mg.div(x, y, rounding_mode="trunc")):
            for divisor in (a - 20, 0):
                with pytest.raises(RuntimeError, match="ZeroDivisionError"):
                    call(a, divisor).tolist()
            assert call(a, a + 1).tolist() == call(a.float(), a.float() + 1).long().tolist()
        assert (a[:0] // a[:0]).tolist() == []
        with pytest.raises(RuntimeError, match="ZeroDivisionError"):
            mg.compile(lambda x, y: x // y + 1)(a, a).tolist()
