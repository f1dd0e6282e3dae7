"""A run to be killed: `python long_run.py FOLDER` trains with a checkpoint every three steps, or goes on from the last one there."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from test_resuming import Net, loaders

from monograph import train


class Slow(train.Callback):
    """Says when training has begun."""

    def on_train_start(self, trainer, module) -> None:
        print("training", flush=True)


def main(folder: Path) -> None:
    train.seed_everything(5)
    keep = train.ModelCheckpoint(dirpath=folder, every_n_train_steps=3, save_top_k=2)
    trainer = train.Trainer(max_epochs=20, callbacks=[keep, Slow()], logger=False, enable_progress_bar=False, num_sanity_val_steps=0)
    model = Net()
    trainer.fit(model, *loaders(), ckpt_path="last")
    np.savez(folder / "weights.npz", **{k: v.numpy() for k, v in model.state_dict().items()})
    print("finished")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
