"""Checkpoint files: what is kept, what happens when the disk is full or read-only, and that nothing foreign or damaged gets in."""

from __future__ import annotations

import contextlib
import io
import os
import resource
import struct
import zipfile

import numpy as np
import pytest

import monograph as mg
from monograph import nn, train
from monograph.core.errors import ArtifactError
from monograph.train import checkpoint as checkpoints
from tests.train.line import Line, data, quiet


def files(folder) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def run(folder, epochs: int = 4, **settings) -> train.ModelCheckpoint:
    keep = train.ModelCheckpoint(dirpath=folder, **settings)
    quiet(max_epochs=epochs, callbacks=[keep], enable_checkpointing=None).fit(Line(), data(), data())
    return keep


def test_what_is_kept(tmp_path) -> None:
    assert files((run(tmp_path / "newest"), tmp_path / "newest")[1]) == ["epoch=3-step=20.ckpt"]
    best = run(tmp_path / "best", monitor="val_loss", save_top_k=2, save_last=True, filename="{epoch}-{val_loss:.1f}")
    assert len(files(tmp_path / "best")) == 3 and "last.ckpt" in files(tmp_path / "best")
    assert best.best_model_score == min(score for score, _ in best.kept) and os.path.exists(best.best_model_path)
    run(tmp_path / "all", save_top_k=-1, every_n_epochs=2)
    assert files(tmp_path / "all") == ["epoch=1-step=10.ckpt", "epoch=3-step=20.ckpt"]
    run(tmp_path / "last", save_top_k=0, save_last=True)
    assert files(tmp_path / "last") == ["last.ckpt"]
    run(tmp_path / "timed", train_time_interval={"seconds": 0}, save_top_k=1)
    assert files(tmp_path / "timed") == ["epoch=3-step=20.ckpt"]
    keras = train.ModelCheckpoint(str(tmp_path / "keras" / "{epoch:02d}.ckpt"), monitor="val_loss", save_best_only=True)
    quiet(max_epochs=2, callbacks=[keras], enable_checkpointing=None).fit(Line(), data(), data())
    assert files(tmp_path / "keras") == ["02.ckpt"]


def test_a_file_holds_everything_and_no_code(tmp_path) -> None:
    run(tmp_path)
    state = checkpoints.read(tmp_path / "epoch=3-step=20.ckpt")
    assert (
        state["epoch"] == 3 and state["global_step"] == 20 and state["loop"]["epoch"] == 4 and state["versions"]["numpy"] == np.__version__
    )
    assert {"state_dict", "optimizer_states", "lr_schedulers", "random", "loop", "callbacks", "metrics", "format"} <= set(state)
    with zipfile.ZipFile(tmp_path / "epoch=3-step=20.ckpt") as archive:
        assert sorted(archive.namelist()) == ["monograph.json", "tensors.safetensors"]


def test_weights_alone(tmp_path) -> None:
    model, trainer = Line(), quiet(max_epochs=1)
    trainer.fit(model, data())
    trainer.save_checkpoint(tmp_path / "weights.ckpt", weights_only=True)
    other = Line()
    other.load_state_dict(mg.load(tmp_path / "weights.ckpt")["state_dict"])
    assert mg.equal(other.layer.weight, model.layer.weight)
    with pytest.raises(ValueError, match="holds weights only"):
        quiet(max_epochs=2).fit(Line(), data(), ckpt_path=tmp_path / "weights.ckpt")


def test_another_model_changes_nothing(tmp_path) -> None:
    run(tmp_path, epochs=1)

    class Wide(Line):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 1)

    model = Wide()
    before = model.layer.weight.detach().numpy().copy()
    with pytest.raises(RuntimeError, match=r"layer.weight is \[1, 4\] in the file and \[1, 3\] in the model\); nothing was changed"):
        quiet(max_epochs=2).fit(model, data(), ckpt_path=tmp_path / "epoch=0-step=5.ckpt")
    assert np.array_equal(before, model.layer.weight.detach().numpy())


