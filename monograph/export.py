"""torch.export: programs that run without the Python they were made from."""

from monograph.tensor.exporting import Dim, ExportedProgram, dims, export, load, save

__all__ = ["Dim", "ExportedProgram", "dims", "export", "load", "save"]
