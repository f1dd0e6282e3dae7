"""Hugging Face transformers, unchanged: models from small configurations, run forward and trained with its own schedule."""

from __future__ import annotations

from typing import Any

import torch
import transformers as hf
from frame import STEPS, case, filled, integers, main, normal, trained

WORDS = 99
TEXT: dict[str, Any] = {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 48, "vocab_size": WORDS, "pad_token_id": 0,
    "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
SPECIAL: dict[str, Any] = {"vocab_size": WORDS, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}


def words(batch: int = 2, length: int = 9, seed: Any = 0) -> torch.Tensor:
    """Numbers of words, none of them special."""
    return integers(batch, length, low=3, high=WORDS, seed=seed)


def padded(length: int = 9, seed: Any = 0) -> dict[str, torch.Tensor]:
    """Two sentences, of which the second is shorter."""
    mask = torch.ones(2, length, dtype=torch.int64)
    mask[1, -3:] = 0
    return {"input_ids": words(2, length, seed) * mask, "attention_mask": mask}


def images(size: int = 16, seed: Any = 0) -> torch.Tensor:
    """Two pictures."""
    return normal(2, 3, size, size, seed=seed)


def without_dropout(model: Any) -> Any:
    """Training must be the same on both sides, so nothing may be left out by chance; layers that are switched off by chance neither."""
    for module in model.modules():
        for name, value in vars(module).items():
            if isinstance(value, float) and ("drop" in name or (name == "p" and "Drop" in type(module).__name__)):
                setattr(module, name, 0.0)
    return model


def fine_tuned(model: Any, inputs: dict[str, Any], schedule: Any = hf.get_linear_schedule_with_warmup) -> list[float]:
    """The losses of twenty steps of AdamW under a schedule with a warm-up, with gradients clipped."""
    without_dropout(model).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01)
    scheduler = schedule(optimizer, num_warmup_steps=5, num_training_steps=STEPS)

    def step(_: int) -> Any:
        loss = model(**inputs).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
        return loss.item()

    return trained(step)


def tensors(output: Any) -> dict[str, torch.Tensor]:
    """The floating-point tensors of a model's output."""
    return {name: value for name, value in output.items() if isinstance(value, torch.Tensor) and value.is_floating_point()}


def model_case(name: str, kind: str, config: str, settings: dict[str, Any], inputs: Any, **more: Any) -> None:
    """A case: forward in evaluation, then training."""

    def run() -> dict[str, Any]:
        made = getattr(hf, config)(**settings)
        for attention in more.get("attention", ()):
            made._attn_implementation = attention
        model = filled(getattr(hf, kind)(made)).eval()
        given = inputs()
        with torch.no_grad():
            results: dict[str, Any] = {f"forward.{key}": value for key, value in tensors(model(**given)).items()}
        if more.get("trains", True):
            results["losses"] = fine_tuned(model, given)
        return results

    case(run, name=name)


def labelled(**more: Any) -> Any:
    """Sentences with labels for each word."""
    return lambda: {**padded(), "labels": words(seed="labels"), **more}


def classes(count: int = 2) -> torch.Tensor:
    """A class for each of two examples."""
    return integers(2, high=count, seed="classes")


