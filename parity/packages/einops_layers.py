"""einops: rearrange, reduce, repeat, einsum, pack, unpack, layers, and a small model trained with them."""

from __future__ import annotations

from typing import Any

import torch
from einops import asnumpy, einsum, pack, parse_shape, rearrange, reduce, repeat, unpack
from einops.layers.torch import EinMix, Rearrange, Reduce
from frame import case, filled, integers, main, normal, supervised


@case
def functions() -> dict[str, Any]:
    """Every function, with gradients."""
    x = normal(2, 3, 8, 6, seed="x").requires_grad_()
    parts = {
        "flat": rearrange(x, "b c h w -> b (h w) c"),
        "patches": rearrange(x, "b c (h p) (w q) -> b (h w) (p q c)", p=4, q=3),
        "stacked": rearrange([x, x * 2], "n b c h w -> b (n c) h w"),
        "ellipsis": rearrange(x, "b ... w -> w ... b"),
        "ones": rearrange(x, "b c h w -> b 1 c (h w) 1"),
        "mean": reduce(x, "b c (h p) (w q) -> b c h w", "mean", p=2, q=2),
        "max": reduce(x, "b c h w -> b c", "max"),
        "min": reduce(x, "b c h w -> c 1 1", "min"),
        "prod": reduce(x, "b c h w -> b h", "prod"),
        "own": reduce(x, "b c h w -> b c", lambda t, axes: t.logsumexp(axes)),
        "repeated": repeat(x, "b c h w -> b (r c) h (w s)", r=2, s=3),
        "product": einsum(x, x, "b c h w, b d h w -> b c d"),
        "outer": einsum(x[0, 0], x[1, 1], "i j, k j -> i k"),
    }
    grads = {f"grad {name}": torch.autograd.grad((value * value).sum(), x, retain_graph=True)[0] for name, value in parts.items()}
    packed, shapes = pack([x, x[:, :, 0, 0], x[:, :, 0]], "b c *")
    apart = unpack(packed, shapes, "b c *")
    logical = reduce(x > 0, "b c h w -> b c", "any")
    return {
        **parts,
        **grads,
        "packed": packed,
        "shapes": [tuple(s) for s in shapes],
        "apart": list(apart),
        "any": logical,
        "parsed": str(parse_shape(x, "b c _ w")),
        "numpy": asnumpy(x),
    }


@case
def mistakes() -> dict[str, Any]:
    """What einops says of wrong patterns depends on the shapes it is told."""
    x = normal(2, 3, 4)
    said = []
    for pattern in ("b c (h p) -> b c h p", "b c -> c b", "b c h -> b (c c)", "b c (h p)-> b c h"):
        try:
            rearrange(x, pattern, p=3)
        except Exception as error:
            said.append(type(error).__name__ + ": " + str(error).splitlines()[0])
    return {"said": said}


class Attention(torch.nn.Module):
    """Attention written with einops, as vision transformers in the wild have it."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads, self.scale = heads, (dim // heads) ** -0.5
        self.norm = torch.nn.LayerNorm(dim)
        self.qkv = torch.nn.Linear(dim, dim * 3, bias=False)
        self.out = EinMix("b n (h d) -> b n c", weight_shape="h d c", bias_shape="c", h=heads, d=dim // heads, c=dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        q, k, v = rearrange(self.qkv(self.norm(x)), "b n (three h d) -> three b h n d", three=3, h=self.heads)
        scores = einsum(q, k, "b h i d, b h j d -> b h i j") * self.scale
        return self.out(rearrange(scores.softmax(-1) @ v, "b h n d -> b n (h d)"))


@case
def layers() -> dict[str, Any]:
    """Layers in a model that learns, compiled and not."""
    model = filled(
        torch.nn.Sequential(
            Rearrange("b c (h p) (w q) -> b (h w) (p q c)", p=4, q=4),
            torch.nn.Linear(48, 32),
            Attention(32, 4),
            Attention(32, 2),
            EinMix("b n c -> b n d", weight_shape="c d", c=32, d=16),
            Reduce("b n c -> b c", "mean"),
            torch.nn.Linear(16, 5),
        )
    )
    x, y = normal(8, 3, 16, 16, seed="x"), integers(8, high=5, seed="y")
    logits = model(x)
    losses = supervised(model, x, y, lr=1e-2)
    return {"logits": logits, "losses": losses, "loss_after": model(x), "names": list(model.state_dict()), "shown": str(model[0])}


if __name__ == "__main__":
    main()
