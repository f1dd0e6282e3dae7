"""Hugging Face transformers, unchanged: generation, files, collators, its own trainer, and what else a fine-tuning script uses."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers as hf
from frame import case, filled, integers, main, normal

WORDS = 99
SPECIAL: dict[str, Any] = {"vocab_size": WORDS, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
LLAMA = SPECIAL | {
    "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "intermediate_size": 48,
    "max_position_embeddings": 64,
}  # fmt: skip
BART = SPECIAL | {
    "d_model": 32, "encoder_layers": 2, "decoder_layers": 2, "encoder_attention_heads": 4, "decoder_attention_heads": 4,
    "encoder_ffn_dim": 48, "decoder_ffn_dim": 48, "decoder_start_token_id": 2, "max_position_embeddings": 64, "forced_eos_token_id": None,
}  # fmt: skip


def llama(**more: Any) -> Any:
    """A small decoder."""
    return filled(hf.LlamaForCausalLM(hf.LlamaConfig(**LLAMA, **more))).eval()


def gpt2() -> Any:
    """A small decoder of the older kind."""
    return filled(hf.GPT2LMHeadModel(hf.GPT2Config(**SPECIAL, n_embd=32, n_layer=2, n_head=4, n_positions=64))).eval()


def t5() -> Any:
    """A small encoder with a decoder."""
    config = hf.T5Config(**SPECIAL, d_model=32, d_kv=8, d_ff=48, num_layers=2, num_heads=4, decoder_start_token_id=0)
    return filled(hf.T5ForConditionalGeneration(config)).eval()


def bart() -> Any:
    """A small encoder with a decoder, of the other kind."""
    return filled(hf.BartForConditionalGeneration(hf.BartConfig(**BART))).eval()


def whisper() -> Any:
    """A small listener."""
    settings = {key: value for key, value in BART.items() if key not in ("max_position_embeddings", "forced_eos_token_id")}
    config = hf.WhisperConfig(**settings, num_mel_bins=8, max_source_positions=20, max_target_positions=30, suppress_tokens=None,
                              begin_suppress_tokens=None)  # fmt: skip
    return filled(hf.WhisperForConditionalGeneration(config)).eval()


def prompt(length: int = 6) -> dict[str, torch.Tensor]:
    """Two beginnings, the second padded at its left."""
    ids, mask = integers(2, length, low=3, high=WORDS), torch.ones(2, length, dtype=torch.int64)
    mask[1, :2] = 0
    return {"input_ids": ids * mask, "attention_mask": mask}


MODELS = {"llama": llama, "gpt2": gpt2, "t5": t5, "bart": bart}
WAYS: dict[str, dict[str, Any]] = {
    "greedy": {"do_sample": False},
    "beams": {"num_beams": 3, "do_sample": False, "length_penalty": 0.8, "early_stopping": True, "num_return_sequences": 2},
    "without_cache": {"do_sample": False, "use_cache": False},
    "rules": {
        "do_sample": False, "repetition_penalty": 1.3, "no_repeat_ngram_size": 2, "min_new_tokens": 4, "bad_words_ids": [[5], [7, 8]],
    },
}


def generation(name: str, way: str) -> None:
    """A case: the words that a model goes on with, and their scores."""

    def run() -> dict[str, Any]:
        found = MODELS[name]().generate(
            **prompt(), max_new_tokens=10, return_dict_in_generate=True, output_scores=True, **WAYS[way]
        )
        scores = torch.stack(found.scores)
        return {"words": found.sequences, "scores": torch.where(torch.isfinite(scores), scores, 0.0)}

    case(run, name=f"{way}_{name}")


for model_name in MODELS:
    for way_name in WAYS:
        generation(model_name, way_name)


@case
def sampling() -> dict[str, Any]:
    """Chance differs between the frameworks; what must hold of the words does not."""
    model, given = llama(), prompt()
    found = model.generate(**given, max_new_tokens=8, do_sample=True, top_k=5, top_p=0.9, temperature=0.7, num_return_sequences=3)
    likely = model(input_ids=given["input_ids"], attention_mask=given["attention_mask"]).logits[:, -1].topk(5).indices
    first = found[:, 6].reshape(2, 3, 1)
    return {"rows": found.shape[0], "kept": found[:, :6], "likely": bool((first == likely[:, None]).any(-1).all())}


@case
def static_cache() -> dict[str, Any]:
    """A cache of fixed size that is written in place."""
    return {"words": llama().generate(**prompt(), max_new_tokens=8, do_sample=False, cache_implementation="static")}


@case
def cache_by_hand() -> dict[str, Any]:
    """Logits word by word equal those of the whole."""
    model, ids = llama(), integers(1, 7, low=3, high=WORDS)
    cache, steps = hf.DynamicCache(), []
    with torch.inference_mode():
        for i in range(7):
            steps.append(model(input_ids=ids[:, i : i + 1], past_key_values=cache, use_cache=True).logits)
        whole = model(input_ids=ids).logits
    return {"steps": torch.cat(steps, 1), "whole": whole, "close": bool(torch.allclose(torch.cat(steps, 1), whole, atol=1e-4))}


@case
def whisper_listens() -> dict[str, Any]:
    """Words for a sound."""
    return {"words": whisper().generate(input_features=normal(2, 8, 40), max_new_tokens=8, do_sample=False)}


@case
def files() -> dict[str, Any]:
    """Saved by one model and loaded by another, whole and in shards; the bytes on disk are the same in both frameworks."""
    model = bart()
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, most in (("whole", "5GB"), ("shards", "20KB")):
            place = Path(folder) / name
            model.save_pretrained(place, max_shard_size=most)
            loaded = hf.AutoModelForSeq2SeqLM.from_pretrained(place).eval()
            results[name] = loaded(**prompt(), decoder_input_ids=integers(2, 4, low=3, high=WORDS)).logits
            kept = sorted(place.glob("*.safetensors"))
            results[f"{name}_bytes"] = [hashlib.sha256(file.read_bytes()).hexdigest() for file in kept]
        half = hf.AutoModelForSeq2SeqLM.from_pretrained(Path(folder) / "whole", dtype=torch.bfloat16)
        results["half"] = [str(half.dtype).split(".")[-1], half.num_parameters()]
    return results


@case
def safetensors_files() -> dict[str, Any]:
    """safetensors' own functions for torch."""
    from safetensors import safe_open  # noqa: PLC0415
    from safetensors.torch import load, load_file, load_model, save, save_file, save_model  # noqa: PLC0415

    tensors = {"a": normal(3, 4), "b": integers(5, high=9), "c": normal(2, 2).to(torch.bfloat16), "d": torch.tensor([True, False])}
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    filled(model)
    with tempfile.TemporaryDirectory() as folder:
        path = str(Path(folder) / "x.safetensors")
        save_file(tensors, path, metadata={"format": "pt"})
        found = load_file(path)
        with safe_open(path, framework="pt") as opened:
            part = opened.get_slice("a")[1:, :2]
            keys, metadata = sorted(opened.keys()), opened.metadata()
        save_model(model, path)
        other = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
        missing = load_model(other, path)
    return {
        **{f"tensor_{key}": value for key, value in found.items()}, "part": part, "keys": keys, "metadata": str(metadata),
        "bytes": hashlib.sha256(save(tensors)).hexdigest(), "again": load(save(tensors))["a"], "missing": str(missing),
        "output": other.eval()(normal(2, 3)),
    }  # fmt: skip


