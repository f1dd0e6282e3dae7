"""What people give to a writer, as NumPy arrays and as files in memory: numbers, pictures, films, sounds."""

from __future__ import annotations

import io
import struct
import wave
import zlib
from typing import Any

import numpy as np

from monograph.core.extras import optional
from monograph.tensor.core import Tensor
from monograph.tensor.interop import host_array


def array_of(value: Any) -> np.ndarray:
    """A tensor, array, number or nested list on the host."""
    array = host_array(value.detach()) if isinstance(value, Tensor) else np.asarray(value)
    return array.astype(np.float32) if array.dtype.name in ("bfloat16", "float16") else array


def number_of(value: Any) -> float:
    """One number. ValueError for arrays of more."""
    array = array_of(value)
    if array.size != 1:
        raise ValueError(f"a scalar is one number, got an array of shape {array.shape}")
    return float(array.reshape(()))


def png(pixels: np.ndarray) -> bytes:
    """A PNG file of an array [height, width, 1, 3 or 4] of bytes."""
    height, width, channels = pixels.shape
    kinds = {1: 0, 3: 2, 4: 6}
    if channels not in kinds:
        raise ValueError(f"an image has 1, 3 or 4 channels, got {channels}")

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = np.concatenate([np.zeros((height, 1), np.uint8), pixels.reshape(height, width * channels)], 1)
    head = struct.pack(">IIBBBBB", width, height, 8, kinds[channels], 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows.tobytes(), 6)) + chunk(b"IEND", b"")


def pixels_of(image: Any, layout: str) -> np.ndarray:
    """An image as [height, width, channels] of bytes; floats are taken from [0, 1], integers from [0, 255]."""
    array, layout = array_of(image), layout.upper()
    if array.ndim != len(layout):
        raise ValueError(f"size of input tensor and input format are different: {array.shape} for {layout!r}")
    if set(layout) - set("HWC") or len(set(layout)) != len(layout) or not {"H", "W"} <= set(layout):
        raise ValueError(f"an image's dataformats has H, W and perhaps C, each once; got {layout!r}")
    array = array.transpose([layout.index(axis) for axis in "HWC" if axis in layout])
    if "C" not in layout:
        array = array[..., None]
    if array.dtype.kind == "f":
        array = np.clip(np.nan_to_num(array.astype(np.float32)) * 255, 0, 255)
    elif array.dtype.kind == "b":
        array = array * 255
    return np.ascontiguousarray(array.astype(np.uint8))


def grid_of(images: Any, layout: str, across: int = 8) -> np.ndarray:
    """A batch of images side by side in rows of `across`."""
    layout = layout.upper()
    array = array_of(images)
    if "N" not in layout or array.ndim != len(layout):
        raise ValueError(f"size of input tensor and input format are different: {array.shape} for {layout!r}")
    parts = [pixels_of(image, layout.replace("N", "")) for image in np.moveaxis(array, layout.index("N"), 0)]
    if not parts:
        raise ValueError("there is no image in the batch")
    blank = np.zeros_like(parts[0])
    rows = [parts[i : i + across] for i in range(0, len(parts), across)]
    width = max(map(len, rows))
    return np.concatenate([np.concatenate([*row, *[blank] * (width - len(row))], 1) for row in rows], 0)


def with_boxes(pixels: np.ndarray, boxes: Any, labels: Any) -> np.ndarray:
    """The picture with boxes [n, 4] of (left, top, right, bottom) drawn on it."""
    image = optional("PIL.Image", "add_image_with_boxes").fromarray(np.repeat(pixels, 3, 2) if pixels.shape[2] == 1 else pixels)
    draw = optional("PIL.ImageDraw", "add_image_with_boxes").Draw(image)
    for number, box in enumerate(array_of(boxes).reshape(-1, 4)):
        left, top, right, bottom = (float(v) for v in box)
        draw.rectangle((left, top, right, bottom), outline=(255, 0, 0), width=2)
        if labels is not None:
            draw.text((left + 3, top + 1), str(labels[number]), fill=(255, 0, 0))
    return np.asarray(image)


def rescaled(pixels: np.ndarray, factor: float) -> np.ndarray:
    """The picture in another size."""
    if factor == 1:
        return pixels
    image = optional("PIL.Image", "rescale").fromarray(pixels)
    size = max(1, int(pixels.shape[1] * factor)), max(1, int(pixels.shape[0] * factor))
    return np.asarray(image.resize(size)).reshape(size[1], size[0], -1)


def gif(frames: Any, fps: float) -> tuple[bytes, int, int]:
    """(file, height, width) of films [n, time, channels, height, width], side by side."""
    array = array_of(frames)
    if array.ndim != 5:
        raise ValueError(f"a video is [N, T, C, H, W], got an array of shape {array.shape}")
    pictures = [grid_of(array[:, t], "NCHW") for t in range(array.shape[1])]
    image = optional("PIL.Image", "add_video")
    made = [image.fromarray(p[..., 0] if p.shape[2] == 1 else p[..., :3]).convert("P") for p in pictures]
    file = io.BytesIO()
    made[0].save(file, "GIF", save_all=True, append_images=made[1:], duration=max(20, int(1000 / fps)), loop=0)
    return file.getvalue(), pictures[0].shape[0], pictures[0].shape[1]


def wav(sound: Any, rate: int) -> tuple[bytes, int]:
    """(file, number of frames) of a sound in [-1, 1]: [frames], [1, frames] or [channels, frames]."""
    array = array_of(sound).astype(np.float64)
    array = array.reshape(1, -1) if array.ndim < 2 else array
    if array.ndim != 2 or not 1 <= array.shape[0] <= 16:
        raise ValueError(f"a sound is [frames] or [channels, frames], got an array of shape {array.shape}")
    samples = (np.clip(np.nan_to_num(array), -1, 1) * 32767).astype("<i2")
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(array.shape[0])
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(samples.T.tobytes())
    return file.getvalue(), array.shape[1]


def figure_pixels(figure: Any) -> np.ndarray:
    """What a matplotlib figure looks like, [height, width, 4]."""
    canvas = figure.canvas
    if not hasattr(canvas, "buffer_rgba"):
        canvas = optional("matplotlib.backends.backend_agg", "add_figure").FigureCanvasAgg(figure)
    canvas.draw()
    return np.ascontiguousarray(np.asarray(canvas.buffer_rgba(), np.uint8))
