"""torch.utils' paths, for scripts that import by them: `utils.data` is the data room."""

from monograph.utils import checkpoint, data

__all__ = ["checkpoint", "data"]
