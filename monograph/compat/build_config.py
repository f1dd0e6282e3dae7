"""torch.__config__: how this build was made."""

from __future__ import annotations

from monograph.compat.version import __version__
from monograph.runtime.threads import get_num_threads


def show() -> str:
    """A readable description of the build."""
    return f"monograph under torch's name ({__version__}): LLVM through llvmlite, USE_CUDA=OFF, USE_MKL=OFF, USE_OPENMP=OFF\n"


def parallel_info() -> str:
    """A readable description of the threads."""
    return f"monograph threads : {get_num_threads()}\nParallel backend: native thread pool\n"
