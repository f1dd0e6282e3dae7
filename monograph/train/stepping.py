"""The compiled step: forward, loss, backward, clipping and the optimiser's update as one program, for every style of training."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from monograph.amp.autocast import autocast
from monograph.amp.grad_scaler import GradScaler
from monograph.core.dtype import bfloat16, float16, float32, float64
from monograph.core.dtype import dtype as DType
from monograph.core.modes import enable_grad, no_grad
from monograph.nn.attached import attached
from monograph.nn.module import Module
from monograph.nn.utils.clip_grad import clip_grad_norm_, clip_grad_value_
from monograph.optim.single import SingleTensorOptimizer
from monograph.tensor.compiling import compile as compiled
from monograph.tensor.core import Tensor
from monograph.tensor.creation import set_default_dtype
from monograph.train.logbook import LogOptions, collecting, number
from monograph.train.task import Task, call_step, uses_argument

PRECISIONS: dict[str, tuple[DType | None, DType]] = {  # name -> (autocast to, dtype of the parameters)
    "32-true": (None, float32), "64-true": (None, float64), "bf16-true": (None, bfloat16), "16-true": (None, float16),
    "bf16-mixed": (bfloat16, float32), "16-mixed": (float16, float32),
}  # fmt: skip
STAGES = {"validation_step": "validate", "test_step": "test", "predict_step": "predict"}
SHORT = {"32": "32-true", "64": "64-true", "16": "16-mixed", "bf16": "bf16-mixed"}


class Precision:
    """What `precision=` means: the dtype of parameters, autocast around the steps, loss scaling for float16."""

    def __init__(self, name: str | int) -> None:
        full = SHORT.get(str(name), str(name))
        if full not in PRECISIONS:
            raise ValueError(f"precision={name!r} is none of {', '.join([*PRECISIONS, *SHORT])}")
        self.name = full
        self.cast, self.parameters = PRECISIONS[full]
        self.scaler = GradScaler("cpu") if full == "16-mixed" else None

    def convert(self, module: Module) -> None:
        """Gives the parameters their dtype."""
        if self.parameters is not float32:
            module.to(self.parameters)

    @contextmanager
    def during_setup(self) -> Iterator[None]:
        """New floating tensors have the dtype of the parameters."""
        before = float32
        set_default_dtype(self.parameters)
        try:
            yield
        finally:
            set_default_dtype(before)

    def around(self) -> AbstractContextManager[Any]:
        """The context of a step's forward pass."""
        return nullcontext() if self.cast is None else autocast("cpu", dtype=self.cast)


class Clock:
    """The number of the epoch, and whether a step has looked at it."""

    def __init__(self) -> None:
        self.epoch, self.read = 0, False

    def __watched__(self) -> tuple[Any, ...]:
        """Nothing: see Stepper._made."""
        return ()


