"""Files as map-style datasets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

import monograph as mg
from monograph.core import extras

D = mg.data.Dataset


def test_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"x": [1, 2], "t": "é"}\n\n{"x": [3, 4], "t": "b"}', encoding="utf-8")
    ds = mg.data.JsonLines(path)
    assert len(ds) == 2 and ds[1] == ds[-1] == {"x": [3, 4], "t": "b"} and ds[0]["t"] == "é"
    batch = next(iter(D.from_source(path).batch(2)))
    assert batch["x"].tolist() == [[1, 2], [3, 4]] and batch["t"].tolist() == ["é", "b"]
    with pytest.raises(IndexError, match="row 2 of 2"):
        ds[2]
    path.write_text("{oops}\n")
    with pytest.raises(ValueError, match=r"row 0 of .* is no JSON"):
        mg.data.JsonLines(path)[0]


def test_csv(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text('id,w,name\n1,0.5,"a, b"\n2,3,c\n')
    ds = mg.data.CsvRows(path)
    assert list(ds) == [{"id": 1, "w": 0.5, "name": "a, b"}, {"id": 2, "w": 3.0, "name": "c"}]
    assert mg.data.CsvRows(path, transform=lambda row: row["id"])[1] == 2
    path.write_text("a,b\n1\n")
    with pytest.raises(ValueError, match=r"row 0 .* has 1 fields, the header 2"):
        mg.data.CsvRows(path)


def test_arrays(tmp_path: Path) -> None:
    x, y = np.arange(6, dtype=np.float32).reshape(3, 2), np.array([5, 6, 7])
    np.save(tmp_path / "x.npy", x)
    np.savez(tmp_path / "both.npz", x=x, y=y)
    save_file({"x": x, "y": y}, tmp_path / "both.safetensors")
    assert mg.data.rows_of(tmp_path / "x.npy")[1].tolist() == [2.0, 3.0]
    for name in ("both.npz", "both.safetensors"):
        loader = mg.data.DataLoader(mg.data.ArrayRows(tmp_path / name), batch_size=3)
        (batch,) = loader
        assert batch["x"].tolist() == x.tolist() and batch["y"].tolist() == [5, 6, 7]
    np.savez(tmp_path / "odd.npz", x=x, y=y[:2])
    with pytest.raises(ValueError, match="common number of rows"):
        mg.data.ArrayRows(tmp_path / "odd.npz")
    np.save(tmp_path / "objects.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(ValueError, match="Python objects"):
        mg.data.ArrayRows(tmp_path / "objects.npy")


def test_folders_of_images(tmp_path: Path) -> None:
    image = pytest.importorskip("PIL.Image")
    for name, value in (("cat", 10), ("dog", 200)):
        (tmp_path / name / "deep").mkdir(parents=True)
        image.new("RGB", (4, 2), (value, 0, 0)).save(tmp_path / name / "a.png")
        image.new("L", (4, 2), value).save(tmp_path / name / "deep" / "b.PNG")
        (tmp_path / name / "notes.txt").touch()
    ds = mg.data.ImageFolder(tmp_path)
    assert ds.classes == ["cat", "dog"] and ds.class_to_idx == {"cat": 0, "dog": 1} and len(ds) == 4
    first, label = ds[0]
    assert first.shape == (3, 2, 4) and first.dtype is mg.uint8 and first[:, 0, 0].tolist() == [10, 0, 0] and label == 0
    images, labels = next(iter(D.from_source(tmp_path).batch(4)))
    assert images.shape == (4, 3, 2, 4) and labels.tolist() == [0, 0, 1, 1]
    (tmp_path / "bird").mkdir()
    with pytest.raises(FileNotFoundError, match="classes bird"):
        mg.data.ImageFolder(tmp_path)
    with pytest.raises(FileNotFoundError, match="class folder"):
        mg.data.ImageFolder(tmp_path / "bird")


def test_parquet(tmp_path: Path) -> None:
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    for name, start in (("a", 0), ("b", 10)):
        table = pyarrow.table({"i": list(range(start, start + 5)), "t": [f"{name}{k}" for k in range(5)]})
        parquet.write_table(table, tmp_path / f"{name}.parquet", row_group_size=2)
    ds = mg.data.ParquetRows([tmp_path / "a.parquet", tmp_path / "b.parquet"])
    assert len(ds) == 10 and ds[0] == {"i": 0, "t": "a0"} and ds[4]["i"] == 4 and ds[9] == {"i": 14, "t": "b4"}
    assert mg.data.ParquetRows(tmp_path / "a.parquet", columns=["i"])[3] == {"i": 3}
    assert next(iter(D.from_source(tmp_path / "b.parquet").batch(5)))["i"].tolist() == [10, 11, 12, 13, 14]


def test_what_lacks_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def nothing(name: str) -> Any:
        raise ImportError(name)

    monkeypatch.setattr(extras, "importlib", type("Nothing", (), {"import_module": staticmethod(nothing)}))
    with pytest.raises(ImportError, match=r"needs pyarrow: pip install 'monograph\[arrow\]'"):
        mg.data.ParquetRows("x.parquet")
    with pytest.raises(ImportError, match=r"monograph\[image\]"):
        mg.data.ImageFolder(tmp_path)
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"no reader for .*x\.xyz"):
        D.from_source("x.xyz")
