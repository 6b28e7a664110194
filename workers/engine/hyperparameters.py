"""What OpenAI's "auto" hyperparameters come to here. Pure, free of torch."""

from __future__ import annotations

from dataclasses import dataclass
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
    """Resolved numbers: `learning_rate` is the peak rate that `learning_rate_multiplier` scales."""

    n_epochs: int
    batch_size: int
    learning_rate_multiplier: float
    learning_rate: float


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
    epochs = n_epochs
    if epochs == "auto":
        epochs = auto_epochs(examples, TARGET_EPOCHS if parameters else EPOCHS_FROM_NOTHING)
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
    return Hyperparameters(epochs, batch, float(multiplier), rate * multiplier)


def auto_epochs(examples: int, target: int = TARGET_EPOCHS) -> int:
    """So many passes, unless that shows the model under 100 or over 25,000 examples."""
    if examples * target < FEWEST_SEEN:
        return min(MOST_EPOCHS, -(-FEWEST_SEEN // max(examples, 1)))
    if examples * target > MOST_SEEN:
        return max(1, MOST_SEEN // examples)
    return target
