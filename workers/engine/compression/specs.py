"""Typed settings of a compression, checked on construction. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, TypeVar

from workers.engine.checks import SpecError, known_keys, one_of, real, truth, whole
from workers.engine.specs import MAX_LENGTH, MAX_SEED, TASKS
from workers.engine.specs import _Spec as Spec

SCORERS = ("magnitude", "threshold", "wanda", "taylor", "random")
# What weights may be rounded to, and what for.
FORMATS = {
    "none": "weights stay as they are",
    "int8_weight": "8-bit integers, a scale for each output row: a quarter of fp32's bytes",
    "int8_dynamic": "8-bit integers, activations too: the fastest on a CPU, and for GPUs",
    "float8_weight": "e4m3 (8-bit floating point), a scale for each output row: for GPUs",
    "float8_dynamic": "e4m3, activations too: for GPUs of compute capability 8.9 or more",
    "int4_weight": "4-bit integers, a scale for each 128 inputs (64 or 32, or the whole row, where "
    "those do not divide them): the fewest bytes, for generation on a GPU",
}
GPU_FORMATS = ("float8_weight", "float8_dynamic", "int4_weight")
LATENCY_ROWS, LATENCY_LENGTH = 4, 128  # a measured forward pass
LATENCY_TOKENS = LATENCY_ROWS * LATENCY_LENGTH
LENGTH_POLICY = "truncate"  # of longer rows: they calibrate as well by their beginning
MOST_RATIO = 0.99  # of units or weights; 1 would leave nothing

COMPRESSED = tuple(task for task in TASKS if task != "preference")  # that is a text model's

# A layer sees a position per token of a text or patch of an image, but one per row of a table.
CALIBRATION_ROWS = dict.fromkeys(COMPRESSED, 256) | {"text_generation": 64, "tabular": 4096}

# What a mask does not do; of masked models, wherever they are told of.
NO_GAIN = (
    "Masks alone make this model neither faster nor smaller: its tensors keep their shapes. "
    "Prune channels, heads, width or layers for that."
)

# What the latency does not tell of a format for GPUs that a CPU has made and timed.
FOR_GPU = (
    "{format} is meant for a GPU. This model was made and timed on a CPU, where each product first "
    "turns the weights back: its latency says nothing of a GPU's."
)

T = TypeVar("T", bound=Spec)


def _ratio(name: str, value: Any) -> None:
    real(name, value, 0, MOST_RATIO, "share removed; 1 would leave nothing")


@dataclass(frozen=True)
class PruneSpec(Spec):
    """What is removed so that shapes shrink: shares of units, and a number of whole layers."""

    mlp: float = 0.0  # share of each MLP's channels
    heads: float = 0.0  # share of each layer's key/value heads, with their query heads
    width: float = 0.0  # share of the hidden channels
    layers: int = 0  # whole layers
    scorer: str = "wanda"
    threshold: float = 0.1  # |w| below it is redundant; of the scorer "threshold"
    reconstruct: bool = True  # solve each reading layer again by least squares
    ridge: float = 0.01  # pull towards plain removal, relative to the inputs' mean square
    rounds: int = 1  # 1 = all at once; more = gradually, with recovery in between
    multiple_of: int = 1  # kept MLP channels and width; 64 suits GPUs
    seed: int = 0  # of the scorer "random"

    def __post_init__(self) -> None:
        for name in ("mlp", "heads", "width"):
            _ratio(f"prune.{name}", getattr(self, name))
        whole("prune.layers", self.layers, 0, 10_000, "layers")
        one_of("prune.scorer", self.scorer, SCORERS)
        real("prune.threshold", self.threshold, 0, 1e6, "size of a weight")
        truth("prune.reconstruct", self.reconstruct)
        real("prune.ridge", self.ridge, 0, 100, "of the inputs' mean square", open_low=True)
        whole("prune.rounds", self.rounds, 1, 32, "rounds")
        whole("prune.multiple_of", self.multiple_of, 1, 1024, "channels")
        whole("prune.seed", self.seed, 0, MAX_SEED, "any seed")

    @property
    def is_nothing(self) -> bool:
        return not (self.mlp or self.heads or self.width or self.layers)


@dataclass(frozen=True)
class MaskSpec(Spec):
    """Single weights set to zero. It makes nothing faster or smaller by itself, and says so."""

    ratio: float = 0.0  # share of each linear layer's weights
    threshold: float = 0.0  # instead: every |w| below it
    pattern: str = "none"  # "2:4" = two of each four inputs, as sparse tensor cores want it
    scorer: str = "magnitude"

    def __post_init__(self) -> None:
        _ratio("mask.ratio", self.ratio)
        real("mask.threshold", self.threshold, 0, 1e6, "size of a weight")
        one_of("mask.pattern", self.pattern, ("none", "2:4"))
        one_of("mask.scorer", self.scorer, ("magnitude", "wanda"))
        chosen = [bool(self.ratio), bool(self.threshold), self.pattern != "none"]
        if sum(chosen) > 1:
            raise SpecError("mask", "give one of ratio, threshold and pattern, not several.")

    @property
    def is_nothing(self) -> bool:
        return not (self.ratio or self.threshold or self.pattern != "none")


@dataclass(frozen=True)
class RecoverSpec(Spec):
    """Training of the compressed model with the dense one as teacher (Hinton et al. 2015)."""

    tokens: int = 0  # to train on; 0 = no recovery
    learning_rate: float = 1e-3  # peak, per update
    batch_size: int = 8  # examples per update
    micro_batch_tokens: int = 2048  # per forward pass
    logits: float = 1.0  # weight of KL(teacher ‖ student)
    labels: float = 0.0  # weight of the data's own cross-entropy
    hidden: float = 0.0  # weight of the squared error of hidden states, relative to their size
    temperature: float = 1.0  # of both distributions
    warmup_fraction: float = 0.1  # of all updates
    seed: int = 0

    def __post_init__(self) -> None:
        whole("recover.tokens", self.tokens, 0, 10**12, "tokens; 0 = no recovery")
        real("recover.learning_rate", self.learning_rate, 0, 100, "per update", open_low=True)
        whole("recover.batch_size", self.batch_size, 1, 65_536, "examples per update")
        whole("recover.micro_batch_tokens", self.micro_batch_tokens, 1, 16_777_216, "tokens")
        for name in ("logits", "labels", "hidden"):
            real(f"recover.{name}", getattr(self, name), 0, 1e6, "weight of a loss")
        if not (self.logits or self.labels or self.hidden):
            raise SpecError("recover", "logits, labels and hidden are all 0; weigh one of them.")
        real("recover.temperature", self.temperature, 0, 100, "of softmax", open_low=True)
        real("recover.warmup_fraction", self.warmup_fraction, 0, 1, "of all updates")
        whole("recover.seed", self.seed, 0, MAX_SEED, "any seed")


@dataclass(frozen=True)
class TargetSpec(Spec):
    """What a search has to reach, and how much quality it may lose for that.

    Each target is a share of the dense model's own figure: whoever asks for a price divides it by
    what the dense model costs first.
    """

    latency: float = 0.0  # of the dense forward pass; 0 = not asked for
    bytes: float = 0.0  # of the dense weights on disk; 0 = not asked for
    quality_loss: float = 0.1  # perplexity or error may grow, accuracy fall, by this share
    finalists: int = 3  # measured candidates
    ratios: tuple[float, ...] = (0.0, 0.25, 0.5)
    scorers: tuple[str, ...] = ("wanda",)
    formats: tuple[str, ...] = ("none", "int8_dynamic")

    def __post_init__(self) -> None:
        real("target.latency", self.latency, 0, 1, "of the dense forward pass")
        real("target.bytes", self.bytes, 0, 1, "of the dense weights")
        real("target.quality_loss", self.quality_loss, 0, 100, "share of quality lost")
        whole("target.finalists", self.finalists, 1, 64, "candidates measured")
        _each("target.ratios", self.ratios, _ratio)
        _each("target.scorers", self.scorers, lambda name, v: one_of(name, v, SCORERS))
        _each("target.formats", self.formats, lambda name, v: one_of(name, v, FORMATS))
        if not any(self.ratios) and set(self.formats) == {"none"}:
            raise SpecError(
                "target.ratios",
                "with nothing above 0, and no format but 'none', there is nothing to choose from; "
                "give ratios or formats.",
            )


NO_PRUNING, NO_MASK, NO_RECOVERY = PruneSpec(), MaskSpec(), RecoverSpec()
PARTS: dict[str, type[Spec]] = {
    "prune": PruneSpec,
    "mask": MaskSpec,
    "recover": RecoverSpec,
    "target": TargetSpec,
}


@dataclass(frozen=True)
class CompressSpec(Spec):
    """Everything that decides a compression besides the model and the data."""

    task: str = "text_generation"  # what the model was made for
    prune: PruneSpec = NO_PRUNING
    mask: MaskSpec = NO_MASK
    quantise: str = "none"
    recover: RecoverSpec = NO_RECOVERY
    target: TargetSpec | None = None  # search for the settings instead
    calibration_examples: int = 0  # rows that activations are taken from; 0 = as the task needs
    max_length: int = 1024  # tokens per example
    micro_batch_tokens: int = 2048  # per forward pass
    snapshot_every_steps: int = 50  # updates of the recovery; 0 = only when asked to
    held_out: float = field(default=0.125)  # share of the data to measure on, without an own file

    def __post_init__(self) -> None:
        for name, kind in PARTS.items():
            given = getattr(self, name)
            if isinstance(given, dict):
                object.__setattr__(self, name, _nested(name, kind, given))
            elif not isinstance(given, kind) and not (name == "target" and given is None):
                raise SpecError(name, f"{given!r} is not allowed; give a JSON object.")
        one_of("task", self.task, COMPRESSED)
        one_of("quantise", self.quantise, FORMATS)
        whole("calibration_examples", self.calibration_examples, 0, 100_000, "rows; 0 = by task")
        whole("max_length", self.max_length, 2, MAX_LENGTH, "tokens per example")
        whole("micro_batch_tokens", self.micro_batch_tokens, 1, 16_777_216, "tokens")
        whole("snapshot_every_steps", self.snapshot_every_steps, 0, 1_000_000, "updates")
        real("held_out", self.held_out, 0.01, 0.5, "of the rows")
        self._check_work()

    @property
    def calibration_rows(self) -> int:
        """Rows that activations and gradients are taken from, at most."""
        return self.calibration_examples or CALIBRATION_ROWS[self.task]

    @property
    def proxy_calibration_rows(self) -> int:
        """Of them, those that a search's first look at a cut is by."""
        return -(-self.calibration_rows // 2)

    def _check_work(self) -> None:
        fixed = not (self.prune.is_nothing and self.mask.is_nothing and self.quantise == "none")
        if self.target is None and not fixed:
            raise SpecError(
                "settings", "nothing is asked for; give prune, mask, quantise or target."
            )
        if self.target is not None and fixed:
            raise SpecError(
                "target", "a search chooses prune, mask and quantise itself; leave them out."
            )
        if not self.mask.is_nothing and self.recover.tokens:
            raise SpecError("recover.tokens", "recovery would fill a mask again; leave one out.")


def _nested(name: str, kind: type[T], given: dict[str, Any]) -> T:
    known_keys(name, given, {f.name for f in fields(kind)})  # type: ignore[arg-type]
    return kind.from_dict(given)


def _each(name: str, values: Any, check: Any) -> None:
    if not isinstance(values, tuple) or not 1 <= len(values) <= 16:
        raise SpecError(name, f"{values!r} is not allowed; give a list of 1 to 16 values.")
    for value in values:
        check(name, value)
