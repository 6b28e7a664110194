"""Small real models, data files and a progress double that records, for the engine's tests."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    LlamaConfig,
    MistralConfig,
    PretrainedConfig,
    Qwen2Config,
    Qwen3Config,
)

from workers.engine.base.text import rows
from workers.engine.base.tokenizer import END, PAD, tokenizer_build
from workers.engine.folders import file_sha256, folder_digest
from workers.engine.protocol import Command, Handle, Member, Numerics, Work
from workers.engine.specs import FineTuneSpec

VOCABULARY = 512
CONTEXT = 128
FAMILIES = ("llama", "qwen2", "qwen3", "mistral", "gpt2")
FOR_A_GPU = {  # a Llama whose blocks are nearly all of it: 126 million weights
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 8,
    "num_attention_heads": 16,
    "num_key_value_heads": 8,
}


def config(family: str, **changes: Any) -> PretrainedConfig:
    """A tiny model of one of the families; Mistral's window is short enough to matter."""
    ends = {"bos_token_id": None, "eos_token_id": 0, "pad_token_id": 1}
    if family == "gpt2":
        return GPT2Config(
            vocab_size=VOCABULARY,
            n_positions=CONTEXT,
            n_embd=32,
            n_layer=2,
            n_head=4,
            **ends | changes,
        )
    sizes = {
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": CONTEXT,
    }
    kinds = {
        "llama": LlamaConfig,
        "qwen2": Qwen2Config,
        "qwen3": Qwen3Config,
        "mistral": MistralConfig,
    }
    own = {"mistral": {"sliding_window": 8}, "qwen3": {"head_dim": 8}}.get(family, {})
    return kinds[family](**sizes | ends | own | changes)


def base_folder(folder: Path, family: str = "llama", seed: int = 0, **changes: Any) -> Path:
    """A Hugging Face folder with random weights, a real tokenizer and a chat template."""
    folder.mkdir(parents=True)
    texts = [row["text"] for row in rows() if "text" in row][:60]
    core = tokenizer_build(folder, texts, vocabulary=VOCABULARY, context=CONTEXT)
    assert (core.token_to_id(END), core.token_to_id(PAD)) == (0, 1)
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config(family, **changes))
    with torch.no_grad():  # the usual 0.02 leaves logits near zero, where wrong maths looks right
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.mul_(4)
    model.save_pretrained(folder)
    return folder


def reference_model(folder: Path) -> Any:
    """The same folder as transformers itself loads and runs it."""
    return AutoModelForCausalLM.from_pretrained(folder, attn_implementation="eager").eval()


def write_jsonl(path: Path, given: Iterable[Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in given))
    return path


def completions(count: int = 24) -> list[dict[str, str]]:
    """Prompts and completions of different lengths with a rule that a model can learn."""
    words = ("red", "green", "blue", "black", "white")
    return [
        {
            "prompt": f"{n} {words[n % 5]} " * (1 + n % 3),
            "completion": f"is {words[(n + 1) % 5]}" + " too" * (n % 4),
        }
        for n in range(count)
    ]


def chats(count: int = 12) -> list[dict[str, Any]]:
    return [
        {
            "messages": [
                {"role": "user", "content": f"What follows {n}?"},
                {"role": "assistant", "content": f"{n + 1} follows."},
                {"role": "user", "content": "And then?"},
                {"role": "assistant", "content": f"{n + 2}."},
            ]
        }
        for n in range(count)
    ]


def handle(path: Path) -> Handle:
    """A handle as the platform would give it."""
    if path.is_dir():
        return Handle(path, "application/vnd.huggingface.model", folder_digest(path))
    return Handle(path, "application/jsonl", file_sha256(path))


def spec(**changes: Any) -> FineTuneSpec:
    """Two short epochs of LoRA."""
    return FineTuneSpec.from_dict(
        {
            "epochs": 2,
            "batch_size": 4,
            "max_length": 96,
            "lora": {"rank": 4, "alpha": 8.0},
            "learning_rate": 5e-3,
            "snapshot_every_steps": 0,
        }
        | changes
    )


def work(base: Path, scratch: Path, *members: Member) -> Work:
    return Work(handle(base), members, scratch, Numerics(threads=1))


def always(_step: int) -> Command:
    return Command.GO


@dataclass
class Recorder:
    """A `Progress` that keeps what it is told, copies folders away, and answers `answer(step)`."""

    keep: Path
    answer: Callable[[int], Command] = always
    beats: list[tuple[str, int, int, Mapping[str, int], Mapping[str, float]]] = field(
        default_factory=list
    )
    usage: list[tuple[Any, ...]] = field(default_factory=list)
    events: list[tuple[str, str, str, Mapping[str, Any]]] = field(default_factory=list)
    snapshots: list[tuple[int, Handle]] = field(default_factory=list)
    checkpoints: list[tuple[int, Handle, Mapping[str, float]]] = field(default_factory=list)
    newcomers: list[Member] = field(default_factory=list)

    def beat(
        self, key: str, step: int, of: int, cursor: Mapping[str, int], metrics: Mapping[str, float]
    ) -> Command:
        self.beats.append((key, step, of, dict(cursor), dict(metrics)))
        return self.answer(step)

    def used(self, *given: Any) -> None:
        self.usage.append(given)

    def event(self, key: str, level: str, message: str, data: Mapping[str, Any]) -> None:
        self.events.append((key, level, message, data))

    def snapshot(self, key: str, step: int, folder: Path) -> Handle:
        kept = self._copy(folder, f"{key}-snapshot-{len(self.snapshots)}-{step}")
        self.snapshots.append((step, kept))
        return kept

    def checkpoint(self, key: str, step: int, folder: Path, metrics: Mapping[str, float]) -> Handle:
        kept = self._copy(folder, f"{key}-checkpoint-{len(self.checkpoints)}-{step}")
        self.checkpoints.append((step, kept, dict(metrics)))
        return kept

    def joining(self) -> Sequence[Member]:
        joining, self.newcomers = self.newcomers, []
        return joining

    def losses(self) -> list[float]:
        """The training loss of each update, in order."""
        return [metrics["loss"] for *_, metrics in self.beats if "loss" in metrics]

    def _copy(self, folder: Path, name: str) -> Handle:
        own = Path(tempfile.mkdtemp(dir=self.keep))
        return handle(Path(shutil.copytree(folder, own / name)))


def quantised_folder(base: Path, folder: Path, kind: str = "int4_weight") -> Path:
    """A base whose weights are rounded, as one that another tool made comes."""
    from workers.engine.compression.quantise.files import quantise_model
    from workers.engine.models import model_load

    shutil.copytree(base, folder)
    model: Any = model_load(base)
    quantise_model(model, kind)
    model.save_pretrained(folder)
    return folder
