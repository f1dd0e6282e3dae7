"""What Keras's `compile(optimizer, loss, metrics)` makes of a module: a task for the trainer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from monograph import metrics as metric_room
from monograph.core.modes import no_grad
from monograph.metrics import Metric
from monograph.nn.module import Module
from monograph.optim.optimizer import Optimizer
from monograph.tensor.core import Tensor
from monograph.tensor.creation import tensor
from monograph.train import optimizers
from monograph.train.logbook import LogOptions, collect
from monograph.train.objectives import Loss, check_probabilities
from monograph.train.random_state import default_generator

SHOWN = LogOptions(prog_bar=True)


class CompiledTask:
    """A module with its optimiser, losses and metrics. Batches are x, (x, y) or (x, y, sample_weight)."""

    automatic_optimization = True

    def __init__(
        self, module: Module, optimizer: Any = "rmsprop", loss: Any = None, metrics: Any = None, loss_weights: Any = None,
        weighted_metrics: Any = None, run_eagerly: bool = False, from_logits: bool = False,
    ) -> None:  # fmt: skip
        self.module = module
        self.given_optimizer = optimizer
        self.optimizer: Optimizer | None = None
        self.loss = (
            [Loss(one, from_logits) for one in loss]
            if isinstance(loss, list | tuple)
            else None
            if loss is None
            else Loss(loss, from_logits)
        )
        self.loss_weights = list(loss_weights) if loss_weights is not None else None
        self.run_eagerly = run_eagerly
        wanted = [*_listed(metrics), *_listed(weighted_metrics)]
        self._wanted = wanted
        self.metrics: dict[str, dict[str, Metric]] = {}  # stage -> name -> metric
        self.class_weights: Tensor | None = None
        self._checked = False
        self._fits = 0

    def take_seed(self) -> int:
        """The seed of the order of the next `fit`: from the default generator's seed, and another one for every fit."""
        self._fits += 1
        return (default_generator().initial_seed() + 0x9E3779B97F4A7C15 * self._fits) % 2**64

    def configure_optimizers(self) -> Any:
        """The optimiser, the same one in every `fit`."""
        if self.optimizer is None:
            self.optimizer = optimizers.named(self.given_optimizer, self.module.parameters())
        return self.optimizer

    def prepare(self, stage: str, batch: Any) -> None:
        """Before the first step of a stage: makes the metrics, whose kind may depend on the outputs, and looks whether the outputs suit
        the loss.

        The forward pass that this needs is only recorded; it is computed where the loss wants to see probabilities.
        """
        if stage in self.metrics:
            return
        x, y, _ = parts(batch)
        looks = isinstance(self.loss, Loss) and self.loss.wants_probabilities and not self._checked
        self.metrics[stage] = {}
        wanted_here = () if stage == "predict" else self._wanted  # predictions have no targets
        if not wanted_here and not looks:
            return
        modes = [(m, m.training) for m in self.module.modules()]
        self.module.eval()
        try:
            with no_grad():
                outputs = call(self.module, x)
        finally:
            for module, training in modes:
                module.training = training
        for wanted in wanted_here:
            name, metric = named_metric(wanted, outputs, y)
            self.metrics[stage][name] = metric
        if looks:
            self._checked = True
            check_probabilities(self.loss.name, outputs)  # type: ignore[union-attr]

    # ---- steps ----
    def training_step(self, batch: Any, batch_idx: int = 0) -> Any:
        """The loss; logs it, and the metrics."""
        return self._look("train", batch)

    def validation_step(self, batch: Any, batch_idx: int = 0) -> Any:
        """The same for validation, under names with val_ before them."""
        return self._look("validate", batch)

    def test_step(self, batch: Any, batch_idx: int = 0) -> Any:
        """The same for `evaluate`."""
        return self._look("test", batch)

    def predict_step(self, batch: Any, batch_idx: int = 0) -> Any:
        """The module's outputs."""
        return call(self.module, batch[0] if isinstance(batch, tuple | list) else batch)

    def _look(self, stage: str, batch: Any) -> Any:
        x, y, weights = parts(batch)
        if self.loss is None:
            raise RuntimeError("the module was compiled without a loss: model.compile(optimizer=..., loss=...)")
        outputs = call(self.module, x)
        if self.class_weights is not None and stage == "train":
            table = self.class_weights[y.long().flatten().clamp(max=len(self.class_weights) - 1)]
            weights = table if weights is None else table * weights
        loss = self._loss(outputs, y, weights)
        prefix = "val_" if stage == "validate" else ""
        collect(f"{prefix}loss", loss, SHOWN)
        later = False
        for name, metric in self.metrics[stage].items():
            collect(prefix + name, metric, SHOWN)
            if metric.collects:
                later = True
            else:
                with no_grad():
                    metric.update(outputs, y)
        return {"loss": loss, "outputs": outputs, "targets": y} if later else loss

    def after_step(self, stage: str, result: Any) -> None:
        """Updates the metrics that keep everything they see: that is no part of a compiled step."""
        for metric in self.metrics[stage].values() if isinstance(result, dict) else ():
            if metric.collects:
                with no_grad():
                    metric.update(result["outputs"], result["targets"])

    def _loss(self, outputs: Any, y: Any, weights: Any) -> Tensor:
        if isinstance(self.loss, list):
            outputs, y = list(outputs), list(y)
            if not len(self.loss) == len(outputs) == len(y):
                raise ValueError(f"{len(self.loss)} losses for {len(outputs)} outputs and {len(y)} targets: there must be as many of each")
            shares = self.loss_weights or [1.0] * len(outputs)
            total = sum(s * loss(o, t, weights) for s, loss, o, t in zip(shares, self.loss, outputs, y, strict=True))
            return total  # type: ignore[return-value]
        assert self.loss is not None
        return self.loss(outputs, y, weights)

    def __watched__(self) -> tuple[Any, ...]:
        """What a compiled step depends on."""
        return (
            self.module, self.loss, self.class_weights, self.loss_weights, *(m for by_name in self.metrics.values() for m in
            by_name.values())
        )  # fmt: skip


