"""Draws the report of a classifier with Pillow: loss over steps, accuracy over epochs, confusion matrix, the images it got wrong."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

INK, PALE, GRID = (31, 41, 55), (148, 163, 184), (226, 232, 240)
BLUE, ORANGE = (37, 99, 235), (234, 88, 12)
WIDTH, HEIGHT = 1280, 560


class Panel:
    """A rectangle of the picture with a title; positions inside run from (0, 0) at the lower left to (1, 1)."""

    def __init__(self, draw: ImageDraw.ImageDraw, box: tuple[int, int, int, int], title: str) -> None:
        self.draw, self.box = draw, box
        self.text((box[0], box[1] - 30), title, 18)

    def at(self, x: float, y: float) -> tuple[float, float]:
        left, top, right, bottom = self.box
        return left + x * (right - left), bottom - y * (bottom - top)

    def text(self, where: tuple[float, float], text: str, size: int = 13, color: tuple[int, int, int] = INK, anchor: str = "la") -> None:
        self.draw.text(where, text, color, ImageFont.load_default(size), anchor=anchor)


def draw_report(
    path: Path, losses: Sequence[float], accuracies: Sequence[float], labels: np.ndarray, predicted: np.ndarray, images: np.ndarray
) -> None:
    """Write the PNG. `labels`, `predicted` and `images` (n, height, width, 0..1) belong to the test set."""
    picture = Image.new("RGB", (WIDTH, HEIGHT), "white")
    draw = ImageDraw.Draw(picture)
    draw_curves(Panel(draw, (70, 70, 620, 500), "Loss per step and test accuracy per epoch"), losses, accuracies)
    draw_matrix(Panel(draw, (690, 70, 1060, 440), "Confusion matrix of the test set"), labels, predicted)
    draw_mistakes(picture, Panel(draw, (1110, 70, 1250, 500), "Mistakes"), labels, predicted, images)
    picture.save(path)


def draw_curves(panel: Panel, losses: Sequence[float], accuracies: Sequence[float]) -> None:
    logs = np.log10(np.maximum(losses, 1e-6))
    low, high = math.floor(logs.min()), math.ceil(logs.max())
    for decade in range(low, high + 1):
        y = (decade - low) / (high - low)
        panel.draw.line([panel.at(0, y), panel.at(1, y)], GRID)
        panel.text(panel.at(-0.015, y), f"{10.0**decade:g}", anchor="rm", color=BLUE)
    window = max(1, len(losses) // 40)
    smooth = np.convolve(np.pad(logs, (window - 1, 0), mode="edge"), np.ones(window) / window, mode="valid")
    for values, color, width in ((logs, (191, 219, 254), 1), (smooth, BLUE, 3)):
        points = [panel.at((i + 1) / len(values), (value - low) / (high - low)) for i, value in enumerate(values)]
        panel.draw.line(points, color, width, joint="curve")

    floor = math.floor(min(accuracies) * 20) / 20
    points = [panel.at((i + 1) / len(accuracies), (value - floor) / (1 - floor + 1e-9)) for i, value in enumerate(accuracies)]
    if len(points) > 1:
        panel.draw.line(points, ORANGE, 2)
    for x, y in points:
        panel.draw.ellipse([x - 3, y - 3, x + 3, y + 3], ORANGE)
    for share in (0.0, 0.5, 1.0):
        panel.text(panel.at(1.015, share), f"{floor + share * (1 - floor):.0%}", anchor="lm", color=ORANGE)
    panel.draw.line([panel.at(0, 1), panel.at(0, 0), panel.at(1, 0)], INK)
    panel.text(panel.at(0.5, -0.03), f"{len(losses)} steps, {len(accuracies)} epochs", anchor="ma", color=PALE)
    panel.text(panel.at(0, -0.03), "loss (log scale)", 14, BLUE)
    panel.text(panel.at(1, -0.03), f"accuracy, {accuracies[-1]:.2%} at the end", 14, ORANGE, "ra")


def draw_matrix(panel: Panel, labels: np.ndarray, predicted: np.ndarray) -> None:
    classes = int(max(labels.max(), predicted.max())) + 1
    counts = np.zeros((classes, classes), np.int64)
    np.add.at(counts, (labels, predicted), 1)
    for row in range(classes):
        panel.text(panel.at(-0.02, 1 - (row + 0.5) / classes), str(row), anchor="rm")
        panel.text(panel.at((row + 0.5) / classes, -0.02), str(row), anchor="ma")
        for column in range(classes):
            count, total = counts[row, column], max(counts[row].sum(), 1)
            corner = panel.at(column / classes, 1 - row / classes), panel.at((column + 1) / classes, 1 - (row + 1) / classes)
            hue = BLUE if row == column else ORANGE
            strength = count / total if row == column else min(1.0, 0.25 + count / total) * (count > 0)
            fill = tuple(round(255 + (channel - 255) * 0.85 * strength) for channel in hue)
            panel.draw.rectangle([*corner[0], *corner[1]], fill, GRID)
            if count:
                middle = panel.at((column + 0.5) / classes, 1 - (row + 0.5) / classes)
                panel.text(middle, str(count), 14, (255, 255, 255) if strength > 0.5 else INK, "mm")
    panel.text(panel.at(0.5, -0.09), "predicted (across), written (down)", anchor="ma", color=PALE)


def draw_mistakes(picture: Image.Image, panel: Panel, labels: np.ndarray, predicted: np.ndarray, images: np.ndarray) -> None:
    wrong = np.flatnonzero(labels != predicted)
    if not len(wrong):
        panel.text(panel.at(0, 0.97), "none", color=PALE)
    for place, index in enumerate(wrong[:10]):
        left, top = panel.box[0] + 75 * (place % 2), panel.box[1] + 88 * (place // 2)
        pixels = Image.fromarray((255 * (1 - images[index])).astype(np.uint8)).resize((56, 56), Image.Resampling.NEAREST)
        picture.paste(pixels, (left, top))
        panel.draw.rectangle([left - 1, top - 1, left + 56, top + 56], outline=PALE)
        panel.text((left, top + 60), f"{labels[index]} read as {predicted[index]}", 11)
