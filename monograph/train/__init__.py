"""Training: `Trainer` and `TrainModule` (Lightning's way), `fit` on any module (Keras's way), callbacks, loggers, checkpoints."""

from monograph.train.callbacks import (
    EMA,
    BackupAndRestore,
    Callback,
    DeviceStatsMonitor,
    EarlyStopping,
    GradientAccumulationScheduler,
    KerasCallback,
    LambdaCallback,
    LearningRateMonitor,
    LearningRateScheduler,
    ModelCheckpoint,
    ModelSummary,
    OptunaPruningCallback,
    ProgressBar,
    ReduceLROnPlateau,
    RichProgressBar,
    StochasticWeightAveraging,
    TensorBoard,
    TerminateOnNaN,
    ThroughputMonitor,
    Timer,
    WeightAveraging,
)
from monograph.train.finders import LRFinder, Tuner, lr_find, scale_batch_size
from monograph.train.history import History
from monograph.train.loggers import CSVLogger, Logger, MLflowLogger, TensorBoardLogger, WandbLogger
from monograph.train.module import DataModule, TrainModule
from monograph.train.profilers import AdvancedProfiler, Profiler, PyTorchProfiler, SimpleProfiler
from monograph.train.random_state import seed_everything
from monograph.train.summary import summary
from monograph.train.trainer import Trainer

__all__ = [
    "EMA",
    "AdvancedProfiler",
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "DataModule",
    "DeviceStatsMonitor",
    "EarlyStopping",
    "GradientAccumulationScheduler",
    "History",
    "KerasCallback",
    "LRFinder",
    "LambdaCallback",
    "LearningRateMonitor",
    "LearningRateScheduler",
    "Logger",
    "MLflowLogger",
    "ModelCheckpoint",
    "ModelSummary",
    "OptunaPruningCallback",
    "Profiler",
    "ProgressBar",
    "PyTorchProfiler",
    "ReduceLROnPlateau",
    "RichProgressBar",
    "SimpleProfiler",
    "StochasticWeightAveraging",
    "TensorBoard",
    "TensorBoardLogger",
    "TerminateOnNaN",
    "ThroughputMonitor",
    "Timer",
    "TrainModule",
    "Trainer",
    "Tuner",
    "WandbLogger",
    "WeightAveraging",
    "lr_find",
    "scale_batch_size",
    "seed_everything",
    "summary",
]
