"""`train`, `evaluate`, `predict`, `export`: a model from a configuration to an artifact, in a folder of its own.

The folder of a run holds config.json (everything resolved), checkpoints/ and logs/. The other commands take that folder.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np

from monograph.cli import examples
from monograph.cli.building import STAGES, Experiment, experiment, trainer
from monograph.cli.config import Config, check, overridden, read
from monograph.cli.exits import BAD_CONFIG, FILE_ERROR, OK, USAGE, CommandError
from monograph.cli.text import command
from monograph.core.errors import ArtifactError, message_of
from monograph.serialization import load
from monograph.tensor.exporting import Dim
from monograph.tensor.exporting import export as export_program
from monograph.tensor.exporting import load as load_program
from monograph.tensor.exporting import save as save_program
from monograph.tensor.interop import from_numpy
from monograph.train import checkpoint as checkpoints
from monograph.train.trainer import Trainer
from monograph.train.verbs import joined

WITH_CONFIG = ("train", "evaluate", "predict", "export")
RECORD = "config.json"


def add_commands(commands: Any) -> None:
    """Adds the four."""
    made = command(commands, "train", train, "train a model from a configuration", """\
The configuration is a .toml, .json or .yaml file, or the name of a built-in example (digits, iris, diabetes). Every field can be
changed on the command line: --trainer.max_epochs=3, --model.name=mlp, --data.batch_size=128, --optimizer.args.lr=0.01, --seed=1.""", [
        "monograph train digits", "monograph train my.toml --trainer.max_epochs=3 --output=runs/short",
        "monograph train my.toml --resume             # goes on from the last checkpoint, with the same bits",
        "monograph train my.toml --print-config       # everything checked and written out, nothing trained",
    ])  # fmt: skip
    made.add_argument("config", metavar="CONFIG", help="configuration file, folder of a run, or built-in example")
    made.add_argument("--resume", action="store_true", help="continue the run in the output folder from its last whole checkpoint")
    made.add_argument("--overwrite", action="store_true", help="begin anew in a folder that holds a run; its checkpoints are removed")
    made.add_argument("--print-config", action="store_true", help="check the configuration, print it as JSON and stop")

    made = command(commands, "evaluate", evaluate, "loss and metrics of a trained model", """\
Takes the folder of a run (or its configuration) and looks at data that training did not see.""", [
        "monograph evaluate runs/digits", "monograph evaluate runs/digits --on validation --checkpoint last --json",
    ])  # fmt: skip
    _add_run(made)
    made.add_argument("--on", choices=STAGES, default="test", help="which part of the data (test)")
    made.add_argument("--json", action="store_true", help="print a JSON object")

    made = command(commands, "predict", predict, "outputs of a trained model or of an artifact", """\
Inputs are a .npy file, or a .npz file with an array "x" (or only one array); without --input the test data of the run.""", [
        "monograph predict runs/digits --input images.npy --output logits.npy", "monograph predict model.mg --input images.npy",
    ])  # fmt: skip
    _add_run(made)
    made.add_argument("--input", metavar="FILE", help="inputs: .npy or .npz")
    made.add_argument("--output", metavar="FILE", default="predictions.npy", help="where the outputs go (predictions.npy)")
    made.add_argument("--batch", metavar="N", type=int, default=256, help="rows at a time (256)")

    made = command(commands, "export", export, "write a trained model as an artifact", """\
The artifact holds graph and weights and needs neither the model's code nor the configuration. It takes any batch size.""", [
        "monograph export runs/digits --output digits.mg", "monograph export runs/digits --checkpoint last --output digits.mg",
    ])  # fmt: skip
    _add_run(made)
    made.add_argument("--output", metavar="FILE", default="model.mg", help="the file (model.mg)")


def _add_run(made: argparse.ArgumentParser) -> None:
    made.add_argument("config", metavar="RUN", help="folder of a run, or its configuration")
    made.add_argument("--checkpoint", metavar="WHICH", default="best", help="best, last, or a file (best; last where there is no best)")


