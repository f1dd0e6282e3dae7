"""torch.utils' paths, for scripts that import by them: `utils.data` is the data room."""

from monograph.utils import checkpoint, data, dlpack

__all__ = ["checkpoint", "data", "dlpack"]
