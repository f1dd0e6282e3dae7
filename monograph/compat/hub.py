"""torch.hub: weights by URL, kept in a folder. Repositories with code are not fetched or run."""

from __future__ import annotations

import hashlib
import importlib
import os
import re
import shutil
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from monograph.serialization import load as _load

HASH_REGEX = re.compile(r"-([a-f0-9]*)\.")
_folder: list[str] = []


class _NoBar:
    """A progress bar that shows nothing, for where tqdm is not installed."""

    def __init__(self, iterable: Any = None, total: int | None = None, **options: Any) -> None:
        self.iterable, self.total, self.n = iterable, total, 0

    def __iter__(self) -> Iterator[Any]:
        return iter(self.iterable)

    def update(self, n: int = 1) -> None:
        """Counts."""
        self.n += n

    def set_description(self, *text: Any, **options: Any) -> None:
        """Shows nothing."""

    def close(self) -> None:
        """Nothing was opened."""

    def __enter__(self) -> _NoBar:
        return self

    def __exit__(self, *error: object) -> None:
        """Nothing was opened."""


def __getattr__(name: str) -> Any:
    """`tqdm`, which torch passes on from here: the package if it is installed, else a bar that shows nothing."""
    if name != "tqdm":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return importlib.import_module("tqdm").tqdm
    except ImportError:
        return _NoBar


def _get_torch_home() -> str:
    return os.path.expanduser(os.getenv("TORCH_HOME", os.path.join(os.getenv("XDG_CACHE_HOME", "~/.cache"), "torch")))


def get_dir() -> str:
    """The folder of downloaded weights: $TORCH_HOME/hub, by default ~/.cache/torch/hub, which torch uses too."""
    return _folder[0] if _folder else os.path.join(_get_torch_home(), "hub")


def set_dir(d: str | os.PathLike[str]) -> None:
    """Sets the folder of downloaded weights."""
    _folder[:] = [os.path.expanduser(os.fspath(d))]


def download_url_to_file(url: str, dst: str, hash_prefix: str | None = None, progress: bool = True) -> None:
    """Fetches a URL into a file; it appears there whole or not at all. Raises RuntimeError if the SHA-256 does not begin with
    hash_prefix.
    """
    target = Path(dst).expanduser()
    digest = hashlib.sha256()
    with tempfile.NamedTemporaryFile(dir=target.parent, prefix=target.name + ".", suffix=".part", delete=False) as out:
        try:
            with urllib.request.urlopen(urllib.request.Request(url, headers={"User-Agent": "monograph"})) as answer:
                while chunk := answer.read(1 << 20):
                    out.write(chunk)
                    digest.update(chunk)
            out.close()
            if hash_prefix is not None and not digest.hexdigest().startswith(hash_prefix):
                raise RuntimeError(f'invalid hash value (expected "{hash_prefix}", got "{digest.hexdigest()}")')
            shutil.move(out.name, target)
        finally:
            if os.path.exists(out.name):
                os.unlink(out.name)


def load_state_dict_from_url(
    url: str, model_dir: str | None = None, map_location: Any = None, progress: bool = True, check_hash: bool = False,
    file_name: str | None = None,
    weights_only: bool = True,
) -> Any:  # fmt: skip
    """The object saved at a URL, from the folder of downloaded weights if it is there already.

    Without a network, put the file there by hand: the error of a failed download names the place.
    """
    folder = model_dir or os.path.join(get_dir(), "checkpoints")
    os.makedirs(folder, exist_ok=True)
    name = file_name or os.path.basename(urlparse(url).path)
    path = os.path.join(folder, name)
    if not os.path.exists(path):
        found = HASH_REGEX.search(name) if check_hash else None
        try:
            download_url_to_file(url, path, found.group(1) if found else None, progress)
        except OSError as error:
            raise OSError(f"could not download {url} ({error}); without a network, put the file at {path}") from error
    return _load(path, map_location=map_location)


load_url = load_state_dict_from_url  # its name in torch.utils.model_zoo


def load(repo_or_dir: Any, model: Any, *args: Any, **kwargs: Any) -> Any:
    """Refused: it would run code from a repository."""
    raise NotImplementedError(
        "hub.load() runs code that it downloads, which monograph does not; install the package and load its weights with "
        "load_state_dict_from_url"
    )