class Stepper:
    """Runs the steps of a task. `update` and `accumulate` return (what training_step returned, its loss detached; logged values)."""

    def __init__(
        self, task: Task, optimizers: Sequence[Any], precision: Precision, *, accumulate: int = 1, clip: float | None = None,
        clip_by: str = "norm", compiling: bool = True, inference: Callable[[], AbstractContextManager[Any]] = no_grad,
    ) -> None:  # fmt: skip
        if clip_by not in ("norm", "value"):
            raise ValueError(f"gradient_clip_algorithm must be 'norm' or 'value', got {clip_by!r}")
        if optimizers and len(optimizers) != 1 and task.automatic_optimization:
            raise ValueError(
                f"configure_optimizers() returned {len(optimizers)} optimisers: with several, set self.automatic_optimization = False and "
                "call manual_backward() and step() in training_step"
            )
        self.task, self.precision, self.inference = task, precision, inference
        self.optimizer = optimizers[0] if optimizers and task.automatic_optimization else None
        self.accumulated, self.clip, self.clip_by = accumulate, clip, clip_by
        self.options: dict[str, LogOptions] = {}
        # Metrics that steps have logged, by stage and name. A replayed step updates them without logging them again.
        self.metrics: dict[str, dict[str, Any]] = {stage: {} for stage in ("train", *STAGES.values())}
        self.clock = Clock()
        self._compiling = compiling and not getattr(task, "run_eagerly", False)
        self._prepare = getattr(task, "prepare", None)
        self._after = getattr(task, "after_step", None)
        # A float16 scaler looks at the gradients in every step, and what it does next is Python's business.
        whole = self._compiling and precision.scaler is None
        self._compiled_update = self._made(self._run_update, task.training_step, whole)
        self._update = self._first_update if whole else self._compiled_update
        self._accumulate = self._made(self._run_accumulate, task.training_step, whole)
        self._evaluating: dict[str, Callable[[Any, int], Any]] = {}

    def __watched__(self) -> tuple[Any, ...]:
        """What a compiled step depends on. The rest is fixed, or written by the steps themselves."""
        return self.task, self.optimizer

    def _made(self, run: Callable[[Any, int], Any], step: Callable[..., Any], wanted: bool) -> Callable[[Any, int], Any]:
        """`run`, compiled where the step does not look at the number of the batch."""
        if not wanted or uses_argument(step, 1):
            return run
        ready = compiled(run)
        # The epoch is part of the call once the step has been seen to read it: recorded once an epoch, then.
        return lambda batch, number: ready(batch, self.clock.epoch + 1 if self.clock.read else 0)

    # ---- training ----
    def _first_update(self, batch: Any, number: int) -> Any:
        """The first step, with the optimiser's state made before it where that is possible: it need not be captured twice then."""
        self._update = self._compiled_update
        if isinstance(self.optimizer, SingleTensorOptimizer) and type(self.optimizer).step is SingleTensorOptimizer.step:
            self.optimizer.prepare()
        return self._update(batch, number)

    def update(self, batch: Any, number: int) -> tuple[Any, dict[str, Any]]:
        """A step with the optimiser's update at its end."""
        return self._around(self._update, "train", batch, number)

    def accumulate(self, batch: Any, number: int) -> tuple[Any, dict[str, Any]]:
        """A step that only adds to the gradients."""
        return self._around(self._accumulate, "train", batch, number)

    def _around(self, run: Callable[[Any, int], Any], stage: str, batch: Any, number: int) -> tuple[Any, dict[str, Any]]:
        """A step with what its task wants done outside of the compiled part."""
        if self._prepare is not None:
            self._prepare(stage, batch)
        result = run(batch, number)
        if self._after is not None:
            self._after(stage, result[0])
        return result  # type: ignore[no-any-return]

    def _forward_backward(self, batch: Any, number: int) -> tuple[Any, dict[str, Any]]:
        with enable_grad(), collecting(self.options, self.metrics["train"]) as logged:
            with self.precision.around():
                result = call_step(self.task.training_step, batch, number)
            loss = loss_of(result)
            if loss is not None and self.optimizer is not None:
                part = loss if self.accumulated == 1 else loss / self.accumulated
                (self.precision.scaler.scale(part) if self.precision.scaler is not None else part).backward()
        if loss is not None:
            result = {**result, "loss": loss.detach()} if isinstance(result, dict) else loss.detach()
        return result, logged

    def _run_accumulate(self, batch: Any, number: int) -> tuple[Any, dict[str, Any]]:
        return self._forward_backward(batch, number)

    def _run_update(self, batch: Any, number: int) -> tuple[Any, dict[str, Any]]:
        result, logged = self._forward_backward(batch, number)
        if self.optimizer is not None and result is not None:
            self.finish()
        return result, logged

    def finish(self) -> None:
        """Clips the gradients, updates the parameters and lets the gradients go."""
        optimizer: Any = self.optimizer
        scaler = self.precision.scaler
        if self.clip:
            if scaler is not None:
                scaler.unscale_(optimizer)
            parameters = [p for group in optimizer.param_groups for p in group["params"]]
            if self.clip_by == "norm":
                clip_grad_norm_(parameters, self.clip)
            else:
                clip_grad_value_(parameters, self.clip)
        if scaler is None:
            optimizer.step()
        else:
            scaler.step(optimizer)
            scaler.update()
        optimizer.zero_grad()

    # ---- metrics ----
    def take_metrics(self, stage: str) -> dict[str, float]:
        """The values of the metrics that steps of this stage log, over everything since the last call; they start anew."""
        found = {name: number(metric) for name, metric in self.metrics[stage].items()}
        for metric in self.metrics[stage].values():
            metric.reset()
        return found

    # ---- looking ----
    def evaluate(self, kind: str, batch: Any, number: int) -> tuple[Any, dict[str, Any]]:
        """(result, logged values) of `validation_step`, `test_step` or `predict_step` without gradients; `kind` is the method's name."""
        run = self._evaluating.get(kind)
        if run is None:
            step = getattr(self.task, kind)

            def looked(batch: Any, number: int) -> tuple[Any, dict[str, Any]]:
                with self.inference(), collecting(self.options, self.metrics[STAGES[kind]]) as logged, self.precision.around():
                    return call_step(step, batch, number), logged

            run = self._evaluating[kind] = self._made(looked, step, self._compiling)
        return self._around(run, STAGES[kind], batch, number)


def stepper_of(task: Task, optimizers: tuple[Any, ...], precision: Precision, **settings: Any) -> Stepper:
    """The stepper of a task: the one of before where nothing is different, with the programs it has compiled."""
    key = (tuple(id(o) for o in optimizers), precision.name, precision.scaler is None, *settings.items())
    # With the module, so that it goes when the module goes.
    known: dict[Any, Stepper] = attached(task.module).setdefault("steppers", {}).setdefault(id(task), {})
    if key not in known or precision.scaler is not None:
        known[key] = Stepper(task, optimizers, precision, **settings)
    return known[key]


def loss_of(result: Any) -> Tensor | None:
    """The loss in what a `training_step` returned."""
    loss = result.get("loss") if isinstance(result, dict) else result
    if loss is None:
        if isinstance(result, dict):
            raise KeyError(f"training_step returned a dict without the key 'loss'; it has {', '.join(map(repr, result)) or 'no keys'}")
        return None
    if not isinstance(loss, Tensor) or loss.numel() != 1:
        got = f"a tensor of shape {list(loss.shape)}" if isinstance(loss, Tensor) else type(loss).__name__
        raise TypeError(f"training_step must return the loss (a tensor with one element), a dict with 'loss', or None; got {got}")
    return loss
