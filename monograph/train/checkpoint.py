"""Checkpoints: everything that a run needs to go on, in one file that is either whole or not there.

The file is `monograph.save`'s: JSON and safetensors in one zip, no code. It is written beside its place, flushed to the disk and renamed,
so a crash at any moment leaves the file of before. What is read is checked against what is being trained before anything is changed.
"""

from __future__ import annotations

import copy
import importlib.metadata
import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from monograph.core.errors import ArtifactError
from monograph.core.trees import flatten, unflatten
from monograph.serialization import load, save
from monograph.tensor.core import Tensor
from monograph.tensor.dispatch import evaluate
from monograph.tensor.interop import from_numpy
from monograph.train.random_state import random_state

if TYPE_CHECKING:
    from monograph.train.trainer import Trainer

FORMAT, SUFFIX = 1, ".ckpt"


def snapshot(trainer: Trainer, weights_only: bool = False) -> dict[str, Any]:
    """The state of a run, as copies: training may go on while it is written."""
    module = trainer.model
    made: dict[str, Any] = {"format": FORMAT, "versions": versions(), "state_dict": dict(module.state_dict())}
    hparams = getattr(trainer.task, "hparams", None)
    if hparams:
        made["hyper_parameters"] = dict(hparams)
    made["metrics"] = {k: float(v) for k, v in trainer.callback_metrics.items() if not isinstance(v, Tensor) or v.numel() == 1}
    made["epoch"], made["global_step"] = trainer.current_epoch, trainer.global_step
    if not weights_only:
        if trainer.fitting is None:
            raise RuntimeError("there is no run to save yet: call fit() first, or save the weights alone with weights_only=True")
        made["optimizer_states"] = [o.state_dict() for o in trainer.optimizers]
        made["lr_schedulers"] = [s.scheduler.state_dict() for s in trainer.schedulers]
        made["scaler"] = trainer.precision.scaler.state_dict() if trainer.precision.scaler is not None else None
        made["gradients"] = _gradients(trainer)
        made["random"] = random_state()
        made["loop"] = trainer.fitting.state()
        made["callbacks"] = {c.state_key: c.state_dict() for c in trainer.callbacks}
        if trainer.datamodule is not None:
            made["datamodule"] = trainer.datamodule.state_dict()
    for callback in trainer.callbacks:
        callback.on_save_checkpoint(trainer, trainer.task, made)
    task: Any = trainer.task
    if hasattr(task, "on_save_checkpoint"):
        task.on_save_checkpoint(made)
    return copied(made)


def _gradients(trainer: Trainer) -> dict[str, Any]:
    """Gradients that are only half accumulated."""
    if trainer.accumulate_grad_batches == 1:
        return {}
    return {name: p.grad for name, p in trainer.model.named_parameters() if p.grad is not None}


def copied(tree: Any) -> Any:
    """The tree with a copy of every tensor's memory, one copy for tensors that are the same."""
    leaves, structure = flatten(tree)
    evaluate([leaf for leaf in leaves if isinstance(leaf, Tensor)])
    made: dict[int, Tensor] = {}

    def copy_of(leaf: Any) -> Any:
        if not isinstance(leaf, Tensor):
            return copy.deepcopy(leaf) if isinstance(leaf, set | np.ndarray) else leaf
        if id(leaf) not in made:
            made[id(leaf)] = from_numpy(leaf.detach().numpy().copy()) if leaf.dtype.name != "bfloat16" else leaf.detach().clone()
        return made[id(leaf)]

    return unflatten(structure, [copy_of(leaf) for leaf in leaves])


def versions() -> dict[str, str]:
    """Of what wrote a checkpoint."""
    found = {"python": platform.python_version(), "numpy": np.__version__}
    try:
        found["monograph"] = importlib.metadata.version("monograph")
    except importlib.metadata.PackageNotFoundError:
        found["monograph"] = "from source"
    return found


