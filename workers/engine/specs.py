"""Typed settings of every engine job, checked on construction.

Free of torch, so that the API can check too.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any, Self

from workers.engine.checks import SpecError, known_keys, one_of, real, truth, whole, words

__all__ = [
    "EmbedSpec",
    "EmbeddingsSpec",
    "EvaluateSpec",
    "FineTuneSpec",
    "GenerateSpec",
    "LoraSpec",
    "PreferenceSpec",
    "SpecError",
    "TabularSpec",
]

TASKS = (
    "audio_classification",
    "embeddings",
    "image_classification",
    "preference",
    "tabular",
    "text_classification",
    "text_generation",
)
MAX_SEED = 2**63 - 1
MAX_LENGTH = 1_048_576
PRECISIONS = ("auto", "float32", "bfloat16", "float16")
ADAPTED_TASKS = ("text_generation", "preference")  # whose base may stay as it is
SPREAD_TASKS = ("text_generation", "preference", "text_classification")  # of `processes`
CHECKPOINTING = ("none", "selective", "full")
OPTIMISERS = ("sgd", "adam", "adamw", "adamw_8bit")
NF4, ADAMW_8BIT = "nf4", "adamw_8bit"
FEW_BITS = {"quantise_base": NF4, "optimiser": ADAMW_8BIT}  # settings that spare a GPU's memory
NF4_NOTE = (
    "The adapter was trained over its base in 4 bits (NF4), and the figures are of both. It is "
    "served over the base itself, whose weights are whole."
)
# What a model is called for, where its task has another name.
SERVED_AS = {"embeddings": "embedding", "preference": "text_generation"}


def served_as(task: str) -> str:
    """What a model made by a task is called for."""
    return SERVED_AS.get(task, task)


class _Spec:
    """JSON in and out, shared by all settings."""

    def to_dict(self) -> dict[str, Any]:
        """This spec as plain JSON values; `from_dict` restores an equal one."""
        return {k: _plain(v) for k, v in asdict(self).items()}  # type: ignore[call-overload]

    @classmethod
    def from_dict(cls, given: dict[str, Any]) -> Self:
        """The spec that `given` describes; missing keys take their defaults.

        Raises:
            SpecError: an unknown key, or a value that is not allowed.
        """
        known_keys("", given, {f.name for f in fields(cls)})  # type: ignore[arg-type]
        return cls(**{key: _tuple(value) for key, value in given.items()})


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items()}
    return [_plain(v) for v in value] if isinstance(value, (list, tuple)) else value


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


@dataclass(frozen=True)
class LoraSpec(_Spec):
    """A low-rank adapter's shape (Hu et al. 2021, arXiv:2106.09685): W + scale · B·A."""

    rank: int = 16  # columns of B
    alpha: float = 32.0  # scale numerator
    target_modules: str | tuple[str, ...] = "auto"  # "auto" = every linear layer of the blocks
    dropout: float = 0.0  # probability, on the adapter's input
    use_rslora: bool = False  # scale alpha / √rank (Kalajdzievski 2023, arXiv:2312.03732)
    use_dora: bool = False  # each row's length is learned apart (Liu et al. 2024, arXiv:2402.09353)

    @property
    def scale(self) -> float:
        """What B·A is multiplied by: alpha / rank, or alpha / √rank."""
        return self.alpha / (math.sqrt(self.rank) if self.use_rslora else self.rank)

    def __post_init__(self) -> None:
        whole("lora.rank", self.rank, 1, 1024, "columns")
        real("lora.alpha", self.alpha, 0, 65536, "scale numerator", open_low=True)
        real("lora.dropout", self.dropout, 0, 0.9, "probability")
        truth("lora.use_rslora", self.use_rslora)
        truth("lora.use_dora", self.use_dora)
        if self.target_modules == "auto":
            return
        if not self.target_modules or isinstance(self.target_modules, str):
            raise SpecError(
                "lora.target_modules",
                f"{self.target_modules!r} is not allowed; give 'auto' or a list of module names.",
            )
        words("lora.target_modules", self.target_modules, at_most=64, longest=128)


DEFAULT_LORA = LoraSpec()


