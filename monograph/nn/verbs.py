"""Keras's verbs on every module: their signatures. What they do is the training room's business."""

from __future__ import annotations

from typing import Any

from monograph.core.late import fetched


def training_room() -> Any:
    """An object with a function for each verb."""
    return fetched("the training room", "fit() and its kin")


VERBS = ("fit", "evaluate", "predict", "train_on_batch", "test_on_batch", "predict_on_batch", "summary")
TRAINING_ARGUMENTS = frozenset(
    "optimizer loss metrics loss_weights weighted_metrics run_eagerly steps_per_execution jit_compile auto_scale_loss from_logits".split()
)


class Verbs:
    """`fit` and its kin, for every module that `compile(optimizer, loss, metrics)` was called on."""

    def fit(
        self, x: Any = None, y: Any = None, batch_size: int | None = None, epochs: int = 1, verbose: Any = "auto", callbacks: Any = None,
        validation_split: float = 0.0, validation_data: Any = None, shuffle: bool = True, class_weight: dict[int, float] | None = None,
        sample_weight: Any = None, initial_epoch: int = 0, steps_per_epoch: int | None = None, validation_steps: int | None = None,
        validation_batch_size: int | None = None, validation_freq: int = 1, **trainer: Any,
    ) -> Any:  # fmt: skip
        """Trains for `epochs` epochs and returns a `History`. The module is in eval() afterwards.

        x, y: arrays or tensors of equal length (or tuples and dicts of them); or x alone: a `data.Dataset`, `DataLoader` or other
        iterable of (x, y) or (x, y, sample_weight). A tuple of inputs becomes positional arguments of `forward`, a dict keyword
        arguments. `batch_size` is 32 by default. `verbose`: 0 nothing, 1 a bar, 2 a line per epoch, "auto" what suits the output.
        `validation_split` takes the last part of the arrays before they are shuffled. Other arguments go to `train.Trainer` (precision=,
        gradient_clip_val=, ckpt_path= ...).

        >>> model = nn.Linear(1, 1)
        >>> model.compile(optimizer=mg.optim.SGD(model.parameters(), lr=0.1), loss="mse")
        >>> x = mg.linspace(-1, 1, 64).reshape(64, 1)
        >>> history = model.fit(x, 3 * x, epochs=30, batch_size=16, verbose=0)
        >>> round(model.weight.item(), 1)
        3.0
        """
        return training_room().fit(
            self, x, y, batch_size=batch_size, epochs=epochs, verbose=verbose, callbacks=callbacks, validation_split=validation_split,
            validation_data=validation_data, shuffle=shuffle, class_weight=class_weight, sample_weight=sample_weight,
            initial_epoch=initial_epoch, steps_per_epoch=steps_per_epoch, validation_steps=validation_steps,
            validation_batch_size=validation_batch_size, validation_freq=validation_freq, **trainer,
        )  # fmt: skip

    def evaluate(
        self, x: Any = None, y: Any = None, batch_size: int | None = None, verbose: Any = "auto", sample_weight: Any = None,
        steps: int | None = None, callbacks: Any = None, return_dict: bool = False,
    ) -> Any:  # fmt: skip
        """The loss and the metrics over data: a number without metrics, a list with them, a dict with `return_dict`."""
        return training_room().evaluate(
            self, x, y, batch_size=batch_size, verbose=verbose, sample_weight=sample_weight, steps=steps, callbacks=callbacks,
            return_dict=return_dict,
        )  # fmt: skip

    def predict(self, x: Any, batch_size: int | None = None, verbose: Any = "auto", steps: int | None = None, callbacks: Any = None) -> Any:
        """The outputs for all of x as NumPy arrays, in eval mode, batch by batch. Needs no `compile`."""
        return training_room().predict(self, x, batch_size=batch_size, verbose=verbose, steps=steps, callbacks=callbacks)

    def train_on_batch(
        self, x: Any, y: Any = None, sample_weight: Any = None, class_weight: dict[int, float] | None = None, return_dict: bool = False
    ) -> Any:
        """One step. Returns the loss; a list with the metrics (over all batches since reset_metrics); or a dict."""
        return training_room().on_batch(self, "training_step", x, y, sample_weight, class_weight, return_dict)

    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False) -> Any:
        """The loss and metrics of a batch, as `train_on_batch` returns them."""
        return training_room().on_batch(self, "test_step", x, y, sample_weight, None, return_dict)

    def predict_on_batch(self, x: Any) -> Any:
        """The outputs for one batch as NumPy arrays."""
        return training_room().predict_on_batch(self, x)

    def summary(self, *inputs: Any, input_size: Any = None, depth: int = 3) -> None:
        """Prints the layers with their parameters; with example inputs or `input_size` their output shapes too."""
        print(training_room().summary(self, *inputs, input_size=input_size, depth=depth))
