"""The callbacks, in both frameworks' names."""

from monograph.train.callbacks.checkpointing import BackupAndRestore, ModelCheckpoint
from monograph.train.callbacks.keras_style import KerasCallback, LambdaCallback
from monograph.train.callbacks.stopping import EarlyStopping, TerminateOnNaN, Timer
from monograph.train.hooks import Callback

__all__ = [
    "BackupAndRestore",
    "Callback",
    "EarlyStopping",
    "KerasCallback",
    "LambdaCallback",
    "ModelCheckpoint",
    "TerminateOnNaN",
    "Timer",
]
