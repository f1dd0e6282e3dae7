"""What torch refuses when memory or devices meet: `out=` that is an input, tensors of device meta among others; and small agreements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import monograph as mg
import monograph.nn.functional as F


@pytest.mark.parametrize(
    "call",
    [
        lambda x, i: mg.cat((x, x), out=x),
        lambda x, i: mg.gather(x, 0, i, out=x),
        lambda x, i: mg.take(x, i, out=x[:2]),
        lambda x, i: mg.masked_select(x, x > 0, out=x),
        lambda x, i: mg.index_select(x, 0, i, out=x.detach()[1:3]),
    ],
)
def test_out_is_kept_apart_from_what_is_read(call: Callable[..., Any]) -> None:
    with pytest.raises(RuntimeError, match="refer to a single memory location"):
        call(mg.arange(4.0), mg.tensor([0, 2]))


def test_parts_of_one_tensor_that_do_not_meet_may_be_read_and_written() -> None:
    x = mg.arange(6.0)
    mg.index_select(x[:3], 0, mg.tensor([2, 0]), out=x[4:])
    assert x.tolist() == [0.0, 1.0, 2.0, 3.0, 2.0, 0.0]


@pytest.mark.parametrize("call", [lambda m, c: m + c, lambda m, c: c.mul_(m), lambda m, c: mg.cat([m, c]), lambda m, c: mg.stack([c, m])])
def test_meta_and_other_tensors_do_not_mix(call: Callable[..., Any]) -> None:
    meta, real = mg.ones(3, device="meta"), mg.ones(3)
    with pytest.raises(RuntimeError, match="Expected all tensors to be on the same device, but found at least two devices, meta and cpu!"):
        call(meta, real)
    assert (meta * mg.tensor(2.0)).device.type == "meta"  # a 0-d tensor goes with any


def test_layers_work_on_meta_tensors() -> None:
    x = mg.ones(2, 8, device="meta")
    assert F.layer_norm(F.dropout(F.softmax(x, -1)), (8,)).device.type == "meta"


def test_the_error_of_a_wrong_index_of_an_embedding_has_torchs_words() -> None:
    with pytest.raises(IndexError, match=r"index out of range in self: index 5 is out of bounds for dimension 0 with size 3"):
        F.embedding(mg.tensor([5]), mg.ones(3, 2)).tolist()


def test_value_errors_of_ops_name_the_users_line() -> None:
    with pytest.raises(ValueError, match=r"(?s)between 0 and 1, but got 2.0.*test_joins_of_memory_and_device\.py"):
        F.dropout(mg.ones(3), p=2.0)


def test_numbers_wrap_around_in_unsigned_types() -> None:
    assert mg.full((2,), -9, dtype=mg.uint8).tolist() == [247, 247] and mg.full_like(mg.ones(1, dtype=mg.uint8), -1).item() == 255
    with pytest.raises(RuntimeError, match="without overflow"):
        mg.full((2,), 300, dtype=mg.uint8)


def test_einsum_sums_integers_of_one_operand_as_int64() -> None:
    one, other = mg.ones(2, 3, dtype=mg.int32), mg.ones(3, dtype=mg.int32)
    assert mg.einsum("ik,j->ij", one, other).dtype is mg.int64 and mg.einsum("ik,k->i", one, other).dtype is mg.int32
    assert mg.einsum("ij->i", one).dtype is mg.int64 and mg.einsum("ij->ji", one).dtype is mg.int32


def test_reductions_to_bool() -> None:
    x = mg.tensor([[True, False], [True, True]])
    assert mg.prod(x, 1, dtype=mg.bool).tolist() == [False, True] and mg.sum(mg.tensor([0, 2]), dtype=mg.bool).item() is True


def test_long_vectors_of_half_precision_have_a_cosine() -> None:
    x = mg.full((1, 300), 20.0, dtype=mg.float16)
    assert abs(F.cosine_similarity(x, -x).item() + 1) < 2e-3 and F.cosine_similarity(mg.zeros(1, 3), mg.ones(1, 3)).item() == 0


def test_dropout_in_place_of_nothing_is_no_write() -> None:
    x = mg.ones(1, 2, 3, 3)
    assert F.dropout2d(x, 0.0, True, True) is x and F.dropout(x, 0.0, inplace=True) is x and x._version == 0


def test_reflected_operators_called_by_hand() -> None:
    x: Any = mg.ones(2)
    assert mg.Tensor.__rsub__(1, x) is NotImplemented and mg.Tensor.__rpow__(1, x) is NotImplemented
    with pytest.raises(AttributeError):
        mg.Tensor.__rtruediv__(1, x)


def test_nothing_is_copied_out_of_device_meta() -> None:
    x, meta = mg.ones(3), mg.zeros(3, device="meta")

    def index(x: mg.Tensor) -> None:
        x[:2] = meta[:2]

    for write in (lambda: x.copy_(meta), lambda: index(x), lambda: x.view(3, 1).copy_(meta.view(3, 1))):
        with pytest.raises(NotImplementedError, match="Cannot copy out of meta tensor; no data!"):
            write()
    for read in (meta.tolist, meta[0].item, lambda: (meta + 1).sum().item()):
        with pytest.raises(NotImplementedError):
            read()
    with pytest.raises(RuntimeError, match="incompatible tensor type"):
        x.data = meta
    assert x.tolist() == [1.0, 1.0, 1.0] and x._version == 0


def test_what_is_written_into_a_meta_tensor_is_not_kept() -> None:
    x = mg.empty(3, device="meta")
    x.copy_(mg.ones(3))
    x.zero_()
    x[0] = 2.0
    assert x.is_meta and x.device.type == "meta" and x.shape == (3,)
    module = mg.nn.Linear(2, 2, device="meta")
    module.load_state_dict(mg.nn.Linear(2, 2).state_dict())
    assert module.weight.is_meta
    with pytest.raises(NotImplementedError, match="no data"):
        module.to("cpu")
    weight = module.weight
    assert module.to_empty(device="cpu").weight.device.type == "cpu" and module.weight is not weight
    module.load_state_dict(mg.nn.Linear(2, 2, device="cpu").state_dict(), assign=True)
    assert module(mg.ones(2)).shape == (2,)