LAYERS = {"num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 32, "intermediate_size": 48}
for bert in ("Bert", "Roberta", "Electra", "Camembert", "XLMRoberta", "Ernie", "MobileBert", "DebertaV2", "Albert", "ConvBert"):
    settings = TEXT | {"max_position_embeddings": 40}
    if bert == "Albert":
        settings |= {"embedding_size": 16, "num_hidden_groups": 1}
    if bert == "Electra":
        settings |= {"embedding_size": 16}
    if bert == "MobileBert":
        settings |= {"embedding_size": 32, "intra_bottleneck_size": 16, "true_hidden_size": 16, "num_feedforward_networks": 2}
    if bert == "DebertaV2":
        settings |= {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 8}
    if bert == "ConvBert":
        settings |= {"embedding_size": 32}
    model_case(f"{bert.lower()}_masked_words", f"{bert}ForMaskedLM", f"{bert}Config", settings, labelled())

for kind in ("SequenceClassification", "TokenClassification", "QuestionAnswering", "MultipleChoice"):

    def task(kind: str = kind) -> dict[str, Any]:
        """Inputs of a task of BERT's."""
        if kind == "QuestionAnswering":
            return {**padded(), "start_positions": integers(2, high=5), "end_positions": integers(2, low=5, high=9)}
        if kind == "MultipleChoice":
            return {**{k: v[:, None].repeat(1, 3, 1) for k, v in padded().items()}, "labels": classes(3)}
        return {**padded(), "labels": classes(2) if kind == "SequenceClassification" else integers(2, 9, high=2)}

    model_case(f"bert_{kind.lower()}", f"BertFor{kind}", "BertConfig", TEXT, task)

model_case(
    "distilbert_masked_words", "DistilBertForMaskedLM", "DistilBertConfig",
    SPECIAL | {"dim": 32, "n_layers": 2, "n_heads": 4, "hidden_dim": 48}, labelled(),
)  # fmt: skip
model_case("xlnet", "XLNetLMHeadModel", "XLNetConfig", SPECIAL | {"d_model": 32, "n_layer": 2, "n_head": 4, "d_inner": 48}, labelled())
model_case(
    "gpt2", "GPT2LMHeadModel", "GPT2Config", SPECIAL | {"n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}, labelled()
)  # fmt: skip
model_case("gptj", "GPTJForCausalLM", "GPTJConfig", SPECIAL | {"n_embd": 32, "n_layer": 2, "n_head": 4, "rotary_dim": 4}, labelled())
for decoder, extra in {
    "Llama": {"num_key_value_heads": 2}, "Mistral": {"num_key_value_heads": 2, "sliding_window": 4}, "Qwen2": {"num_key_value_heads": 2},
    "Qwen3": {"num_key_value_heads": 2, "head_dim": 8}, "Gemma": {"num_key_value_heads": 1, "head_dim": 8},
    "Gemma2": {"num_key_value_heads": 2, "head_dim": 8, "sliding_window": 4}, "Phi": {"partial_rotary_factor": 0.5},
    "Phi3": {"num_key_value_heads": 2}, "GPTNeoX": {"rotary_pct": 0.5}, "OPT": {"ffn_dim": 48, "word_embed_proj_dim": 32},
    "StableLm": {"num_key_value_heads": 2}, "Olmo2": {"num_key_value_heads": 2}, "Cohere": {"num_key_value_heads": 2},
    "Starcoder2": {"num_key_value_heads": 2}, "Granite": {"num_key_value_heads": 2}, "SmolLM3": {"num_key_value_heads": 2},
    "Bloom": {"n_head": 4, "n_layer": 2}, "Falcon": {}, "Mamba": {"state_size": 4},
    "Mixtral": {"num_key_value_heads": 2, "num_local_experts": 4},
    "Qwen2Moe": {
        "num_experts": 4, "num_key_value_heads": 2, "moe_intermediate_size": 24, "shared_expert_intermediate_size": 24,
        "num_experts_per_tok": 2,
    },
    "Gemma3Text": {"num_key_value_heads": 2, "head_dim": 8},
}.items():  # fmt: skip
    model_case(decoder.lower(), f"{decoder.replace('Text', '')}ForCausalLM", f"{decoder}Config", TEXT | extra, labelled())

TWO_SIDES = SPECIAL | {
    "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4, "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48, "decoder_ffn_dim": 48, "decoder_start_token_id": 2, "max_position_embeddings": 40,
}  # fmt: skip
T5 = SPECIAL | {"d_model": 32, "d_kv": 8, "d_ff": 48, "num_layers": 2, "num_heads": 4, "decoder_start_token_id": 0}
model_case("t5", "T5ForConditionalGeneration", "T5Config", T5, labelled())
model_case("mt5_gated", "MT5ForConditionalGeneration", "MT5Config", T5 | {"feed_forward_proj": "gated-gelu"}, labelled())
for pair in ("Bart", "MBart", "Pegasus", "Marian", "M2M100", "Blenderbot"):
    last = "MTModel" if pair == "Marian" else "ForConditionalGeneration"
    model_case(pair.lower(), f"{pair}{last}", f"{pair}Config", TWO_SIDES, labelled())
model_case(
    "whisper", "WhisperForConditionalGeneration", "WhisperConfig",
    TWO_SIDES | {"num_mel_bins": 8, "max_source_positions": 20, "max_target_positions": 20},
    lambda: {"input_features": normal(2, 8, 40), "labels": words(seed="labels")},
)  # fmt: skip
SPEECH = LAYERS | SPECIAL | {
    "conv_dim": (16, 16), "conv_stride": (4, 2), "conv_kernel": (8, 4), "num_feat_extract_layers": 2, "num_conv_pos_embeddings": 8,
    "num_conv_pos_embedding_groups": 2, "apply_spec_augment": False, "layerdrop": 0.0, "ctc_loss_reduction": "mean",
}  # fmt: skip
for speech in ("Wav2Vec2", "Hubert"):
    model_case(
        f"{speech.lower()}_ctc", f"{speech}ForCTC", f"{speech}Config", SPEECH,
        lambda: {"input_values": normal(2, 400), "labels": words(2, 5)},
    )  # fmt: skip

PICTURE = LAYERS | {"image_size": 16, "patch_size": 4}
for eye in ("ViT", "DeiT", "Dinov2", "Beit"):
    model_case(
        eye.lower(), f"{eye}ForImageClassification", f"{eye}Config", PICTURE | {"num_labels": 5, "drop_path_rate": 0.0},
        lambda: {"pixel_values": images(), "labels": classes(5)},
    )  # fmt: skip
for eye, shape in {
    "Swin": {"image_size": 32, "patch_size": 2, "embed_dim": 8, "depths": [1, 2], "num_heads": [2, 4], "window_size": 4,
    "drop_path_rate": 0.0},
    "ConvNext": {"depths": [1, 1, 1, 1], "hidden_sizes": [8, 8, 16, 16], "drop_path_rate": 0.0},
    "ResNet": {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"},
    "Segformer": {"depths": [1, 1, 1, 1], "hidden_sizes": [8, 8, 16, 16], "num_attention_heads": [1, 2, 2, 4], "decoder_hidden_size": 16,
    "drop_path_rate": 0.0},
}.items():  # fmt: skip
    model_case(
        eye.lower(), f"{eye}ForImageClassification", f"{eye}Config", shape | {"num_labels": 5},
        lambda: {"pixel_values": images(32), "labels": classes(5)},
    )  # fmt: skip
model_case(
    "clip", "CLIPModel", "CLIPConfig",
    {"text_config": TEXT | {"max_position_embeddings": 20}, "vision_config": PICTURE, "projection_dim": 16},
    lambda: {**padded(), "pixel_values": images(), "return_loss": True},
)  # fmt: skip
for attention in ("eager", "sdpa"):
    model_case(f"llama_{attention}", "LlamaForCausalLM", "LlamaConfig", TEXT, labelled(), attention=(attention,))
    model_case(f"bert_{attention}", "BertForMaskedLM", "BertConfig", TEXT, labelled(), attention=(attention,))

if __name__ == "__main__":
    main()