@case
def gradient_checkpointing() -> dict[str, Any]:
    """Gradients with and without recomputing the activations."""
    ids = integers(2, 9, low=3, high=WORDS)
    results = {}
    for name in ("kept", "again"):
        model = llama().train()
        if name == "again":
            model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        model(input_ids=ids, labels=ids, use_cache=False).loss.backward()
        results[name] = torch.stack([p.grad.norm() for p in model.parameters()])
    return results


@case
def autocast() -> dict[str, Any]:
    """Mixed precision: the dtype of the result, and its size to the precision it has."""
    model = llama()
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        logits = model(**prompt()).logits
    return {"dtype": str(logits.dtype).split(".")[-1], "loss_size": logits.float().norm(dim=-1).mean().round(decimals=0)}


@case
def resized() -> dict[str, Any]:
    """Embeddings for more words; heads pruned; a frozen part."""
    model = llama(tie_word_embeddings=True)
    model.resize_token_embeddings(105, mean_resizing=False)
    for parameter in model.model.layers[0].parameters():
        parameter.requires_grad = False
    tied = model.get_input_embeddings().weight is model.get_output_embeddings().weight
    return {"size": list(model.lm_head.weight.shape), "tied": tied, "trainable": model.num_parameters(only_trainable=True)}


@case
def outputs() -> dict[str, Any]:
    """Everything that a model can return."""
    config = hf.BertConfig(**{key: LLAMA[key] for key in LLAMA if key != "num_key_value_heads"}, attn_implementation="eager")
    model = filled(hf.BertModel(config)).eval()
    found = model(**prompt(), output_hidden_states=True, output_attentions=True)
    as_tuple = model(**prompt(), return_dict=False)
    inner = {"hidden": list(found.hidden_states), "attentions": list(found.attentions)}
    return {**inner, "pooled": found.pooler_output, "tuple": list(as_tuple)}


