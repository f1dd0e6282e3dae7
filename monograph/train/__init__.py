"""Training: `Trainer` and `TrainModule` (Lightning's way), `fit` on any module (Keras's way), callbacks, loggers, checkpoints."""

from monograph.train.callbacks import (
    BackupAndRestore,
    Callback,
    EarlyStopping,
    KerasCallback,
    LambdaCallback,
    ModelCheckpoint,
    TerminateOnNaN,
    Timer,
)
from monograph.train.callbacks.model_summary import ModelSummary
from monograph.train.callbacks.progress import ProgressBar
from monograph.train.history import History
from monograph.train.loggers import CSVLogger, Logger
from monograph.train.module import DataModule, TrainModule
from monograph.train.random_state import seed_everything
from monograph.train.summary import summary
from monograph.train.trainer import Trainer

__all__ = [
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "DataModule",
    "EarlyStopping",
    "History",
    "KerasCallback",
    "LambdaCallback",
    "Logger",
    "ModelCheckpoint",
    "ModelSummary",
    "ProgressBar",
    "TerminateOnNaN",
    "Timer",
    "TrainModule",
    "Trainer",
    "seed_everything",
    "summary",
]
