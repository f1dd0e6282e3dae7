"""torch.utils' paths, for scripts that import by them: `utils.data` is the data room."""

from monograph.utils import data

__all__ = ["data"]
