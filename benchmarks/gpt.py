"""A GPT of 4 layers, d 256, 8 heads, 8192 words: a training step (batch 8, 128 tokens, Adam), 128 tokens at once, and token by token.

Token by token the keys and values of earlier tokens come from a cache of fixed size. What runs op by op reads the part that is
filled; what is compiled reads all of it under a mask, so that one program serves every position. Each contender has the better of both.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks import frames, functional
from benchmarks.frames import setups, with_weights
from benchmarks.onnx_models import onnx_inference
from benchmarks.workload import COMPILED, JAX, TORCH, TORCH_COMPILE, Case, Running, Workload, integers

LAYERS, WIDTH, HEADS, WORDS, CONTEXT = 4, 256, 8, 8192, 128
SIZE = WIDTH // HEADS


def network(frame: Any, layers: int = LAYERS, width: int = WIDTH) -> Any:
    nn, functions = frame.nn, frame.nn.functional

    class Block(nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.ln1, self.ln2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

        def forward(self, x: Any) -> Any:
            batch, time, _ = x.shape
            q, k, v = (t.view(batch, time, HEADS, -1).transpose(1, 2) for t in self.qkv(self.ln1(x)).split(width, dim=-1))
            mixed = functions.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.out(mixed.transpose(1, 2).reshape(batch, time, width))
            return x + self.down(functions.gelu(self.up(self.ln2(x))))

        def with_cache(self, x: Any, cache: Any, at: Any, mask: Any) -> Any:
            batch = x.shape[0]
            q, k, v = (t.view(batch, 1, HEADS, -1).transpose(1, 2) for t in self.qkv(self.ln1(x)).split(width, dim=-1))
            keys, values = cache
            if mask is None:
                keys[:, :, at : at + 1], values[:, :, at : at + 1] = k, v
                mixed = functions.scaled_dot_product_attention(q, keys[:, :, : at + 1], values[:, :, : at + 1])
            else:
                keys.index_copy_(2, at, k)
                values.index_copy_(2, at, v)
                mixed = functions.scaled_dot_product_attention(q, keys, values, attn_mask=mask)
            x = x + self.out(mixed.transpose(1, 2).reshape(batch, 1, width))
            return x + self.down(functions.gelu(self.up(self.ln2(x))))

    class Gpt(nn.Module):  # type: ignore[name-defined, misc]
        def __init__(self) -> None:
            super().__init__()
            self.words, self.places = nn.Embedding(WORDS, width), nn.Embedding(CONTEXT, width)
            self.blocks = nn.ModuleList([Block() for _ in range(layers)])
            self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, WORDS)

        def forward(self, tokens: Any) -> Any:
            x = self.words(tokens) + self.places(frame.arange(tokens.shape[1]))
            for block in self.blocks:
                x = block(x)
            return self.head(self.norm(x))

        def next(self, token: Any, caches: Any, at: Any, mask: Any) -> Any:
            place = self.places.weight[at] if mask is None else self.places.weight.index_select(0, at)
            x = self.words(token) + place
            for block, cache in zip(self.blocks, caches, strict=True):
                x = block.with_cache(x, cache, at, mask)
            return self.head(self.norm(x))[:, -1].argmax(-1, keepdim=True)

    return Gpt()


def forward(ops: Any, tokens: Any) -> Any:
    time = tokens.shape[1]
    x = ops.embedding("words", tokens, WORDS, WIDTH) + ops.get("places.weight", (CONTEXT, WIDTH))[:time]
    for layer in range(LAYERS):
        name = f"blocks.{layer}"
        mixed = ops.causal_attention(ops.linear(f"{name}.qkv", ops.layer_norm(f"{name}.ln1", x), 3 * WIDTH), HEADS)
        x = x + ops.linear(f"{name}.out", mixed, WIDTH)
        x = x + ops.linear(f"{name}.down", ops.gelu(ops.linear(f"{name}.up", ops.layer_norm(f"{name}.ln2", x), 4 * WIDTH)), WIDTH)
    return ops.linear("head", ops.layer_norm("norm", x), WORDS)


def batch() -> list[Any]:
    return [integers("x", WORDS, 8, CONTEXT), integers("y", WORDS, 8, CONTEXT)]


def one() -> list[Any]:
    return [integers("x", WORDS, 1, CONTEXT)]


def next_token(frame: Any, output: Any, targets: Any) -> Any:
    return frame.nn.functional.cross_entropy(output.view(-1, WORDS), targets.view(-1))


def decoding(frame: Any, compiled: bool, case: Case) -> Running:
    """64 tokens after each other, the greedy next one fed back; a step is all of them."""
    model = with_weights(frame, network).eval()
    frame.set_grad_enabled(False)
    caches = [tuple(frame.zeros(1, HEADS, CONTEXT, SIZE) for _ in range(2)) for _ in range(LAYERS)]
    positions = frame.arange(CONTEXT)

    def one_more(token: Any, at: Any) -> Any:
        return model.next(token, caches, at, positions <= at)

    following = frame.compile(one_more) if compiled else lambda token, at: model.next(token, caches, at, None)
    places: list[Any] = [frame.tensor([i]) for i in range(case.payload)] if compiled else list(range(case.payload))

    def step() -> Any:
        token = frame.tensor([[1]])
        found = []
        for at in places:
            token = following(token, at)
            found.append(int(token.item()))
        return found

    return Running(step, lambda found: [np.array(found)])


def jax_decoding(case: Case) -> Running:
    ops = functional.JaxLayers()
    jax, np_ = ops.jax, ops.np
    ops.jax.eval_shape(lambda: forward(ops, np_.zeros((1, CONTEXT), np_.int32)))
    parameters = jax.tree.map(np_.asarray, ops.parameters)

    def following(parameters: Any, caches: Any, token: Any, at: Any) -> Any:
        with functional.standing_in(ops, parameters=parameters):
            x = ops.embedding("words", token, WORDS, WIDTH) + jax.lax.dynamic_slice_in_dim(ops.get("places.weight", ()), at, 1)
            after = []
            for layer, (keys, values) in enumerate(caches):
                name = f"blocks.{layer}"
                q, k, v = np_.split(
                    ops.linear(f"{name}.qkv", ops.layer_norm(f"{name}.ln1", x), 3 * WIDTH).reshape(1, 1, 3 * HEADS, SIZE), 3, 2
                )
                keys, values = (jax.lax.dynamic_update_slice(c, t, (0, at, 0, 0)) for c, t in ((keys, k), (values, v)))
                mask = (np_.arange(CONTEXT) <= at)[None, None, None]
                mixed = jax.nn.dot_product_attention(q, keys, values, mask=mask).reshape(1, 1, WIDTH)
                x = x + ops.linear(f"{name}.out", mixed, WIDTH)
                x = x + ops.linear(f"{name}.down", ops.gelu(ops.linear(f"{name}.up", ops.layer_norm(f"{name}.ln2", x), 4 * WIDTH)), WIDTH)
                after.append((keys, values))
            return ops.linear("head", ops.layer_norm("norm", x), WORDS)[:, -1].argmax(-1, keepdims=True), after

    compiled: Callable[..., Any] = jax.jit(following, donate_argnums=1)
    state: list[Any] = [[tuple(np_.zeros((1, CONTEXT, HEADS, SIZE)) for _ in range(2)) for _ in range(LAYERS)]]

    def step() -> Any:
        token = np_.array([[1]])
        found = []
        for at in range(case.payload):
            token, state[0] = compiled(parameters, state[0], token, at)
            found.append(int(token[0, 0]))
        return found

    return Running(step, lambda found: [np.array(found)])


WORKLOADS = {
    "gpt_training": Workload(
        "GPT 4 layers, d 256, training, batch 8, 128 tokens",
        {**frames.training(network, batch, next_token), **functional.training(forward, batch)},
        {COMPILED: 0.7},
        threads=(2,),
        training=True,
        checked_steps=3,
        tolerance=1e-3,
    ),
    "gpt_inference": Workload(
        "GPT, inference, batch 1, 128 tokens",
        {**frames.inference(network, one), **functional.inference(forward, one), **onnx_inference(network, one)},
        {COMPILED: 0.85},
        tolerance=1e-3,
    ),
    "gpt_decoding": Workload(
        "GPT, decoding with a cache, 64 tokens one by one",
        {**setups(decoding), JAX: jax_decoding},
        {COMPILED: 0.6},
        cases=(
            Case(
                "",
                flops=64 * 2 * (LAYERS * 12 * WIDTH**2 + WIDTH * WORDS),
                nbytes=64 * 4 * (LAYERS * 12 * WIDTH**2 + WIDTH * WORDS),
                payload=64,
            ),
        ),
        against=(TORCH, TORCH_COMPILE),
    ),
}