# ---- commands ----
def train(options: argparse.Namespace) -> int:
    """Trains; the run's folder holds what the other commands need."""
    config = configuration(options)
    if options.print_config:
        experiment(config)
        print(json.dumps(config.plain(), indent=2))
        return OK
    folder = run_folder(config)
    made = experiment(config)
    at_work = trainer(made, folder)
    old = sorted((folder / "checkpoints").glob(f"*{checkpoints.SUFFIX}"))
    if old and not (options.resume or options.overwrite):
        raise CommandError(
            f"{folder} holds a run already: --resume continues it, --overwrite begins anew, --output=FOLDER puts the new one elsewhere",
            FILE_ERROR,
        )
    if options.resume and not old:
        raise CommandError(f"there is nothing to resume: {folder / 'checkpoints'} holds no checkpoint", FILE_ERROR)
    try:
        if not options.resume:
            for path in old:
                path.unlink()
        folder.mkdir(parents=True, exist_ok=True)
        (folder / RECORD).write_text(json.dumps({**config.plain(), "folder": str(config.folder)}, indent=2), encoding="utf-8")
    except OSError as error:
        raise CommandError(f"cannot write to {folder}: {error.strerror}", FILE_ERROR) from None
    resumed = "last" if options.resume else None
    try:
        if made.datamodule is not None:
            at_work.fit(made.task, datamodule=made.datamodule, ckpt_path=resumed)
        else:
            at_work.fit(made.task, made.source("train"), made.source("validation"), ckpt_path=resumed)
    except KeyboardInterrupt:
        saved = any((folder / "checkpoints").glob(f"*{checkpoints.SUFFIX}"))
        how = f"`monograph train {folder} --resume` goes on from the last checkpoint" if saved else "there was no checkpoint yet"
        print(f"\nstopped; {how}")
        raise
    print("  ".join(f"{k} {float(v):.4f}" for k, v in at_work.callback_metrics.items()))
    print(f"the run is in {folder}: monograph evaluate {folder}")
    return OK


def evaluate(options: argparse.Namespace) -> int:
    """Prints loss and metrics of one part of the data."""
    config = configuration(options)
    made = restored(options, config)
    source = made.source(options.on)
    if source is None and made.datamodule is None:
        raise CommandError(f"the configuration sets no data aside for {options.on!r} (data.{options.on}_split)", BAD_CONFIG)
    look = quiet(config)
    verb = look.validate if options.on == "validation" else look.test
    (found,) = verb(made.task, source, datamodule=made.datamodule, verbose=False)
    # Metrics of a validation step carry its name; here `--on` has said it.
    found = {name.removeprefix("val_"): value for name, value in found.items()}
    print(json.dumps(found) if options.json else "\n".join(f"{name} {value:.4f}" for name, value in found.items()))
    return OK


def predict(options: argparse.Namespace) -> int:
    """Writes the outputs for an array of inputs."""
    if options.batch < 1:
        raise CommandError(f"--batch is {options.batch}; it must be 1 or more", USAGE)
    is_artifact = Path(options.config).is_file() and Path(options.config).suffix == ".mg"
    if is_artifact and options.input is None:
        raise CommandError("an artifact has no data of its own: give --input FILE", USAGE)
    if is_artifact:
        x = inputs(options.input)
        try:
            module: Any = load_program(options.config).module()
        except ArtifactError as error:
            raise CommandError(message_of(error), FILE_ERROR) from None
        batches = [module(from_numpy(x[i : i + options.batch])) for i in range(0, len(x), options.batch)]
    else:
        config = configuration(options)
        made = restored(options, config)
        if options.input is None and (made.parts is None or "test" not in made.parts):
            raise CommandError("the run has no test data: give --input FILE", USAGE)
        assert options.input is not None or made.parts is not None
        x = inputs(options.input) if options.input is not None else made.parts["test"][0]  # type: ignore[index]
        rows = [(from_numpy(x[i : i + options.batch]),) for i in range(0, len(x), options.batch)]
        batches = quiet(config).predict(made.task, rows)
    outputs = joined(batches)
    try:
        if isinstance(outputs, np.ndarray):
            with open(options.output, "wb") as file:
                np.save(file, outputs)
        else:
            named = outputs if isinstance(outputs, dict) else {f"output_{i}": v for i, v in enumerate(outputs)}
            np.savez(options.output, **named)
    except OSError as error:
        raise CommandError(f"cannot write {options.output}: {error.strerror}", FILE_ERROR) from None
    what = f": {outputs.dtype} {list(outputs.shape)}" if isinstance(outputs, np.ndarray) else ""
    print(f"{len(x)} rows -> {options.output}{what}")
    return OK


