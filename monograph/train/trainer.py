"""`Trainer`: fit, validate, test and predict for anything that is a task."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from monograph.core.modes import MODES, inference_mode, no_grad
from monograph.tensor.core import Tensor
from monograph.train import checkpoint as checkpoints
from monograph.train.batches import BatchSource, source_of
from monograph.train.evaluation import evaluate_loaders, predict_loaders
from monograph.train.fitting import Fit
from monograph.train.hooks import Hooks
from monograph.train.limits import Limits, seconds_of
from monograph.train.logbook import collecting
from monograph.train.module import DataModule, TrainModule
from monograph.train.profilers import profiler_of
from monograph.train.random_state import seed_everything
from monograph.train.schedules import Schedule, read_configuration
from monograph.train.stepping import Clock, Precision, Stepper, stepper_of
from monograph.train.task import Task


class Trainer:
    """Trains a `TrainModule` with everything around it: validation, callbacks, logging, checkpoints, precision, accumulation, limits.

    The arguments are Lightning's. Those that choose devices accept what means this machine's CPU (`accelerator` "auto" or "cpu",
    `devices` 1 or "auto") and refuse the rest. Intervals: `val_check_interval` counts batches (int) or is a fraction of the epoch
    (float); `limit_*_batches` likewise. `fast_dev_run` runs one (or n) batches of everything and writes nothing. `max_time` is
    seconds, a timedelta, "dd:hh:mm:ss" or a dict of timedelta's arguments. `compile=False` runs every step uncompiled, for debugging.
    `profiler`: "simple" (what the trainer does), "advanced" (Python's functions), "pytorch" (kernels), or a `train.Profiler`.
    """

    def __init__(
        self, *, max_epochs: int | None = None, min_epochs: int | None = None, max_steps: int = -1, min_steps: int | None = None,
        max_time: Any = None, limit_train_batches: float | None = None, limit_val_batches: float | None = None,
        limit_test_batches: float | None = None, limit_predict_batches: float | None = None, overfit_batches: float = 0.0,
        val_check_interval: float | None = None, check_val_every_n_epoch: int = 1, num_sanity_val_steps: int = 2,
        accumulate_grad_batches: int = 1, gradient_clip_val: float | None = None, gradient_clip_algorithm: str = "norm",
        precision: str | int = "32-true", deterministic: bool | str | None = None, detect_anomaly: bool = False,
        callbacks: Any = None, logger: Any = None, log_every_n_steps: int = 50, enable_checkpointing: bool | None = None,
        enable_progress_bar: bool | None = None, enable_model_summary: bool | None = None, default_root_dir: str | Path | None = None,
        profiler: Any = None, fast_dev_run: int | bool = False, inference_mode: bool = True, barebones: bool = False,
        compile: bool = True, accelerator: str = "auto", devices: Any = "auto", strategy: str = "auto", num_nodes: int = 1,  # noqa: A002
        benchmark: bool | None = None, reload_dataloaders_every_n_epochs: int = 0, use_distributed_sampler: bool = True,
    ) -> None:  # fmt: skip
        _only_this_machine(accelerator, devices, strategy, num_nodes)
        if accumulate_grad_batches < 1:
            raise ValueError(f"accumulate_grad_batches must be at least 1, got {accumulate_grad_batches}")
        self.fast_dev_run = fast_dev_run
        if fast_dev_run:
            batches = 1 if fast_dev_run is True else int(fast_dev_run)
            max_epochs, max_steps, num_sanity_val_steps = 1, batches, 0
            limit_train_batches = limit_val_batches = limit_test_batches = limit_predict_batches = batches
            logger, enable_checkpointing, val_check_interval, check_val_every_n_epoch = False, False, None, 1
        if barebones:
            logger = enable_checkpointing = enable_progress_bar = enable_model_summary = False
            num_sanity_val_steps = 0
        self.max_epochs = max_epochs if max_epochs is not None else (1000 if max_steps == -1 and max_time is None else -1)
        self.min_epochs, self.max_steps, self.min_steps = min_epochs or 0, max_steps, min_steps or 0
        self.max_seconds = seconds_of(max_time)
        self.limits = Limits(
            limit_train_batches, limit_val_batches, limit_test_batches, limit_predict_batches, val_check_interval, overfit_batches
        )
        self.check_val_every_n_epoch, self.num_sanity_val_steps = check_val_every_n_epoch, num_sanity_val_steps
        self.accumulate_grad_batches = accumulate_grad_batches
        self.gradient_clip_val, self.gradient_clip_algorithm = gradient_clip_val, gradient_clip_algorithm
        self.precision = Precision(precision)
        self.detect_anomaly, self.compile, self.log_every_n_steps = detect_anomaly, compile, max(1, log_every_n_steps)
        self.reload_dataloaders_every_n_epochs = reload_dataloaders_every_n_epochs
        self.default_root_dir = Path(default_root_dir) if default_root_dir is not None else Path.cwd()
        self._inference = inference_mode
        self.profiler = profiler_of(profiler)

        self.stage = "train"
        self.inside_step = self.should_stop = self.sanity_checking = self.interrupted = False
        self.current_epoch = self.global_step = self.batch_idx = self.start_epoch = 0
        self.callback_metrics: dict[str, Any] = {}
        self.logged_metrics: dict[str, Any] = {}
        self.progress_bar_metrics: dict[str, Any] = {}
        self.num_training_batches: int | None = None
        self.optimizers: list[Any] = []
        self.schedulers: list[Schedule] = []
        self.task: Task | None = None
        self.datamodule: DataModule | None = None
        self.started_at = time.monotonic()
        self.ckpt_path: str | None = None
        self._fit: Fit | None = None
        self.clock = Clock()
        self.callbacks, self.loggers = self._assemble(callbacks, logger, enable_checkpointing, enable_progress_bar, enable_model_summary)
        del deterministic, benchmark, use_distributed_sampler  # results never depend on threads; there is one device and one process

    def _assemble(self, callbacks: Any, logger: Any, checkpointing: Any, progress: Any, summary: Any) -> tuple[list[Any], list[Any]]:
        from monograph.train import defaults  # noqa: PLC0415 - callbacks and loggers know the trainer's types

        return defaults.callbacks_of(self, callbacks, checkpointing, progress, summary), defaults.loggers_of(self, logger)

    def __watched__(self) -> tuple[Any, ...]:
        """Nothing of a trainer is watched by a compiled step: `TrainModule` says what a step may read of it."""
        return ()

    # ---- the four verbs ----
    def fit(
        self, model: Any, train_dataloaders: Any = None, val_dataloaders: Any = None, datamodule: DataModule | None = None,
        ckpt_path: str | Path | None = None, weights_only: bool | None = None,
    ) -> None:  # fmt: skip
        """Trains. `ckpt_path`: a checkpoint to continue from; "last" is the newest whole one of this trainer's folder (none: from the
        start).
        """
        data = self._data(datamodule or (train_dataloaders if isinstance(train_dataloaders, DataModule) else None))
        with self._at_work(model, "fit", data) as hooks:
            train = data.train_dataloader() if data is not None else _loaders(model, train_dataloaders, "train_dataloader")
            if train is None:
                raise ValueError("fit() needs training data: fit(model, train_dataloaders) or a datamodule")
            val = data.val_dataloader() if data is not None else _loaders(model, val_dataloaders, "val_dataloader")
            task, source = self._task(), source_of(train)
            self.num_training_batches = self.limits.batches("train", source.steps())  # schedules ask for the number of steps
            with self.precision.during_setup():
                self.optimizers, self.schedulers = read_configuration(task.configure_optimizers())
            stepper = self.stepper_for(task, self.optimizers)
            sources = [] if val is None or (self.limits.val == 0) else _sources(val)
            self._fit = Fit(self, hooks, stepper, source, sources)
            self._fit.epoch = self.start_epoch
            found = checkpoints.find(self, ckpt_path) if ckpt_path is not None else None
            if found is not None:
                self.restore_checkpoint(found)
            self._tell_loggers(task)
            self._fit.run()

    def validate(
        self, model: Any = None, dataloaders: Any = None, ckpt_path: Any = None, verbose: bool = True, datamodule: Any = None
    ) -> Any:
        """The means of what `validation_step` logs: a list with one dict for each loader."""
        return self._look("validate", model, dataloaders, ckpt_path, verbose, datamodule)

    def test(self, model: Any = None, dataloaders: Any = None, ckpt_path: Any = None, verbose: bool = True, datamodule: Any = None) -> Any:
        """The means of what `test_step` logs: a list with one dict for each loader."""
        return self._look("test", model, dataloaders, ckpt_path, verbose, datamodule)

    def predict(
        self, model: Any = None, dataloaders: Any = None, datamodule: Any = None, return_predictions: bool = True, ckpt_path: Any = None
    ) -> Any:
        """The list of what `predict_step` returned; a list of lists for several loaders."""
        data = self._data(datamodule)
        with self._at_work(model, "predict", data) as hooks:
            loaders = data.predict_dataloader() if data is not None else dataloaders
            self._restore_weights(ckpt_path)
            made = predict_loaders(self, hooks, self.stepper_for(self._task(), []), _sources(loaders), keep=return_predictions)
            return made if not return_predictions or len(made) > 1 else made[0]

    def _look(self, stage: str, model: Any, dataloaders: Any, ckpt_path: Any, verbose: bool, datamodule: Any) -> Any:
        data = self._data(datamodule or (dataloaders if isinstance(dataloaders, DataModule) else None))
        name = "val_dataloader" if stage == "validate" else "test_dataloader"
        with self._at_work(model, stage, data) as hooks:
            loaders = getattr(data, name)() if data is not None else _loaders(self._task(), dataloaders, name)
            if loaders is None:
                raise ValueError(f"{stage}() needs data: {stage}(model, dataloaders) or a datamodule")
            self._restore_weights(ckpt_path)
            results = evaluate_loaders(self, hooks, self.stepper_for(self._task(), []), _sources(loaders), stage)
            if verbose and self.has_progress_bar:
                for number, result in enumerate(results):
                    print(
                        f"{stage}{f' loader {number}' if len(results) > 1 else ''}: " + "  ".join(f"{k} {v:.4f}" for k, v in result.items())
                    )
            return results

    # ---- what the verbs share ----
    @contextlib.contextmanager
    def _at_work(self, model: Any, stage: str, data: DataModule | None) -> Iterator[Hooks]:
        if model is not None:
            self.task = model
        task = self._task()
        module = task.module
        if isinstance(task, TrainModule):
            task.trainer = self
        self.stage, self.interrupted, self.started_at = {"fit": "train"}.get(stage, stage), False, time.monotonic()
        hooks = Hooks(self, task if isinstance(task, TrainModule) else module, self.callbacks)
        anomaly = MODES.anomaly
        MODES.anomaly = anomaly or self.detect_anomaly
        try:
            if data is not None:
                data.prepare_data()
                data.setup(stage)
            if self.profiler is not None:
                self.profiler.setup(stage)
            hooks.call("setup", stage)
            self.precision.convert(module)
            yield hooks
        except BaseException as error:
            self.interrupted = isinstance(error, KeyboardInterrupt)
            for callback in self.callbacks:
                callback.on_exception(self, hooks.module, error)
            raise
        finally:
            MODES.anomaly = anomaly
            try:
                hooks.call("teardown", stage)
                if data is not None:
                    data.teardown(stage)
            finally:
                for logger in self.loggers:
                    logger.finalize("interrupted" if self.interrupted else "finished")
                if self.profiler is not None:
                    self.profiler.teardown(stage)
                    self.profiler.describe()

    def _task(self) -> Any:
        if self.task is None:
            raise ValueError("give a model: this trainer has not trained one yet")
        if not hasattr(self.task, "training_step"):
            kind = type(self.task).__name__
            raise TypeError(
                f"{kind} has no training_step: make it a train.TrainModule, or use model.compile(optimizer, loss) and model.fit(x, y), "
                "which work on any nn.Module"
            )
        return self.task

    def _data(self, data: DataModule | None) -> DataModule | None:
        self.datamodule = data
        return data

    def stepper_for(self, task: Task, optimizers: Sequence[Any]) -> Stepper:
        """What runs the steps of a task under this trainer's settings."""
        stepper = stepper_of(
            task, tuple(optimizers), self.precision, accumulate=self.accumulate_grad_batches, clip=self.gradient_clip_val,
            clip_by=self.gradient_clip_algorithm, compiling=self.compile, inference=inference_mode if self._inference else no_grad,
        )  # fmt: skip
        self.clock = stepper.clock
        return stepper

    def accumulate(self, batches: int) -> None:
        """From here on an update takes the gradients of so many batches."""
        if batches == self.accumulate_grad_batches:
            return
        self.accumulate_grad_batches = batches
        if self._fit is not None:
            self._fit.stepper = self.stepper_for(self._task(), self.optimizers)
            self.clock.epoch = self.current_epoch

    # ---- checkpoints ----
    def save_checkpoint(self, filepath: str | Path, weights_only: bool = False) -> None:
        """Writes everything that a run needs to go on from here to a file (or the weights alone), atomically."""
        checkpoints.write(checkpoints.snapshot(self, weights_only), Path(filepath))

    def restore_checkpoint(self, path: str | Path) -> None:
        """Takes the state of a checkpoint; `fit` does it when given `ckpt_path`."""
        checkpoints.restore(self, checkpoints.read(Path(path)), str(path))
        self.ckpt_path = str(path)

    def _restore_weights(self, ckpt_path: Any) -> None:
        if ckpt_path is None:
            return
        path = checkpoints.find(self, ckpt_path)
        if path is None:
            raise FileNotFoundError(f"there is no checkpoint {ckpt_path!r} in {self.default_root_dir}")
        self._task().module.load_state_dict(checkpoints.read(path)["state_dict"])

    # ---- for callbacks ----
    @property
    def model(self) -> Any:
        """The module that is trained."""
        return self.task.module if self.task is not None else None

    @property
    def lightning_module(self) -> Any:
        """The task, under Lightning's name."""
        return self.task

    @property
    def fitting(self) -> Fit | None:
        """The loop of the last `fit`."""
        return self._fit

    @property
    def logger(self) -> Any:
        """The first logger, None without one."""
        return self.loggers[0] if self.loggers else None

    @property
    def has_progress_bar(self) -> bool:
        """Whether something shows progress."""
        return any(getattr(c, "shows_progress", False) for c in self.callbacks)

    @property
    def checkpoint_callback(self) -> Any:
        """The first callback that saves checkpoints."""
        return next((c for c in self.callbacks if c.saves), None)

    @property
    def early_stopping_callback(self) -> Any:
        """The first callback that may stop early."""
        return next((c for c in self.callbacks if hasattr(c, "stopped_epoch")), None)

    @property
    def estimated_stepping_batches(self) -> float:
        """How many updates `fit` will make in all; inf if nobody knows."""
        if self.max_steps >= 0:
            return self.max_steps
        if self.num_training_batches is None or self.max_epochs < 0:
            return float("inf")
        return -(-self.num_training_batches // self.accumulate_grad_batches) * self.max_epochs

    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        """Gives numbers to all loggers."""
        values = {k: float(v.item()) if isinstance(v, Tensor) else float(v) for k, v in metrics.items()}
        self.logged_metrics.update(values)
        for logger in self.loggers:
            logger.log_metrics(values, self.global_step if step is None else step)

    def _tell_loggers(self, task: Any) -> None:
        """What loggers are told before a run: its settings and its model."""
        settings = dict(getattr(task, "hparams", {}))
        for logger in self.loggers:
            if settings:
                logger.log_hyperparams(settings)
            logger.log_graph(task.module)
            logger.save()

    def call_collecting(self, hooks: Hooks, name: str, stepper: Stepper, stage: str) -> dict[str, Any]:
        """A hook in which the module may log; what it logged."""
        with collecting(stepper.options, stepper.metrics[stage]) as logged:
            hooks.call(name)
        return logged


def _loaders(owner: Any, given: Any, name: str) -> Any:
    if given is not None:
        return given
    method = getattr(owner, name, None)
    return method() if method is not None else None


def _sources(loaders: Any) -> list[BatchSource]:
    if (
        isinstance(loaders, list | tuple)
        and loaders
        and all(isinstance(x, Iterable) and not isinstance(x, list | tuple | Tensor) for x in loaders)
    ):
        return [source_of(x) for x in loaders]
    return [source_of(loaders)]


def _only_this_machine(accelerator: Any, devices: Any, strategy: Any, num_nodes: int) -> None:
    if accelerator not in ("auto", "cpu"):
        raise ValueError(f"accelerator={accelerator!r}: monograph computes on the CPU; give 'auto' or 'cpu'")
    if devices not in ("auto", 1, "1", -1) or num_nodes != 1 or strategy not in ("auto", None):
        raise ValueError(
            f"devices={devices!r}, num_nodes={num_nodes}, strategy={strategy!r}: one process trains with all threads; give devices=1"
        )


__all__ = ["Trainer", "seed_everything"]
