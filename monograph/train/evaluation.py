"""Validation, test and prediction: loaders gone through without gradients, logged values turned into means."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from monograph.tensor.creation import tensor
from monograph.train.batches import BatchSource, as_tensors, batch_rows
from monograph.train.hooks import Hooks
from monograph.train.logbook import Means
from monograph.train.profilers import told
from monograph.train.stepping import Stepper

if TYPE_CHECKING:
    from monograph.train.trainer import Trainer

HOOKS = {"validate": "validation", "test": "test", "predict": "predict"}


def evaluate_loaders(
    trainer: Trainer, hooks: Hooks, stepper: Stepper, sources: list[BatchSource], stage: str, at_most: int | None = None
) -> list[dict[str, float]]:
    """Goes through all loaders; returns their means, which are in `trainer.callback_metrics` as well.

    With several loaders the names end in /dataloader_idx_0, 1 ... The module is in eval() meanwhile and back as it was afterwards.
    """
    name = HOOKS[stage]
    before, trainer.stage = trainer.stage, stage
    modes = [(m, m.training) for m in trainer.model.modules()]
    trainer.model.eval()
    hooks.call(f"on_{name}_start")
    hooks.call(f"on_{name}_epoch_start")
    results = []
    for number, source in enumerate(sources):
        means = _run_loader(trainer, hooks, stepper, source, stage, at_most)
        if number + 1 == len(sources):
            for key, value in trainer.call_collecting(hooks, f"on_{name}_epoch_end", stepper, stage).items():
                means.add(key, value, 1)
        found = {**means.results(), **stepper.take_metrics(stage)}
        ending = f"/dataloader_idx_{number}" if len(sources) > 1 else ""
        results.append({key + ending: value for key, value in found.items()})
    together = {key: value for result in results for key, value in result.items()}
    trainer.callback_metrics.update({key: tensor(value) for key, value in together.items()})
    if not trainer.sanity_checking:
        _log(trainer, stepper, together)
    hooks.call(f"on_{name}_end")
    for module, training in modes:
        module.training = training
    trainer.stage = before
    return results


def _log(trainer: Trainer, stepper: Stepper, found: dict[str, float]) -> None:
    shown = {}
    for key, value in found.items():
        options = stepper.options.get(key.partition("/dataloader_idx_")[0])
        if options is None or options.logger:
            shown[key] = value
        if options is not None and options.prog_bar:
            trainer.progress_bar_metrics[key] = value
    if shown:
        trainer.log_metrics({"epoch": trainer.current_epoch, **shown})


def _run_loader(trainer: Trainer, hooks: Hooks, stepper: Stepper, source: BatchSource, stage: str, at_most: int | None) -> Means:
    name, means = HOOKS[stage], Means()
    limit = trainer.limits.batches(stage, source.steps())
    limit = at_most if limit is None else limit if at_most is None else min(limit, at_most)
    batches = told(trainer.profiler, f"{name}_dataloader_next", itertools.islice(source.epoch(0), limit))
    for number, batch in enumerate(batches):
        batch = as_tensors(batch)
        hooks.call(f"on_{name}_batch_start", batch, number)
        outputs, logged = _looked(trainer, stepper, f"{name}_step", batch, number)
        rows = batch_rows(batch) if logged else 0
        for key, value in logged.items():
            options = stepper.options[key]
            means.add(key, value, options.batch_size or rows, options.reduce)
        hooks.call(f"on_{name}_batch_end", outputs, batch, number)
    return means


def _looked(trainer: Trainer, stepper: Stepper, kind: str, batch: Any, number: int) -> tuple[Any, dict[str, Any]]:
    if trainer.profiler is None:
        return stepper.evaluate(kind, batch, number)
    return trainer.profiler.timed(kind, stepper.evaluate, kind, batch, number)


def predict_loaders(trainer: Trainer, hooks: Hooks, stepper: Stepper, sources: list[BatchSource], keep: bool) -> list[Any]:
    """What `predict_step` returns for every batch of every loader; nothing is kept where nobody wants it."""
    modes = [(m, m.training) for m in trainer.model.modules()]
    trainer.model.eval()
    hooks.call("on_predict_start")
    everything = []
    for source in sources:
        made = []
        limit = trainer.limits.batches("predict", source.steps())
        batches = told(trainer.profiler, "predict_dataloader_next", itertools.islice(source.epoch(0), limit))
        for number, batch in enumerate(batches):
            batch = as_tensors(batch)
            hooks.call("on_predict_batch_start", batch, number)
            outputs, _ = _looked(trainer, stepper, "predict_step", batch, number)
            hooks.call("on_predict_batch_end", outputs, batch, number)
            if keep:
                made.append(outputs)
        everything.append(made)
    hooks.call("on_predict_end")
    for module, training in modes:
        module.training = training
    return everything
