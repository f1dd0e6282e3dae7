"""What people get wrong, as small functions: the golden messages are what each of them raises."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import monograph as mg
from monograph import nn
from monograph.nn import functional as F

ones, zeros = mg.ones, mg.zeros


class Attention(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(64, 192)

    def forward(self, x: Any) -> Any:
        return self.qkv(x)


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.attn = Attention()

    def forward(self, x: Any) -> Any:
        return x + self.attn(x)


class Decoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.ModuleList([Block() for _ in range(4)])

    def forward(self, x: Any) -> Any:
        return self.blocks[3](x)


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.decoder = Decoder()

    def forward(self, x: Any) -> Any:
        return self.decoder(x)


def backward_twice() -> None:
    y = (ones(2, requires_grad=True) ** 2).sum()
    y.backward()
    y.backward()


def overwritten() -> None:
    y = ones(2, requires_grad=True).exp()
    y.add_(1)
    y.sum().backward()


def born_in_forward() -> None:
    with mg.autograd.detect_anomaly():
        zeros(2).log().sub(1).mul(0)


def born_in_backward() -> None:
    with mg.autograd.detect_anomaly():
        (zeros(2, requires_grad=True).sqrt() * 0).sum().backward()


def wrapped_checkpoint() -> None:
    layer = nn.Linear(3, 2)
    layer.load_state_dict({"module." + key: value for key, value in layer.state_dict().items()})


MISTAKES: dict[str, Callable[[], Any]] = {
    "a layer deep in a model": lambda: Model()(zeros(2, 10, 128)),
    "flatten forgotten": lambda: nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Linear(288, 10))(zeros(2, 3, 8, 8)),
    "features in another dimension": lambda: nn.Linear(64, 8)(zeros(2, 64, 10)),
    "double into a float layer": lambda: nn.Linear(3, 2)(zeros(4, 3, dtype=mg.float64)),
    "integers into a layer": lambda: nn.Linear(3, 2)(zeros(4, 3, dtype=mg.int64)),
    "channels last": lambda: nn.Conv2d(3, 4, 3)(zeros(1, 8, 8, 3)),
    "wrong channels": lambda: nn.Conv2d(3, 4, 3)(zeros(1, 5, 8, 8)),
    "groups": lambda: nn.Conv2d(3, 4, 3, groups=2),
    "batch norm of other channels": lambda: nn.BatchNorm2d(3)(zeros(2, 4, 5, 5)),
    "batch norm of another rank": lambda: nn.BatchNorm2d(3)(zeros(2, 3)),
    "layer norm": lambda: nn.LayerNorm(10)(zeros(2, 11)),
    "embedding of floats": lambda: nn.Embedding(3, 2)(mg.tensor([1.0])),
    "embedding out of range": lambda: nn.Embedding(3, 2)(mg.tensor([0, 7])).sum().item(),
    "class out of range": lambda: F.cross_entropy(zeros(4, 3), mg.tensor([1, 2, 3, 0])).item(),
    "classes as floats": lambda: F.cross_entropy(zeros(4, 3), zeros(4)),
    "classes of another batch": lambda: F.cross_entropy(zeros(4, 3), zeros(5, dtype=mg.int64)),
    "target without a dimension": lambda: F.binary_cross_entropy_with_logits(zeros(4, 1), zeros(4)),
    "sizes that clash": lambda: zeros(2, 3) + zeros(2, 4),
    "dimension of one missing": lambda: zeros(32, 10) * zeros(32),
    "transposed operand": lambda: zeros(2, 3) - zeros(3, 2),
    "matrices that do not chain": lambda: zeros(2, 3) @ zeros(4, 5),
    "matrix to be transposed": lambda: zeros(2, 3) @ zeros(5, 3),
    "batches of matrices": lambda: zeros(7, 2, 3) @ zeros(7, 4, 5),
    "matrices of two dtypes": lambda: zeros(2, 2) @ zeros(2, 2, dtype=mg.float64),
    "cat": lambda: mg.cat([zeros(2, 3), zeros(2, 4)]),
    "stack": lambda: mg.stack([zeros(2, 3), zeros(2, 4)]),
    "reshape": lambda: zeros(2, 3).reshape(4, 3),
    "view of a transpose": lambda: zeros(2, 3).t().view(6),
    "expand": lambda: zeros(2, 3).expand(2, 4),
    "index out of range": lambda: zeros(2, 3)[5],
    "indices out of range": lambda: zeros(2, 3)[mg.tensor([5])].tolist(),
    "gather out of range": lambda: zeros(2, 3).gather(1, mg.tensor([[5], [0]])).tolist(),
    "float indices": lambda: zeros(3)[mg.tensor([1.0])],
    "meta and cpu": lambda: (zeros(3, device="meta") + zeros(3)).tolist(),
    "no tensor": lambda: mg.kron(1, zeros(3)),
    "no integer": lambda: mg.tril(zeros(2, 2), "up"),
    "backward twice": backward_twice,
    "backward of a vector": lambda: (ones(2, requires_grad=True) * 2).backward(),
    "backward without gradients": lambda: ones(2).sum().backward(),
    "leaf in place": lambda: ones(2, requires_grad=True).add_(1),
    "value overwritten": overwritten,
    "NaN born in backward": born_in_backward,
    "optimiser without parameters": lambda: mg.optim.SGD([], lr=0.1),
    "optimiser of one tensor": lambda: mg.optim.SGD(zeros(3), lr=0.1),
    "optimiser of names": lambda: mg.optim.SGD(["weight"], lr=0.1),
    "optimiser of an intermediate": lambda: mg.optim.SGD([ones(2, requires_grad=True) * 2], lr=0.1),
    "checkpoint of another shape": lambda: nn.Sequential(nn.Linear(3, 2)).load_state_dict({"0.weight": zeros(2, 4), "x": zeros(1)}),
    "checkpoint of a wrapped model": wrapped_checkpoint,
    "samples of several sizes": lambda: list(mg.utils.data.DataLoader([zeros(2), zeros(2), zeros(3)], batch_size=3)),
    "samples that are nothing": lambda: list(mg.utils.data.DataLoader([None, None], batch_size=2)),
}
