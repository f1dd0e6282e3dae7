"""`TrainModule` and `DataModule`: a model with its steps, and data with its loaders, in Lightning's shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from monograph.core.modes import MODES
from monograph.nn.attached import attached
from monograph.nn.module import Module
from monograph.tensor.core import Tensor
from monograph.train.hooks import ModuleHooks
from monograph.train.logbook import LogOptions, collect


class TrainModule(ModuleHooks, Module):
    """A module that knows how it is trained: subclass it, write `training_step` and `configure_optimizers`, and give it to a `Trainer`.

    >>> import monograph as mg
    >>> from monograph import nn, train
    >>> class Line(train.TrainModule):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.layer = nn.Linear(1, 1)
    ...     def training_step(self, batch, batch_idx):
    ...         x, y = batch
    ...         loss = nn.functional.mse_loss(self.layer(x), y)
    ...         self.log("train_loss", loss)
    ...         return loss
    ...     def configure_optimizers(self):
    ...         return mg.optim.SGD(self.parameters(), lr=0.1)
    >>> x = mg.linspace(-1, 1, 32).reshape(32, 1)
    >>> loader = mg.utils.data.DataLoader(mg.utils.data.TensorDataset(x, 2 * x), batch_size=8)
    >>> trainer = train.Trainer(max_epochs=20, logger=False, enable_checkpointing=False, enable_progress_bar=False)
    >>> model = Line()
    >>> trainer.fit(model, loader)
    >>> round(model.layer.weight.item(), 1)
    2.0
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.automatic_optimization = True

    # ---- to be written ----
    def training_step(self, batch: Any, batch_idx: int) -> Any:
        """The loss of a batch: a tensor, or a dict with "loss". None skips the batch."""
        raise NotImplementedError(f"{type(self).__name__} has no training_step(self, batch, batch_idx): it returns the loss of a batch")

    def validation_step(self, batch: Any, batch_idx: int) -> Any:
        """Looks at a batch of validation data and logs what is to be known of it."""

    def test_step(self, batch: Any, batch_idx: int) -> Any:
        """Looks at a batch of test data."""

    def predict_step(self, batch: Any, batch_idx: int) -> Any:
        """What `Trainer.predict` gives for a batch: by default the module called on it (on the first of a tuple or list)."""
        return self(batch[0] if isinstance(batch, tuple | list) else batch)

    def configure_optimizers(self) -> Any:
        """An optimiser; a list of them; (optimisers, schedulers); or {"optimizer": ..., "lr_scheduler": ...}."""
        raise NotImplementedError(f"{type(self).__name__} has no configure_optimizers(self): return e.g. optim.Adam(self.parameters())")

    # ---- what a step may call ----
    def log(
        self, name: str, value: Any, prog_bar: bool = False, logger: bool = True, on_step: bool | None = None, on_epoch: bool | None = None,
        reduce_fx: str = "mean", batch_size: int | None = None, sync_dist: bool = False, add_dataloader_idx: bool = True,
    ) -> None:  # fmt: skip
        """Notes a number under a name. In training steps each step's value counts (on_step), elsewhere the epoch's mean (on_epoch).

        Means weigh batches by their number of samples: `batch_size`, or the first dim of the batch.
        """
        here = self._trainer.stage if self._trainer is not None else "train"
        steps = here == "train" and self._trainer is not None and self._trainer.inside_step
        options = LogOptions(
            prog_bar,
            logger,
            steps if on_step is None else on_step,
            (not steps) if on_epoch is None else on_epoch,
            _named(reduce_fx),
            batch_size,
        )
        collect(name, value, options)

    def log_dict(self, dictionary: Mapping[str, Any], **options: Any) -> None:
        """`log` for each item."""
        for name, value in dictionary.items():
            self.log(name, value, **options)

    def optimizers(self, use_pl_optimizer: bool = True) -> Any:
        """The optimiser, or the list of them: for steps that optimise by themselves."""
        made = self._trainer.optimizers if self._trainer is not None else self.trainer.optimizers
        return made[0] if len(made) == 1 else made

    def lr_schedulers(self) -> Any:
        """The scheduler, the list of them, or None."""
        made = [s.scheduler for s in self.trainer.schedulers]
        return made[0] if len(made) == 1 else made or None

    def manual_backward(self, loss: Tensor, *args: Any, **kwargs: Any) -> None:
        """loss.backward() with the trainer's loss scaling, where `automatic_optimization` is False."""
        scaler = self._trainer.precision.scaler if self._trainer is not None else None
        (scaler.scale(loss) if scaler is not None else loss).backward(*args, **kwargs)

    @property
    def module(self) -> Module:
        """Itself: see task.Task."""
        return self

    @property
    def _trainer(self) -> Any:
        return attached(self).get("trainer")

    @property
    def trainer(self) -> Any:
        """The trainer at work. RuntimeError if there is none. A step that looks at it runs uncompiled: it changes all the time."""
        if self._trainer is None:
            raise RuntimeError(f"{type(self).__name__} is not attached to a Trainer")
        _refuse_replay("looks at self.trainer, which changes at every step")
        return self._trainer

    @trainer.setter
    def trainer(self, trainer: Any) -> None:
        attached(self)["trainer"] = trainer

    @property
    def current_epoch(self) -> int:
        """The number of the epoch, from 0. A compiled step that looks at it is recorded once an epoch."""
        if self._trainer is None:
            return 0
        if MODES.capture is not None and not self._trainer.clock.read:
            self._trainer.clock.read = True
            MODES.capture.refuse("looks at self.current_epoch for the first time")
        return self._trainer.current_epoch

    @property
    def global_step(self) -> int:
        """How many updates were made. A step that looks at it runs uncompiled."""
        _refuse_replay("looks at self.global_step, which changes at every step")
        return self._trainer.global_step if self._trainer is not None else 0

    @property
    def logger(self) -> Any:
        """The trainer's first logger."""
        return self._trainer.logger if self._trainer is not None else None

    @property
    def device(self) -> Any:
        """Where the parameters are."""
        first = next(iter(self.parameters()), None)
        return first.device if first is not None else "cpu"

    def save_hyperparameters(self, *args: Any, **kwargs: Any) -> None:
        """Keeps the arguments given by keyword in `self.hparams`; checkpoints hold them."""
        given = {**{f"arg{i}": a for i, a in enumerate(args) if not isinstance(a, str)}, **kwargs}
        object.__setattr__(self, "_hparams", {**self.hparams, **given})

    @property
    def hparams(self) -> dict[str, Any]:
        """What `save_hyperparameters` was given."""
        return self.__dict__.get("_hparams", {})


