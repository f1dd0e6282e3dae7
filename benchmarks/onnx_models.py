"""ONNX Runtime and OpenVINO: they run a model that torch's exporter wrote, in torch's environment, from the same code and weights."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.frames import Inputs, Network, with_weights
from benchmarks.workload import ONNX_RUNTIME, OPENVINO, Case, Running, Setup

ROOT = Path(__file__).resolve().parents[1]
EXPORTER = ROOT / ".venv-torch" / "bin" / "python"


def export(file: str, network: str, inputs: str, path: str) -> None:
    """Runs in torch's environment: writes the network of a workload's file to `path`."""
    torch = importlib.import_module("torch")
    module = importlib.import_module(f"benchmarks.{file}")
    model = with_weights(torch, getattr(module, network)).eval()
    given = tuple(map(torch.from_numpy, getattr(module, inputs)()))
    torch.onnx.export(model, given, path, dynamo=True, external_data=False, verbose=False)


def exported(network: Network, inputs: Inputs) -> bytes:
    file = network.__module__.rsplit(".", 1)[-1]
    folder = os.environ.get("BENCHMARKS_SCRATCH") or tempfile.mkdtemp()
    path = Path(folder, f"{file}-{network.__name__}-{inputs.__name__}.onnx")
    if not path.exists():  # the first of the contenders of this run that want it
        command = [str(EXPORTER), "-m", "benchmarks.onnx_models", file, network.__name__, inputs.__name__, str(path)]
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return path.read_bytes()


def onnx_inference(network: Network, inputs: Inputs) -> dict[str, Setup]:
    """`network` and `inputs` must be functions at the top of their file, so that the exporting process finds them."""
    return {ONNX_RUNTIME: _onnx_runtime(network, inputs), OPENVINO: _openvino(network, inputs)}


def _onnx_runtime(network: Network, inputs: Inputs) -> Callable[[Case], Running]:
    def start(case: Case) -> Running:
        runtime: Any = importlib.import_module("onnxruntime")
        options = runtime.SessionOptions()
        options.intra_op_num_threads = len(os.sched_getaffinity(0))
        session = runtime.InferenceSession(exported(network, inputs), options, providers=["CPUExecutionProvider"])
        feeds = {wanted.name: np.ascontiguousarray(array) for wanted, array in zip(session.get_inputs(), inputs(), strict=True)}
        return Running(lambda: session.run(None, feeds), list)

    return start


def _openvino(network: Network, inputs: Inputs) -> Callable[[Case], Running]:
    def start(case: Case) -> Running:
        openvino: Any = importlib.import_module("openvino")
        core = openvino.Core()
        settings = {"INFERENCE_NUM_THREADS": len(os.sched_getaffinity(0)), "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
        compiled = core.compile_model(core.read_model(exported(network, inputs)), "CPU", settings)
        request = compiled.create_infer_request()
        feeds = [np.ascontiguousarray(array) for array in inputs()]
        return Running(lambda: request.infer(feeds), lambda result: [np.array(result[0])])

    return start


if __name__ == "__main__":
    export(*sys.argv[1:])
