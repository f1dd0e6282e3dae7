"""From a configuration to what trains: the module, the task, the data, the trainer. Everything is checked before anything is computed."""

from __future__ import annotations

import csv
import importlib
import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from monograph import optim, train
from monograph.cli import examples
from monograph.cli.config import Config, Problems, check_arguments, unknown
from monograph.cli.exits import BAD_CONFIG, FILE_ERROR, CommandError
from monograph.core.errors import message_of
from monograph.metrics import naming
from monograph.nn.module import Module
from monograph.nn.parameter import Parameter
from monograph.tensor.creation import zeros
from monograph.train.batches import Arrays
from monograph.train.compiled_task import CompiledTask
from monograph.train.hooks import Callback
from monograph.train.objectives import LOSSES, SHORT_LOSSES, Loss

STAGES = ("train", "validation", "test")
TAKEN = ("callbacks", "default_root_dir", "logger", "enable_checkpointing")  # what the command gives the trainer itself


@dataclass
class Experiment:
    """All that a configuration describes. `parts` are (x, y) arrays of a stage; None where the data is a DataModule."""

    config: Config
    module: Module
    task: Any
    parts: dict[str, tuple[np.ndarray, np.ndarray]] | None
    datamodule: Any

    def source(self, stage: str) -> Any:
        """The batches of "train", "validation" or "test"; None if the stage has no data."""
        if self.parts is None or stage not in self.parts:
            return None
        data = self.config.data
        return Arrays(self.parts[stage], data.batch_size, data.shuffle and stage == "train", self.config.seed)


def experiment(config: Config) -> Experiment:
    """Builds model, task and data. CommandError that lists every wrong field."""
    problems = Problems()
    load = _data_of(config, problems)
    model = _model_of(config, problems)
    check_arguments("trainer", config.trainer, train.Trainer, problems, filled=TAKEN)
    for name, args in config.callbacks.items():
        kind = CALLBACKS.get(name)
        if kind is None:
            problems.append(unknown(f"callbacks.{name}", args, name, CALLBACKS))
        else:
            check_arguments(f"callbacks.{name}", args, kind, problems)
    own_task = isinstance(model, type) and issubclass(model, train.TrainModule)
    make_optimizer = None if own_task else _optimizer_of(config, problems)
    if not own_task:
        _check_words(config, problems)
    problems.raise_if_any("the configuration")

    parts, datamodule = _split(load(), config)
    train.seed_everything(config.seed)
    args = dict(config.model.args)
    if config.model.name in examples.MODELS and parts is not None:
        args = {**_sizes(model, *parts["train"]), **args}
    still = Problems()
    check_arguments("model.args", args, model, still)
    still.raise_if_any("the configuration")
    module = model(**args)
    if not isinstance(module, Module):
        raise CommandError(f"model.name = {config.model.name!r} gives {type(module).__name__}, not an nn.Module", BAD_CONFIG)
    if own_task or isinstance(module, train.TrainModule):
        return Experiment(config, module, module, parts, datamodule)
    assert make_optimizer is not None
    loss: Any = config.loss if ":" not in config.loss else imported(config.loss, config.folder)
    task = CompiledTask(module, make_optimizer, loss, metrics=list(config.metrics))
    return Experiment(config, module, task, parts, datamodule)


CALLBACKS = {
    name: kind for name, kind in vars(train).items() if isinstance(kind, type) and issubclass(kind, Callback) and kind is not Callback
}


def trainer(made: Experiment, folder: Path) -> train.Trainer:
    """The trainer of a run in a folder: CSV logs, and checkpoints of the last and, where it is known what is best, the best state."""
    config = made.config
    # Every number of an epoch is a row of metrics.csv, also where an epoch is short.
    given = {"log_every_n_steps": 10, "num_sanity_val_steps": 0, **config.trainer}
    callbacks = [CALLBACKS[name](**args) for name, args in config.callbacks.items()]
    if not any(c.saves for c in callbacks):
        # A TrainModule logs under names of its own choice; its configuration can name one with callbacks.ModelCheckpoint.
        monitor = "val_loss" if isinstance(made.task, CompiledTask) and made.source("validation") is not None else None
        callbacks.append(train.ModelCheckpoint(dirpath=folder / "checkpoints", save_last=True, monitor=monitor))
    try:
        return train.Trainer(**given, callbacks=callbacks, default_root_dir=folder, logger=train.CSVLogger(folder, "logs"))
    except (ValueError, TypeError) as error:
        raise CommandError(f"the configuration's [trainer] is refused: {message_of(error)}", BAD_CONFIG) from None


