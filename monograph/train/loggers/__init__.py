"""Where numbers of a run go: the `Logger` interface and what implements it."""

from monograph.train.loggers.base import Logger
from monograph.train.loggers.csv import CSVLogger
from monograph.train.loggers.mlflow import MLflowLogger
from monograph.train.loggers.tensorboard import TensorBoardLogger
from monograph.train.loggers.wandb import WandbLogger

__all__ = ["CSVLogger", "Logger", "MLflowLogger", "TensorBoardLogger", "WandbLogger"]
