"""torch.utils.tensorboard: `SummaryWriter`, on top of the package `tensorboard` (the extra of that name)."""

from monograph.utils.tensorboard.writer import FileWriter, SummaryWriter

__all__ = ["FileWriter", "SummaryWriter"]
