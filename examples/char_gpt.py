"""Text generation: a small GPT that learns English letter by letter, with a `TrainModule` and a `Trainer`.

The text (more than a million letters) is Debian's fortunes, or Python's own documentation; see shipped_texts.py.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
from shipped_texts import one_text
from verdict import verdict, wants_quick

import monograph as mg
import monograph.nn.functional as F
from monograph import nn, train


class Block(nn.Module):
    """Attention to what came before, then two linear layers, each beside a shortcut."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.wide = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: mg.Tensor) -> mg.Tensor:
        batch, length, width = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(batch, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        seen = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.out(seen.transpose(1, 2).reshape(batch, length, width))
        return x + self.wide(self.norm2(x))


class CharGPT(train.TrainModule):
    """Predicts the next letter of a text at each of its places."""

    def __init__(self, letters: str, context: int, width: int, layers: int, rate: float) -> None:
        super().__init__()
        self.letters, self.context, self.rate = letters, context, rate
        self.token, self.place = nn.Embedding(len(letters), width), nn.Embedding(context, width)
        self.blocks = nn.Sequential(*[Block(width, 4) for _ in range(layers)])
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, len(letters))

    def forward(self, numbers: mg.Tensor) -> mg.Tensor:
        x = self.token(numbers) + self.place.weight[: numbers.shape[1]]
        return self.head(self.norm(self.blocks(x)))

    def loss(self, batch: mg.Tensor) -> mg.Tensor:
        return F.cross_entropy(self(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten())

    def training_step(self, batch: mg.Tensor, batch_idx: int) -> mg.Tensor:
        loss = self.loss(batch)
        self.log("loss", loss, prog_bar=True, on_step=True)
        return loss

    def validation_step(self, batch: mg.Tensor, batch_idx: int) -> None:
        self.log("val_loss", self.loss(batch), prog_bar=True)

    def configure_optimizers(self) -> Any:
        optimizer = mg.optim.AdamW(self.parameters(), betas=(0.9, 0.99), weight_decay=0.05)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = mg.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=self.rate, total_steps=steps, pct_start=0.1, cycle_momentum=False)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def write(self, beginning: str, count: int, temperature: float = 0.8) -> str:
        """`count` letters more, each drawn from what the network expects."""
        numbers = [self.letters.index(c) for c in beginning]
        self.eval()
        with mg.no_grad():
            for _ in range(count):
                window = mg.tensor([numbers[-self.context :]])
                chances = (self(window)[0, -1] / temperature).softmax(0)
                numbers.append(int(mg.multinomial(chances, 1)))
        return "".join(self.letters[n] for n in numbers)


class Windows:
    """Batches of pieces of a text at random places, another `steps` of them in each epoch."""

    def __init__(self, numbers: np.ndarray, length: int, batch: int, steps: int, seed: int) -> None:
        self.numbers, self.length, self.batch, self.steps, self.random = numbers, length, batch, steps, np.random.default_rng(seed)

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Any:
        for _ in range(self.steps):
            starts = self.random.integers(0, len(self.numbers) - self.length, self.batch)
            yield mg.from_numpy(np.stack([self.numbers[s : s + self.length] for s in starts]))


def main() -> int:
    quick = wants_quick(__doc__)
    mg.manual_seed(0)
    text = one_text()
    letters = "".join(sorted(set(text)))
    numbers = np.array([letters.index(c) for c in letters], np.int64)[np.searchsorted(list(letters), list(text))]
    cut = len(numbers) * 9 // 10
    print(f"{len(text):,} letters, {len(letters)} different ones")

    context, batch = (32, 16) if quick else (128, 32)
    model = CharGPT(letters, context, 32, 1, rate=5e-3) if quick else CharGPT(letters, context, 128, 4, rate=2e-3)
    data = Windows(numbers[:cut], context + 1, batch, 100 if quick else 250, seed=0)
    looked_at = Windows(numbers[cut:], context + 1, batch, 10, seed=1)
    trainer = train.Trainer(
        max_epochs=3 if quick else 8, gradient_clip_val=1.0, logger=False, enable_checkpointing=False, enable_model_summary=False
    )
    trainer.fit(model, data, looked_at)
    print(model.write("The ", 20 if quick else 400))
    loss = trainer.callback_metrics["val_loss"].item()
    return verdict("validation loss per letter (nats)", loss, at_most=2.9 if quick else 2.1)


if __name__ == "__main__":
    sys.exit(main())
