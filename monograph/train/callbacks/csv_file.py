"""Keras's `CSVLogger`: one row for each epoch. (The logger of that name, for Trainer(logger=...), is `train.CSVLogger`.)"""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from monograph.train.callbacks.keras_style import numbers
from monograph.train.hooks import Callback


class CSVLogger(Callback):
    """Writes every epoch's numbers to a file: `epoch`, then the names in alphabetical order; NA where one is missing later.

    The columns are those of the first epoch. `append` goes on with a file that is there; a run that goes on from a checkpoint does so
    too, and drops the rows of epochs that it does again.

    >>> from monograph import train
    >>> table = train.callbacks.CSVLogger("training.csv", separator=";")
    """

    def __init__(self, filename: str | Path, separator: str = ",", append: bool = False) -> None:
        if len(separator) != 1:
            raise ValueError(f"separator is one character, got {separator!r}")
        self.filename, self.separator, self.append = Path(filename), separator, append
        self.keys: list[str] | None = None

    @property
    def state_key(self) -> str:
        """See Callback."""
        return f"callbacks.CSVLogger[{self.filename}]"

    def on_train_start(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        self.keys = None
        resumed = trainer.fitting.epoch > trainer.start_epoch or trainer.fitting.batch > 0
        if not self.filename.exists() or not (self.append or resumed):
            self.filename.parent.mkdir(parents=True, exist_ok=True)
            self.filename.write_text("")
            return
        with self.filename.open(newline="") as file:
            rows = list(csv.reader(file, delimiter=self.separator))
        if not rows:
            return
        self.keys = rows[0][1:]
        if resumed:
            kept = [row for row in rows[1:] if row and row[0].isdigit() and int(row[0]) < trainer.fitting.epoch]
            with self.filename.open("w", newline="") as file:
                csv.writer(file, delimiter=self.separator, lineterminator="\n").writerows([rows[0], *kept])

    def on_train_epoch_end(self, trainer: Any, module: Any) -> None:
        """See Callback."""
        found = numbers(trainer)
        new = self.keys is None
        keys = sorted(found) if self.keys is None else self.keys
        self.keys = keys
        with self.filename.open("a", newline="") as file:
            writer = csv.writer(file, delimiter=self.separator, lineterminator="\n")
            if new:
                writer.writerow(["epoch", *keys])
            writer.writerow([trainer.current_epoch, *(found.get(key, "NA") for key in keys)])
