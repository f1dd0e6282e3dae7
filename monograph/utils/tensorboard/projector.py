"""Embeddings for the PROJECTOR tab: tables of numbers and labels, pictures in one sprite, and the config file that names them."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from monograph.utils.tensorboard.arrays import array_of, grid_of, png
from monograph.utils.tensorboard.messages import plugin

CONFIG = "projector_config.pbtxt"
LARGEST_SPRITE = 8192  # pixels on a side: what browsers take as one texture


def write_embedding(root: Path, tag: str, step: int | None, mat: Any, metadata: Any, images: Any, header: list[str] | None) -> None:
    """Writes the files of one embedding below `root` and names them in its config."""
    matrix = array_of(mat)
    if matrix.ndim != 2:
        raise ValueError(f"mat should be 2D, where mat.size(0) is the number of data points; got shape {list(matrix.shape)}")
    folder = f"{step or 0:05d}/{tag.replace('/', '_')}"
    place = root / folder
    place.mkdir(parents=True, exist_ok=True)
    _write_table(place / "tensors.tsv", matrix)
    config = plugin("projector", "projector_config_pb2")
    info = config.EmbeddingInfo(tensor_name=f"{tag}:{step or 0:05d}", tensor_path=f"{folder}/tensors.tsv")
    if metadata is not None:
        labels = array_of(metadata).tolist() if hasattr(metadata, "shape") else list(metadata)
        rows = [label if isinstance(label, list | tuple) else [label] for label in labels]
        if len(rows) != len(matrix):
            raise ValueError(f"#labels should equal with #data points: {len(rows)} labels, {len(matrix)} points")
        # A single column has no header: TensorBoard takes its first line for a label.
        lines = [header] if header else []
        (place / "metadata.tsv").write_text("".join("\t".join(_cell(c) for c in row) + "\n" for row in [*lines, *rows]), encoding="utf-8")
        info.metadata_path = f"{folder}/metadata.tsv"
    if images is not None:
        pictures = array_of(images)
        if pictures.ndim != 4 or len(pictures) != len(matrix):
            raise ValueError(f"label_img is [n, C, H, W] with one image for each of the {len(matrix)} points, got {list(pictures.shape)}")
        across = math.ceil(math.sqrt(len(pictures)))
        if across * max(pictures.shape[2:]) > LARGEST_SPRITE:
            raise ValueError(f"the sprite of {len(pictures)} images would be more than {LARGEST_SPRITE} pixels wide: give smaller or fewer")
        sprite = grid_of(pictures, "NCHW", across)
        missing = across * pictures.shape[2] - sprite.shape[0]
        (place / "sprite.png").write_bytes(png(np.pad(sprite, ((0, missing), (0, 0), (0, 0)))))
        info.sprite.image_path = f"{folder}/sprite.png"
        info.sprite.single_image_dim.extend([pictures.shape[3], pictures.shape[2]])
    _name_in_config(root / CONFIG, config, info)


def _write_table(path: Path, matrix: np.ndarray) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.writelines("\t".join(repr(float(v)) for v in row) + "\n" for row in matrix)


def _cell(value: Any) -> str:
    return str(value).replace("\t", " ").replace("\n", " ")


def _name_in_config(path: Path, config: Any, info: Any) -> None:
    text_format = plugin("projector", "projector_plugin").text_format
    whole = config.ProjectorConfig()
    if path.exists():
        text_format.Parse(path.read_text(encoding="utf-8"), whole)
    kept = [e for e in whole.embeddings if e.tensor_name != info.tensor_name]
    del whole.embeddings[:]
    whole.embeddings.extend([*kept, info])
    path.write_text(text_format.MessageToString(whole), encoding="utf-8")
