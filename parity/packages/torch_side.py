"""Runs a script with PyTorch, as `python script.py` would; a torchvision whose C++ operators do not load is made importable."""

from __future__ import annotations

import os
import runpy
import sys
from types import ModuleType

import torch


def torchvision_for_torch() -> None:
    """Lets a torchvision whose C++ operators do not load (one built for CUDA beside a PyTorch for CPU) be imported: it registers rules for
    operators that nobody has declared. Where they do load, and under the alias, nothing is done."""
    try:
        import torchvision  # noqa: PLC0415
    except ImportError:
        return
    except RuntimeError:
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        _declare(torch.library)
        import torchvision  # noqa: F401, PLC0415


def _declare(library: ModuleType) -> None:
    roi = "Tensor input, Tensor rois, float spatial_scale, int pooled_height, int pooled_width"
    sizes = "int batch_size, int channels, int height, int width"
    back = "Tensor grad, Tensor rois"
    deform = (
        "int stride_h, int stride_w, int pad_h, int pad_w, int dilation_h, int dilation_w, int groups, int offset_groups, bool use_mask"
    )
    schemas = {
        "nms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
        "qnms": "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
        "roi_align": f"({roi}, int sampling_ratio, bool aligned) -> Tensor",
        "roi_pool": f"({roi}) -> (Tensor, Tensor)",
        "ps_roi_align": f"({roi}, int sampling_ratio) -> (Tensor, Tensor)",
        "ps_roi_pool": f"({roi}) -> (Tensor, Tensor)",
        "deform_conv2d": f"(Tensor input, Tensor weight, Tensor offset, Tensor mask, Tensor bias, {deform}) -> Tensor",
        "_roi_align_backward": f"({back}, float spatial_scale, int pooled_height, int pooled_width, {sizes}, int sampling_ratio, "
        "bool aligned) -> Tensor",
        "_roi_pool_backward": f"({back}, Tensor argmax, float spatial_scale, int pooled_height, int pooled_width, {sizes}) -> Tensor",
        "_ps_roi_align_backward": f"({back}, Tensor channel_mapping, float spatial_scale, int pooled_height, int pooled_width, "
        f"int sampling_ratio, {sizes}) -> Tensor",
        "_ps_roi_pool_backward": f"({back}, Tensor channel_mapping, float spatial_scale, int pooled_height, int pooled_width, {sizes}) "
        "-> Tensor",
        "_deform_conv2d_backward": f"(Tensor grad, Tensor input, Tensor weight, Tensor offset, Tensor mask, Tensor bias, {deform}) -> "
        "(Tensor, Tensor, Tensor, Tensor, Tensor)",
    }
    for name, schema in schemas.items():
        library.define(f"torchvision::{name}", schema)


if __name__ == "__main__":
    del sys.argv[0]
    sys.path[0] = os.path.dirname(os.path.abspath(sys.argv[0]))
    torchvision_for_torch()
    runpy.run_path(sys.argv[0], run_name="__main__")