# Hidden layers by name; "seed" is the network of the founding example, 10-5-3-1 with ten features.
PRESETS = {"linear": (), "seed": (5, 3), "small": (32, 16), "medium": (128, 64)}
MOST_WIDTH = 4096
MOST_NAME = 200


@dataclass(frozen=True)
class TabularSpec(_Spec):
    """What is learned from a table, and by which network."""

    target: str = ""  # the column to predict; "" = the last
    problem: str = "auto"  # regression or classification; "auto" = by the target's values
    hidden: str | tuple[int, ...] = "small"  # units of the hidden layers, or a preset's name

    def __post_init__(self) -> None:
        if not isinstance(self.target, str):
            raise SpecError("tabular.target", f"{self.target!r} is not allowed; name a column.")
        if len(self.target) > MOST_NAME:
            raise SpecError("tabular.target", f"a column's name has at most {MOST_NAME} letters.")
        one_of("tabular.problem", self.problem, ("auto", "regression", "classification"))
        if isinstance(self.hidden, str):
            one_of("tabular.hidden", self.hidden, PRESETS)
            return
        if not isinstance(self.hidden, tuple) or len(self.hidden) > 16:
            raise SpecError("tabular.hidden", "give at most 16 layers, or a preset's name.")
        for units in self.hidden:
            whole("tabular.hidden", units, 1, MOST_WIDTH, "units of a layer")


DEFAULT_TABULAR = TabularSpec()


@dataclass(frozen=True)
class EmbeddingsSpec(_Spec):
    """How texts that belong together are told from others."""

    temperature: float = 0.05  # cosines are divided by it

    def __post_init__(self) -> None:
        real("embeddings.temperature", self.temperature, 1e-3, 10, "divides cosines")


DEFAULT_EMBEDDINGS = EmbeddingsSpec()


@dataclass(frozen=True)
class PreferenceSpec(_Spec):
    """How preferred outputs are told from others (DPO)."""

    beta: float = 0.1  # the higher, the nearer the model stays to its reference

    def __post_init__(self) -> None:
        real("preference.beta", self.beta, 0, 10, "nearness to the reference", open_low=True)


DEFAULT_PREFERENCE = PreferenceSpec()

_OF_TASKS = {
    "tabular": TabularSpec,
    "embeddings": EmbeddingsSpec,
    "preference": PreferenceSpec,
}


