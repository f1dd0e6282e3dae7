"""Metrics: streaming, mergeable, exact over the epoch."""

from monograph.metrics.aggregation import MaxMetric, MeanMetric, MinMetric, SumMetric
from monograph.metrics.base import Metric

__all__ = ["MaxMetric", "MeanMetric", "Metric", "MinMetric", "SumMetric"]
