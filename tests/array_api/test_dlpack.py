"""DLPack: memory lent to others and borrowed from them, with NumPy as the other library (torch: parity/, jax: below, where it is there)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import monograph as mg
from monograph.utils.dlpack import from_dlpack, to_dlpack

DTYPES = (
    "bool uint8 uint16 uint32 uint64 int8 int16 int32 int64 float16 bfloat16 float32 float64 complex64 complex128".split()
)


def values(name: str) -> Any:
    return mg.tensor([[0, 1, 2], [3, 4, 1]]).to(getattr(mg, name))


@pytest.mark.parametrize("version", [None, (0, 8), (1, 0), (1, 1)])
@pytest.mark.parametrize("name", DTYPES)
def test_a_capsule_of_every_dtype_comes_back_on_the_same_memory(name: str, version: Any) -> None:
    t = values(name)
    capsule = t.__dlpack__(max_version=version)
    kind = '"dltensor_versioned"' if version is not None and version >= (1, 0) else '"dltensor"'
    assert kind in repr(capsule)
    back: Any = from_dlpack(capsule)
    assert back.dtype is t.dtype and back.tolist() == t.tolist() and back.data_ptr() == t.data_ptr()
    back[0, 0] = 1
    assert t[0, 0].item() == 1


@pytest.mark.parametrize("name", [name for name in DTYPES if name != "bfloat16"])
def test_numpy_sees_and_is_seen(name: str) -> None:
    t = values(name)
    lent = np.from_dlpack(t)
    assert lent.dtype == t.dtype.np and lent.ctypes.data == t.data_ptr()
    t[1, 1] = 0
    assert not lent[1, 1]
    theirs = np.ones((2, 2), t.dtype.np)
    borrowed: Any = mg.from_dlpack(theirs)
    borrowed[0, 0] = 0
    assert not theirs[0, 0] and borrowed.data_ptr() == theirs.ctypes.data


def test_views_and_empty_tensors() -> None:
    t: Any = mg.arange(24).reshape(2, 3, 4)
    for view in (t.transpose(0, 2), t[:, 1:, ::2], t[1, 1, 1], mg.zeros(0, 3), t.expand(2, 2, 3, 4)):
        lent = np.from_dlpack(view)
        assert lent.shape == tuple(view.shape) and lent.tolist() == view.tolist()
    assert tuple(mg.from_dlpack(np.zeros((0, 5), np.int8)).shape) == (0, 5)
    assert mg.from_dlpack(np.arange(6).reshape(2, 3).T).tolist() == [[0, 3], [1, 4], [2, 5]]


def test_copies_on_demand_only() -> None:
    t: Any = mg.ones(2)
    copied = np.from_dlpack(t, copy=True)
    copied[0] = 5
    assert t.tolist() == [1, 1]
    assert np.from_dlpack(t, copy=False).ctypes.data == t.data_ptr()
    n = np.ones(2)
    mine: Any = mg.from_dlpack(n, copy=True)
    mine[0] = 7
    assert n.tolist() == [1, 1]


def test_read_only_memory_is_read_and_never_written() -> None:
    n = np.arange(3.0)
    n.flags.writeable = False
    t: Any = mg.from_dlpack(n)
    assert t.data_ptr() == n.ctypes.data
    view, twin, before = t[1:], t.detach(), t * 10
    t += 1
    assert n.tolist() == [0, 1, 2]
    assert (t.tolist(), view.tolist(), twin.tolist(), before.tolist()) == ([1, 2, 3], [2, 3], [1, 2, 3], [0, 10, 20])
    constant: Any = mg.from_numpy(np.frombuffer(b"abc", np.uint8))
    constant.fill_(0)
    assert constant.tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("lend", "message"),
    [
        (lambda: mg.ones(2, requires_grad=True).__dlpack__(), "require gradient, use tensor.detach"),
        (lambda: mg.ones(2, device="meta").__dlpack__(), "on device meta"),
        (lambda: mg.ones(2).__dlpack__(stream=1), "no streams, got stream=1"),
        (lambda: mg.ones(2).__dlpack__(dl_device=(2, 0)), r"cannot be lent to \(2, 0\)"),
    ],
)
def test_what_cannot_be_lent(lend: Any, message: str) -> None:
    with pytest.raises(BufferError, match=message):
        lend()


def test_what_cannot_be_borrowed() -> None:
    with pytest.raises(RuntimeError, match="expected an object with __dlpack__ or a capsule, got list"):
        mg.from_dlpack([1, 2])
    capsule = to_dlpack(mg.ones(2))
    from_dlpack(capsule)
    with pytest.raises(BufferError, match="a capsule can be consumed only once"):
        from_dlpack(capsule)
    with pytest.raises(ValueError, match="negative"):
        mg.from_dlpack(np.arange(3)[::-1])


def test_the_lender_may_go() -> None:
    lent = np.from_dlpack(mg.arange(1000.0) * 2)
    borrowed: Any = mg.from_dlpack(np.arange(1000.0) * 3)
    kept = [mg.rand(1000) for _ in range(20)]
    assert lent[-1] == 1998 and borrowed[-1].item() == 2997 and len(kept) == 20


@pytest.fixture
def jnp() -> Iterator[Any]:
    yield pytest.importorskip("jax.numpy", reason="jax is not installed: pip install jax, then run this file")


@pytest.mark.parametrize("name", "bool uint8 int8 int16 int32 float16 bfloat16 float32 complex64".split())
def test_jax_shares_memory(jnp: Any, name: str) -> None:
    t: Any = mg.ones(8, 16).to(getattr(mg, name))
    array = jnp.from_dlpack(t)
    assert str(array.dtype) == name and array.unsafe_buffer_pointer() == t.data_ptr()
    own = jnp.ones((8, 16), dtype=name)
    back: Any = mg.from_dlpack(own)
    assert back.dtype is t.dtype and back.data_ptr() == own.unsafe_buffer_pointer()
    back.zero_()  # arrays of jax never change: the tensor goes its own way
    assert bool(own.all()) and not bool(back.any())
