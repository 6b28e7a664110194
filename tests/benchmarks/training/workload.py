"""What all contenders train on: Llamas from a configuration and prompts with completions.

Tokens are drawn by Zipf's law, so that there is something to learn; the same examples come in the
same order to everybody.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from workers.engine.data.readers import Example
from workers.engine.specs import FineTuneSpec

VOCABULARY = 8192
CONTEXT = 512
BATCH = 8  # examples per update
SHORTEST, LONGEST = 20, 400  # tokens
TYPICAL, SPREAD = 90, 0.7  # median tokens; of the logarithm
PROMPT = (0.3, 0.6)  # the prompt's part of an example
ZIPF = 1.3
RATE = 1e-3


@dataclass(frozen=True)
class Size:
    """A Llama's shape; `name` says about how many parameters it has."""

    name: str
    hidden: int
    middle: int
    layers: int
    heads: int


SIZES = {size.name: size for size in (Size("10m", 256, 688, 8, 4), Size("40m", 512, 1376, 10, 8))}


def base_make(folder: Path, size: Size) -> Path:
    """A Hugging Face folder of that size with seeded random weights."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=size.hidden,
        intermediate_size=size.middle,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.heads,
        max_position_embeddings=CONTEXT,
        bos_token_id=None,
        eos_token_id=0,
        pad_token_id=1,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def examples_make(count: int, seed: int = 0) -> list[Example]:
    """Log-normal lengths, cut to the bounds; the tokens after the prompt are learned."""
    draws = np.random.default_rng(seed)
    found = []
    for line, length in enumerate(lengths_draw(draws, count), 1):
        prompt = round(length * draws.uniform(*PROMPT))
        ids = (draws.zipf(ZIPF, length) % (VOCABULARY - 2) + 2).tolist()
        found.append(Example(line, ids, [0] * prompt + [1] * (length - prompt)))
    return found


def lengths_draw(draws: np.random.Generator, count: int) -> list[int]:
    """Tokens of `count` examples."""
    lengths = np.exp(draws.normal(np.log(TYPICAL), SPREAD, count)).clip(SHORTEST, LONGEST)
    return [int(length) for length in lengths]


def padding_efficiency(examples: list[Example]) -> float:
    """Real tokens over those that padding each batch to its longest example makes of them."""
    sizes = [len(example.ids) for example in examples]
    batches = [sizes[i : i + BATCH] for i in range(0, len(sizes), BATCH)]
    return sum(sizes) / sum(max(batch) * len(batch) for batch in batches)


def spec(**changes: object) -> FineTuneSpec:
    """LoRA of rank 8 on every linear layer; AdamW with a linear schedule, as Trainer's default."""
    given = {
        "lora": {"rank": 8, "alpha": 16.0},
        "learning_rate": RATE,
        "epochs": 1,
        "batch_size": BATCH,
        "max_length": CONTEXT,
        "snapshot_every_steps": 0,
        "evaluate_each_epoch": False,
    }
    return FineTuneSpec.from_dict(given | changes)
