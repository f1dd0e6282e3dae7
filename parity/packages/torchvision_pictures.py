"""torchvision: what is written in Python of it. Transforms of both generations, drawing, boxes, losses, models, folders of pictures."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torchvision
from frame import case, filled, generator, integers, main, normal, supervised, uniform
from PIL import Image
from torchvision import models, ops, tv_tensors, utils
from torchvision import transforms as T  # noqa: N812 - as everybody imports it
from torchvision.transforms import functional as TF  # noqa: N812
from torchvision.transforms import v2

MODE = T.InterpolationMode


def photo() -> Image.Image:
    return Image.fromarray(generator("photo").integers(0, 255, (40, 50, 3)).astype(np.uint8))


def values(results: dict[str, Callable[[], Any]]) -> dict[str, Any]:
    """Each result; pictures as their numbers."""
    found = {name: function() for name, function in results.items()}
    return {name: np.asarray(value) if isinstance(value, Image.Image) else value for name, value in found.items()}


@case
def transforms_of_pictures() -> dict[str, Any]:
    """From PIL to tensors and back."""
    x, image = uniform(2, 3, 32, 40, seed="x"), photo()
    return values(
        {
            "tensor": lambda: T.ToTensor()(image),
            "back": lambda: T.ToPILImage()(x[0]),
            "composed": lambda: T.Compose([T.Resize(24), T.CenterCrop(20), T.ToTensor(), T.Normalize([0.5, 0.4, 0.3], [0.2, 0.3, 0.4])])(
                image
            ),
            "modern": lambda: v2.Compose(
                [v2.ToImage(), v2.ToDtype(torch.float32, scale=True), v2.Resize((20, 20)), v2.Normalize([0.5] * 3, [0.2] * 3)]
            )(image),
        }
    )


@case
def transforms_of_tensors() -> dict[str, Any]:
    """Geometry and colour."""
    x = uniform(2, 3, 32, 40, seed="x")
    pixels = (x * 255).to(torch.uint8)
    corners = [[0, 0], [39, 0], [39, 31], [0, 31]]
    return values(
        {
            "smaller": lambda: TF.resize(x, [20, 25], antialias=True),
            "smaller, rough": lambda: TF.resize(x, [20, 25], antialias=False),
            "bicubic": lambda: TF.resize(x, [50, 45], interpolation=MODE.BICUBIC),
            "nearest": lambda: TF.resize(pixels, [50, 45], interpolation=MODE.NEAREST),
            "turned": lambda: TF.rotate(x, 30.0),
            "affine": lambda: TF.affine(x, 15.0, [2, 3], 1.1, [5.0, 3.0], interpolation=MODE.BILINEAR),
            "perspective": lambda: TF.perspective(x, corners, [[2, 3], [35, 1], [37, 30], [1, 28]]),
            "colour": lambda: TF.adjust_hue(TF.adjust_saturation(TF.adjust_contrast(TF.adjust_brightness(x, 1.2), 0.8), 1.3), 0.1),
            "grey": lambda: TF.rgb_to_grayscale(x),
            "blurred": lambda: TF.gaussian_blur(x, 5),
            "equalized": lambda: TF.equalize(pixels),
            "posterized": lambda: TF.posterize(pixels, 3),
            "contrast": lambda: TF.autocontrast(x),
            "sharp": lambda: TF.adjust_sharpness(x, 2.0),
            "solarized": lambda: TF.solarize(x, 0.5),
            "inverted": lambda: TF.invert(pixels),
            "padded": lambda: TF.pad(x, [2, 3], padding_mode="reflect"),
            "flipped": lambda: TF.vflip(TF.hflip(x)),
            "erased": lambda: TF.erase(x, 2, 3, 5, 6, torch.zeros(3, 1, 1)),
            "five": lambda: torch.stack(TF.five_crop(x, [10, 10])),
            "elastic": lambda: TF.elastic_transform(x, torch.full((1, 32, 40, 2), 0.01)),
            "cropped": lambda: v2.Compose([v2.CenterCrop(16), v2.Grayscale()])(x),
            "turned again": lambda: v2.functional.rotate(x, 20.0),
        }
    )


@case
def tensors_with_meaning() -> dict[str, Any]:
    """Pictures, masks and boxes that are transformed together."""
    x = uniform(3, 32, 40, seed="x")
    boxes = tv_tensors.BoundingBoxes(torch.tensor([[1.0, 2, 10, 20], [5, 5, 30, 25]]), format="XYXY", canvas_size=(32, 40))
    sample = {"image": tv_tensors.Image(x), "mask": tv_tensors.Mask(x[:1] > 0.5), "boxes": boxes, "label": 3}
    done = v2.Compose([v2.RandomHorizontalFlip(p=1.0), v2.Resize((16, 16)), v2.SanitizeBoundingBoxes(labels_getter=None)])(sample)
    return {
        **done,
        "kinds": [type(done[name]).__name__ for name in ("image", "mask", "boxes")],
        "size": done["boxes"].canvas_size,
        "plain": type(done["image"] + 1).__name__,
    }


@case
def drawing() -> dict[str, Any]:
    """Grids, files, boxes and masks on pictures."""
    x = uniform(2, 3, 32, 40, seed="x")
    pixels = (x[0] * 255).to(torch.uint8)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "a.png")
        utils.save_image(x, path)
        saved = np.asarray(Image.open(path))
    return {
        "saved": saved,
        "grid": utils.make_grid(x, nrow=2, normalize=True),
        "boxes": utils.draw_bounding_boxes(pixels, torch.tensor([[1.0, 2, 10, 20]]), labels=["a"]),
        "masks": utils.draw_segmentation_masks(pixels, x[0, 0] > 0.5),
    }


@case
def boxes_and_losses() -> dict[str, Any]:
    """Operators that torchvision writes in Python."""
    first, second = (
        torch.tensor([[0.0, 0, 10, 10], [5, 5, 15, 15], [0, 0, 9, 9]]),
        torch.tensor([[0.0, 0, 10, 12], [20, 20, 30, 30], [1, 1, 5, 9]]),
    )
    x, other = uniform(2, 3, 32, 40, seed="x"), uniform(2, 3, 32, 40, seed="y")
    return {
        "iou": ops.box_iou(first, second),
        "giou": ops.generalized_box_iou(first, second),
        "loss": ops.complete_box_iou_loss(first, second),
        "form": ops.box_convert(first, "xyxy", "cxcywh"),
        "area": ops.box_area(first),
        "clipped": ops.clip_boxes_to_image(first, (8, 12)),
        "focal": ops.sigmoid_focal_loss(x, (other > 0.5).float(), reduction="mean"),
        "frozen": ops.FrozenBatchNorm2d(3)(x),
        "kept": ops.stochastic_depth(x, 0.5, "row", training=False),
    }


MODELS: dict[str, dict[str, Any]] = {
    "resnet18": {},
    "mobilenet_v3_small": {"dropout": 0.0},
    "vit_b_16": {"image_size": 64, "num_layers": 2, "hidden_dim": 96, "mlp_dim": 192, "num_heads": 4},
    "convnext_tiny": {"stochastic_depth_prob": 0.0},
    "shufflenet_v2_x0_5": {},
    "squeezenet1_1": {"dropout": 0.0},
    "densenet121": {},
}


def of(name: str) -> None:
    """Enters a case: a prediction and, of some, losses of training."""

    @case(name=name)
    def prediction() -> dict[str, Any]:
        kind = models.VisionTransformer if name == "vit_b_16" else getattr(models, name)
        arguments = dict(MODELS[name])
        model = filled(kind(patch_size=16, num_classes=10, **arguments) if name == "vit_b_16" else kind(num_classes=10, **arguments)).eval()
        x, y = normal(4, 3, 64, 64, seed=name), integers(4, high=10, seed=name)
        with torch.no_grad():
            logits = model(x)
        losses = supervised(model, x, y, lr=1e-4) if name in ("resnet18", "vit_b_16") else None
        return {"logits": logits, "losses": losses}


for _name in MODELS:
    of(_name)


@case
def segmentation() -> dict[str, Any]:
    """A model that marks every pixel."""
    model = filled(models.segmentation.lraspp_mobilenet_v3_large(weights=None, weights_backbone=None)).eval()
    with torch.no_grad():
        return {"out": model(normal(1, 3, 64, 64, seed="segmentation"))["out"]}


@case
def folders() -> dict[str, Any]:
    """A folder of pictures by class, in batches."""
    with tempfile.TemporaryDirectory() as folder:
        for label in "ab":
            os.makedirs(os.path.join(folder, label))
            photo().save(os.path.join(folder, label, "1.png"))
        data = torchvision.datasets.ImageFolder(folder, T.ToTensor())
        pictures, labels = next(iter(torch.utils.data.DataLoader(data, batch_size=2)))
        return {"pictures": pictures, "labels": labels, "classes": data.classes}


if __name__ == "__main__":
    main()