@case
def collators() -> dict[str, Any]:
    """Batches from lists of numbers."""
    from tokenizers import Tokenizer  # noqa: PLC0415
    from tokenizers.models import WordLevel  # noqa: PLC0415
    from tokenizers.pre_tokenizers import Whitespace  # noqa: PLC0415

    names = ["[PAD]", "[UNK]", "[MASK]", *"the quick brown fox jumps over a lazy dog".split()]
    made = Tokenizer(WordLevel({name: i for i, name in enumerate(names)}, unk_token="[UNK]"))
    made.pre_tokenizer = Whitespace()
    tokenizer = hf.PreTrainedTokenizerFast(tokenizer_object=made, pad_token="[PAD]", unk_token="[UNK]", mask_token="[MASK]")
    batch = tokenizer(["the quick brown fox", "a lazy cat jumps over the dog"], padding=True, return_tensors="pt")
    rows = [{"input_ids": [3, 4, 5], "labels": [1, 2, 3]}, {"input_ids": [6, 7], "labels": [4, 5]}]
    padded = hf.DataCollatorWithPadding(tokenizer)([{"input_ids": row["input_ids"]} for row in rows])
    pairs = hf.DataCollatorForSeq2Seq(tokenizer)(rows)
    words = hf.DataCollatorForTokenClassification(tokenizer)(rows)
    plain = hf.default_data_collator([{"x": [1.0, 2.0], "label": 1}, {"x": [3.0, 4.0], "label": 0}])
    masked = hf.DataCollatorForLanguageModeling(tokenizer, mlm=False)([[3, 4, 5], [6, 7]])
    return {
        "ids": batch["input_ids"], "mask": batch["attention_mask"], "padded": dict(padded), "pairs": dict(pairs), "words": dict(words),
        "plain": dict(plain), "causal": dict(masked), "text": tokenizer.batch_decode(batch["input_ids"], skip_special_tokens=True),
    }  # fmt: skip


@case
def schedules() -> dict[str, Any]:
    """Learning rates of all schedules."""
    results = {}
    for name in ("linear", "cosine", "cosine_with_restarts", "polynomial", "constant", "constant_with_warmup", "inverse_sqrt"):
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
        schedule = hf.get_scheduler(name, optimizer, num_warmup_steps=3, num_training_steps=12)
        rates = []
        for _ in range(12):
            optimizer.step()
            schedule.step()
            rates.append(schedule.get_last_lr()[0])
        results[name] = rates
    return results


@case
def adafactor() -> dict[str, Any]:
    """transformers' own optimiser."""
    model, ids = llama(), integers(2, 9, low=3, high=WORDS)
    optimizer = hf.Adafactor(model.parameters(), lr=1e-3, relative_step=False, scale_parameter=False)
    losses = []
    for _ in range(8):
        loss = model(input_ids=ids, labels=ids).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    return {"losses": losses}


class Sentences(torch.utils.data.Dataset[dict[str, torch.Tensor]]):
    """Rows of words that are their own labels."""

    def __init__(self, count: int) -> None:
        self.rows = integers(count, 9, low=3, high=WORDS, seed="rows")

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        return {"input_ids": self.rows[index], "labels": self.rows[index]}


class InOrder(hf.Trainer):
    """A trainer that takes the rows in their order: the frameworks shuffle differently."""

    def _get_train_sampler(self, *args: Any, **kwargs: Any) -> Any:
        return torch.utils.data.SequentialSampler(self.train_dataset)


@case
def trainer() -> dict[str, Any]:
    """transformers' Trainer: training with accumulation, evaluation, saving, resuming."""
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:

        def made(steps: int) -> Any:
            arguments = hf.TrainingArguments(
                output_dir=folder, per_device_train_batch_size=2, gradient_accumulation_steps=2, max_steps=steps, learning_rate=1e-3,
                warmup_steps=2, logging_steps=1, save_steps=4, report_to=[], use_cpu=True, disable_tqdm=True, seed=0, save_total_limit=2,
                lr_scheduler_type="constant_with_warmup",
            )  # fmt: skip
            return InOrder(model=llama(), args=arguments, train_dataset=Sentences(16), eval_dataset=Sentences(6))

        first = made(8)
        first.train()
        results["losses"] = [entry["loss"] for entry in first.state.log_history if "loss" in entry]
        results["loss_norms"] = [float(entry["grad_norm"]) for entry in first.state.log_history if "grad_norm" in entry]
        results["loss_evaluated"] = first.evaluate()["eval_loss"]
        results["logits"] = np.asarray(first.predict(Sentences(4)).predictions)
        again = made(10)
        again.train(resume_from_checkpoint=str(Path(folder) / "checkpoint-4"))
        results["losses_resumed"] = [entry["loss"] for entry in again.state.log_history if "loss" in entry]
    return results


if __name__ == "__main__":
    main()
