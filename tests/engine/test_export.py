"""Exported programs: symbolic sizes, one file, a fresh process, bit-equal results, errors that name input, dimension and line."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import monograph as mg
from monograph import nn
from monograph.core.errors import CaptureError, DTypeError, ShapeError
from monograph.export import Dim, dims, export, load, save
from monograph.nn import functional as F
from tests.engine.twice import floats


class _Block(nn.Module):
    """Attention over a sequence of any length, with a residual and an MLP."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 8)
        self.norm = nn.LayerNorm(8)
        self.qkv = nn.Linear(8, 24)
        self.out = nn.Linear(8, 11)

    def forward(self, tokens: Any) -> Any:
        b, t = tokens.shape
        x = self.embed(tokens)
        q, k, v = self.qkv(self.norm(x)).view(b, t, 3, 2, 4).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        return self.out(F.gelu(x + y.transpose(1, 2).reshape(b, t, 8)))


def _cnn() -> Any:
    return nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Dropout(0.5), nn.Linear(64, 10)
    ).eval()


def _bits(t: Any) -> bytes:
    return t.detach().numpy().tobytes()


def test_cnn_at_several_batch_sizes(tmp_path: Path) -> None:
    model = _cnn()
    ep = export(model, (mg.randn(4, 1, 8, 8),), dynamic_shapes=({0: Dim("batch")},))
    save(ep, tmp_path / "m.mg")
    loaded = load(tmp_path / "m.mg")
    assert str(loaded) == str(ep) and "float32[batch, 10]" in ep.graph
    for n in (1, 2, 4, 9):
        x = mg.randn(n, 1, 8, 8)
        assert _bits(loaded.module()(x)) == _bits(ep.module()(x)) == _bits(model(x))
    assert set(loaded.state_dict) == {"0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var", "6.weight", "6.bias"}


def test_two_symbols(tmp_path: Path) -> None:
    model = _Block().eval()
    b, t = dims("batch", "time")
    ep = export(model, (mg.randint(0, 11, (2, 5)),), dynamic_shapes={"tokens": (b, t)})
    save(ep, tmp_path / "m.mg")
    run = load(tmp_path / "m.mg").module()
    for shape in ((1, 1), (2, 5), (3, 7), (5, 2)):
        tokens = mg.randint(0, 11, shape)
        assert _bits(run(tokens)) == _bits(model(tokens))


def test_fresh_process_without_the_model(tmp_path: Path, target: str) -> None:
    model = _cnn()
    save(export(model, (mg.randn(3, 1, 8, 8),), dynamic_shapes=({0: Dim("batch")},)), tmp_path / "m.mg")
    x = floats(5, 1, 8, 8)
    np.save(tmp_path / "x.npy", x)
    code = (
        "import sys, numpy as np, monograph as mg\n"
        "run = mg.export.load(sys.argv[1] + '/m.mg').module()\n"
        "y = run(mg.from_numpy(np.load(sys.argv[1] + '/x.npy')))\n"
        "np.save(sys.argv[1] + '/y.npy', y.numpy())\n"
        "assert 'monograph.nn' not in sys.modules\n"
    )
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, "MONOGRAPH_TARGET": target, "PYTHONPATH": root}
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, env=environment, cwd=tmp_path, timeout=100)
    assert np.load(tmp_path / "y.npy").tobytes() == _bits(model(mg.tensor(x)))


def test_same_program_same_bytes(tmp_path: Path) -> None:
    model = _cnn()
    for name in ("a", "b"):
        save(export(model, (mg.ones(2, 1, 8, 8),), dynamic_shapes=({0: Dim("batch")},)), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]


def test_trees_plain_values_keywords_and_outputs(tmp_path: Path) -> None:
    bias = mg.tensor([1.0, 2.0])

    def f(batch: Any, scale: float, *, flag: bool = True) -> Any:
        y = batch["x"] * scale + batch["more"][0] + bias
        return {"y": y if flag else -y, "same": batch["x"], "n": 3, "pair": (y.sum(), [bias])}

    args = ({"x": mg.ones(3, 2), "more": [mg.ones(2)]}, 2.0)
    ep = export(f, args, {"flag": True}, dynamic_shapes={"batch": {"x": {0: Dim("n")}, "more": None}})
    save(ep, tmp_path / "f")
    run = load(tmp_path / "f").module()
    x = mg.tensor(floats(5, 2))
    got = run({"x": x, "more": [mg.ones(2)]}, 2.0, flag=True)
    want = f({"x": x, "more": [mg.ones(2)]}, 2.0)
    assert list(got) == ["y", "same", "n", "pair"] and got["n"] == 3
    assert _bits(got["y"]) == _bits(want["y"]) and got["pair"][0].item() == want["pair"][0].item()
    got["same"].add_(1)
    got["pair"][1][0].add_(1)
    assert bias.tolist() == [1.0, 2.0] and _bits(x) == _bits(mg.tensor(floats(5, 2)))
    assert run({"x": x, "more": [mg.ones(2)]}, 2.0, flag=True)["pair"][1][0].tolist() == [1.0, 2.0]
    with pytest.raises(ValueError, match=r"scale was 2\.0 when the program was exported"):
        run({"x": x, "more": [mg.ones(2)]}, 3.0, flag=True)
    with pytest.raises(TypeError, match="in the structure that it was exported with"):
        run(x)


def test_the_program_keeps_its_weights_when_the_model_changes() -> None:
    model = nn.Linear(2, 2)
    x = mg.ones(1, 2)
    run = export(model, (x,)).module()
    before = run(x).tolist()
    with mg.no_grad():
        model.weight.zero_()
    assert run(x).tolist() == before != model(x).tolist()


