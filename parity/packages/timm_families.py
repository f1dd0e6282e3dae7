"""timm: a small model of every family, its prediction and the gradient at the picture."""

from __future__ import annotations

from typing import Any

import timm
import torch
from frame import case, filled, main, normal

SIZE = 64


def _all(names: str, arguments: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The same arguments for several models."""
    return {name: arguments for name in names.split()}


# Of every file of timm.models the smallest model, and what it needs to take a small picture.
FAMILIES: dict[str, dict[str, Any]] = {
    **_all(
        "mobileone_s1 convmixer_768_32 cpubone_nano cs3darknet_focus_s cspnext_tiny dla46x_c densenet121 dpn48b "
        "edgenext_xx_small efficientvim_m1 fasternet_t0 fastvit_t8 ghostnet_050 hardcorenas_a hgnetv2_b0 "
        "hrnet_w18_small iformer_t inception_next_atto lcnetv2_small lowformer_b0 test_mambaout poolformer_s12 mobilenetv3_small_050 "
        "lcnet_035 mobilevit_xxs mobilevitv2_050 nf_ecaresnet26 pvt_v2_b0 regnetx_002 repghostnet_050 repvit_m1 res2next50 "
        "resnest14d resnet10t resnetv2_18 rexnet_100 selecsls42 legacy_seresnet18 shvit_s1 skresnet18 starnet_s050 swiftformer_xs "
        "efficientvit_b0 vovnet39a xception41 tf_efficientnetv2_b0 mnasnet_small fbnetc_100 spnasnet_100 tinynet_e "
        "nextvit_small ese_vovnet19b_dw",
        {},
    ),
    **_all(
        "convit_tiny visformer_tiny xcit_nano_12_p16_224 "
        "gmlp_ti16_224 deit3_small_patch16_224 flexivit_small vit_tiny_r_s16_p8_224 vit_pwee_patch16_reg1_gap_256 "
        "eva02_tiny_patch14_224 coat_tiny volo_d1_224",
        {"img_size": 64},
    ),
    "cait_xxs24_224": {"img_size": 64, "depth": 3},
    "crossvit_tiny_240": {"size": 240},
    "pit_ti_224": {"size": 224},
    "tiny_vit_5m_224": {"size": 224},
    "efficientformer_l1": {"size": 224},
    "efficientformerv2_s0": {"size": 224},
    "efficientvit_m0": {"size": 224},
    "levit_128s": {"size": 224},
    "gcvit_xxtiny": {"img_size": 64, "window_size": (2, 2, 2, 2)},
    "coatnet_pico_rw_224": {"img_size": 64},
    "maxvit_tiny_tf_224": {"img_size": 64, "depths": (1, 1, 1, 1), "size": 64},
    "davit_tiny": {"depths": (1, 1, 1, 1)},
    "focalnet_tiny_srf": {},
    "swinv2_tiny_window8_256": {"img_size": 64, "window_size": 4, "depths": (1, 1), "num_heads": (3, 6)},
    "swinv2_cr_tiny_224": {"img_size": 64, "window_size": 4, "depths": (1, 1), "num_heads": (3, 6)},
    "nest_tiny": {"img_size": 64},
    "twins_svt_small": {"img_size": 64, "depths": (1, 1, 2, 1)},
    "sequencer2d_s": {"img_size": 64, "layers": (1, 1, 2, 1)},
    "tnt_s_patch16_224": {"img_size": 64, "depth": 2},
    "hiera_tiny_224": {"img_size": 64, "stages": (1, 1, 2, 1)},
    "mvitv2_tiny": {"img_size": 64},
    "rdnet_tiny": {},
    "convnext_atto_ols": {},
    "beitv2_base_patch16_224": {"img_size": 64, "depth": 2},
    "naflexvit_base_patch16_gap": {"depth": 2},
    "vit_relpos_small_patch16_224": {"img_size": 64, "depth": 2},
    "vit_small_patch14_dinov2": {"img_size": 56, "size": 56, "depth": 2},
    "samvit_base_patch16": {"img_size": 64, "depth": 2, "global_attn_indexes": (1,), "window_size": 2},
    "inception_v3": {"size": 96},
}


TORCH = "PyTorch's gradient of batch norm in eval mode is wrong behind flatten and transpose; finite differences agree with ours"
TORCH_DIFFERS = "efficientformer_l1 efficientvit_m0 iformer_t levit_128s xcit_nano_12_p16_224".split()


def of(name: str) -> None:
    """Enters a case."""

    @case(name=name, known=TORCH if name in TORCH_DIFFERS else "")
    def prediction() -> dict[str, Any]:
        arguments = dict(FAMILIES[name])
        size = arguments.pop("size", SIZE)
        model = filled(timm.create_model(name, num_classes=10, **arguments)).eval()
        x = normal(1, 3, size, size, seed=name)
        with torch.no_grad():
            logits = model(x)
        x = x.double().requires_grad_()  # in float32 a ReLU that is just on or off would decide
        (slope,) = torch.autograd.grad((model.double()(x) * normal(1, 10, seed="weights").double()).sum(), x)
        return {"logits": logits, "slope": slope, "names": list(model.state_dict())}


for _name in FAMILIES:
    of(_name)


if __name__ == "__main__":
    main()