# ---- names ----
def imported(path: str, folder: Path) -> Any:
    """What "package.module:name" or "file.py:name" means; files are relative to `folder`. Errors inside the code are not caught."""
    where, _, name = path.partition(":")
    sys.path[:0] = [str(folder)] if str(folder) not in sys.path else []
    if where.endswith(".py"):
        file = (folder / where).resolve()
        if not file.exists():
            raise CommandError(f"{path!r}: there is no file {file}", FILE_ERROR)
        spec = importlib.util.spec_from_file_location(file.stem, file)
        assert spec is not None and spec.loader is not None
        module = sys.modules[file.stem] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    else:
        try:
            module = importlib.import_module(where)
        except ModuleNotFoundError as error:
            if error.name is None or not (where + ".").startswith(error.name + "."):
                raise
            raise CommandError(f"{path!r}: there is no module {error.name!r} (looked in {folder} too)", BAD_CONFIG) from None
    if not hasattr(module, name):
        there = [n for n in vars(module) if not n.startswith("_")]
        raise CommandError(unknown(repr(path), name, name, there), BAD_CONFIG)
    return getattr(module, name)


def _model_of(config: Config, problems: Problems) -> Any:
    name = config.model.name
    if name in examples.MODELS:
        check_arguments("model.args", config.model.args, examples.MODELS[name], problems, filled=_missing(name, config.model.args))
        return examples.MODELS[name]
    if ":" in name:
        found = imported(name, config.folder)
        if callable(found):
            check_arguments("model.args", config.model.args, found, problems)
            return found
        problems.append(f"model.name is {name!r}, which is {type(found).__name__}; it must be a class or function that gives an nn.Module")
        return None
    problems.append(unknown("model.name", name, name, examples.MODELS) + ', or "package.module:Class", or "file.py:Class"')
    return None


def _missing(name: str, args: Mapping[str, Any]) -> list[str]:
    """The arguments of a built-in model that its data give."""
    return [n for n in ("inputs", "outputs") if n in inspect.signature(examples.MODELS[name]).parameters and n not in args]


def _sizes(model: Callable[..., Any], x: np.ndarray, y: np.ndarray) -> dict[str, int]:
    """How many numbers go into and come out of a built-in model for these arrays."""
    outputs = int(y.max()) + 1 if y.dtype.kind in "iu" else int(np.prod(y.shape[1:], dtype=np.int64))
    known = {"inputs": int(np.prod(x.shape[1:], dtype=np.int64)), "outputs": outputs}
    if x.ndim == 4:
        known |= {"channels": x.shape[1], "side": x.shape[2]}
    return {n: v for n, v in known.items() if n in inspect.signature(model).parameters}


def _optimizer_of(config: Config, problems: Problems) -> Callable[[Any], Any] | None:
    known = {n.lower(): k for n, k in vars(optim).items() if isinstance(k, type) and issubclass(k, optim.Optimizer)}
    del known["optimizer"]
    name, args = config.optimizer.name, config.optimizer.args
    kind: Any = imported(name, config.folder) if ":" in name else known.get(name.lower())
    if kind is None:
        problems.append(unknown("optimizer.name", name, name, known) + ', or "package.module:Class"')
        return None
    check_arguments("optimizer.args", args, kind, problems, filled=("params",))
    if not problems:
        try:
            kind([Parameter(zeros(1))], **args)
        except (TypeError, ValueError) as error:
            problems.append(f"optimizer.args is {dict(args)!r}, which {kind.__name__} refuses: {message_of(error)}")
    return lambda parameters: kind(parameters, **args)


def _check_words(config: Config, problems: Problems) -> None:
    """Names of losses and metrics."""
    if ":" not in config.loss:
        try:
            Loss(config.loss)
        except ValueError:
            problems.append(unknown("loss", config.loss, config.loss, [*LOSSES, *SHORT_LOSSES]) + ', or "package.module:function"')
    for number, name in enumerate(config.metrics):
        known = naming.snake(name)
        if naming.OTHER_NAMES.get(known, known) not in naming.NAMES:
            problems.append(unknown(f"metrics[{number}]", name, name, [*naming.NAMES, *naming.OTHER_NAMES]))


