"""Where numbers of a run go: the `Logger` interface and what implements it."""

from monograph.train.loggers.base import Logger
from monograph.train.loggers.csv import CSVLogger

__all__ = ["CSVLogger", "Logger"]
