"""Hugging Face diffusers, unchanged: networks, schedulers, training to remove noise, sampling."""

from __future__ import annotations

from typing import Any

import diffusers as hf
import torch
from frame import case, filled, integers, main, normal, trained

SMALL: dict[str, Any] = {"block_out_channels": (8, 16), "layers_per_block": 1, "norm_num_groups": 4}
SCHEDULERS = {
    "DDPM": {}, "DDIM": {}, "EulerDiscrete": {}, "PNDM": {}, "DPMSolverMultistep": {}, "LMSDiscrete": {}, "HeunDiscrete": {},
    "UniPCMultistep": {}, "DEISMultistep": {}, "KDPM2Discrete": {}, "FlowMatchEulerDiscrete": {"steps": 4}, "DDIMInverse": {},
}  # fmt: skip


def pictures_net() -> Any:
    """A small U-Net with attention in the middle."""
    return filled(
        hf.UNet2DModel(
            sample_size=16, in_channels=3, out_channels=3, down_block_types=("DownBlock2D", "AttnDownBlock2D"), attention_head_dim=4,
            up_block_types=("AttnUpBlock2D", "UpBlock2D"), **SMALL,
        )
    )  # fmt: skip


def text_net() -> Any:
    """A small U-Net that attends to words."""
    return filled(
        hf.UNet2DConditionModel(
            sample_size=16, in_channels=4, out_channels=4, cross_attention_dim=12, attention_head_dim=4,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"), up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"), **SMALL,
        )
    )  # fmt: skip


def denoising(model: Any, clean: torch.Tensor, **inputs: Any) -> list[float]:
    """The losses of twenty steps that learn to tell the noise added by DDPM's scheduler."""
    scheduler = hf.DDPMScheduler(num_train_timesteps=100, beta_schedule="squaredcos_cap_v2")
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    warm = hf.optimization.get_cosine_schedule_with_warmup(optimizer, num_warmup_steps=5, num_training_steps=20)
    model.train()

    def step(i: int) -> Any:
        noise, times = normal(*clean.shape, seed=("noise", i)), integers(clean.shape[0], high=100, seed=i)
        found = model(scheduler.add_noise(clean, noise, times), times, return_dict=False, **inputs)[0]
        loss = torch.nn.functional.mse_loss(found, noise)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        warm.step()
        optimizer.zero_grad()
        return loss.item()

    return trained(step)


@case
def unet() -> dict[str, Any]:
    """A U-Net for pictures."""
    model = pictures_net().eval()
    with torch.no_grad():
        forward = model(normal(2, 3, 16, 16), torch.tensor([3, 60])).sample
    return {"forward": forward, "losses": denoising(model, normal(2, 3, 16, 16, seed="clean").clamp(-1, 1))}


@case
def unet_with_words() -> dict[str, Any]:
    """A U-Net for pictures described by words, with its gradients checkpointed in training."""
    model, words = text_net().eval(), normal(2, 5, 12, seed="words")
    with torch.no_grad():
        forward = model(normal(2, 4, 16, 16), torch.tensor([3, 60]), encoder_hidden_states=words).sample
    model.enable_gradient_checkpointing()
    return {"forward": forward, "losses": denoising(model, normal(2, 4, 16, 16, seed="clean"), encoder_hidden_states=words)}


@case
def transformer() -> dict[str, Any]:
    """DiT: a transformer on patches."""
    model = filled(
        hf.DiTTransformer2DModel(
            num_attention_heads=2, attention_head_dim=8, in_channels=4, num_layers=2, sample_size=8, num_embeds_ada_norm=10,
            norm_num_groups=4,
        )
    ).eval()  # fmt: skip
    x, labels = normal(2, 4, 8, 8), integers(2, high=10)
    with torch.no_grad():
        forward = model(x, timestep=torch.tensor([3, 60]), class_labels=labels).sample
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)

    def step(_: int) -> Any:
        loss = (model(x, timestep=torch.tensor([3, 60]), class_labels=labels).sample - 1).square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()

    return {"forward": forward, "losses": trained(step)}