def export(options: argparse.Namespace) -> int:
    """Writes the artifact of a trained model."""
    config = configuration(options)
    made = restored(options, config)
    if made.parts is None:
        batch = next(iter(made.datamodule.train_dataloader()))
        example = batch[0] if isinstance(batch, tuple | list) else batch
    else:
        example = from_numpy(made.parts["train"][0][:2])
    made.module.eval()
    program = export_program(made.module, (example,), dynamic_shapes=({0: Dim("batch")},))
    try:
        save_program(program, options.output)
    except OSError as error:
        raise CommandError(f"cannot write {options.output}: {error.strerror}", FILE_ERROR) from None
    print(f"{options.output}: {Path(options.output).stat().st_size:,} bytes; monograph inspect {options.output}")
    return OK


# ---- what they share ----
def configuration(options: argparse.Namespace) -> Config:
    """The checked configuration that the command line names, with its overrides."""
    given = Path(options.config)
    if given.is_dir():
        if not (given / RECORD).exists():
            raise CommandError(f"{given} is not the folder of a run: it has no {RECORD}", FILE_ERROR)
        table = read(given / RECORD)
        folder = Path(table.pop("folder", given))
        table["output"] = str(given)
    elif given.exists() or given.suffix:
        table, folder = read(given), given.resolve().parent
        table.setdefault("output", str(Path("runs") / given.stem))
    elif options.config in examples.CONFIGS:
        table, folder = {**examples.CONFIGS[options.config], "output": str(Path("runs") / options.config)}, Path.cwd()
    else:
        raise CommandError(
            f"{options.config!r} is no file, folder of a run, or built-in example ({', '.join(examples.CONFIGS)})", FILE_ERROR
        )
    config = check(overridden(table, options.overrides), f"the configuration {options.config}")
    config.folder = folder
    return config


def run_folder(config: Config) -> Path:
    """Where the run of a configuration lives."""
    return Path(config.output or "runs/run")


def checkpoint_of(which: str, config: Config) -> Path:
    """The file that "best", "last" or a path means."""
    if which not in ("best", "last"):
        if not Path(which).exists():
            raise CommandError(f"there is no checkpoint {which} (--checkpoint takes best, last or a file)", FILE_ERROR)
        return Path(which)
    folder = run_folder(config) / "checkpoints"
    newest = sorted(folder.glob(f"*{checkpoints.SUFFIX}"), key=lambda p: (p.stat().st_mtime_ns, p.name), reverse=True)
    last = next((p for p in newest if checkpoints.is_whole(p)), None)
    if last is None:
        raise CommandError(f"there is no whole checkpoint in {folder}: has the run been trained? (monograph train)", FILE_ERROR)
    if which == "last":
        return last
    for state in checkpoints.read(last).get("callbacks", {}).values():
        best = state.get("best_model_path") if isinstance(state, dict) else None
        # A run that was moved still has its files beside the last one.
        if best and (folder / Path(best).name).exists():
            return folder / Path(best).name
    return last


def restored(options: argparse.Namespace, config: Config) -> Experiment:
    """The experiment with the weights of a checkpoint."""
    path = checkpoint_of(options.checkpoint, config)
    try:
        state = checkpoints.read(path)["state_dict"]
    except (ArtifactError, OSError) as error:
        raise CommandError(message_of(error), FILE_ERROR) from None
    made = experiment(config)
    try:
        checkpoints.check_fits(made.module, state, str(path))
    except RuntimeError as error:
        raise CommandError(message_of(error), BAD_CONFIG) from None
    made.module.load_state_dict(state)
    return made


def quiet(config: Config) -> Trainer:
    """A trainer that only looks, with the precision of the run."""
    kept = {k: v for k, v in config.trainer.items() if k in ("precision", "limit_test_batches", "limit_val_batches", "compile")}
    return Trainer(**kept, logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False)


def inputs(path: str) -> np.ndarray:
    """The array of inputs in a file."""
    try:
        found = load(path)
    except (OSError, ArtifactError) as error:
        raise CommandError(f"cannot read the inputs {path}: {error.strerror if isinstance(error, OSError) else message_of(error)}",
                           FILE_ERROR) from None  # fmt: skip
    if isinstance(found, dict):
        if "x" not in found and len(found) != 1:
            raise CommandError(f"{path} has no array 'x'; it has {', '.join(map(str, found))}", FILE_ERROR)
        found = found["x"] if "x" in found else next(iter(found.values()))
    array = np.asarray(found.numpy() if hasattr(found, "numpy") else found)
    return array.astype(np.float32) if array.dtype == np.float64 else array
