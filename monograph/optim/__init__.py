"""Floor 7: torch.optim. Optimisers, their parameter groups and state, learning-rate schedules. See README.md."""

from monograph.optim import lr_scheduler
from monograph.optim.adam import Adam, AdamW
from monograph.optim.adaptive import Adadelta, Adagrad, Adamax, RMSprop
from monograph.optim.moments import NAdam, RAdam
from monograph.optim.optimizer import Optimizer
from monograph.optim.sgd import SGD

__all__ = ["SGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "NAdam", "Optimizer", "RAdam", "RMSprop", "lr_scheduler"]
