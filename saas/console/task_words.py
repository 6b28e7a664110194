"""What can be learned, in a reader's words: what a task needs, and by what figure it is judged."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from django.utils.translation import gettext_lazy as _

from saas.console.words import Word


@dataclass(frozen=True)
class TaskWords:
    """One task: its name, what it learns, the data it reads and a line of them; how many methods.

    `metric` is the held-out figure that its curve shows, `metric_name` what it is called;
    `baseline` says what is plainly reached without learning.
    """

    name: Word
    learns: Word
    data: Word
    example: str
    metric: str
    metric_name: Word
    baseline: Word
    has_adapters: bool = False


UNTOUCHED = _("The untouched model")
MOST_FREQUENT = _("Always the most frequent class")

TASKS: Mapping[str, TaskWords] = {
    "text_generation": TaskWords(
        _("Write text"),
        _("Answers as in your examples."),
        _("JSONL, a line an example: chats, prompts with completions, or texts."),
        '{"messages": [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}]}',
        "validation_perplexity",
        _("Perplexity"),
        UNTOUCHED,
        has_adapters=True,
    ),
    "preference": TaskWords(
        _("Prefer (DPO)"),
        _("Prefers one of two outputs, as you do."),
        _("JSONL, a line a pair: an input, a preferred output and one that is not."),
        '{"prompt": "…", "chosen": "…", "rejected": "…"}',
        "validation_likelier",
        _("Preferred output likelier"),
        UNTOUCHED,
        has_adapters=True,
    ),
    "text_classification": TaskWords(
        _("Classify texts"),
        _("Tells which class a text belongs to."),
        _("JSONL, a line a text with its class; two classes at least, of two texts each."),
        '{"text": "…", "label": "…"}',
        "validation_accuracy",
        _("Accuracy"),
        MOST_FREQUENT,
    ),
    "embeddings": TaskWords(
        _("Embed texts"),
        _("Vectors that lie close where texts belong together."),
        _("JSONL, a line a pair of texts, perhaps with one that does not belong."),
        '{"anchor": "…", "positive": "…"}',
        "validation_mrr",
        _("Mean reciprocal rank"),
        UNTOUCHED,
    ),
    "image_classification": TaskWords(
        _("Classify images"),
        _("Tells what an image shows."),
        _("A zip archive with a folder a class, or JSONL with data URLs."),
        "cats/1.png, dogs/2.png",
        "validation_accuracy",
        _("Accuracy"),
        MOST_FREQUENT,
    ),
    "audio_classification": TaskWords(
        _("Classify recordings"),
        _("Tells what a recording says or sounds like."),
        _("A zip archive with a folder a class (WAV, FLAC), or JSONL with data URLs."),
        "yes/1.wav, no/2.wav",
        "validation_accuracy",
        _("Accuracy"),
        MOST_FREQUENT,
    ),
    "tabular": TaskWords(
        _("Predict from tables"),
        _("A column from all others: a number or a class."),
        _("CSV with a header, or Parquet."),
        "age,bmi,target",
        "validation_mse",
        _("Mean squared error"),
        _("Always the mean"),
    ),
}
PRESETS: Mapping[str, Word] = {
    "small": _("32–16: for most tables"),
    "seed": _("5–3: the founding example, 10-5-3-1 with ten columns"),
    "medium": _("128–64: for many rows"),
    "linear": _("None: a linear model"),
}
PROBLEMS: Mapping[str, Word] = {
    "auto": _("By the column's values"),
    "regression": _("A number"),
    "classification": _("A class"),
}
SETTINGS: Mapping[str, tuple[Word, Word]] = {  # what was left to us, and how it was chosen
    "epochs": (
        _("Passes over the data"),
        _("The usual number; more where there are few examples, fewer where there are many."),
    ),
    "batch_size": (
        _("Examples per update"),
        _("One for every 50 examples, up to 64; more where they are told apart by each other."),
    ),
    "learning_rate": (
        _("Learning rate"),
        _("What is usual for the method and the model's size, times your multiplier."),
    ),
    "max_length": (_("Longest example"), _("What the model can read.")),
}
