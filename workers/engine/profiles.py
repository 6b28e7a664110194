"""How long a fine-tune takes and what memory it needs. Free of torch.

Computed from throughput that was measured on this class of machine (see `measuring`).
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from workers.engine.errors import ModelError
from workers.engine.specs import FineTuneSpec

# Products per weight and token: forward 2; backward to activations 2; to the weight itself 2 (full
# only); recomputing activations repeats the forward.
FORWARD = 2.0
BACKWARD_ACTIVATIONS = 2.0
BACKWARD_WEIGHTS = 2.0

# Saved activations per token and layer, in multiples of the hidden size (fp32): norms, q, k, v, the
# attention's output, gate, up and their product.
ACTIVATIONS_PER_LAYER = 30
BYTES = 4
HEADER_LIMIT = 100 * 2**20  # bytes; the format's own
RUNTIME_BYTES = 600 * 2**20  # the process with its libraries


@dataclass(frozen=True)
class Shape:
    """The sizes of a base model that cost depends on: `parameters` and so on."""

    parameters: int
    layers: int
    hidden: int
    vocabulary: int

    @classmethod
    def of_folder(cls, folder: Path) -> Self:
        """The sizes of a Hugging Face folder, from `config.json` and its safetensors' headers.

        Raises:
            ModelError: the folder holds no readable model.
        """
        try:
            config = json.loads((folder / "config.json").read_text("utf-8"))
            return cls(
                parameters=sum(map(_stored_numbers, sorted(folder.glob("*.safetensors")))),
                layers=config.get("num_hidden_layers") or config["n_layer"],
                hidden=config.get("hidden_size") or config["n_embd"],
                vocabulary=config["vocab_size"],
            )
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{folder.name} holds no readable model ({error!r})") from error


def _stored_numbers(path: Path) -> int:
    """How many numbers a safetensors file holds, from its header alone."""
    with path.open("rb") as handle:
        size = int.from_bytes(handle.read(8), "little")
        if size > HEADER_LIMIT:
            raise ValueError(f"{path.name} says that its header has {size} bytes")
        header = json.loads(handle.read(size))
    return sum(math.prod(e["shape"]) for name, e in header.items() if name != "__metadata__")


@dataclass(frozen=True)
class DataSize:
    """One pass over the data, in examples and tokens; `validation_tokens` per evaluation."""

    examples: int
    tokens: int
    loss_tokens: int
    validation_tokens: int = 0


@dataclass(frozen=True)
class Profile:
    """What was measured on one class of machine.

    `flops` is useful floating-point operations per second in training; `update_s` and `pack_s` are
    the fixed seconds per update and per forward-backward pass; `load_s` is from the process's start
    to the first step; `spread` is the relative half-width of the measurements. `segment_s` is what
    one member more adds to a shared pass besides its tokens; None where that was not measured.
    """

    device: str
    dtype: str
    threads: int
    flops: float
    update_s: float
    pack_s: float
    load_s: float
    spread: float
    segment_s: float | None = None

    @property
    def worker_class(self) -> str:
        """The class of workers that it speaks for."""
        return {"cuda": "gpu", "xla": "tpu"}.get(self.device.partition(":")[0], "cpu")


@dataclass(frozen=True)
class Estimate:
    """What a fine-tune is expected to take.

    `seconds`, with a range that most runs fall into; `tokens` trained; `memory_bytes` at the peak,
    `memory_bytes_high` with a margin; `flops` in all.
    """

    seconds: float
    seconds_low: float
    seconds_high: float
    tokens: int
    memory_bytes: int
    memory_bytes_high: int
    flops: float


def flops_per_token(spec: FineTuneSpec, shape: Shape) -> float:
    """Floating-point operations to train on one token, adapters included.

    Attention's quadratic part is left out.
    """
    per_weight = FORWARD + BACKWARD_ACTIVATIONS
    if spec.method == "full":
        per_weight += BACKWARD_WEIGHTS
    if spec.activation_checkpointing == "full":
        per_weight += FORWARD
    adapter = 3 * FORWARD * adapter_parameters(spec, shape) if spec.method == "lora" else 0.0
    return per_weight * shape.parameters + adapter


def adapter_parameters(spec: FineTuneSpec, shape: Shape) -> int:
    """Trained weights of a LoRA on every linear layer.

    About rank · 18 · hidden per Llama-type block.
    """
    return spec.lora.rank * 18 * shape.hidden * shape.layers


def estimate(spec: FineTuneSpec, shape: Shape, data: DataSize, profile: Profile) -> Estimate:
    """What a fine-tune of a base of `shape` on `data` costs on a machine of this `profile`."""
    tokens = data.tokens * spec.epochs
    updates = -(-data.examples // spec.batch_size) * spec.epochs
    packs = max(updates, -(-tokens // spec.micro_batch_tokens))
    flops = tokens * flops_per_token(spec, shape)
    evaluations = spec.epochs + 1 if spec.evaluate_each_epoch else 0
    flops += evaluations * data.validation_tokens * FORWARD * shape.parameters
    seconds = (
        flops / profile.flops + updates * profile.update_s + packs * profile.pack_s + profile.load_s
    )
    memory = memory_bytes(spec, shape)
    return Estimate(
        seconds=seconds,
        seconds_low=seconds / (1 + 2 * profile.spread),
        seconds_high=seconds * (1 + 2 * profile.spread),
        tokens=tokens,
        memory_bytes=memory,
        memory_bytes_high=int(memory * 1.4),
        flops=flops,
    )


def memory_bytes(spec: FineTuneSpec, shape: Shape, *, tokens: int | None = None) -> int:
    """Peak memory, in bytes.

    The process; the base; the trained weights with gradient and two moments; activations and logits
    of one pass, of `tokens` (the spec's own where not given).
    """
    trained = shape.parameters if spec.method == "full" else adapter_parameters(spec, shape)
    tokens = tokens or max(spec.micro_batch_tokens, spec.max_length)
    per_token = ACTIVATIONS_PER_LAYER * shape.hidden * shape.layers
    if spec.activation_checkpointing == "full":
        per_token = shape.hidden * (shape.layers + ACTIVATIONS_PER_LAYER)
    logits = 3 * tokens * shape.vocabulary
    numbers = shape.parameters + 4 * trained + tokens * per_token + logits
    return RUNTIME_BYTES + BYTES * numbers
