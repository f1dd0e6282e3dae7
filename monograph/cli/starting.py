"""`run`, `demo`, `tensorboard`: commands that start a program."""

from __future__ import annotations

import argparse
import contextlib
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from monograph.cli import learning
from monograph.cli.exits import FAILED, FILE_ERROR, OK, CommandError
from monograph.cli.text import command
from monograph.compat.alias import SHIM, install
from monograph.core.extras import optional

ACCURACY = 0.95  # what the demo must reach on digits that it has not seen


def add_commands(commands: Any) -> None:
    """Adds the three."""
    made = command(commands, "run", run, "run a script, also one written for torch", """\
Runs a Python script or module as `python` would. The exit status is the script's; its errors keep their traceback.""", [
        "monograph run train.py --epochs 3", "monograph run --as torch train.py --epochs 3", "monograph run --as torch -m package.train",
    ])  # fmt: skip
    made.add_argument("--as", dest="alias", choices=("torch",), help="the name under which the script imports monograph")
    made.add_argument("-m", dest="module", action="store_true", help="what follows is a module, as with `python -m`")
    made.add_argument("script", help="path of the script, or name of the module")
    made.add_argument("arguments", nargs=argparse.REMAINDER, help="arguments of the script")

    made = command(commands, "demo", demo, "learn digits, evaluate, export, and serve from a fresh process", """\
Takes about half a minute, needs scikit-learn (the extra `demo`) and no network.""", [
        "monograph demo", "monograph demo --output out/digits",
    ])  # fmt: skip
    made.add_argument("--output", metavar="FOLDER", help="keep the run and the artifact there (else a folder that is removed)")

    made = command(commands, "tensorboard", tensorboard, "start TensorBoard on a folder of logs", """\
Needs the package tensorboard (the extra `tensorboard`). Ctrl-C ends it.""", [
        "monograph tensorboard runs", "monograph tensorboard runs/digits --port 6007",
    ])  # fmt: skip
    made.add_argument("folder", metavar="FOLDER", help="folder with event files, searched below too")
    made.add_argument("--port", type=int, default=6006, help="port (6006)")
    made.add_argument("--host", default="localhost", help="address to listen on (localhost)")


def run(options: argparse.Namespace) -> int:
    """Runs the script in this process, as __main__, with its own arguments and its folder on the path."""
    if not options.module and not os.path.exists(options.script):
        raise CommandError(f"can't open file {options.script!r}: there is no such file", FILE_ERROR)
    if options.alias == "torch":
        install()
        os.environ["PYTHONPATH"] = os.pathsep.join(
            filter(None, (os.environ.get("PYTHONPATH"), SHIM))
        )  # for programs that the script starts
    sys.argv = [options.script, *options.arguments]
    if options.module:
        sys.path.insert(0, os.getcwd())
        runpy.run_module(options.script, run_name="__main__", alter_sys=True)
        return OK
    if not os.path.isdir(options.script):
        sys.path.insert(0, os.path.dirname(os.path.abspath(options.script)))
    runpy.run_path(options.script, run_name="__main__")
    return OK


def demo(options: argparse.Namespace) -> int:
    """The whole way of a model, with the commands that a user would type."""
    with contextlib.ExitStack() as stack:
        folder = Path(options.output or stack.enter_context(tempfile.TemporaryDirectory(prefix="monograph-demo-")))
        made, outputs, ours = folder / "digits.mg", folder / "served.npy", folder / "ours.npy"

        def do(title: str, function: Any, overrides: Any = (), **arguments: Any) -> None:
            print(f"\n$ monograph {title}", flush=True)
            function(argparse.Namespace(overrides=overrides, checkpoint="best", **arguments))

        to_folder = [("output", str(folder))]
        do(f"train digits --output={folder}", learning.train, to_folder, config="digits", resume=False, overwrite=True, print_config=False)
        do(f"evaluate {folder}", learning.evaluate, config=str(folder), on="test", json=False)
        do(f"export {folder} --output {made}", learning.export, config=str(folder), output=str(made))
        do(f"predict {folder} --output {ours}", learning.predict, config=str(folder), input=None, output=str(ours), batch=256)

        experiment = learning.experiment(learning.configuration(argparse.Namespace(config=str(folder), overrides=[])))
        assert experiment.parts is not None
        images, labels = experiment.parts["test"]
        np.save(folder / "images.npy", images)
        serving = [sys.executable, "-m", "monograph", "predict", str(made), "--input", str(folder / "images.npy"), "--output", str(outputs)]
        print(f"\n$ monograph predict {made} --input {folder / 'images.npy'}      # a fresh process, without the model's code", flush=True)
        if subprocess.run(serving, env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}).returncode:
            raise CommandError("the fresh process could not serve the artifact")
        served = np.load(outputs)
        accuracy = float((served.argmax(1) == labels).mean())
        same = np.array_equal(served, np.load(ours))
        print(f"\nserved: {accuracy:.2%} of {len(labels)} unseen digits right, outputs {'bit for bit the same' if same else 'DIFFERENT'}")
        if accuracy < ACCURACY or not same:
            print(f"the demo expects {ACCURACY:.0%} and the same outputs", file=sys.stderr)
            return FAILED
    return OK


def tensorboard(options: argparse.Namespace) -> int:
    """Runs TensorBoard until it is ended."""
    if not Path(options.folder).is_dir():
        raise CommandError(f"there is no folder {options.folder}", FILE_ERROR)
    try:
        optional("tensorboard", "`monograph tensorboard`")
    except ImportError as error:
        raise CommandError(str(error)) from None
    if next(Path(options.folder).rglob("*.tfevents.*"), None) is None:
        print(f"there are no event files in {options.folder} yet; TensorBoard will look again", file=sys.stderr)
    started = [sys.executable, "-m", "tensorboard.main", "--logdir", options.folder, "--port", str(options.port), "--host", options.host]
    with subprocess.Popen(started) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:
            process.send_signal(signal.SIGINT)
            process.wait()
            raise
