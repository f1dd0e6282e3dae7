"""timm: forward and 20 training steps of the models people take; its own optimisers, schedules, losses, mixup, weight averaging."""

from __future__ import annotations

from typing import Any

import timm
import torch
from frame import STEPS, case, filled, integers, main, normal, supervised, trained
from timm.data import Mixup
from timm.loss import AsymmetricLossMultiLabel, BinaryCrossEntropy, JsdCrossEntropy, LabelSmoothingCrossEntropy, SoftTargetCrossEntropy
from timm.optim import create_optimizer_v2
from timm.scheduler import create_scheduler_v2
from timm.utils import AverageMeter, ModelEmaV3, accuracy, dispatch_clip_grad

# Name -> arguments beside those of every model. Where batch norm sees a handful of numbers, the last bit of float32 soon counts: those get
# more pictures and a smaller learning rate, or float64.
MODELS: dict[str, dict[str, Any]] = {
    "resnet18": {"size": 64},
    "resnet50": {"size": 64, "double": True},
    "vit_tiny_patch16_224": {"size": 64, "img_size": 64},
    "convnext_atto": {"size": 64},
    "convnextv2_atto": {"size": 64},
    "mobilenetv3_small_100": {"size": 64},
    "mobilenetv3_large_100": {"size": 64},
    "efficientnet_b0": {"size": 64, "batch": 8, "lr": 2e-5},
    "deit_tiny_distilled_patch16_224": {"size": 64, "img_size": 64},
    "swin_tiny_patch4_window7_224": {
        "size": 64,
        "img_size": 64,
        "window_size": 4,
        "depths": (1, 1),
        "embed_dim": 48,
        "num_heads": (3, 6),
        "drop_path_rate": 0.0,
    },
    "maxvit_rmlp_pico_rw_256": {"size": 64, "img_size": 64},
    "resmlp_12_224": {"size": 64, "img_size": 64},
    "regnety_002": {"size": 64, "batch": 8, "lr": 2e-6},
    "beit_base_patch16_224": {"size": 64, "img_size": 64, "depth": 3, "embed_dim": 96, "num_heads": 3},
    "eva02_tiny_patch14_224": {"size": 56, "img_size": 56, "depth": 3},
}


def made(name: str) -> tuple[Any, Any, Any]:
    """A model with weights that both sides have, a batch of pictures and labels."""
    arguments = dict(MODELS[name])
    size, batch, _ = arguments.pop("size"), arguments.pop("batch", 2), arguments.pop("lr", 0.0)
    dtype = torch.float64 if arguments.pop("double", False) else torch.float32
    model = filled(timm.create_model(name, num_classes=10, **arguments)).to(dtype)
    return model, normal(batch, 3, size, size, seed=name).to(dtype), integers(batch, high=10, seed=name)


def of(name: str) -> None:
    """Enters a case: features, logits, losses of training, weights afterwards."""

    @case(name=name)
    def both() -> dict[str, Any]:
        model, x, y = made(name)
        model.eval()
        with torch.no_grad():
            features, logits = model.forward_features(x), model(x)
        losses = supervised(model, x, y, lr=MODELS[name].get("lr", 1e-4))
        model.eval()
        with torch.no_grad():
            after = model(x)
        return {"features": features, "logits": logits, "losses": losses, "loss_logits_after": after}


for _name in MODELS:
    of(_name)


def small(**options: Any) -> tuple[Any, Any, Any]:
    """A small convolutional network to try training tools with, in float64: what is compared is what they compute, not rounding."""
    model = filled(timm.create_model("test_resnet", num_classes=5, **options)).double()
    return model, normal(4, 3, 32, 32, seed="small").double(), integers(4, high=5, seed="small")


OPTIMIZERS = (
    "sgd momentum adam adamw nadam nadamw radam adamax adabelief adafactor adafactorbv adahessian adamp adan adopt lamb lars larc lion "
    "laprop madgrad madgradw mars muon novograd rmsprop rmsproptf sgdp cadamw clion kron"
).split()


def optimizer_case(name: str) -> None:
    """Enters a case of one of timm's optimisers."""

    @case(name=f"optimizer {name}", known="orthogonalises in bfloat16, whose last bit decides" if name == "muon" else "")
    def steps() -> dict[str, Any]:
        model, x, y = small()
        rate = 1e-3 if name not in ("sgd", "momentum", "lars", "larc") else 1e-2
        optimizer = create_optimizer_v2(model, opt=name, lr=rate, weight_decay=0.01)

        def step(_: int) -> Any:
            optimizer.zero_grad()
            loss = torch.nn.functional.cross_entropy(model(x), y)
            loss.backward(create_graph=name == "adahessian")
            optimizer.step()
            return loss.item()

        return {"losses": trained(step, 8)}


for _name in OPTIMIZERS:
    if _name != "adahessian" and _name != "kron":  # these draw random numbers
        optimizer_case(_name)