@dataclass(frozen=True)
class FineTuneSpec(_Spec):
    """Everything that decides a fine-tune besides the base model and the data."""

    task: str = "text_generation"
    method: str = "lora"
    lora: LoraSpec = DEFAULT_LORA
    quantise_base: str = "none"  # nf4: its frozen layers in 4 bits (QLoRA); LoRA only
    tabular: TabularSpec = DEFAULT_TABULAR  # tables only
    embeddings: EmbeddingsSpec = DEFAULT_EMBEDDINGS  # pairs of texts only
    preference: PreferenceSpec = DEFAULT_PREFERENCE  # pairs of outputs only
    optimiser: str = "adamw"  # adamw_8bit: with its moments in 8 bits; full only
    learning_rate: float = 1e-3  # peak, per update
    weight_decay: float = 0.0  # per update; decoupled for AdamW, else L2
    betas: tuple[float, float] = (0.9, 0.999)  # Adam, AdamW
    momentum: float = 0.0  # SGD
    epochs: int = 3  # passes over the data
    batch_size: int = 8  # examples per update
    micro_batch_tokens: int = 2048  # per forward pass; changes speed and memory, not the result
    max_length: int = 1024  # tokens per example
    length_policy: str = "error"  # what to do with a longer example
    warmup_fraction: float = 0.0  # of all updates
    schedule: str = "linear"  # after the warm-up
    gradient_clip: float = 1.0  # largest gradient norm; 0 = never clip
    dtype: str = "auto"  # of products; "auto": fp32 on a CPU, what is fastest on an accelerator
    processes: int = 1  # that train it together, where its worker has so many; not the result
    packing: bool = True  # several examples in one forward pass, without attention across them
    activation_checkpointing: str = "none"  # selective: cheap parts are recomputed; full: blocks
    seed: int = 0
    snapshot_every_steps: int = 50  # updates; 0 = only when asked to
    evaluate_each_epoch: bool = True  # validation before training and at each epoch's end
    patience: int = 0  # epochs without a better validation loss before an early stop; 0 = never

    def __post_init__(self) -> None:
        one_of("task", self.task, TASKS)
        one_of("method", self.method, ("lora", "full"))
        _nest(self, lora=LoraSpec, **_OF_TASKS)
        one_of("quantise_base", self.quantise_base, ("none", NF4))
        self._check_optimiser()
        self._check_batches()
        one_of("activation_checkpointing", self.activation_checkpointing, CHECKPOINTING)
        one_of("dtype", self.dtype, PRECISIONS)
        self._check_processes()
        self._check_few_bits()
        whole("seed", self.seed, 0, MAX_SEED, "any seed")
        whole(
            "snapshot_every_steps",
            self.snapshot_every_steps,
            0,
            1_000_000,
            "updates; 0 = on request",
        )
        truth("evaluate_each_epoch", self.evaluate_each_epoch)
        whole("patience", self.patience, 0, 1000, "epochs; 0 = never stop early")
        if self.patience and not self.evaluate_each_epoch:
            raise SpecError("patience", "needs evaluate_each_epoch: it watches validation losses.")

    def _check_processes(self) -> None:
        whole("processes", self.processes, 1, 64, "that train together")
        if self.processes > 1 and self.task not in SPREAD_TASKS:
            raise SpecError("processes", f"only {', '.join(SPREAD_TASKS)} can be spread over some.")

    def _check_few_bits(self) -> None:
        """What is kept in few bits goes with one method each, and with one process."""
        if self.quantise_base == NF4 and self.task not in ADAPTED_TASKS:
            raise SpecError(
                "quantise_base",
                f"'nf4' needs a base that stays as it is, and {self.task} trains all of it; leave "
                "quantise_base out.",
            )
        if self.quantise_base == NF4 and self.method != "lora":
            raise SpecError(
                "quantise_base",
                "'nf4' needs a base that stays as it is, and 'full' trains all of it; give the "
                "method 'lora', or leave quantise_base out.",
            )
        if self.optimiser == ADAMW_8BIT and self.method != "full":
            raise SpecError(
                "optimiser",
                "'adamw_8bit' is for the method 'full': an adapter's moments are few, and stay "
                "exact; give 'adamw'.",
            )
        for name, value in FEW_BITS.items():
            if self.processes > 1 and getattr(self, name) == value:
                raise SpecError(
                    name, f"{value!r} cannot be spread over processes; give processes 1."
                )

    def _check_optimiser(self) -> None:
        one_of("optimiser", self.optimiser, OPTIMISERS)
        real("learning_rate", self.learning_rate, 0, 100, "per update", open_low=True)
        real("weight_decay", self.weight_decay, 0, 10, "per update")
        if not isinstance(self.betas, tuple) or len(self.betas) != 2:
            raise SpecError("betas", f"{self.betas!r} is not allowed; give two numbers.")
        for beta in self.betas:
            real("betas", beta, 0, 0.999999, "decay of the running means")
        real("momentum", self.momentum, 0, 0.999999, "decay of the running sum")
        real("warmup_fraction", self.warmup_fraction, 0, 1, "of all updates")
        one_of("schedule", self.schedule, ("constant", "linear", "cosine"))
        real("gradient_clip", self.gradient_clip, 0, 1e6, "gradient norm; 0 = never clip")

    def _check_batches(self) -> None:
        whole("epochs", self.epochs, 1, 1000, "passes over the data")
        whole("batch_size", self.batch_size, 1, 65_536, "examples per update")
        whole(
            "micro_batch_tokens", self.micro_batch_tokens, 1, 16_777_216, "tokens per forward pass"
        )
        whole("max_length", self.max_length, 2, MAX_LENGTH, "tokens per example")
        one_of("length_policy", self.length_policy, ("error", "truncate", "split"))
        truth("packing", self.packing)


