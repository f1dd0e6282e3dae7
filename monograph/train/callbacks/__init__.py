"""The callbacks, in both frameworks' names."""

from monograph.train.callbacks.accumulation import GradientAccumulationScheduler
from monograph.train.callbacks.averaging import EMA, StochasticWeightAveraging, WeightAveraging
from monograph.train.callbacks.checkpointing import BackupAndRestore, ModelCheckpoint
from monograph.train.callbacks.csv_file import CSVLogger
from monograph.train.callbacks.keras_style import KerasCallback, LambdaCallback
from monograph.train.callbacks.learning_rate import LearningRateMonitor, LearningRateScheduler, ReduceLROnPlateau
from monograph.train.callbacks.model_summary import ModelSummary
from monograph.train.callbacks.progress import ProgressBar
from monograph.train.callbacks.pruning import OptunaPruningCallback
from monograph.train.callbacks.rich_progress import RichProgressBar
from monograph.train.callbacks.statistics import DeviceStatsMonitor, ThroughputMonitor
from monograph.train.callbacks.stopping import EarlyStopping, TerminateOnNaN, Timer
from monograph.train.callbacks.tensorboard import TensorBoard
from monograph.train.hooks import Callback

__all__ = [
    "EMA",
    "BackupAndRestore",
    "CSVLogger",
    "Callback",
    "DeviceStatsMonitor",
    "EarlyStopping",
    "GradientAccumulationScheduler",
    "KerasCallback",
    "LambdaCallback",
    "LearningRateMonitor",
    "LearningRateScheduler",
    "ModelCheckpoint",
    "ModelSummary",
    "OptunaPruningCallback",
    "ProgressBar",
    "ReduceLROnPlateau",
    "RichProgressBar",
    "StochasticWeightAveraging",
    "TensorBoard",
    "TerminateOnNaN",
    "ThroughputMonitor",
    "Timer",
    "WeightAveraging",
]
