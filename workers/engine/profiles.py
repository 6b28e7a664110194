"""How long a fine-tune takes and what memory it needs. Free of torch.

Computed from throughput that was measured on this class of machine (see `measuring`), for a base of
this shape and this method; from the nearest shape's where the base itself was not measured.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from workers.engine.errors import ModelError
from workers.engine.shapes import Shape
from workers.engine.specs import ADAMW_8BIT, ADAPTED_TASKS, NF4, FineTuneSpec

# Products per weight and token: forward 2; backward to activations 2; to the weight itself 2 (full
# only); recomputing activations repeats the forward.
FORWARD = 2.0
BACKWARD_ACTIVATIONS = 2.0
BACKWARD_WEIGHTS = 2.0
FORWARD_PART = 1 / 3  # of a pass's fixed costs
TEXT_GENERATION, EMBEDDINGS, PREFERENCE = "text_generation", "embeddings", "preference"
WITH_HEAD = frozenset({TEXT_GENERATION, PREFERENCE})  # tasks that need the output head
FIXED_LENGTH = frozenset({"audio_classification", "image_classification", "tabular"})
SEQUENCES_OF = {EMBEDDINGS: 2, PREFERENCE: 2}  # of an example, where it is not one

# What is kept for the backward pass, times the numbers that a block makes of a token (`_made`), as
# real peaks have it, the allocator's waste included (`bench_memory_estimate`).
KEPT = {"none": 1.26, "selective": 1.07}
KEPT_OF_ONE = 4.3  # of the block at work, where all others keep their input alone
MOST_ROWS = 28  # of a block's matrices, in hidden sizes
BYTES = 4
NF4_BYTES = (4 + 8 / 64 + 32 / (64 * 256)) / 8  # a weight, with its scales (`kernels.nf4`)
MOMENT_BYTES = 1 + 4 / 256  # in eight bits, with its scale (`kernels.blockwise`)
HEAD_STRETCH = 2**21  # logits at once (`kernels.head`): they are never kept
HIGH = 1.4  # what to allow for, over what is expected
RUNTIME_BYTES = 400 * 2**20  # the process with its libraries
FARTHEST = 8.0  # times as many parameters, or as few: what another shape may be measured by
BORROWED = 1.5  # by what bounds are wider then


@dataclass(frozen=True)
class DataSize:
    """One pass over the data, in examples and tokens; `validation_…` those of an evaluation."""

    examples: int
    tokens: int
    loss_tokens: int
    validation_tokens: int = 0
    validation_examples: int = 0


@dataclass(frozen=True)
class Profile:
    """What was measured on one class of machine.

    `flops` is useful floating-point operations per second in training, `adapter_flops` those of
    adapters' thin products (None: as the others); `update_s`, `pack_s` and `sequence_s` are the
    fixed seconds per update (of an adapter of `rank`), per forward-backward pass and per sequence
    in it, `column_s` those that a pass takes besides for each column of an adapter, `square_s`
    those that attention takes for each of Σ length² · layers · hidden, `layer_s` those that a pass
    takes for each layer, where shapes of one profile have different depths (tables); `load_s` goes
    from the process's start to the first step; `spread` is the relative half-width of the
    measurements.
    `segment_s` is what one member more adds to a shared pass besides its tokens; None where that
    was not measured.
    `p10`, `p50` and `p90` are quantiles of what whole runs took over what this says; None where
    none were made, and bounds come from the spread.
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
    task: str = TEXT_GENERATION
    method: str = "lora"
    read_s: float = 0.0
    sequence_s: float = 0.0
    square_s: float = 0.0
    layer_s: float = 0.0
    adapter_flops: float | None = None
    column_s: float = 0.0
    rank: int = 16
    p10: float | None = None
    p50: float | None = None
    p90: float | None = None

    @property
    def quantiles(self) -> tuple[float, float, float]:
        """By what seconds are multiplied: 10%, half and 90% of runs take at most so long."""
        if self.p10 is None or self.p50 is None or self.p90 is None:
            return 1 / (1 + 2 * self.spread), 1.0, 1 + 2 * self.spread
        return self.p10, self.p50, self.p90

    def of_shape(self, measured: Shape, wanted: Shape) -> Self:
        """This profile for a base of another shape: fixed costs go by layer, bounds are wider."""
        if measured == wanted:
            return self
        by = wanted.layers / measured.layers
        return replace(
            self.less_sure(),
            update_s=self.update_s * by,
            pack_s=self.pack_s * by,
            column_s=self.column_s * by,
            sequence_s=self.sequence_s * by,
            load_s=self.load_s * max(1.0, wanted.parameters / measured.parameters),
            segment_s=None,
        )

    def less_sure(self) -> Self:
        """This profile for what it was not quite measured on: bounds are wider."""
        low, middle, high = self.quantiles
        return replace(self, p10=low / BORROWED, p50=middle, p90=high * BORROWED)

    @property
    def worker_class(self) -> str:
        """The class of workers that it speaks for."""
        return {"cuda": "gpu", "xla": "tpu"}.get(self.device.partition(":")[0], "cpu")


