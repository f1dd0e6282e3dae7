"""A run to be killed: `python long_run.py FOLDER EPOCHS` trains with a checkpoint every three steps, or goes on from the last one there."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from test_resuming import Net, loaders

from monograph import train


class Telling(train.Callback):
    """Says when the first step has been made: what was loaded, read and compiled lies behind."""

    def __init__(self) -> None:
        self.told = False

    def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx) -> None:
        if not self.told:
            print("training", flush=True)
            self.told = True


def main(folder: Path, epochs: int) -> None:
    train.seed_everything(5)
    keep = train.ModelCheckpoint(dirpath=folder, every_n_train_steps=3, save_top_k=2)
    quiet = {"logger": False, "enable_progress_bar": False, "num_sanity_val_steps": 0}
    trainer = train.Trainer(max_epochs=epochs, callbacks=[keep, Telling()], **quiet)
    model = Net()
    trainer.fit(model, *loaders(), ckpt_path="last")
    np.savez(folder / "weights.npz", **{k: v.numpy() for k, v in model.state_dict().items()})
    print("finished")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
