"""tf.data's way of working: datasets as chains of verbs, read by iterators that can be saved and resumed. See data/README.md."""

from __future__ import annotations

from monograph.data.pipeline.iterator import DatasetIterator
from monograph.data.pipeline.pipeline import Pipeline
from monograph.data.pipeline.stage import AUTOTUNE, INFINITE_CARDINALITY, UNKNOWN_CARDINALITY

__all__ = ["AUTOTUNE", "INFINITE_CARDINALITY", "UNKNOWN_CARDINALITY", "DatasetIterator", "Pipeline"]
