"""What Keras's verbs do to a module: `nn.Module` has their signatures, this is the work."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from monograph.core.trees import flatten, unflatten
from monograph.data.loader import DataLoader
from monograph.nn.attached import attached
from monograph.nn.module import Module
from monograph.tensor.core import Tensor
from monograph.train.batches import Arrays, BatchSource, as_tensors, source_of
from monograph.train.callbacks.progress import ProgressBar
from monograph.train.compiled_task import CompiledTask, class_weight_table
from monograph.train.history import History
from monograph.train.logbook import number
from monograph.train.summary import summary
from monograph.train.trainer import Trainer

BATCH_SIZE = 32


def compile_for_training(module: Module, optimizer: Any = "rmsprop", loss: Any = None, **more: Any) -> None:
    """Keras's `compile`: remembers optimiser, loss and metrics for `fit` and `evaluate`."""
    for name in ("steps_per_execution", "jit_compile", "auto_scale_loss"):
        more.pop(name, None)  # how Keras runs its graph; steps here are always whole programs
    attached(module).update(task=CompiledTask(module, optimizer, loss, **more), steppers={})


def task_of(module: Module, verb: str) -> CompiledTask:
    """The task of a compiled module. RuntimeError for one that was not."""
    task: CompiledTask | None = attached(module).get("task")
    if task is None:
        raise RuntimeError(f"call model.compile(optimizer=..., loss=...) before {verb}()")
    return task


def fit(
    module: Module, x: Any, y: Any, *, batch_size: int | None, epochs: int, verbose: Any, callbacks: Any, validation_split: float,
    validation_data: Any, shuffle: bool, class_weight: Mapping[int, float] | None, sample_weight: Any, initial_epoch: int,
    steps_per_epoch: int | None, validation_steps: int | None, validation_batch_size: int | None, validation_freq: int, **more: Any,
) -> History:  # fmt: skip
    """See nn.Module.fit."""
    task = task_of(module, "fit")
    if not 0.0 <= validation_split < 1.0:
        raise ValueError(f"validation_split is the part of the data to validate on, from 0 to below 1; got {validation_split}")
    if validation_split and validation_data is None:
        if _gives_batches(x):
            raise ValueError("validation_split needs arrays; with a loader or dataset give validation_data")
        (x, y, sample_weight), validation_data = _split((x, y, sample_weight), validation_split)
    task.class_weights = class_weight_table(class_weight) if class_weight else None
    train = _source(x, y, sample_weight, batch_size, shuffle, seed=task.take_seed())
    val = None if validation_data is None else _validation(validation_data, validation_batch_size or batch_size)
    history = History()
    trainer = Trainer(
        max_epochs=epochs, callbacks=[history, *_callbacks(callbacks), *_progress(verbose)], logger=more.pop("logger", False),
        enable_checkpointing=None if _saves(callbacks) else False, enable_progress_bar=False, enable_model_summary=False,
        limit_train_batches=steps_per_epoch, limit_val_batches=validation_steps, check_val_every_n_epoch=validation_freq,
        num_sanity_val_steps=0, **{k: v for k, v in more.items() if k != "ckpt_path"},
    )  # fmt: skip
    trainer.start_epoch = initial_epoch
    trainer.fit(task, train, val, ckpt_path=more.get("ckpt_path"))
    module.eval()  # what a Keras user calls next is the model as it predicts
    return history


def evaluate(
    module: Module,
    x: Any,
    y: Any,
    *,
    batch_size: int | None,
    verbose: Any,
    sample_weight: Any,
    steps: int | None,
    callbacks: Any,
    return_dict: bool,
) -> Any:
    """See nn.Module.evaluate."""
    trainer = _quiet(callbacks, limit_test_batches=steps)
    (found,) = trainer.test(task_of(module, "evaluate"), _source(x, y, sample_weight, batch_size, False), verbose=False)
    if _verbosity(verbose):
        print("  ".join(f"{k} {v:.4f}" for k, v in found.items()))
    return _told(found, return_dict)


def predict(module: Module, x: Any, *, batch_size: int | None, verbose: Any, steps: int | None, callbacks: Any) -> Any:
    """See nn.Module.predict."""
    task = attached(module).setdefault("task", CompiledTask(module))
    batches = _quiet(callbacks, limit_predict_batches=steps).predict(task, _source(x, None, None, batch_size, False))
    return joined(batches)


def on_batch(module: Module, kind: str, x: Any, y: Any, sample_weight: Any, class_weight: Any, return_dict: bool) -> Any:
    """`train_on_batch` and `test_on_batch`."""
    task = task_of(module, "train_on_batch" if kind == "training_step" else "test_on_batch")
    task.class_weights = class_weight_table(class_weight) if class_weight else None
    trainer = _quiet(None)
    stage = "train" if kind == "training_step" else "test"
    stepper = trainer.stepper_for(task, [task.configure_optimizers()])
    batch = _one_batch(x, y, sample_weight)
    module.train(stage == "train")
    logged = (stepper.update(batch, 0) if stage == "train" else stepper.evaluate(kind, batch, 0))[1]
    found = {k: number(v) for k, v in logged.items()}
    return _told({**found, **{name: number(metric) for name, metric in task.metrics[stage].items()}}, return_dict)