def _refuse_replay(why: str) -> None:
    if MODES.capture is not None:
        MODES.capture.refuse(f"it {why}")


def _named(reduce: Any) -> str:
    """A reduction by name or by the function of that name (mg.mean, max ...)."""
    name = reduce if isinstance(reduce, str) else getattr(reduce, "__name__", repr(reduce))
    return {"amax": "max", "amin": "min"}.get(name, name)


class DataModule:
    """The data of a project in one place: `prepare_data` once, `setup(stage)` before each stage, then a loader for each."""

    def prepare_data(self) -> None:
        """Downloads, unpacks, converts: done once."""

    def setup(self, stage: str) -> None:
        """Makes datasets for "fit", "validate", "test" or "predict"."""

    def teardown(self, stage: str) -> None:
        """After a stage."""

    def train_dataloader(self) -> Any:
        """Batches to learn from."""
        raise NotImplementedError(f"{type(self).__name__} has no train_dataloader(self)")

    def val_dataloader(self) -> Any:
        """Batches to validate on; None: no validation."""

    def test_dataloader(self) -> Any:
        """Batches to test on."""
        raise NotImplementedError(f"{type(self).__name__} has no test_dataloader(self)")

    def predict_dataloader(self) -> Any:
        """Batches to predict for."""
        raise NotImplementedError(f"{type(self).__name__} has no predict_dataloader(self)")

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint should keep."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes it back."""
