"""Metrics of rankings, one value for each query and their mean: reciprocal rank, average precision, nDCG, hits at k.

`update(preds, target, indexes)` tells the query of each document by a number; `update(preds, target)` takes each row of a matrix for a
query. States are lists, since a query may go on in another batch.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from monograph.core.dtype import float64, int64
from monograph.metrics.base import Metric
from monograph.metrics.inputs import as_tensor, one_of, positive_int, value_pair
from monograph.metrics.tensors import mt
from monograph.tensor.core import Tensor
from monograph.tensor.creation import tensor

FOR_NO_TARGET = {"neg": 0.0, "pos": 1.0}


class Retrieval(Metric):
    """What all share: collecting, and the mean over queries of `value(scores, relevance)`."""

    higher_is_better = True
    graded = False  # whether relevance is a number, or yes or no

    def __init__(self, empty_target_action: str = "neg", top_k: int | None = None) -> None:
        super().__init__()
        name = type(self).__name__
        self.empty_target_action = one_of(name, "empty_target_action", empty_target_action, ("neg", "pos", "skip", "error"))
        self.top_k = None if top_k is None else positive_int(name, "top_k", top_k)
        for state in ("preds", "target", "indexes"):
            self.add_state(state, [])

    def value(self, relevance: np.ndarray, scores: np.ndarray) -> float:
        """For one query: relevance by falling score, and the scores."""
        raise NotImplementedError

    def update(self, preds: Any, target: Any, indexes: Any = None) -> None:
        """Scores and relevance of documents, of one shape; `indexes` of the same shape says to which query each belongs."""
        name = type(self).__name__
        preds, target = value_pair(name, preds, target)
        if indexes is None:
            # Rows are queries of their own: negative numbers, which `compute` keeps apart from those of other batches.
            rows = preds.reshape(-1, preds.shape[-1]) if preds.ndim > 1 else preds.reshape(1, -1)
            indexes = -1 - mt.arange(rows.shape[0]).unsqueeze(-1).expand(rows.shape)
        else:
            indexes = as_tensor(indexes).to(int64)
            if indexes.shape != preds.shape:
                raise ValueError(f"{name}: indexes has shape {list(indexes.shape)}, preds and target {list(preds.shape)}")
            if indexes.numel() and int(indexes.min()) < 0:
                raise ValueError(f"{name}: indexes are numbers of queries from 0, got {int(indexes.min())}")
        self.preds.append(preds.reshape(-1).clone())
        self.target.append(target.reshape(-1).clone())
        self.indexes.append(indexes.reshape(-1).clone())

    def compute(self) -> Tensor:
        """A 0-d tensor; NaN where there is no query."""
        if not self.preds:
            return tensor(float("nan"), dtype=float64)
        scores, relevance = mt.cat(self.preds).numpy(), mt.cat(self.target).numpy()
        batch = np.concatenate([np.full(len(i), n) for n, i in enumerate(self.indexes)])
        query = mt.cat(self.indexes).numpy()
        batch = np.where(query < 0, batch, -1)
        order = np.lexsort((-scores, query, batch))
        scores, relevance, query, batch = scores[order], relevance[order], query[order], batch[order]
        starts = np.flatnonzero((np.diff(query) != 0) | (np.diff(batch) != 0)) + 1
        values = []
        for s, r in zip(np.split(scores, starts), np.split(relevance, starts), strict=True):
            if (r > 0).any():
                values.append(self.value(r if self.graded else (r > 0).astype(np.float64), s))
            elif self.empty_target_action == "error":
                raise ValueError(f"{type(self).__name__}: a query has no relevant document; empty_target_action says what it counts as")
            elif self.empty_target_action != "skip" and len(r):
                values.append(FOR_NO_TARGET[self.empty_target_action])
        return tensor(float(np.mean(values)) if values else float("nan"), dtype=float64)


class RetrievalMRR(Retrieval):
    """The mean over queries of 1 / (the rank of the first relevant document).

    >>> from monograph.metrics import RetrievalMRR
    >>> mrr = RetrievalMRR()
    >>> mrr(mg.tensor([0.2, 0.3, 0.5, 0.1]), mg.tensor([0, 1, 1, 0]), indexes=mg.tensor([0, 0, 1, 1])).item()
    1.0
    >>> mrr(mg.tensor([[0.9, 0.5, 0.1], [0.1, 0.5, 0.9]]), mg.tensor([[0, 1, 0], [0, 0, 1]])).item()
    0.75
    """

    def value(self, relevance: np.ndarray, scores: np.ndarray) -> float:
        """1 / rank, 0 below the top k."""
        rank = int(np.argmax(relevance)) + 1
        return 1.0 / rank if self.top_k is None or rank <= self.top_k else 0.0


class RetrievalMAP(Retrieval):
    """The mean over queries of the average precision at the ranks of relevant documents."""

    def value(self, relevance: np.ndarray, scores: np.ndarray) -> float:
        """The mean of precision at the ranks of what was found."""
        ranks = np.flatnonzero(relevance[: self.top_k]) + 1.0
        return float(np.mean(np.arange(1, len(ranks) + 1) / ranks)) if len(ranks) else 0.0


class RetrievalPrecision(Retrieval):
    """Relevant documents among the top k (all without top_k)."""

    def value(self, relevance: np.ndarray, scores: np.ndarray) -> float:
        """Found / k."""
        return float(relevance[: self.top_k].sum() / (self.top_k or len(relevance)))


class RetrievalRecall(Retrieval):
    """Relevant documents among the top k, of all that are relevant."""

    def value(self, relevance: np.ndarray, scores: np.ndarray) -> float:
        """Found / there."""
        return float(relevance[: self.top_k].sum() / relevance.sum())


class RetrievalHitRate(Retrieval):
    """Queries with a relevant document among the top k."""

    def value(self, relevance: np.ndarray, scores: np.ndarray) -> float:
        """0 or 1."""
        return float(relevance[: self.top_k].any())


class RetrievalNormalizedDCG(Retrieval):
    """Gains (graded relevance) discounted by the logarithm of the rank, over the best that any order could have; ties share their gains.

    >>> from monograph.metrics import RetrievalNormalizedDCG
    >>> round(RetrievalNormalizedDCG()(mg.tensor([[0.1, 0.2, 0.3, 4.0, 70.0]]), mg.tensor([[10, 0, 0, 1, 5]])).item(), 4)
    0.6957
    """

    graded = True

    def value(self, relevance: np.ndarray, scores: np.ndarray) -> float:
        """DCG / ideal DCG: scikit-learn's ndcg_score."""
        discounts = 1.0 / np.log2(np.arange(len(scores)) + 2.0)
        if self.top_k is not None:
            discounts[self.top_k :] = 0.0
        starts = np.append(0, np.flatnonzero(np.diff(scores)) + 1)
        gains = np.add.reduceat(relevance, starts) / np.diff(np.append(starts, len(scores)))
        return float((gains * np.add.reduceat(discounts, starts)).sum() / (np.sort(relevance)[::-1] * discounts).sum())