@case
def scheduled_and_averaged() -> dict[str, Any]:
    """Cosine schedule with warm-up, clipped gradients, layer decay, exponential average of the weights."""
    model, x, y = small()
    optimizer = create_optimizer_v2(model, opt="adamw", lr=1e-3, weight_decay=0.05, layer_decay=0.8)
    scheduler, epochs = create_scheduler_v2(optimizer, sched="cosine", num_epochs=10, warmup_epochs=3, min_lr=1e-5)
    average = ModelEmaV3(model, decay=0.9, use_warmup=True)
    meter, rates = AverageMeter(), []

    def step(i: int) -> Any:
        model.train()
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        dispatch_clip_grad(model.parameters(), 0.5, mode="norm")
        optimizer.step()
        average.update(model, step=i)
        scheduler.step(i // 2 + 1)
        rates.append([group["lr"] for group in optimizer.param_groups])
        meter.update(loss.item(), x.size(0))
        return loss.item()

    losses = trained(step, STEPS)
    average.module.eval()
    with torch.no_grad():
        logits = average.module(x)
    return {
        "losses": losses,
        "rates": rates,
        "loss_mean": meter.avg,
        "loss_averaged": logits,
        "epochs": epochs,
        "top": accuracy(logits, y, topk=(1, 3)),
    }


@case
def schedules() -> dict[str, Any]:
    """Learning rates of every schedule over 30 epochs."""
    found = {}
    for kind in ("cosine", "tanh", "step", "multistep", "poly"):
        parameter = torch.nn.Parameter(torch.zeros(2))
        optimizer = torch.optim.SGD([parameter], lr=0.1)
        scheduler, _ = create_scheduler_v2(
            optimizer,
            sched=kind,
            num_epochs=30,
            decay_epochs=6,
            decay_milestones=(8, 20),
            warmup_epochs=4,
            warmup_lr=1e-4,
            cycle_mul=1.0,
            noise=None,
        )
        rates = []
        for epoch in range(30):
            scheduler.step(epoch)
            rates.append(optimizer.param_groups[0]["lr"])
        found[kind] = rates
    return found


@case
def losses_and_mixup() -> dict[str, Any]:
    """timm's losses, and Mixup and CutMix, whose random numbers are NumPy's."""
    logits, labels = normal(8, 5, seed="logits"), integers(8, high=5, seed="labels")
    logits.requires_grad_()
    mixup = Mixup(mixup_alpha=0.8, cutmix_alpha=1.0, prob=1.0, switch_prob=0.5, mode="batch", label_smoothing=0.1, num_classes=5)
    pictures, targets = mixup(normal(8, 3, 16, 16, seed="pictures"), labels)
    made = {
        "soft": SoftTargetCrossEntropy()(logits, targets),
        "smooth": LabelSmoothingCrossEntropy(0.1)(logits, labels),
        "binary": BinaryCrossEntropy(smoothing=0.1)(logits, labels),
        "jsd": JsdCrossEntropy(num_splits=2)(logits, labels[:4]),
        "asymmetric": AsymmetricLossMultiLabel()(logits, torch.nn.functional.one_hot(labels, 5).float()),
    }
    grads = {f"grad {name}": torch.autograd.grad(value, logits, retain_graph=True)[0] for name, value in made.items()}
    return {"pictures": pictures, "targets": targets, **made, **grads}


@case
def features_and_heads() -> dict[str, Any]:
    """Features of all stages, pooled features, another head, intermediate layers, dropped prefixes, parameter groups."""
    net = filled(timm.create_model("resnet18", features_only=True, out_indices=(1, 3))).eval()
    x = normal(2, 3, 64, 64, seed="features")
    pooled = filled(timm.create_model("mobilenetv3_small_050", num_classes=0)).eval()
    vit = filled(timm.create_model("vit_tiny_patch16_224", img_size=64, depth=3, num_classes=4, class_token=True, global_pool="avg")).eval()
    with torch.no_grad():
        stages, vector = net(x), pooled(x)
        last, layers = vit.forward_intermediates(x, indices=2, norm=True)
        larger = vit(x)
        vit.reset_classifier(7)
        vit.set_input_size(img_size=96)
        filled(vit)
        resized = vit(normal(1, 3, 96, 96, seed="larger"))
    return {
        "stages": stages,
        "channels": net.feature_info.channels(),
        "reduction": net.feature_info.reduction(),
        "vector": vector,
        "last": last,
        "layers": layers,
        "avg": larger,
        "resized": resized,
    }


@case
def fused_and_saved() -> dict[str, Any]:
    """Weights written to a file and read again, a state dict of another input size, the model compiled."""
    import tempfile  # noqa: PLC0415
    from pathlib import Path  # noqa: PLC0415

    model, x, _ = small()
    model.eval()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "weights.pth"
        torch.save(model.state_dict(), path)
        again = timm.create_model("test_resnet", num_classes=5, checkpoint_path=str(path)).eval().double()
    with torch.no_grad():
        return {"logits": model(x), "again": again(x), "same": bool((model(x) == again(x)).all())}


if __name__ == "__main__":
    main()
