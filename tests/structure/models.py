"""Steps of whole models whose kernels are noted: the benchmark's networks, at sizes that compile and run in moments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import monograph as mg
from benchmarks import cnn, gpt, lstm, mlp, mobilenet, resnet
from monograph.nn import functional as F

Step = tuple[Callable[..., Any], tuple[Any, ...]]


def training(network: Callable[[Any], Any], x: Any, y: Any, loss: Callable[[Any, Any], Any] = F.cross_entropy) -> Step:
    """One training step with Adam."""
    model = network(mg)
    optimizer = mg.optim.Adam(model.parameters(), lr=1e-3)

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        value = loss(model(x), y)
        value.backward()
        optimizer.step()
        return value

    return step, (x, y)


def inference(network: Callable[[Any], Any], x: Any) -> Step:
    """The model in evaluation mode, without gradients."""
    model = network(mg).eval().requires_grad_(False)
    return lambda x: model(x), (x,)


def classes(n: int, batch: int) -> Any:
    return mg.randint(0, n, (batch,))


def _tokens(batch: int) -> Any:
    return mg.randint(0, gpt.WORDS, (batch, 16))


def _next_token(output: Any, targets: Any) -> Any:
    return F.cross_entropy(output.view(-1, gpt.WORDS), targets.view(-1))


def _two_layers(frame: Any) -> Any:
    return gpt.network(frame, layers=2, width=64)


MODELS: dict[str, Callable[[], Step]] = {
    "MLP, training": lambda: training(mlp.network, mg.randn(64, 784), classes(10, 64)),
    "MLP, inference": lambda: inference(mlp.network, mg.randn(1, 784)),
    "CNN, training": lambda: training(cnn.network, mg.randn(4, 1, 28, 28), classes(10, 4)),
    "ResNet-18, training": lambda: training(resnet.network, mg.randn(2, 3, 32, 32), classes(resnet.CLASSES, 2)),
    "ResNet-18, inference": lambda: inference(resnet.network, mg.randn(1, 3, 32, 32)),
    "GPT of 2 layers, training": lambda: training(_two_layers, _tokens(2), _tokens(2), _next_token),
    "GPT of 2 layers, inference": lambda: inference(_two_layers, _tokens(1)),
    "LSTM, training": lambda: training(lstm.network, mg.randn(4, 8, lstm.FEATURES), classes(lstm.CLASSES, 4)),
    "MobileNet-v3-small, training": lambda: training(mobilenet.network, mg.randn(2, 3, 32, 32), classes(mobilenet.CLASSES, 2)),
    "MobileNet-v3-small, inference": lambda: inference(mobilenet.network, mg.randn(1, 3, 32, 32)),
}