def write(state: dict[str, Any], path: Path) -> None:
    """Writes a checkpoint; folders on the way are made. OSError (a full disk, a read-only folder) leaves an older file of that name
    whole.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        save(state, path)
        flush_folder(path.parent)
    except OSError as error:
        error.add_note(f"the checkpoint {path} was not written; what was there before is untouched")
        raise


def flush_folder(folder: Path) -> None:
    """Makes a rename in the folder survive a power cut (where folders can be flushed)."""
    if hasattr(os, "O_DIRECTORY"):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def read(path: Path) -> dict[str, Any]:
    """The state in a checkpoint file. ArtifactError for a file that is damaged or is no checkpoint, FileNotFoundError if there is none."""
    if not path.exists():
        raise FileNotFoundError(f"there is no checkpoint {path}")
    found = load(path)
    if not isinstance(found, dict) or not isinstance(found.get("state_dict"), dict):
        raise ArtifactError(f"{path} is no checkpoint of a training run: it holds {type(found).__name__}, not a dict with 'state_dict'")
    if found.get("format", FORMAT) != FORMAT:
        raise ArtifactError(f"{path} has checkpoint format {found['format']!r}; this monograph reads {FORMAT}")
    return found


def is_whole(path: Path) -> bool:
    """Whether a file can be read as a checkpoint."""
    try:
        read(path)
    except (ArtifactError, OSError, RuntimeError, ValueError):
        return False
    return True


def find(trainer: Trainer, wanted: str | Path) -> Path | None:
    """The file that `ckpt_path` means: a path, "last" (the newest whole one), "best" (by what the checkpoint callback watches)."""
    if wanted not in ("last", "best"):
        path = Path(wanted)
        if not path.exists():
            raise FileNotFoundError(f"there is no checkpoint {path}")
        return path
    callback = trainer.checkpoint_callback
    if wanted == "best":
        best = getattr(callback, "best_model_path", "")
        if not best:
            raise ValueError("ckpt_path='best' needs a ModelCheckpoint that has saved something")
        return Path(best)
    folder = Path(callback.folder(trainer)) if callback is not None else trainer.default_root_dir
    newest_first = sorted(folder.glob(f"*{SUFFIX}"), key=lambda p: (p.stat().st_mtime_ns, p.name), reverse=True)
    return next((p for p in newest_first if is_whole(p)), None)


def restore(trainer: Trainer, state: dict[str, Any], path: str) -> None:
    """Gives a run the state of a checkpoint. Nothing is changed where it does not fit what is trained: RuntimeError or ValueError."""
    if "loop" not in state:
        raise ValueError(f"{path} holds weights only: load them with module.load_state_dict(...), or continue from a whole checkpoint")
    fitting = trainer.fitting
    if fitting is None:
        raise RuntimeError("restore_checkpoint works on a run: call fit(..., ckpt_path=...)")
    for name, have in (("optimizer_states", trainer.optimizers), ("lr_schedulers", trainer.schedulers)):
        if len(state[name]) != len(have):
            raise ValueError(f"{path} has {len(state[name])} {name.replace('_', ' ')}, this run has {len(have)}")
    for callback in trainer.callbacks:
        callback.on_load_checkpoint(trainer, trainer.task, state)
    task: Any = trainer.task
    if hasattr(task, "on_load_checkpoint"):
        task.on_load_checkpoint(state)
    check_fits(trainer.model, state["state_dict"], path)
    trainer.model.load_state_dict(state["state_dict"])
    for optimizer, saved in zip(trainer.optimizers, state["optimizer_states"], strict=True):
        optimizer.load_state_dict(saved)
        optimizer._opt_called = int(state["global_step"]) > 0  # schedulers ask; the steps were the earlier run's
    for schedule, saved in zip(trainer.schedulers, state["lr_schedulers"], strict=True):
        schedule.scheduler.load_state_dict(saved)
    if trainer.precision.scaler is not None and state.get("scaler"):
        trainer.precision.scaler.load_state_dict(state["scaler"])
    parameters = dict(trainer.model.named_parameters())
    for name, gradient in state.get("gradients", {}).items():
        parameters[name].grad = gradient
    trainer.global_step = int(state["global_step"])
    for callback in trainer.callbacks:
        if callback.state_key in state["callbacks"]:
            callback.load_state_dict(state["callbacks"][callback.state_key])
    if trainer.datamodule is not None and "datamodule" in state:
        trainer.datamodule.load_state_dict(state["datamodule"])
    trainer.callback_metrics.update(state.get("metrics", {}))
    fitting.restore(state["loop"], state["random"])


def check_fits(module: Any, saved: dict[str, Any], path: str) -> None:
    """RuntimeError, before anything is changed, if the weights are not those of this module."""
    own = module.state_dict()
    missing, unexpected = [k for k in own if k not in saved], [k for k in saved if k not in own]
    differing = [k for k in own if k in saved and tuple(own[k].shape) != tuple(saved[k].shape)]
    if missing or unexpected or differing:
        parts = [f"missing: {', '.join(missing[:5])}"] if missing else []
        parts += [f"not in the model: {', '.join(unexpected[:5])}"] if unexpected else []
        parts += [f"{k} is {list(saved[k].shape)} in the file and {list(own[k].shape)} in the model" for k in differing[:5]]
        raise RuntimeError(f"{path} holds the weights of another model ({'; '.join(parts)}); nothing was changed")
