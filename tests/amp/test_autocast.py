"""autocast: which results are low, which are float32, and that gradients come out in the parameters' dtype."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

import monograph as mg
import monograph.nn.functional as F
from monograph import nn

X = np.linspace(-1, 1, 32, dtype=np.float32).reshape(4, 8)


def x() -> Any:
    return mg.tensor(X)


LOW = {
    "linear": lambda: F.linear(x(), x()), "matmul": lambda: x() @ x().T, "vector": lambda: x()[0] @ x()[1], "mm": lambda: mg.mm(x(), x().T),
    "bmm": lambda: mg.bmm(x()[None], x().T[None]), "einsum": lambda: mg.einsum("ij,kj->ik", x(), x()),
    "conv2d": lambda: nn.Conv2d(3, 4, 3, padding=1)(mg.ones(1, 3, 5, 5)), "conv_transpose": lambda: nn.ConvTranspose2d(3, 4, 3)(mg.ones(1,
    3, 5, 5)),
    "attention": lambda: F.scaled_dot_product_attention(x()[None], x()[None], x()[None]),
    "norm after conv": lambda: nn.GroupNorm(2, 4)(nn.Conv2d(3, 4, 3)(mg.ones(1, 3, 5, 5))),
    "batch norm after conv": lambda: nn.BatchNorm2d(4)(nn.Conv2d(3, 4, 3)(mg.rand(2, 3, 5, 5))),
    "layer norm after linear": lambda: nn.LayerNorm(8)(nn.Linear(8, 8)(x())), "softmax keeps": lambda: F.softmax(x() @ x().T, -1),
}  # fmt: skip
SINGLE = {
    "cross_entropy": lambda: F.cross_entropy(x() @ x().T, mg.tensor([0, 1, 2, 3])), "mse_loss": lambda: F.mse_loss(x() @ x().T, mg.zeros(4,
    4)),
    "bce": lambda: F.binary_cross_entropy_with_logits(x() @ x().T, mg.zeros(4, 4)), "cat promotes": lambda: mg.cat([x() @ x().T, x()], 1),
    "stack promotes": lambda: mg.stack([x() @ x().T, mg.zeros(4, 4)]), "plain": lambda: x() + 1,
}  # fmt: skip


@pytest.mark.parametrize("dtype", [mg.bfloat16, mg.float16])
@pytest.mark.parametrize("name", LOW)
def test_low(name: str, dtype: Any) -> None:
    with mg.autocast("cpu", dtype=dtype):
        assert LOW[name]().dtype is dtype
    assert LOW[name]().dtype is mg.float32


@pytest.mark.parametrize("name", SINGLE)
def test_single(name: str) -> None:
    with mg.autocast("cpu"):
        assert SINGLE[name]().dtype is mg.float32


def test_double_and_integers_stay() -> None:
    with mg.autocast("cpu"):
        assert (x().double() @ x().double().T).dtype is mg.float64
        assert (mg.ones(2, 2, dtype=mg.int64) @ mg.ones(2, 2, dtype=mg.int64)).dtype is mg.int64


def test_values_are_those_of_the_low_dtype() -> None:
    with mg.autocast("cpu"):
        y = x() @ x().T
    np.testing.assert_array_equal(y.float().numpy(), (x().bfloat16() @ x().bfloat16().T).float().numpy())


def test_training_keeps_parameters_and_gradients_in_float32() -> None:
    mg.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 8), nn.ReLU(), nn.Linear(8, 3))
    optimizer = mg.optim.SGD(model.parameters(), lr=0.5)
    losses = []
    for _ in range(5):
        with mg.autocast("cpu"):
            loss = F.cross_entropy(model(x()), mg.tensor([0, 1, 2, 0]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert all(p.grad.dtype is mg.float32 for p in model.parameters())
    assert losses[-1] < losses[0]


def test_nesting_decorator_and_threads() -> None:
    @mg.autocast("cpu")
    def product() -> Any:
        with mg.autocast("cpu", enabled=False):
            inner = x() @ x().T
        return inner, x() @ x().T

    inner, outer = product()
    assert inner.dtype is mg.float32 and outer.dtype is mg.bfloat16
    seen = []
    with mg.autocast("cpu"):
        assert mg.is_autocast_enabled("cpu") and mg.get_autocast_dtype("cpu") is mg.bfloat16
        thread = threading.Thread(target=lambda: seen.append(mg.is_autocast_enabled("cpu")))
        thread.start()
        thread.join()
    assert seen == [False] and not mg.is_autocast_enabled("cpu")


def test_compiled_functions_see_the_mode() -> None:
    product = mg.compile(lambda a: a @ a.T)
    assert product(x()).dtype is mg.float32
    with mg.autocast("cpu"):
        assert product(x()).dtype is mg.bfloat16
    assert product(x()).dtype is mg.float32


def test_devices_that_are_not_here() -> None:
    with pytest.warns(UserWarning, match="CUDA is not available. Disabling"), mg.autocast("cuda"):
        assert (x() @ x().T).dtype is mg.float32
    with pytest.warns(UserWarning, match="not supported. Disabling autocast"), mg.autocast("cpu", dtype=mg.float64):
        assert (x() @ x().T).dtype is mg.float32
    with pytest.raises(RuntimeError, match="unsupported autocast device_type 'abc'"):
        mg.autocast("abc")


def test_custom_functions() -> None:
    seen = []

    class Double(mg.autograd.Function):
        """Asks for float32."""

        @staticmethod
        @mg.amp.custom_fwd(device_type="cpu", cast_inputs=mg.float32)
        def forward(ctx: Any, a: Any) -> Any:
            seen.append((a.dtype, mg.is_autocast_enabled("cpu")))
            return a * 2

        @staticmethod
        @mg.amp.custom_bwd(device_type="cpu")
        def backward(ctx: Any, g: Any) -> Any:
            return g * 2

    a = mg.ones(2, dtype=mg.bfloat16, requires_grad=True)
    with mg.autocast("cpu"):
        y = Double.apply(a)
    y.sum().backward()
    assert seen == [(mg.float32, False)] and a.grad.tolist() == [2, 2]