Stored = Mapping[str, Mapping[str, Any]]  # profiles as JSON, by "class:task:method"
Key = tuple[str, str, str]


def profiles_read(stored: Stored | Mapping[str, Any]) -> dict[Key, Profile]:
    """The profiles of one base, by worker class, task and method; a single one is that of LoRA."""
    found = [stored] if "flops" in stored else list(stored.values())
    return {(p.worker_class, p.task, p.method): p for p in (Profile(**each) for each in found)}


def profile_key(profile: Profile) -> str:
    """Where it stands in what is stored of a base."""
    return f"{profile.worker_class}:{profile.task}:{profile.method}"


def nearest(candidates: Mapping[Shape, Profile], wanted: Shape) -> Profile | None:
    """The profile of the shape itself, or of the nearest one measured; None where all are far."""

    def distance(shape: Shape) -> float:
        return abs(math.log(shape.parameters / wanted.parameters))

    near = [shape for shape in candidates if distance(shape) <= math.log(FARTHEST)]
    if not near:
        return None
    found = wanted if wanted in candidates else min(near, key=distance)
    return candidates[found].of_shape(found, wanted)


@dataclass(frozen=True)
class Estimate:
    """What a fine-tune is expected to take.

    `seconds`, which half of the runs stay below, and a range from `seconds_low` (one in ten) to
    `seconds_high` (nine in ten); `tokens` trained; `memory_bytes` at the peak,
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
    adapter = 3 * FORWARD * adapter_parameters(spec, shape) if spec.method == "lora" else 0.0
    return flops_per_weight(spec) * shape.parameters + adapter


def flops_per_weight(spec: FineTuneSpec) -> float:
    """Floating-point operations for each weight that a trained token passes through."""
    per_weight = FORWARD + BACKWARD_ACTIVATIONS
    if spec.method == "full":
        per_weight += BACKWARD_WEIGHTS
    if spec.activation_checkpointing == "full":
        per_weight += FORWARD
    return per_weight


def adapter_parameters(spec: FineTuneSpec, shape: Shape) -> int:
    """Trained weights of a LoRA on every linear layer.

    About rank · 18 · hidden per Llama-type block.
    """
    return spec.lora.rank * 18 * shape.hidden * shape.layers


def estimate(spec: FineTuneSpec, shape: Shape, data: DataSize, profile: Profile) -> Estimate:
    """What a fine-tune of a base of `shape` on `data` costs on a machine of this `profile`."""
    tokens = data.tokens * spec.epochs
    evaluations = spec.epochs + 1 if spec.evaluate_each_epoch else 0
    evaluated = evaluations * data.validation_tokens
    examples = evaluations * data.validation_examples
    if spec.task == PREFERENCE:  # the reference is asked once
        evaluated += data.tokens + data.validation_tokens
        examples += data.examples + data.validation_examples
    read = (data.tokens + data.validation_tokens) * profile.read_s
    computing = run_s(spec, shape, data, profile) + read
    if evaluated:
        computing += forward_s(spec, shape, evaluated, examples, profile)
    low, middle, high = (profile.load_s + computing * times for times in profile.quantiles)
    memory = memory_bytes(spec, shape if has_head(spec) else replace(shape, vocabulary=0))
    return Estimate(
        seconds=middle,
        seconds_low=low,
        seconds_high=high,
        tokens=tokens,
        memory_bytes=memory,
        memory_bytes_high=int(memory * HIGH),
        flops=tokens * flops_per_token(spec, shape) + evaluated * FORWARD * shape.parameters,
    )


def run_s(spec: FineTuneSpec, shape: Shape, data: DataSize, profile: Profile) -> float:
    """Seconds of all updates."""
    updates = -(-data.examples // spec.batch_size)
    once = training_s(spec, shape, data, profile) + updates * update_s(spec, profile)
    return spec.epochs * once


def forward_s(
    spec: FineTuneSpec, shape: Shape, tokens: int, examples: int, profile: Profile
) -> float:
    """Seconds of forward passes over so many tokens."""
    weights = shape.parameters if has_head(spec) else shape.body
    fixed = tokens / spec.micro_batch_tokens * pass_s(shape, profile)
    fixed += examples * SEQUENCES_OF.get(spec.task, 1) * profile.sequence_s
    return tokens * FORWARD * weights / profile.flops + FORWARD_PART * fixed


def training_s(spec: FineTuneSpec, shape: Shape, data: DataSize, profile: Profile) -> float:
    """Seconds of the forward and backward passes over the data, once."""
    again = _repeats_forward(spec, data)
    per_weight = flops_per_weight(spec)
    if again and spec.activation_checkpointing != "full":
        per_weight += FORWARD
    head = data.loss_tokens * shape.head if has_head(spec) else 0
    work = per_weight * (data.tokens * shape.body + head)
    adapters, pack_s = 0.0, pass_s(shape, profile)
    if spec.method == "lora":
        adapters = data.tokens * (3 + again) * FORWARD * adapter_parameters(spec, shape)
        pack_s += spec.lora.rank * profile.column_s
    sequences = data.examples * SEQUENCES_OF.get(spec.task, 1)
    squares = data.tokens**2 / max(sequences, 1) * shape.layers * shape.hidden
    fixed = (
        _packs(spec, data) * pack_s + sequences * profile.sequence_s + squares * profile.square_s
    )
    return (
        work / profile.flops
        + adapters / (profile.adapter_flops or profile.flops)
        + fixed * (1 + FORWARD_PART * again)
    )


def pass_s(shape: Shape, profile: Profile) -> float:
    """Fixed seconds of a forward and backward pass."""
    return profile.pack_s + shape.layers * profile.layer_s


def has_head(spec: FineTuneSpec) -> bool:
    """Whether the output head over the vocabulary is computed."""
    return spec.task in WITH_HEAD


def _repeats_forward(spec: FineTuneSpec, data: DataSize) -> bool:
    """Whether the forward pass is made twice: asked for, or since all pairs of an update are told
    apart though they fill several passes (`tasks.embeddings`).
    """
    updates = max(1, -(-data.examples // spec.batch_size))
    many = data.tokens / updates > spec.micro_batch_tokens
    return spec.activation_checkpointing == "full" or (spec.task == EMBEDDINGS and many)


def update_s(spec: FineTuneSpec, profile: Profile) -> float:
    """Seconds of one step of the optimiser, which go by the weights that it trains."""
    by = spec.lora.rank / profile.rank if spec.method == "lora" else 1.0
    return profile.update_s * by


def _packs(spec: FineTuneSpec, data: DataSize) -> float:
    """Passes over the data once: on average half a pack of each update is wasted, where examples
    do not fit into the one before; a pass holds one example at least.
    """
    updates = -(-data.examples // spec.batch_size)
    each = data.examples / updates
    if spec.task in FIXED_LENGTH:
        size = max(1, spec.micro_batch_tokens * data.examples // data.tokens)
        return updates * math.ceil(each / size)
    fill = data.tokens / updates / spec.micro_batch_tokens
    most = each * (2 if spec.task == EMBEDDINGS else 1)  # texts go apart
    return updates * min(max(1.0, fill + 0.5), most)


def can_offload(spec: FineTuneSpec) -> bool:
    """Whether blocks may be read from their files each time that they compute, and not be kept.

    Their weights have to be frozen, and nothing else may read them.
    """
    plain = spec.method == "lora" and not spec.lora.use_dora and spec.processes == 1
    return plain and spec.quantise_base != NF4 and spec.task in ADAPTED_TASKS


def resident_blocks(spec: FineTuneSpec, shape: Shape, memory: int) -> int:
    """How many of the base's blocks to keep within so many bytes; all where that is not known.

    Raises:
        ModelError: it does not fit even with one block at a time.
    """
    needed = memory_bytes(spec, shape)
    if not memory or needed <= memory or not can_offload(spec):
        return shape.layers
    block = max(BYTES * shape.body / shape.layers, 1.0)  # all may be embeddings
    kept = shape.layers - math.ceil((needed - memory) / block) - 1  # the one at work needs its room
    if kept < 0:
        least = memory_least(spec, shape)
        raise ModelError(
            f"training needs {least:,} bytes even with one layer in memory at a time, and has "
            f"{memory:,}; lower micro_batch_tokens and max_length, or set activation_checkpointing."
        )
    return kept


def memory_least(spec: FineTuneSpec, shape: Shape) -> int:
    """Peak memory, in bytes, with as little of the base in it as can be."""
    saved = (shape.layers - 1) * shape.body // shape.layers if can_offload(spec) else 0
    return memory_bytes(spec, shape) - BYTES * saved


def memory_bytes(spec: FineTuneSpec, shape: Shape, *, tokens: int | None = None) -> int:
    """Peak memory, in bytes.

    The process; the base; the trained weights with gradient and two moments; activations and logits
    of one pass, of `tokens` (the spec's own where not given). Of a base in NF4 a block is whole, at
    most, while it computes.
    """
    is_full = spec.method == "full"
    trained = shape.parameters if is_full else adapter_parameters(spec, shape)
    gradients = trained if is_full else 2 * trained  # and the adapter itself
    tokens = tokens or max(spec.micro_batch_tokens, spec.max_length)
    if spec.activation_checkpointing == "full":
        per_token = shape.layers * shape.hidden + KEPT_OF_ONE * _made(shape)
    else:
        per_token = KEPT[spec.activation_checkpointing] * shape.layers * _made(shape)
    logits = 3 * min(tokens * shape.vocabulary, HEAD_STRETCH)
    numbers = shape.parameters + gradients + int(tokens * per_token) + logits
    moments = 2 * trained * (MOMENT_BYTES if spec.optimiser == ADAMW_8BIT else BYTES)
    saved = 0.0
    if spec.quantise_base == NF4:
        saved = (BYTES - NF4_BYTES) * shape.body - BYTES * shape.body / shape.layers
    return RUNTIME_BYTES + BYTES * numbers + int(moments - saved)


def _made(shape: Shape) -> float:
    """The numbers that a block makes of a token: one for each row of its matrices, which have about
    a hidden size of columns; and norms, sums and the attention's output.

    A network in stages is told by its first: later ones make more, of fewer places.
    """
    rows = min(shape.body / shape.layers / shape.hidden, MOST_ROWS * shape.hidden)
    return rows + 4 * shape.hidden