# ---- data ----
def _data_of(config: Config, problems: Problems) -> Callable[[], Any]:
    """A function that loads the data; whether it can is looked at without reading."""
    name, args = config.data.name, config.data.args
    if ":" in name:
        found = imported(name, config.folder)
        check_arguments("data.args", args, found, problems)
        return lambda: found(**args)
    if name in examples.DATA:
        for key, value in args.items():
            problems.append(f"data.args.{key} (= {value!r}): the built-in data set {name!r} takes no arguments")
        return examples.DATA[name]
    path = config.folder / name
    if path.suffix in (".npz", ".csv"):
        if not path.exists():
            raise CommandError(f"data.name = {name!r}: there is no file {path}", FILE_ERROR)
        reader = _npz if path.suffix == ".npz" else _csv
        check_arguments("data.args", args, reader, problems, filled=("path",))
        return lambda: reader(path, **args)
    problems.append(unknown("data.name", name, name, examples.DATA) + ', or a .npz or .csv file, or "module:function"')
    return lambda: None


def _npz(path: Path, x: str = "x", y: str = "y") -> tuple[np.ndarray, ...]:
    """Arrays x and y of a file, and x_test and y_test if they are there."""
    try:
        with np.load(path, allow_pickle=False) as file:
            missing = [n for n in (x, y) if n not in file]
            if missing:
                raise CommandError(f"{path} has no array {missing[0]!r}; it has {', '.join(file)}", BAD_CONFIG)
            names = [x, y, *([f"{x}_test", f"{y}_test"] if f"{x}_test" in file and f"{y}_test" in file else [])]
            return tuple(file[n] for n in names)
    except (OSError, ValueError) as error:
        raise CommandError(f"cannot read {path}: {error}", FILE_ERROR) from None


def _csv(path: Path, target: str | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Columns of numbers under a header; `target` names what is to be learned (the last column), text there means classes."""
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = [row for row in csv.reader(file) if row] or [[]]
    if not rows:
        raise CommandError(f"{path} has no rows under a header", FILE_ERROR)
    header = [name.strip() for name in header]
    wanted = header[-1] if target is None else target
    if wanted not in header:
        raise CommandError(unknown("data.args.target", wanted, wanted, header), BAD_CONFIG)
    at = header.index(wanted)
    try:
        x = np.array([[float(v) for i, v in enumerate(row) if i != at] for row in rows], np.float32)
        labels = [row[at].strip() for row in rows]
    except (ValueError, IndexError) as error:
        raise CommandError(f"{path}: every column but {wanted!r} must hold numbers in every row ({error})", FILE_ERROR) from None
    try:
        numbers = np.array([float(v) for v in labels])
    except ValueError:
        return x, np.unique(labels, return_inverse=True)[1].astype(np.int64)
    return x, numbers.astype(np.int64) if (numbers == numbers.round()).all() else numbers.astype(np.float32)[:, None]


def _split(found: Any, config: Config) -> tuple[dict[str, tuple[np.ndarray, np.ndarray]] | None, Any]:
    """(arrays for each stage, None), or (None, the data module)."""
    if isinstance(found, train.DataModule):
        return None, found
    if not isinstance(found, tuple | list) or len(found) not in (2, 4):
        raise CommandError(
            f"data.name = {config.data.name!r} gives {type(found).__name__}; it must give (x, y), (x, y, x_test, y_test) or a "
            "train.DataModule",
            BAD_CONFIG,
        )
    x, y, *test = (np.asarray(a) for a in found)
    if len(x) != len(y):
        raise CommandError(f"data.name = {config.data.name!r} gives {len(x)} inputs and {len(y)} targets", BAD_CONFIG)
    order = np.random.default_rng(0).permutation(len(x))  # always the same rows, whatever the seed: a test set stays unseen
    held = 0 if test else round(len(x) * config.data.test_split)
    validated = round(len(x) * config.data.validation_split)
    if held + validated >= len(x):
        raise CommandError(f"data: {len(x)} rows leave none to train on (test {held}, validation {validated})", BAD_CONFIG)
    cuts = {"test": order[:held], "validation": order[held : held + validated], "train": order[held + validated :]}
    parts = {stage: (x[rows], y[rows]) for stage, rows in cuts.items() if len(rows)}
    if test:
        parts["test"] = (test[0], test[1])
    return parts, None
