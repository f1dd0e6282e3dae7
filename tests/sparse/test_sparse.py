"""Sparse tensors: layouts, products and their gradients, arithmetic; what refuses."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import monograph as mg

DENSE = np.array([[0.0, 0.0, 3.0], [4.0, 0.0, 5.0]], np.float32)


def coo(requires_grad: bool = False) -> Any:
    return mg.sparse_coo_tensor([[0, 1, 1, 0], [2, 0, 2, 2]], [1.0, 4.0, 5.0, 2.0], (2, 3), requires_grad=requires_grad)


def test_positions_that_occur_twice_are_summed() -> None:
    s = coo()
    assert s.is_sparse and s.layout is mg.sparse_coo and not s.is_coalesced() and s._nnz() == 4 and isinstance(s, mg.Tensor)
    np.testing.assert_array_equal(s.to_dense().numpy(), DENSE)
    c = s.coalesce()
    assert c.is_coalesced() and c.indices().tolist() == [[0, 1, 1], [2, 0, 2]] and c.values().tolist() == [3.0, 4.0, 5.0]
    with pytest.raises(RuntimeError, match=r"call .coalesce\(\) first"):
        s.indices()


@pytest.mark.parametrize("layout", ["sparse_coo", "sparse_csr", "sparse_csc"])
def test_products_in_every_layout(layout: str) -> None:
    s = mg.from_numpy(DENSE).to_sparse(layout=getattr(mg, layout))
    d = np.arange(6, dtype=np.float32).reshape(3, 2)
    t = mg.from_numpy(d)
    assert s.layout is getattr(mg, layout)
    for product in (s @ t, mg.mm(s, t), mg.sparse.mm(s, t), mg.spmm(s, t), s.matmul(t)):
        np.testing.assert_array_equal(product.numpy(), DENSE @ d)
    np.testing.assert_array_equal((t.t() @ s.t()).numpy(), (DENSE @ d).T)
    np.testing.assert_array_equal(mg.mm(t.t(), s.t()).numpy(), (DENSE @ d).T)
    np.testing.assert_array_equal((s @ t[:, 0]).numpy(), DENSE @ d[:, 0])
    np.testing.assert_array_equal(mg.sparse.mm(s, s.t()).to_dense().numpy(), DENSE @ DENSE.T)
    np.testing.assert_array_equal(s.to_dense().numpy(), DENSE)


def test_a_product_is_differentiable_in_both_factors() -> None:
    values = mg.tensor([1.0, 4.0, 5.0], dtype=mg.float64, requires_grad=True)
    right = mg.rand(3, 2, dtype=mg.float64, requires_grad=True)
    indices = mg.tensor([[0, 1, 1], [2, 0, 2]])

    def product(v: Any, d: Any) -> Any:
        return mg.sparse.mm(mg.sparse_coo_tensor(indices, v, (2, 3)), d)

    assert mg.autograd.gradcheck(product, (values, right)) and mg.autograd.gradgradcheck(product, (values, right))


def test_the_gradient_of_a_sparse_leaf_has_its_pattern() -> None:
    s = coo(requires_grad=True)
    (s @ mg.ones(3, 1)).sum().backward()
    assert s.is_leaf and s.grad.is_sparse and s.grad.to_dense().tolist() == [[0.0, 0.0, 2.0], [1.0, 0.0, 1.0]]


def test_batches_of_matrices() -> None:
    dense = mg.tensor([[[1.0, 0.0], [0.0, 2.0]], [[0.0, 3.0], [0.0, 0.0]]])
    right = mg.arange(8.0).reshape(2, 2, 2)
    np.testing.assert_array_equal((dense.to_sparse() @ right).numpy(), (dense @ right).numpy())


def test_arithmetic_keeps_the_pattern() -> None:
    s = coo()
    for found, expected in (
        (s + s, DENSE * 2), (s - s * 0.5, DENSE / 2), (s * 2, DENSE * 2), (2 * s, DENSE * 2), (s / 2, DENSE / 2), (-s, -DENSE),
        (s * mg.full((2, 3), 3.0), DENSE * 3), (s * s, DENSE**2), (s.pow(2), DENSE**2), (mg.sqrt(s), np.sqrt(DENSE)), (s.t(), DENSE.T),
        (mg.cat([s, s], 0), np.concatenate([DENSE, DENSE])), (s.index_select(1, mg.tensor([2, 0, 2])), DENSE[:, [2, 0, 2]]),
        (s[1], DENSE[1]), (s.unsqueeze(0), DENSE[None]),
    ):  # fmt: skip
        assert found.is_sparse
        np.testing.assert_array_equal(found.to_dense().numpy(), expected)
    np.testing.assert_array_equal((mg.ones(2, 3) + s).numpy(), DENSE + 1)


def test_sums_and_softmax() -> None:
    s = coo()
    assert mg.sparse.sum(s).item() == 12 and mg.sum(s).item() == 12
    assert mg.sparse.sum(s, 0).to_dense().tolist() == [4, 0, 8] and mg.sparse.sum(s, (1,)).to_dense().tolist() == [3, 9]
    soft = mg.sparse.softmax(s, 1)
    np.testing.assert_allclose(soft.values().numpy(), [1, 1 / (1 + np.e), np.e / (1 + np.e)], rtol=1e-6)
    np.testing.assert_allclose(mg.sparse.log_softmax(s, 1).values().exp().numpy(), soft.values().numpy(), rtol=1e-6)


def test_dense_dimensions() -> None:
    s = mg.sparse_coo_tensor([[1, 0, 1]], mg.arange(6.0).reshape(3, 2), (3, 2))
    assert (s.sparse_dim(), s.dense_dim()) == (1, 1) and s.coalesce().values().tolist() == [[2, 3], [4, 6]]
    assert s.to_dense().tolist() == [[2, 3], [4, 6], [0, 0]] and s.to_dense().to_sparse(1).values().tolist() == [[2, 3], [4, 6]]


def test_compressed_rows_and_columns() -> None:
    r, c = mg.from_numpy(DENSE).to_sparse_csr(), mg.from_numpy(DENSE).to_sparse_csc()
    assert r.crow_indices().tolist() == [0, 1, 3] and r.col_indices().tolist() == [2, 0, 2] and r.values().tolist() == [3, 4, 5]
    assert c.ccol_indices().tolist() == [0, 1, 1, 3] and c.row_indices().tolist() == [1, 0, 1] and c.values().tolist() == [4, 3, 5]
    again = mg.sparse_csc_tensor(c.ccol_indices(), c.row_indices(), c.values(), (2, 3))
    assert again.to_sparse_csr().to_dense().tolist() == DENSE.tolist()
    picked = mg.sparse.sampled_addmm(r, mg.ones(2, 4), mg.ones(4, 3), beta=0.0)
    assert picked.to_dense().tolist() == (4 * (DENSE != 0)).tolist()
    with pytest.raises(RuntimeError, match="end with nnz"):
        mg.sparse_csr_tensor([0, 1, 4], [2, 0, 2], [1.0, 2.0, 3.0], (2, 3))


def test_diagonals_and_old_constructors() -> None:
    made = mg.sparse.spdiags(mg.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]), mg.tensor([0, -1]), (3, 3), layout=mg.sparse_csr)
    assert made.to_dense().tolist() == [[1, 0, 0], [4, 2, 0], [0, 5, 3]]
    old = mg.sparse.FloatTensor(mg.tensor([[0], [1]]), mg.tensor([2.0]), mg.Size([2, 2]))
    assert old.to_dense().tolist() == [[0, 2], [0, 0]] and isinstance(old, mg.sparse.FloatTensor)


def test_what_is_written_for_dense_tensors_refuses() -> None:
    s = coo()
    for attempt in (lambda: mg.exp(s), lambda: s.view(6), lambda: s.tolist(), lambda: mg.ones(2, 3) * 2 - mg.exp(s), lambda: s + 1):
        with pytest.raises(RuntimeError):
            attempt()
    with pytest.raises(NotImplementedError, match=r"sparse_coo one of size \[2, 3\] with 4 stored values. Write x.to_dense\(\)"):
        mg.exp(s)
    with pytest.raises(RuntimeError, match="found index 3"):
        mg.sparse_coo_tensor([[0, 3]], [1.0, 2.0], (2,))
    with pytest.raises(RuntimeError, match="negative index"):
        mg.sparse_coo_tensor([[0, -1]], [1.0, 2.0], (2,))
    with pytest.raises(RuntimeError, match="same nnz"):
        mg.sparse_coo_tensor([[0, 1]], [1.0], (2,))
    with pytest.raises(RuntimeError, match="expected sparse row compressed tensor layout but got Strided"):
        mg.ones(2).crow_indices()
    with pytest.raises(RuntimeError, match="inner sizes must be equal"):
        s @ mg.ones(2, 2)


def test_empty_tensors() -> None:
    s = mg.sparse_coo_tensor(size=(2, 3))
    assert s._nnz() == 0 and s.to_dense().tolist() == [[0] * 3] * 2 and (s @ mg.ones(3, 2)).tolist() == [[0] * 2] * 2
    assert mg.sparse.sum(s).item() == 0 and (s + coo()).to_dense().tolist() == DENSE.tolist() and mg.zeros(2, 2).to_sparse()._nnz() == 0


def test_as_a_buffer_of_a_module() -> None:
    layer = mg.nn.Module()
    layer.register_buffer("adjacency", coo(), persistent=False)
    layer.double().to("cpu")
    assert layer.adjacency.dtype is mg.float64 and copy.deepcopy(layer).adjacency.to_dense().tolist() == DENSE.tolist()
    assert pickle.loads(pickle.dumps(coo())).to_dense().tolist() == DENSE.tolist()


def test_printing() -> None:
    assert repr(coo().coalesce()) == (
        "tensor(indices=tensor([[0, 1, 1],\n                       [2, 0, 2]]),\n       values=tensor([3., 4., 5.]),\n"
        "       size=(2, 3), nnz=3, layout=monograph.sparse_coo)"
    )