def test_gradients_flow_through_a_loaded_program() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    run = export(model, (mg.ones(2, 3),), dynamic_shapes=({0: Dim("n")},)).module()
    a, b = mg.tensor(floats(5, 3), requires_grad=True), mg.tensor(floats(5, 3), requires_grad=True)
    model(a).sum().backward()
    run(b).sum().backward()
    assert _bits(a.grad) == _bits(b.grad)
    f = mg.compile(lambda x: run(x) * 2)
    for _ in range(3):
        assert _bits(f(b.detach())) == _bits(model(a) * 2)


@pytest.mark.parametrize(
    "shape, dtype, error, match",
    [
        ((3, 5), mg.float32, ShapeError, "x has size 5 in dimension 1, the program was made for 4"),
        ((3,), mg.float32, ShapeError, "x must have 2 dimensions"),
        ((9, 4), mg.float32, ShapeError, r"batch is 9, outside of its range \[2, 8\]"),
        ((1, 4), mg.float32, ShapeError, r"batch is 1, outside of its range \[2, 8\]"),
        ((3, 4), mg.float64, DTypeError, "x must be float32, got float64"),
    ],
)
def test_calls_that_do_not_fit(shape: Any, dtype: Any, error: Any, match: str) -> None:
    run = export(lambda x: x * 2, (mg.ones(3, 4),), dynamic_shapes={"x": {0: Dim("batch", min=2, max=8)}}).module()
    with pytest.raises(error, match=match):
        run(mg.ones(shape, dtype=dtype))
    with pytest.raises(TypeError):
        run(3)
    with pytest.raises(TypeError):
        run()


def test_equal_dims_and_constraints_of_the_code() -> None:
    n = Dim("n")
    run = export(lambda x, y: x + y, (mg.ones(3), mg.ones(3)), dynamic_shapes=({0: n}, {0: n})).module()
    assert run(mg.ones(5), mg.ones(5)).shape == (5,)
    with pytest.raises(ShapeError, match="n is 5 in dimension 0 of x but 4 in dimension 0 of y"):
        run(mg.ones(5), mg.ones(4))
    with pytest.raises(ShapeError, match="equal Dims mean equal sizes"):
        export(lambda x, y: x + y, (mg.ones(3), mg.ones(4)), dynamic_shapes=({0: n}, {0: n}))
    run = export(lambda x: x[:3] * 1, (mg.ones(5),), dynamic_shapes=({0: n},)).module()
    assert run(mg.ones(9)).shape == (3,)
    with pytest.raises(ShapeError, match="holds only where"):
        run(mg.ones(2))


def test_sizes_that_cannot_stay_open_name_the_line() -> None:
    def loops(x: Any) -> Any:
        for i in range(x.shape[0]):
            x = x + i
        return x

    with pytest.raises(CaptureError, match=r"batch was to be dynamic.*test_export\.py:\d+ in loops"):
        export(loops, (mg.ones(3),), dynamic_shapes=({0: Dim("batch")},))
    with pytest.raises(CaptureError, match="batch was to be dynamic"):
        export(lambda x: x.reshape(3, 2), (mg.ones(6),), dynamic_shapes=({0: Dim("batch")},))
    with pytest.raises(ShapeError, match="at least 2"):
        export(lambda x: x, (mg.ones(1),), dynamic_shapes=({0: Dim("batch")},))
    assert export(loops, (mg.ones(3),)).module()(mg.ones(3)).tolist() == [4.0] * 3


def test_what_cannot_be_exported_says_so() -> None:
    with pytest.raises(CaptureError, match=r"looks at a tensor's value.*where\(\)"):
        export(lambda x: x if x.sum() > 0 else -x, (mg.ones(2),))
    with pytest.raises(CaptureError, match=r"\.eval\(\)"):
        export(nn.Dropout(0.5), (mg.ones(2),))
    model = nn.BatchNorm1d(2)
    before = model.running_mean.tolist()
    with pytest.raises(CaptureError, match=r"changes state \(.*running_mean.*\.eval\(\)"):
        export(model, (mg.randn(4, 2),))
    assert model.running_mean.tolist() == before and model.num_batches_tracked.item() == 0
    with pytest.raises(TypeError, match="as a tuple"):
        export(model, mg.ones(2))  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="an exported program takes"):
        export(lambda x, o: x, (mg.ones(2), object()))
    with pytest.raises(CaptureError, match="returns a object"):
        export(lambda x: object(), (mg.ones(2),))
    with pytest.raises(ValueError, match="is no argument"):
        export(lambda x: x, (mg.ones(2),), dynamic_shapes={"y": None})
    with pytest.raises(ValueError, match="identifier"):
        Dim("not a name")
    with pytest.raises(RuntimeError, match=r"module\(\)"):
        export(lambda x: x * 1, (mg.ones(2),))(mg.ones(2))
    with pytest.raises(NotImplementedError):
        export(lambda x: x * 1, (mg.ones(2),)).module().train()


def test_exporting_leaves_the_model_usable() -> None:
    model = _cnn()
    x = mg.randn(2, 1, 8, 8)
    a = model(x)
    export(model, (x,), dynamic_shapes=({0: Dim("batch")},))
    assert _bits(model(x)) == _bits(a)
    model.train()
    F.cross_entropy(model(x), mg.tensor([1, 2])).backward()
    assert model[0].weight.grad is not None