@case
def autoencoder() -> dict[str, Any]:
    """AutoencoderKL: forward, and training with its divergence."""
    model = filled(
        hf.AutoencoderKL(
            in_channels=3, out_channels=3, latent_channels=4, sample_size=16, down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2, **SMALL,
        )
    ).eval()  # fmt: skip
    x = normal(2, 3, 16, 16)
    with torch.no_grad():
        latent = model.encode(x).latent_dist
        forward = model.decode(latent.mean).sample
        tiled = model.decode(latent.mode()[:1]).sample
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)

    def step(i: int) -> Any:
        found = model.encode(x).latent_dist
        drawn = found.mean + found.std * normal(*found.mean.shape, seed=i)
        loss = (model.decode(drawn).sample - x).square().mean() + 1e-3 * found.kl().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss.item()

    return {"mean": latent.mean, "std": latent.std, "forward": forward, "one": tiled, "losses": trained(step)}


@case
def quantized_autoencoder() -> dict[str, Any]:
    """VQModel: its code book's nearest rows."""
    model = filled(hf.VQModel(block_out_channels=(8,), norm_num_groups=4, num_vq_embeddings=12, latent_channels=3, vq_embed_dim=3)).eval()
    x = normal(2, 3, 16, 16)
    with torch.no_grad():
        return {"forward": model(x).sample, "latents": model.encode(x).latents}


def sampling(name: str, settings: dict[str, Any]) -> None:
    """A case: pictures from noise by a scheduler."""

    def run() -> dict[str, Any]:
        scheduler = getattr(hf, f"{name}Scheduler")()
        model, start = pictures_net().eval(), normal(2, 3, 16, 16, seed="start")
        scheduler.set_timesteps(settings.get("steps", 6))
        x = start * getattr(scheduler, "init_noise_sigma", 1.0)
        with torch.no_grad():
            for i, t in enumerate(scheduler.timesteps):
                scaled = scheduler.scale_model_input(x, t) if hasattr(scheduler, "scale_model_input") else x
                x = ancestral(scheduler, model, x, t, i) if name == "DDPM" else scheduler.step(model(scaled, t).sample, t, x).prev_sample
        return {"timesteps": scheduler.timesteps, "sample": x}

    case(run, name=f"sampling_{name.lower()}")


def ancestral(scheduler: Any, model: Any, x: torch.Tensor, t: Any, i: int) -> torch.Tensor:
    """A step of DDPM's, whose noise is drawn by NumPy."""
    found = scheduler.step(model(x, t).sample, t, x, generator=torch.Generator().manual_seed(0))
    return scheduler.add_noise(found.pred_original_sample, normal(*x.shape, seed=i), t[None] if t.ndim == 0 else t)


for scheduler_name, scheduler_settings in SCHEDULERS.items():
    sampling(scheduler_name, scheduler_settings)


@case
def pipeline() -> dict[str, Any]:
    """DDIM's pipeline as a whole; without noise in its steps it depends on the first noise alone, whose shape and moments are compared."""
    pipe = hf.DDIMPipeline(pictures_net().eval(), hf.DDIMScheduler(num_train_timesteps=50))
    pipe.set_progress_bar_config(disable=True)
    images = pipe(batch_size=2, num_inference_steps=3, generator=torch.Generator().manual_seed(0), output_type="np").images
    return {"shape": list(images.shape), "in_range": bool((images >= 0).all() and (images <= 1).all())}


@case
def moving_average() -> dict[str, Any]:
    """EMAModel: averaged parameters, stored and put back."""
    model = torch.nn.Linear(3, 2)
    filled(model)
    average = hf.training_utils.EMAModel(model.parameters(), decay=0.9, use_ema_warmup=True)
    for i in range(3):
        with torch.no_grad():
            model.weight.add_(normal(2, 3, seed=i))
        average.step(model.parameters())
    average.copy_to(model.parameters())
    return {"weight": model.weight, "decay": average.cur_decay_value}


if __name__ == "__main__":
    main()
