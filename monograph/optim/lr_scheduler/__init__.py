"""Learning-rate schedules: torch.optim.lr_scheduler."""

from monograph.optim.lr_scheduler.base import LRScheduler, _LRScheduler
from monograph.optim.lr_scheduler.composite import ChainedScheduler, ReduceLROnPlateau, SequentialLR
from monograph.optim.lr_scheduler.cyclic import CyclicLR, OneCycleLR
from monograph.optim.lr_scheduler.decay import (
    ConstantLR,
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiplicativeLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)  # fmt: skip

__all__ = [
    "ChainedScheduler", "ConstantLR", "CosineAnnealingLR", "CosineAnnealingWarmRestarts", "CyclicLR", "ExponentialLR", "LRScheduler",
    "LambdaLR",
    "LinearLR", "MultiStepLR", "MultiplicativeLR", "OneCycleLR", "PolynomialLR", "ReduceLROnPlateau", "SequentialLR", "StepLR",
    "_LRScheduler",
]  # fmt: skip
