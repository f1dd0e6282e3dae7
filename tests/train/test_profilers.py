"""`Trainer(profiler=...)`: what it is told, what it says, and that it changes nothing."""

from __future__ import annotations

import numpy as np
import pytest

from monograph import train
from tests.train.line import Line, data, quiet


class Ends(train.Callback):
    def on_train_end(self, trainer, module) -> None:
        pass


def test_simple_tells_what_the_trainer_does(capsys) -> None:
    profiler = train.SimpleProfiler()
    trainer = quiet(max_epochs=2, profiler=profiler, callbacks=[Ends()])
    loader = data(44)
    trainer.fit(Line(), loader, loader)
    told = {name: len(times) for name, times in profiler.durations.items()}
    assert told["training_step"] == 12 and told["train_dataloader_next"] == 12 and told["on_train_end"] == 1
    assert told["validation_step"] == 14 and told["validation_dataloader_next"] == 17  # with the sanity check
    assert "on_train_epoch_start" not in told, "nobody does anything there"
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["action", "mean", "ms", "calls", "total", "s", "share"]
    assert lines[-1].startswith("all ") and lines[-1].endswith("100.0%")
    totals = [float(line.split()[-2]) for line in lines[1:-1]]
    assert totals == sorted(totals, reverse=True)
    trainer.predict(dataloaders=loader)
    assert len(profiler.durations["predict_step"]) == 6
    with pytest.raises(ValueError, match=r"stop\('x'\): nothing of that name was started"):
        profiler.stop("x")


@pytest.mark.parametrize("name", ["simple", "advanced", "pytorch"])
def test_it_changes_nothing(name, capsys) -> None:
    def weights(profiler) -> np.ndarray:
        train.seed_everything(0)
        model = Line()
        quiet(max_epochs=2, profiler=profiler).fit(model, data(44), data())
        return model.layer.weight.detach().numpy()

    assert np.array_equal(weights(name), weights(None))
    assert "training_step" in capsys.readouterr().out


def test_advanced_names_functions(tmp_path) -> None:
    trainer = quiet(max_epochs=1, profiler=train.AdvancedProfiler(tmp_path / "deep", "found", line_count_restriction=0.5))
    trainer.fit(Line(), data())
    text = (tmp_path / "deep" / "found.txt").read_text()
    assert "training_step\n" in text and "cumtime" in text and "stepping.py" in text
    with pytest.raises(ValueError, match="what was started last is nothing"):
        trainer.profiler.stop("training_step")


def test_pytorch_records_kernels_for_tensorboard(tmp_path) -> None:
    profiler = train.PyTorchProfiler(tmp_path, row_limit=-1)
    quiet(max_epochs=2, profiler=profiler).fit(Line(), data())
    text = (tmp_path / "profiler.txt").read_text()
    assert "training_step" in text and "kernel::matmul" in text
    names = [event.name for event in profiler.profiler.events()]
    assert [name for name in names if name.startswith("ProfilerStep")] == ["ProfilerStep#3", "ProfilerStep#4", "ProfilerStep#5"]
    assert names.count("training_step") == 3
    assert list(tmp_path.glob("plugins/profile/*/*.xplane.pb")) and list(tmp_path.glob("*.pt.trace.json"))


def test_an_error_ends_what_was_begun(capsys) -> None:
    class Breaks(Line):
        def training_step(self, batch, batch_idx):
            raise RuntimeError("broken")

    for profiler in (train.SimpleProfiler(), train.AdvancedProfiler(), train.PyTorchProfiler()):
        with pytest.raises(RuntimeError, match="broken"):
            quiet(max_epochs=1, profiler=profiler).fit(Breaks(), data())
        assert "training_step" in capsys.readouterr().out or isinstance(profiler, train.PyTorchProfiler)
        with profiler.profile("again"):  # nothing was left open
            pass


def test_what_is_none_is_said() -> None:
    with pytest.raises(ValueError, match="profiler='perf': give 'simple', 'advanced', 'pytorch', None"):
        quiet(profiler="perf")
