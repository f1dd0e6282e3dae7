"""torch.utils.data: the data room under torch's path."""

from monograph import data as _room

globals().update({name: getattr(_room, name) for name in _room.__all__})
__all__ = list(_room.__all__)
