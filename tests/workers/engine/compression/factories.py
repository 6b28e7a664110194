"""Small real models of every family, and calibration samples for them."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import mse_loss
from transformers import (
    ASTConfig,
    ASTForAudioClassification,
    BertConfig,
    BertForSequenceClassification,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
    ViTConfig,
    ViTForImageClassification,
)

from workers.engine.compression.calibration import Sample

VOCABULARY = 97
_ENDS = {"bos_token_id": None, "eos_token_id": 0, "pad_token_id": 1}
_SIZES = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 8,
}
_DECODER = {"vocab_size": VOCABULARY, "num_key_value_heads": 4, "max_position_embeddings": 64}

MAKERS: dict[str, Callable[[], Any]] = {
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**_SIZES, **_DECODER, **_ENDS)),
    "llama tied": lambda: LlamaForCausalLM(
        LlamaConfig(**_SIZES, **_DECODER, **_ENDS, tie_word_embeddings=True)
    ),
    "qwen2": lambda: Qwen2ForCausalLM(Qwen2Config(**_SIZES, **_DECODER, **_ENDS)),
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(**_SIZES, **_DECODER, **_ENDS, head_dim=6)),
    "mistral": lambda: MistralForCausalLM(MistralConfig(**_SIZES, **_DECODER, **_ENDS)),
    "gpt2": lambda: GPT2LMHeadModel(
        GPT2Config(n_embd=32, n_layer=3, n_head=8, vocab_size=VOCABULARY, n_positions=64, **_ENDS)
    ),
    "bert": lambda: BertForSequenceClassification(
        BertConfig(**_SIZES, vocab_size=VOCABULARY, max_position_embeddings=64)
    ),
    "vit": lambda: ViTForImageClassification(ViTConfig(**_SIZES, image_size=16, patch_size=8)),
    "ast": lambda: ASTForAudioClassification(
        ASTConfig(**_SIZES, max_length=40, num_mel_bins=24, patch_size=16, num_labels=3)
    ),
}
DECODERS = ("llama", "llama tied", "qwen2", "qwen3", "mistral", "gpt2")
RMS = ("llama", "llama tied", "qwen2", "qwen3", "mistral")


def model_of(family: str, seed: int = 0) -> Any:
    """A model with weights large enough that wrong maths shows, and no parameter at zero or one."""
    torch.manual_seed(seed)
    model = MAKERS[family]().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(torch.randn_like(parameter) * 0.2)
            else:
                parameter.mul_(6)
    return model.requires_grad_(requires_grad=False)


def seed_network(seed: int = 0) -> nn.Sequential:
    """The founding essay's network: 10-5-3-1 with ReLU."""
    torch.manual_seed(seed)
    layers = [nn.Linear(10, 5), nn.ReLU(), nn.Linear(5, 3), nn.ReLU(), nn.Linear(3, 1)]
    return nn.Sequential(*layers)


def inputs_for(family: str, rows: int = 2, seed: int = 0) -> dict[str, Tensor]:
    """What the model is called with."""
    draws = torch.Generator().manual_seed(seed)
    if family == "vit":
        return {"pixel_values": torch.randn(rows, 3, 16, 16, generator=draws)}
    if family == "ast":
        return {"input_values": torch.randn(rows, 40, 24, generator=draws)}
    return {"input_ids": torch.randint(2, VOCABULARY, (rows, 24), generator=draws)}


def output_of(family: str, model: nn.Module, seed: int = 0) -> Tensor:
    with torch.no_grad():
        logits: Tensor = model(**inputs_for(family, seed=seed)).logits
    return logits


def samples_for(family: str, count: int = 4) -> list[Sample]:
    """Batches of arbitrary inputs, whose loss is against arbitrary targets."""
    return [_sample(family, seed) for seed in range(10, 10 + count)]


def _sample(family: str, seed: int) -> Sample:
    given = inputs_for(family, rows=4, seed=seed)

    def forward(model: nn.Module) -> Any:
        return model(**given)

    def loss(model: nn.Module) -> Tensor:
        logits: Tensor = forward(model).logits
        return mse_loss(logits, torch.ones_like(logits))

    return Sample(forward, loss)


def tensor_samples(x: Tensor, y: Tensor) -> list[Sample]:
    """One batch for a plain network."""
    return [Sample(lambda model: model(x), lambda model: mse_loss(model(x), y))]


def zeroed(model: nn.Module, changes: Callable[[Any], None]) -> Any:
    """A copy of `model` that `changes` has set to zero somewhere."""
    made = copy.deepcopy(model)
    with torch.no_grad():
        changes(made)
    return made