def named_metric(wanted: Any, outputs: Any, y: Any) -> tuple[str, Metric]:
    """(its name in the logs, the metric) for a name, a Metric, or a function of (y_true, y_pred)."""
    if isinstance(wanted, Metric):
        return getattr(wanted, "name", None) or metric_room.log_name(wanted), wanted.clone()
    if isinstance(wanted, str):
        return wanted, metric_room.by_name(wanted, outputs, y)
    if callable(wanted):
        return getattr(wanted, "__name__", "metric"), metric_room.from_function(wanted)
    raise TypeError(f"a metric is a name, a metrics.Metric or a function of (y_true, y_pred), got {type(wanted).__name__}")


def call(module: Module, x: Any) -> Any:
    """The module on x: a tuple or list gives its positional arguments, a dict its keyword arguments."""
    if isinstance(x, tuple | list):
        return module(*x)
    return module(**x) if isinstance(x, Mapping) else module(x)


def parts(batch: Any) -> tuple[Any, Any, Any]:
    """(x, y, sample_weight) of a batch; None for what it has not."""
    if not isinstance(batch, tuple | list):
        return batch, None, None
    if not 1 <= len(batch) <= 3:
        raise ValueError(
            f"a batch is x, (x, y) or (x, y, sample_weight); this one has {len(batch)} parts: put several inputs in a tuple of their own"
        )
    return (*batch, None, None)[:3]  # type: ignore[return-value]


def class_weight_table(weights: Mapping[int, float]) -> Tensor:
    """A tensor of weights by class: 1 for classes that are not named, and for all above them (its last element)."""
    if any(not isinstance(k, int) or k < 0 for k in weights):
        raise ValueError(f"class_weight maps classes (ints from 0) to weights, got {dict(weights)}")
    return tensor([float(weights.get(i, 1.0)) for i in range(max(weights, default=0) + 2)])


def _listed(metrics: Any) -> Sequence[Any]:
    if metrics is None:
        return []
    if isinstance(metrics, Mapping):
        raise TypeError("metrics by output name are not known to monograph: give a list; several outputs have a list of losses")
    return metrics if isinstance(metrics, list | tuple) else [metrics]