def predict_on_batch(module: Module, x: Any) -> Any:
    """See nn.Module.predict_on_batch."""
    task = attached(module).setdefault("task", CompiledTask(module))
    module.eval()
    return joined([_quiet(None).stepper_for(task, []).evaluate("predict_step", _one_batch(x, None, None), 0)[0]])


def joined(batches: list[Any]) -> Any:
    """Outputs of batches as NumPy arrays over all of them, in the structure that one batch has."""
    if not batches:
        return np.empty(0, np.float32)
    structure = flatten(batches[0])[1]
    columns = zip(*(flatten(batch)[0] for batch in batches), strict=True)
    arrays = [[np.asarray(v.detach().numpy() if isinstance(v, Tensor) else v) for v in column] for column in columns]
    return unflatten(structure, [np.concatenate(parts) if parts[0].ndim else np.stack(parts) for parts in arrays])


# ---- data ----
def _gives_batches(x: Any) -> bool:
    if isinstance(x, DataLoader | Iterator) or hasattr(x, "cardinality"):
        return True
    return isinstance(x, Iterable) and not isinstance(x, Tensor | np.ndarray | list | tuple | Mapping) and not hasattr(x, "__array__")


def _source(x: Any, y: Any, weights: Any, batch_size: int | None, shuffle: bool, seed: int = 0) -> BatchSource:
    if isinstance(x, Arrays):
        return x
    if not _gives_batches(x):
        if y is None and weights is not None:
            raise ValueError("sample_weight needs y")
        return Arrays((x, y, weights), batch_size or BATCH_SIZE, shuffle, seed)
    if y is not None or weights is not None:
        raise ValueError(f"x is a {type(x).__name__}, which gives batches by itself: leave y and sample_weight out")
    if batch_size is not None and isinstance(x, DataLoader):
        raise ValueError("x is a DataLoader, which has a batch_size of its own: leave batch_size out")
    return source_of(x)


def _validation(given: Any, batch_size: int | None) -> BatchSource:
    if isinstance(given, tuple | list) and not _gives_batches(given):
        if not 2 <= len(given) <= 3:
            raise ValueError(f"validation_data is (x, y), (x, y, sample_weight), or gives batches; got {len(given)} parts")
        return _source(given[0], given[1], given[2] if len(given) == 3 else None, batch_size, False)
    return _source(given, None, None, None, False)


def _split(columns: tuple[Any, ...], part: float) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    leaves, structure = flatten(columns)
    rows = len(next(leaf for leaf in leaves if leaf is not None))
    at = int(rows * (1.0 - part))
    if not 0 < at < rows:
        raise ValueError(f"validation_split={part} of {rows} samples leaves nothing on one side")
    first = unflatten(structure, [None if leaf is None else leaf[:at] for leaf in leaves])
    last = unflatten(structure, [None if leaf is None else leaf[at:] for leaf in leaves])
    return first, last


def _one_batch(x: Any, y: Any, weights: Any) -> Any:
    columns = [c for c in (x, y, weights) if c is not None]
    rows = len(flatten(columns)[0][0])
    return as_tensors(next(iter(Arrays(tuple(columns), rows, False).epoch(0))))


# ---- what is told ----
def _told(found: dict[str, float], return_dict: bool) -> Any:
    return found if return_dict else next(iter(found.values())) if len(found) == 1 else list(found.values())


def _verbosity(verbose: Any) -> int:
    if verbose == "auto":
        return 1
    if verbose not in (0, 1, 2, True, False):
        raise ValueError(f"verbose is 0 (nothing), 1 (a bar), 2 (a line per epoch) or 'auto', got {verbose!r}")
    return int(verbose)


def _progress(verbose: Any) -> list[ProgressBar]:
    level = _verbosity(verbose)
    return [] if not level else [ProgressBar(all_metrics=True, live=False if level == 2 else (sys.stdout.isatty() or None))]


def _callbacks(callbacks: Any) -> list[Any]:
    return [] if callbacks is None else list(callbacks) if isinstance(callbacks, list | tuple) else [callbacks]


def _saves(callbacks: Any) -> bool:
    return any(getattr(c, "saves", False) for c in _callbacks(callbacks))


def _quiet(callbacks: Any, **limits: Any) -> Trainer:
    return Trainer(
        callbacks=_callbacks(callbacks),
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **limits,
    )


__all__ = ["compile_for_training", "evaluate", "fit", "on_batch", "predict", "predict_on_batch", "summary", "task_of"]
