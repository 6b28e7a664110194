"""What OpenAI's "auto" hyperparameters come to here. Pure, free of torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from workers.engine.checks import real, whole

Auto = Literal["auto"]

# OpenAI's published defaults: three passes, more for few examples, fewer for many
# (cookbook.openai.com/examples/chat_finetuning_data_prep).
TARGET_EPOCHS = 3
EPOCHS_FROM_NOTHING = 20  # of a network without weights to begin with
FEWEST_SEEN = 100
MOST_SEEN = 25_000
MOST_EPOCHS = 25

# Peak rates at one million parameters; larger models want smaller steps (fourth root), and LoRA
# about ten times the rate of full fine-tuning (Schulman et al. 2025, "LoRA Without Regret").
LORA_RATE = 5e-3
FULL_RATE = 5e-4
PREFERENCE_SHARE = 0.1  # of them: a preference moves a model that can write already
FEWEST_AT_ONCE = {"embeddings": 32}  # whose examples are told apart within an update
RATES = {  # networks without weights to begin with, whatever their number
    "tabular": 1e-2,
    "image_classification": 2e-3,
    "audio_classification": 2e-3,
}


@dataclass(frozen=True)
class Hyperparameters:
    """Resolved numbers: `learning_rate` is the peak rate that `learning_rate_multiplier` scales.

    `reasons` say for people, by the setting's name, why a number that was left to us is what it is.
    """

    n_epochs: int
    batch_size: int
    learning_rate_multiplier: float
    learning_rate: float
    reasons: Mapping[str, str] = field(default_factory=dict)


def resolve_auto(
    *,
    examples: int,
    parameters: int,
    method: str,
    task: str = "text_generation",
    n_epochs: int | Auto = "auto",
    batch_size: int | Auto = "auto",
    learning_rate_multiplier: float | Auto = "auto",
) -> Hyperparameters:
    """Choose what was left to us, from the number of training examples and the base's parameters.

    Raises:
        SpecError: a given value is not allowed; its field is OpenAI's name of it.
    """
    target = TARGET_EPOCHS if parameters else EPOCHS_FROM_NOTHING
    epochs = auto_epochs(examples, target) if n_epochs == "auto" else n_epochs
    fewest = FEWEST_AT_ONCE.get(task, 1)
    batch = max(fewest, min(64, examples // 50)) if batch_size == "auto" else batch_size
    multiplier = 1.0 if learning_rate_multiplier == "auto" else learning_rate_multiplier
    whole("n_epochs", epochs, 1, 1000, "passes over the data, or 'auto'")
    whole("batch_size", batch, 1, 65_536, "examples per update, or 'auto'")
    real("learning_rate_multiplier", multiplier, 0, 1000, "or 'auto'", open_low=True)
    rate = (LORA_RATE if method == "lora" else FULL_RATE) * (max(parameters, 1) / 1e6) ** -0.25
    if task == "preference":
        rate *= PREFERENCE_SHARE
    if not parameters:
        rate = RATES.get(task, rate)
    reasons = {
        "epochs": _why_epochs(examples, target) if n_epochs == "auto" else "",
        "batch_size": _why_batch(fewest) if batch_size == "auto" else "",
        "learning_rate": _why_rate(method, task, parameters, float(multiplier)),
    }
    return Hyperparameters(
        epochs,
        batch,
        float(multiplier),
        rate * multiplier,
        {name: why for name, why in reasons.items() if why},
    )


def _why_rate(method: str, task: str, parameters: int, multiplier: float) -> str:
    usual = f"usual for {'LoRA' if method == 'lora' else 'full training'} of {parameters:,} weights"
    if not parameters:
        usual = "usual for a network that begins without weights"
    elif task == "preference":
        usual = f"a tenth of what is {usual}: it can write already"
    return usual if multiplier == 1 else f"{multiplier:g} times what is {usual}"


def _why_batch(fewest: int) -> str:
    if fewest > 1:
        return f"one for every 50 examples, {fewest} to 64: they are told apart within an update"
    return "one for every 50 examples, 1 to 64"


def _why_epochs(examples: int, target: int) -> str:
    if examples * target < FEWEST_SEEN:
        return f"so that {FEWEST_SEEN} examples are seen, in at most {MOST_EPOCHS} passes"
    if examples * target > MOST_SEEN:
        return f"so that about {MOST_SEEN:,} examples are seen"
    return "the usual number of passes"


def auto_epochs(examples: int, target: int = TARGET_EPOCHS) -> int:
    """So many passes, unless that shows the model under 100 or over 25,000 examples."""
    if examples * target < FEWEST_SEEN:
        return min(MOST_EPOCHS, -(-FEWEST_SEEN // max(examples, 1)))
    if examples * target > MOST_SEEN:
        return max(1, MOST_SEEN // examples)
    return target
