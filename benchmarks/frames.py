"""How torch and monograph, which share one API, run a model or an expression: each written once, as `build(frame)`."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks.workload import COMPILED, TORCH, TORCH_COMPILE, UNCOMPILED, Case, Running, Setup, weight

Network = Callable[[Any], Any]
Inputs = Callable[[], Sequence[np.ndarray]]


def with_weights(frame: Any, network: Network) -> Any:
    """The network with the weights that every framework gets, by the names of its `state_dict`."""
    model = network(frame)
    state = model.state_dict()
    for name, value in state.items():
        if not name.endswith("num_batches_tracked"):
            state[name] = frame.from_numpy(weight(name, tuple(value.shape)))
    model.load_state_dict(state)
    return model


def arrays(result: Any) -> list[np.ndarray]:
    """What a step returned, as NumPy arrays."""
    results = result if isinstance(result, tuple | list) else [result]
    return [value.detach().numpy() for value in results]


def finished(frame: Any, compiled: bool, step: Callable[..., Any], *arguments: Any) -> Running:
    """A step that leaves nothing pending: compiled by the framework's own `compile` where asked, evaluated where it is lazy."""
    run = frame.compile(step) if compiled else step
    if frame.__name__ != "monograph":
        return Running(lambda: run(*arguments), arrays)

    def evaluated() -> Any:
        result = run(*arguments)
        frame.eval(*(result if isinstance(result, tuple | list) else (result,)))
        return result

    return Running(evaluated, arrays)


def setups(start: Callable[[Any, bool, Case], Running]) -> dict[str, Setup]:
    """The four contenders that share torch's API; `start(frame, compiled, case)` sets up."""

    def contender(name: str, compiled: bool) -> Setup:
        return lambda case: start(importlib.import_module(name), compiled, case)

    return {
        COMPILED: contender("monograph", True),
        UNCOMPILED: contender("monograph", False),
        TORCH: contender("torch", False),
        TORCH_COMPILE: contender("torch", True),
    }


def training(network: Network, inputs: Inputs, loss: Callable[[Any, Any, Any], Any] | None = None) -> dict[str, Setup]:
    """The step everyone writes: zero_grad, forward, loss, backward, Adam's step. `inputs` are the model's input and the targets."""

    def start(frame: Any, compiled: bool, case: Case) -> Running:
        model = with_weights(frame, network)
        optimizer = frame.optim.Adam(model.parameters(), lr=1e-3, fused=True)
        x, y = (frame.from_numpy(array) for array in inputs())
        criterion = loss or (lambda frame, output, targets: frame.nn.functional.cross_entropy(output, targets))

        def step(x: Any, y: Any) -> Any:
            optimizer.zero_grad()
            value = criterion(frame, model(x), y)
            value.backward()
            optimizer.step()
            return value

        return finished(frame, compiled, step, x, y)

    return setups(start)


def inference(network: Network, inputs: Inputs) -> dict[str, Setup]:
    """The model in evaluation mode, without gradients."""

    def start(frame: Any, compiled: bool, case: Case) -> Running:
        model = with_weights(frame, network).eval()
        frame.set_grad_enabled(False)
        return finished(frame, compiled, lambda *given: model(*given), *map(frame.from_numpy, inputs()))

    return setups(start)


def expression(build: Callable[[Any, Any], tuple[Callable[..., Any], Sequence[np.ndarray]]]) -> dict[str, Setup]:
    """`build(frame, payload)` of a case gives a function and its inputs. No gradients, unless the function asks for them."""

    def start(frame: Any, compiled: bool, case: Case) -> Running:
        function, inputs = build(frame, case.payload)
        frame.set_grad_enabled(False)
        return finished(frame, compiled, function, *map(frame.from_numpy, inputs))

    return setups(start)