@dataclass(frozen=True)
class EvaluateSpec(_Spec):
    """How a model is measured on a dataset, by its task's metrics."""

    task: str = "text_generation"
    micro_batch_tokens: int = 4096  # tokens per forward pass
    max_length: int = 1024  # tokens per example
    length_policy: str = "truncate"
    tabular: TabularSpec = DEFAULT_TABULAR  # tables only
    embeddings: EmbeddingsSpec = DEFAULT_EMBEDDINGS  # pairs of texts only
    preference: PreferenceSpec = DEFAULT_PREFERENCE  # pairs of outputs only

    def __post_init__(self) -> None:
        one_of("task", self.task, TASKS)
        _nest(self, **_OF_TASKS)
        whole(
            "micro_batch_tokens", self.micro_batch_tokens, 1, 16_777_216, "tokens per forward pass"
        )
        whole("max_length", self.max_length, 2, MAX_LENGTH, "tokens per example")
        one_of("length_policy", self.length_policy, ("error", "truncate", "split"))


def _nest(spec: FineTuneSpec | EvaluateSpec, **kinds: type[Any]) -> None:
    """Settings inside settings, given as JSON objects, become what they are called."""
    for name, kind in kinds.items():
        given = getattr(spec, name)
        if isinstance(given, dict):
            known_keys(name, given, {f.name for f in fields(kind)})
            object.__setattr__(spec, name, kind.from_dict(given))
        elif not isinstance(given, kind):
            raise SpecError(name, f"{given!r} is not allowed; give a JSON object.")


@dataclass(frozen=True)
class GenerateSpec(_Spec):
    """How one completion is drawn; the meanings are OpenAI's.

    https://platform.openai.com/docs/api-reference/chat/create
    """

    max_tokens: int | None = None  # None = as many as the model's context still holds
    temperature: float = 1.0  # 0 = greedy
    top_p: float = 1.0  # probability mass kept
    top_k: int = 0  # tokens kept; 0 = all
    seed: int | None = None  # None = different each time
    stop: tuple[str, ...] = ()  # texts that end the completion and are not part of it
    frequency_penalty: float = 0.0  # per earlier occurrence
    presence_penalty: float = 0.0  # once if it occurred
    logit_bias: tuple[tuple[int, float], ...] = ()  # (token id, added to its logit)
    logprobs: int | None = None  # None = none; n = the token's own and the n most likely ones'

    def __post_init__(self) -> None:
        if self.max_tokens is not None:
            whole("max_tokens", self.max_tokens, 1, MAX_LENGTH, "tokens")
        real("temperature", self.temperature, 0, 2, "0 = greedy")
        real("top_p", self.top_p, 0, 1, "probability mass", open_low=True)
        whole("top_k", self.top_k, 0, MAX_LENGTH, "tokens; 0 = all")
        if self.seed is not None:
            whole("seed", self.seed, -(2**63), MAX_SEED, "any seed")
        words("stop", self.stop, at_most=4, longest=4096)
        real("frequency_penalty", self.frequency_penalty, -2, 2, "per earlier occurrence")
        real("presence_penalty", self.presence_penalty, -2, 2, "once if it occurred")
        if self.logprobs is not None:
            whole("logprobs", self.logprobs, 0, 20, "alternatives per token")
        self._check_bias()

    def _check_bias(self) -> None:
        if not isinstance(self.logit_bias, tuple) or len(self.logit_bias) > 1024:
            raise SpecError("logit_bias", "give at most 1024 pairs of token id and bias.")
        object.__setattr__(self, "logit_bias", tuple(map(_pair, self.logit_bias)))


def _pair(given: Any) -> tuple[int, float]:
    if not isinstance(given, (tuple, list)) or len(given) != 2:
        raise SpecError("logit_bias", f"{given!r} is not a pair of token id and bias.")
    token, bias = given
    whole("logit_bias", token, 0, 2**31, "token id")
    real("logit_bias", bias, -100, 100, "added to the token's logit")
    return token, float(bias)


@dataclass(frozen=True)
class EmbedSpec(_Spec):
    """How texts become vectors."""

    dimensions: int | None = None  # None = the model's own; fewer = the first, normalised again
    batch_tokens: int = 8192  # padded tokens per forward pass

    def __post_init__(self) -> None:
        if self.dimensions is not None:
            whole("dimensions", self.dimensions, 1, 65_536, "numbers per vector")
        whole("batch_tokens", self.batch_tokens, 1, 1_048_576, "padded tokens per forward pass")
