"""Builds the small local language model without any download, by our own training loop.

`python -m workers.engine.base.build OUT_DIR` prints a JSON object per line: progress, then result.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from workers.engine.base.card import NOTICE, model_card
from workers.engine.base.text import rows
from workers.engine.base.tokenizer import END, PAD, tokenizer_build
from workers.engine.errors import EngineError
from workers.engine.folders import file_sha256, folder_digest
from workers.engine.models import parameter_count
from workers.engine.progress import Silent
from workers.engine.protocol import (
    HUGGING_FACE_MODEL,
    JSONL,
    Command,
    Handle,
    Member,
    Numerics,
    Outcome,
    Work,
)
from workers.engine.specs import FineTuneSpec
from workers.engine.training.loop import train

Say = Callable[[dict[str, Any]], None]


@dataclass(frozen=True)
class Size:
    """The model's shape and how long it learns."""

    vocabulary: int = 4096
    hidden: int = 128
    intermediate: int = 352
    layers: int = 4
    heads: int = 4
    kv_heads: int = 2
    context: int = 1024
    spread: float = 0.09  # standard deviation of the random weights: 1 / √hidden
    epochs: int = 2
    sections: int | None = None  # of the text; None = all


DEFAULT_SIZE = Size()

PRETRAINING = FineTuneSpec(
    method="full",
    optimiser="adamw",
    learning_rate=3e-3,
    weight_decay=0.1,
    betas=(0.9, 0.95),
    batch_size=4,
    micro_batch_tokens=2048,
    max_length=256,
    length_policy="split",
    warmup_fraction=0.05,
    schedule="cosine",
    snapshot_every_steps=0,
    evaluate_each_epoch=False,
)


class _Narrator(Silent):
    """Tells the training's progress as JSON, a few lines a second at most."""

    def __init__(self, say: Say) -> None:
        self._say, self._last = say, 0.0

    def beat(
        self, key: str, step: int, of: int, cursor: Mapping[str, int], metrics: Mapping[str, float]
    ) -> Command:
        del key, cursor
        if "loss" in metrics and (time.monotonic() - self._last > 0.5 or step == of):
            self._last = time.monotonic()
            self._say(
                {"event": "training", "step": step, "of": of, "loss": round(metrics["loss"], 4)}
            )
        return Command.GO

    def event(self, key: str, level: str, message: str, data: Mapping[str, Any]) -> None:
        del key
        self._say({"event": level, "message": message, **data})


def base_build(
    out: Path,
    say: Say,
    *,
    size: Size = DEFAULT_SIZE,
    seed: int = 0,
    threads: int = 1,
    data: Iterable[Mapping[str, Any]] | None = None,
) -> None:
    """Build the model into `out`, which appears whole or not at all.

    It learns from the rows of `data`; by default from all of Python's text (`base.text`).

    The same seed, Python, torch and threads give the same weights on the same kind of machine. One
    thread by default: two that wait for each other take many times as long on a busy machine.

    Raises:
        EngineError: the training failed.
    """
    begin = time.monotonic()
    torch.set_num_threads(threads)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as temporary:
        scratch = Path(temporary)
        file, start = scratch / "data.jsonl", scratch / "start"
        _write_data(file, data or islice(rows(), size.sections and 2 * size.sections))
        _write_start(start, file, size, seed)
        say({"event": "prepared", "seconds": round(time.monotonic() - begin, 1)})
        model, metrics = _pretrain(
            start, file, scratch, say, replace(PRETRAINING, epochs=size.epochs, seed=seed), threads
        )
        _write_companions(model, size, metrics)
        shutil.rmtree(out, ignore_errors=True)
        model.rename(out)
    say(
        {
            "event": "built",
            "path": str(out),
            "seconds": round(time.monotonic() - begin, 1),
            **metrics,
        }
    )


def _write_data(path: Path, data: Iterable[Mapping[str, Any]]) -> None:
    with path.open("w", encoding="utf-8") as handle:
        for row in data:
            handle.write(json.dumps(row) + "\n")


def _write_start(folder: Path, data: Path, size: Size, seed: int) -> None:
    """The tokenizer and the model with random weights."""
    folder.mkdir()
    lines = data.read_text("utf-8").splitlines()
    texts = [row["text"] for row in map(json.loads, lines) if "text" in row]
    core = tokenizer_build(folder, texts, vocabulary=size.vocabulary, context=size.context)
    end, pad = core.token_to_id(END), core.token_to_id(PAD)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=size.vocabulary,
        hidden_size=size.hidden,
        intermediate_size=size.intermediate,
        num_hidden_layers=size.layers,
        num_attention_heads=size.heads,
        num_key_value_heads=size.kv_heads,
        max_position_embeddings=size.context,
        tie_word_embeddings=True,
        initializer_range=size.spread,
        bos_token_id=None,
        eos_token_id=end,
        pad_token_id=pad,
        dtype="float32",
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    defaults = {"eos_token_id": end, "pad_token_id": pad}
    (folder / "generation_config.json").write_text(json.dumps(defaults, indent=2))


def _pretrain(
    start: Path, data: Path, scratch: Path, say: Say, spec: FineTuneSpec, threads: int
) -> tuple[Path, Mapping[str, float]]:
    member = Member("base", spec, Handle(data, JSONL, file_sha256(data)))
    base = Handle(start, HUGGING_FACE_MODEL, folder_digest(start))
    work = Work(base, (member,), scratch / "work", Numerics(threads=threads))
    (result,) = train(work, _Narrator(say))
    if result.outcome is not Outcome.SUCCEEDED or result.artifact is None:
        raise EngineError(f"the base model could not be trained: {result.error}")
    return result.artifact.path, result.metrics


def _write_companions(folder: Path, size: Size, metrics: Mapping[str, float]) -> None:
    parameters = parameter_count(LlamaForCausalLM.from_pretrained(folder))
    card = model_card(parameters=parameters, vocabulary=size.vocabulary, metrics=metrics)
    (folder / "README.md").write_text(card)
    (folder / "NOTICE").write_text(NOTICE)
    (folder / "manifest.json").unlink()


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description="Build the small local language model.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()

    def say(line: dict[str, Any]) -> None:
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()

    try:
        base_build(given.out.absolute(), say, seed=given.seed, threads=given.threads)
    except EngineError as error:
        say({"event": "error", "code": error.code, "message": str(error)})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
