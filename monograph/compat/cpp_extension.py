"""torch.utils.cpp_extension: extensions in C++ and CUDA. None can be built or loaded here (what runs is compiled from the graph), so that
code which brings an implementation in Python for such machines takes it; the others get an error that says so.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any, NoReturn


class FileBaton:
    """A lock that is a file: who makes it may build, the others wait until it is gone."""

    def __init__(self, lock_file_path: str, wait_seconds: float = 0.1, warn_after_seconds: float | None = None) -> None:
        self.lock_file_path, self.wait_seconds = lock_file_path, wait_seconds
        self.fd: int | None = None

    def try_acquire(self) -> bool:
        """Makes the file; False if it is there."""
        try:
            self.fd = os.open(self.lock_file_path, os.O_CREAT | os.O_EXCL)
        except FileExistsError:
            return False
        return True

    def wait(self) -> None:
        """Returns when the file is gone."""
        while os.path.exists(self.lock_file_path):
            time.sleep(self.wait_seconds)

    def release(self) -> None:
        """Removes the file."""
        if self.fd is not None:
            os.close(self.fd)
            self.fd = None
        os.remove(self.lock_file_path)


CUDA_HOME: str | None = None
CUDNN_HOME: str | None = None
ROCM_HOME: str | None = None
HIP_HOME: str | None = None
SYCL_HOME: str | None = None
IS_HIP_EXTENSION = False
IS_WINDOWS = os.name == "nt"
ROCM_VERSION: Any = None


def _refuse(what: str, sources: Any = (), cuda: bool | None = None) -> NoReturn:
    """Raises what torch raises without CUDA (OSError) or without a build tool (RuntimeError)."""
    files = [sources] if isinstance(sources, str | os.PathLike) else list(sources or ())
    if cuda or (cuda is None and any(os.fspath(f).endswith((".cu", ".cuh")) for f in files if isinstance(f, str | os.PathLike))):
        raise OSError(f"{what}: CUDA_HOME environment variable is not set, and monograph has no CUDA. Use the module's version in Python.")
    raise RuntimeError(f"{what}: monograph builds and loads no extensions in C++. Use the module's version in Python, or write it in ops.")


def load(name: str, sources: str | Sequence[str], *args: Any, with_cuda: bool | None = None, **kwargs: Any) -> NoReturn:
    """Raises OSError for sources in CUDA, RuntimeError for others: nothing is built.

    >>> load("fast", ["fast.cpp"])  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    RuntimeError: load('fast'): monograph builds and loads no extensions in C++...
    """
    _refuse(f"load({name!r})", sources, with_cuda)


def load_inline(
    name: str, cpp_sources: Any, cuda_sources: Any = None, *args: Any, with_cuda: bool | None = None, **kwargs: Any
) -> NoReturn:  # fmt: skip
    """Raises OSError with sources in CUDA, RuntimeError with others: nothing is built."""
    _refuse(f"load_inline({name!r})", (), bool(cuda_sources) or bool(with_cuda))


def CppExtension(name: str, sources: Sequence[str], *args: Any, **kwargs: Any) -> NoReturn:
    """Raises RuntimeError: nothing is built."""
    _refuse(f"CppExtension({name!r})", sources, False)


def CUDAExtension(name: str, sources: Sequence[str], *args: Any, **kwargs: Any) -> NoReturn:
    """Raises OSError: there is no CUDA."""
    _refuse(f"CUDAExtension({name!r})", sources, True)


def SyclExtension(name: str, sources: Sequence[str], *args: Any, **kwargs: Any) -> NoReturn:
    """Raises RuntimeError: nothing is built."""
    _refuse(f"SyclExtension({name!r})", sources, False)


class BuildExtension:
    """The command of setuptools that would build extensions. Raises RuntimeError when it is made."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        _refuse("BuildExtension", (), False)

    @classmethod
    def with_options(cls, **options: Any) -> Callable[..., Any]:
        """The command with options."""
        return cls


def is_ninja_available() -> bool:
    """False: no build tool is used."""
    return False


def verify_ninja_availability() -> NoReturn:
    """Raises RuntimeError."""
    raise RuntimeError("Ninja is required to load C++ extensions, and monograph loads none")


def include_paths(device_type: str = "cpu", torch_include_dirs: bool = True) -> list[str]:
    """Directories with headers: none."""
    return []


def library_paths(device_type: str = "cpu", torch_include_dirs: bool = True, cross_target_platform: str | None = None) -> list[str]:
    """Directories with libraries: none."""
    return []


def get_default_build_root() -> str:
    """Where torch would build extensions."""
    return os.path.realpath(os.path.join(tempfile.gettempdir(), "torch_extensions"))


def _get_build_directory(name: str, verbose: bool) -> str:
    """Where torch would build the extension `name`; the directory is made."""
    directory = os.path.join(os.environ.get("TORCH_EXTENSIONS_DIR") or get_default_build_root(), name)
    os.makedirs(directory, exist_ok=True)
    return directory


def _find_cuda_home() -> None:
    """None: there is no CUDA."""
    return


def get_cxx_compiler() -> str:
    """The C++ compiler that torch would call."""
    return os.environ.get("CXX", "c++")


def check_compiler_ok_for_platform(compiler: str) -> bool:
    """False: none is used."""
    return False