def test_a_full_disk_leaves_the_last_checkpoint_whole(tmp_path) -> None:
    run(tmp_path, epochs=1, save_last=True, save_top_k=0, asynchronous=False)
    before = (tmp_path / "last.ckpt").read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))  # every write beyond it fails, as on a full disk
    try:
        with pytest.raises(OSError) as caught:
            run(tmp_path, epochs=1, save_last=True, save_top_k=0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "what was there before is untouched" in "".join(caught.value.__notes__)
    assert (tmp_path / "last.ckpt").read_bytes() == before and files(tmp_path) == ["last.ckpt"]


def test_a_folder_that_cannot_be_written(tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="file"):
        run(tmp_path / "file" / "folder", epochs=1)


def damaged(raw: bytes, rng: np.random.Generator, how: str) -> bytes:
    if how == "truncated":
        return raw[: int(rng.integers(1, len(raw)))]
    if how == "flipped":
        at = int(rng.integers(0, len(raw)))
        return raw[:at] + bytes([raw[at] ^ 1 << int(rng.integers(8))]) + raw[at + 1 :]
    return bytes(rng.integers(0, 256, 500, dtype=np.uint8))


@pytest.mark.parametrize("how", ["truncated", "flipped", "noise"])
def test_damaged_files_are_refused_or_read_right(tmp_path, how) -> None:
    run(tmp_path, epochs=1)
    raw = (tmp_path / "epoch=0-step=5.ckpt").read_bytes()
    whole = checkpoints.read(tmp_path / "epoch=0-step=5.ckpt")
    rng = np.random.default_rng(0)
    for _ in range(60):
        path = tmp_path / "damaged.ckpt"
        path.write_bytes(damaged(raw, rng, how))
        try:
            found = checkpoints.read(path)
        except ArtifactError:
            continue
        # A flipped bit in what nobody reads (a time stamp in the zip) may pass; no value may differ.
        assert how == "flipped" and all(mg.equal(found["state_dict"][k], v) for k, v in whole["state_dict"].items())


def test_hostile_files(tmp_path) -> None:
    path = tmp_path / "hostile.ckpt"
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("monograph.json", b"[" + b"0," * (200 << 18) + b"0]")
        archive.writestr("tensors.safetensors", struct.pack("<Q", 2) + b"{}")
    path.write_bytes(packed.getvalue())
    with pytest.raises(ArtifactError):
        checkpoints.read(path)
    outside = tmp_path / "outside.txt"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../outside.txt", b"x")
        archive.writestr("monograph.json", b'{"dict": [["state_dict", {"dict": []}]]}')
        archive.writestr("tensors.safetensors", struct.pack("<Q", 2) + b"{}")
    with contextlib.suppress(ArtifactError):
        checkpoints.read(path)
    assert not outside.exists()
    mg.save([1, 2], path)
    with pytest.raises(ArtifactError, match="is no checkpoint of a training run: it holds list"):
        checkpoints.read(path)


def test_backup_and_restore(tmp_path) -> None:
    class Stop(Exception):
        pass

    class Interrupts(train.Callback):
        def on_train_batch_end(self, trainer, module, outputs, batch, batch_idx) -> None:
            if trainer.global_step == 7:
                raise Stop

    def fit(*callbacks) -> np.ndarray:
        mg.manual_seed(0)
        model = Line()
        quiet(max_epochs=3, callbacks=list(callbacks)).fit(model, data(shuffle=True))
        return model.layer.weight.detach().numpy()

    whole = fit()
    with pytest.raises(Stop):
        fit(train.BackupAndRestore(tmp_path, save_freq=1), Interrupts())
    assert files(tmp_path) == ["backup.ckpt"]
    assert np.array_equal(fit(train.BackupAndRestore(tmp_path, save_freq=1)), whole) and files(tmp_path) == []
