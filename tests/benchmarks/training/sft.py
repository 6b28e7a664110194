"""The other thing a user would pick: TRL's SFTTrainer, packing or padding-free, with PEFT.

Both lay several examples in one long row. It is spared what only slows it on a CPU and is its
default: bf16, and checkpointing of activations.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from tests.benchmarks.training import stock
from tests.benchmarks.training.workload import BATCH
from workers.engine.data.readers import Example

ROWS = 2  # packed rows of an update


def train(
    base: Path,
    examples: list[Example],
    adapter: Path,
    scratch: Path,
    *,
    kept: Path,
    packing: bool,
    epochs: int,
    seed: int,
) -> dict[str, Any]:
    """As `stock.train`; and whether examples of a row see each other."""
    from datasets import Dataset  # of an extra: only this contender needs it
    from trl import SFTConfig, SFTTrainer

    rows = {"packing": True, "max_length": row_length(examples)}
    trainer = SFTTrainer(
        model=stock.opened(base, adapter),
        args=SFTConfig(
            **stock.arguments(scratch, batch=ROWS if packing else BATCH, epochs=epochs, seed=seed),
            **(rows if packing else {"padding_free": True, "max_length": None}),
            completion_only_loss=True,
            bf16=False,
            gradient_checkpointing=False,
        ),
        train_dataset=Dataset.from_list(
            [{"input_ids": each.ids, "completion_mask": each.mask} for each in examples]
        ),
        processing_class=stock.tokenizer(),
    )
    found = stock.trained(trainer, kept)
    batch = next(iter(trainer.get_train_dataloader()))
    return {**found, "examples_see_each_other": sees_before(trainer.model, batch)}


def row_length(examples: list[Example]) -> int:
    """Tokens of a packed row: as many rows as an update has hold what it would have unpacked."""
    sizes = [len(example.ids) for example in examples]
    return max(*sizes, round(sum(sizes) / len(sizes) * BATCH / ROWS))


def sees_before(model: torch.nn.Module, batch: dict[str, torch.Tensor]) -> bool:
    """Whether a row's later examples answer differently where its first one is another."""
    end = int(batch["cu_seq_lens_q"][1])
    inputs: dict[str, Any] = {name: v for name, v in batch.items() if name != "labels"}
    inputs["use_cache"] = False  # as in training
    other = inputs["input_ids"].clone()
    other[0, :end] = (other[0, :end] + 1) % 2 + 2
    model.eval()
    with torch.no_grad():
        one = model(**inputs).logits[0, end:]
        two = model(**{**inputs, "input_ids": other}).logits[0, end:]
    return not torch.equal(one, two)
