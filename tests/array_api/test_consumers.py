"""Other people's libraries take our tensors as they are: SciPy, scikit-learn, and where they are installed matplotlib and einops."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import monograph as mg
from monograph import array_api as xp

ROOT = Path(__file__).parent.parent.parent


def run(program: str, **environment: str) -> str:
    """What a program prints, run on its own because it changes settings that a process has once."""
    settings = {**os.environ, "PYTHONPATH": str(ROOT), **environment}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=settings, timeout=170, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_scipy() -> None:
    linalg, special, stats = (pytest.importorskip(f"scipy.{name}") for name in ("linalg", "special", "stats"))
    sparse, distance = pytest.importorskip("scipy.sparse"), pytest.importorskip("scipy.spatial.distance")
    matrix: Any = mg.tensor([[4.0, 1.0], [1.0, 3.0]], dtype=mg.float64)
    vector: Any = mg.tensor([1.0, 2.0, 4.0], dtype=mg.float64)
    np.testing.assert_allclose(linalg.solve(matrix, mg.ones(2, dtype=mg.float64)), [2 / 11, 3 / 11])
    np.testing.assert_allclose(np.asarray(special.gammaln(vector)), [0, 0, np.log(6)], atol=1e-12)
    assert stats.spearmanr(vector, vector).statistic == pytest.approx(1)
    assert sparse.csr_matrix(matrix).nnz == 4
    assert distance.cdist(matrix, matrix)[0, 1] == pytest.approx(13**0.5)


def test_scikit_learn() -> None:
    linear = pytest.importorskip("sklearn.linear_model")
    decomposition = pytest.importorskip("sklearn.decomposition")
    mg.manual_seed(0)
    x: Any = mg.randn(60, 4, dtype=mg.float64)
    y = (x[:, 0] > 0).long()
    assert linear.LogisticRegression().fit(x, y).score(x, y) > 0.9
    assert decomposition.PCA(2).fit_transform(x).shape == (60, 2)


def test_scipy_and_scikit_learn_compute_with_tensors_when_told_to() -> None:
    pytest.importorskip("sklearn")
    printed = run(
        """
import numpy as np, scipy.fft, scipy.signal, scipy.stats, sklearn, monograph as mg
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from sklearn.preprocessing import MinMaxScaler
sklearn.set_config(array_api_dispatch=True)
mg.manual_seed(0)
x = mg.randn(40, 4, dtype=mg.float64)
n = x.numpy().copy()
for name, ours, theirs in (
    ("ridge", Ridge(solver="svd").fit(x, x[:, 0]).predict(x), Ridge(solver="svd").fit(n, n[:, 0]).predict(n)),
    ("pca", abs(PCA(2, svd_solver="full").fit_transform(x)), abs(PCA(2, svd_solver="full").fit_transform(n))),
    ("scaler", MinMaxScaler().fit_transform(x), MinMaxScaler().fit_transform(n)),
    ("fft", scipy.fft.fft(x), scipy.fft.fft(n)),
    ("convolve", scipy.signal.convolve(x, x), scipy.signal.convolve(n, n)),
    ("skew", scipy.stats.skew(x), scipy.stats.skew(n)),
):
    assert isinstance(ours, mg.Tensor), name
    np.testing.assert_allclose(np.asarray(ours), theirs, rtol=1e-6, atol=1e-9)
    print(name)
""",
        SCIPY_ARRAY_API="1",
    )
    assert printed.split() == ["ridge", "pca", "scaler", "fft", "convolve", "skew"]


def test_array_api_compat_knows_our_arrays() -> None:
    compat = pytest.importorskip("scipy._lib.array_api_compat")
    for t in (mg.ones(3), xp.ones(3)):
        assert compat.is_array_api_obj(t) and compat.array_namespace(t) is xp
        assert compat.device(t) == mg.device("cpu")
    assert compat.size(xp.ones((2, 3))) == 6


def test_matplotlib(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install matplotlib, then run this file")
    run(
        f"""
import matplotlib; matplotlib.use("Agg")
import matplotlib.pyplot as plt, monograph as mg
x = mg.linspace(0, 1, 20); y = x**2
_, axes = plt.subplots(2, 3)
axes[0, 0].plot(x, y); axes[0, 1].scatter(x, y, c=y, s=mg.ones(20)); axes[0, 2].imshow((mg.rand(4, 4, 3) * 255).byte())
axes[1, 0].hist(mg.randn(100)); axes[1, 1].bar(mg.arange(5), mg.rand(5)); axes[1, 2].fill_between(x, y, y + 1)
axes[0, 0].axvline(mg.tensor(0.5)); axes[0, 0].set_xlim(mg.tensor(0.0), mg.tensor(1.0)); axes[1, 0].boxplot([mg.randn(9)])
plt.savefig({str(tmp_path / "drawn.png")!r})
"""
    )
    assert (tmp_path / "drawn.png").stat().st_size > 1000


EINOPS = """
import monograph; monograph.install()
import torch, numpy as np
from einops import einsum, pack, rearrange, reduce, repeat, unpack
from einops.layers.torch import EinMix, Rearrange, Reduce
x = torch.arange(120.).reshape(2, 3, 4, 5); n = x.numpy()
for pattern, sizes in (("b c h w -> b h w c", {}), ("b c (h k) w -> (b k) c h w", {"k": 2}), ("b ... -> ... b", {})):
    assert np.array_equal(rearrange(x, pattern, **sizes).numpy(), rearrange(n, pattern, **sizes)), pattern
for name in ("min", "max", "sum", "mean"):
    for pattern in ("b c h w -> b c", "b c h w ->", "b c (h 2) w -> b c h 1"):
        assert np.allclose(reduce(x, pattern, name).numpy(), reduce(n, pattern, name)), (pattern, name)
assert np.array_equal(repeat(x, "b c h w -> b (c r) h w", r=2).numpy(), repeat(n, "b c h w -> b (c r) h w", r=2))
assert np.allclose(einsum(x, x, "b c h w, b c k w -> b h k").numpy(), np.einsum("bchw,bckw->bhk", n, n))
packed, shapes = pack([x, x[:, 0]], "b * w")
assert torch.equal(unpack(packed, shapes, "b * w")[0], x)
mix = EinMix("b c h w -> b d h w", weight_shape="c d", bias_shape="d", c=3, d=7)
net = torch.nn.Sequential(mix, Reduce("b c (h 2) w -> b c h w", "max"), Rearrange("b c h w -> b (c h w)"), torch.nn.Linear(70, 2))
net(x).sum().backward()
assert all(p.grad is not None for p in net.parameters())
print("einops works")
"""


def test_einops_works_under_the_alias_of_torch() -> None:
    pytest.importorskip("einops", reason="einops is not installed: pip install einops, then run this file")
    assert "einops works" in run(EINOPS)
