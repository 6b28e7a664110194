"""What a user would pick instead: transformers' Trainer with PEFT, and its padding collator.

What TRL's trainer shares with it, `sft.py` takes from here.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from transformers import (
    AutoModelForCausalLM,
    DataCollatorForSeq2Seq,
    PreTrainedTokenizerFast,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)
from transformers.trainer_callback import PrinterCallback

from tests.benchmarks.training.workload import BATCH, RATE
from workers.engine.data.readers import Example


class Marks(TrainerCallback):
    """CPU time at the start and at each update's end, and the losses that Trainer logs.

    `at_end` is called while everything still stands.
    """

    def __init__(self, at_end: Callable[[], None]) -> None:
        self.times: list[float] = []
        self.losses: list[float] = []
        self.at_end = at_end

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self.times.append(time.process_time())

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.times.append(time.process_time())

    def on_train_end(self, *_: Any, **__: Any) -> None:
        self.at_end()

    def on_log(self, _arguments: Any, _state: Any, _control: Any, logs: Any, **_: Any) -> None:
        if "loss" in logs:
            self.losses.append(logs["loss"])


class InOrder(Trainer):  # type: ignore[misc]
    """Takes the examples in the order given, as our contender does."""

    def _get_train_sampler(self, dataset: Any = None) -> Any:
        return torch.utils.data.SequentialSampler(dataset or self.train_dataset)


def train(
    base: Path,
    examples: list[Example],
    adapter: Path,
    scratch: Path,
    *,
    kept: Path | None = None,
    grouped: bool = False,
    batch: int = BATCH,
    epochs: int = 1,
    seed: int = 0,
    at_end: Callable[[], None] = lambda: None,
) -> dict[str, list[float]]:
    """Each update's loss and tokens, and the CPU seconds from the end of the one before.

    `grouped` lets Trainer sort examples of like length together, in an order of its own. The
    trained adapter goes to `kept`.
    """
    trainer = (Trainer if grouped else InOrder)(
        model=opened(base, adapter),
        args=TrainingArguments(
            **arguments(scratch, batch=batch, epochs=epochs, seed=seed),
            **({"train_sampling_strategy": "group_by_length"} if grouped else {}),
        ),
        train_dataset=[row(example) for example in examples],
        data_collator=DataCollatorForSeq2Seq(tokenizer()),
    )
    return trained(trainer, kept, at_end)


def opened(base: Path, adapter: Path) -> PeftModel:
    """The base with its adapter, on one thread."""
    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(base)
    return PeftModel.from_pretrained(model, adapter, is_trainable=True)


def arguments(scratch: Path, *, batch: int, epochs: int, seed: int) -> dict[str, Any]:
    """What all trainers of transformers' kind are told; the rest is their default."""
    return {
        "output_dir": str(scratch / "trainer"),
        "per_device_train_batch_size": batch,
        "num_train_epochs": epochs,
        "learning_rate": RATE,
        "seed": seed,
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "save_strategy": "no",
        "report_to": [],
        "use_cpu": True,
        "disable_tqdm": True,
    }


def trained(
    trainer: Trainer, kept: Path | None, at_end: Callable[[], None] = lambda: None
) -> dict[str, list[float]]:
    """Train, and say what each update saw and took; the adapter goes to `kept`."""
    collate, tokens = trainer.data_collator, []

    def counted(features: list[dict[str, Any]]) -> Any:
        tokens.append(sum(len(feature["input_ids"]) for feature in features))
        return collate(features)

    trainer.data_collator = counted
    marks = Marks(at_end)
    trainer.add_callback(marks)
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    if kept is not None:
        trainer.model.save_pretrained(kept)
    seconds = [b - a for a, b in zip(marks.times, marks.times[1:], strict=False)]
    return {"losses": marks.losses, "tokens": list(tokens), "seconds": seconds}


def row(example: Example) -> dict[str, list[int]]:
    labels = [i if on else -100 for i, on in zip(example.ids, example.mask, strict=True)]
    return {"input_ids": example.ids, "attention_mask": [1] * len(labels), "labels": labels}


def tokenizer() -> Any:
    """The collator pads with it."""
    import tokenizers

    core = tokenizers.Tokenizer(tokenizers.models.WordLevel({"<end>": 0, "<pad>": 1}, "<end>"))
    return PreTrainedTokenizerFast(tokenizer_object=core, pad_token="<pad>")
