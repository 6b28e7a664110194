"""Model cards in Hugging Face's form (https://huggingface.co/docs/hub/model-cards). Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

BEFORE = "dense_"  # what a compressed model's figures of its dense parent begin with


@dataclass(frozen=True)
class Use:
    """How a task's models are found on a hub, and how FOLDER is loaded."""

    pipeline: str
    library: str
    imports: str
    load: str


def _of_transformers(pipeline: str, kind: str) -> Use:
    name = f"AutoModel{kind}"
    load = f"model = {name}.from_pretrained(FOLDER)"
    return Use(pipeline, "transformers", f"from transformers import {name}", load)


LANGUAGE_MODEL = _of_transformers("text-generation", "ForCausalLM")
USES = {
    "text_classification": _of_transformers("text-classification", "ForSequenceClassification"),
    "image_classification": _of_transformers("image-classification", "ForImageClassification"),
    "audio_classification": _of_transformers("audio-classification", "ForAudioClassification"),
    "embeddings": Use(
        "sentence-similarity",
        "sentence-transformers",
        "from sentence_transformers import SentenceTransformer",
        "model = SentenceTransformer(FOLDER)",
    ),
    "tabular": Use(
        "other",  # classes or a quantity, as the table had it
        "breakwater",
        "from workers.engine.inference.tables import TableModel",
        "model = TableModel.load(FOLDER)",
    ),
}
ADAPTER = Use(
    "text-generation",
    "peft",
    "from transformers import AutoModelForCausalLM\nfrom peft import PeftModel",
    "model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(BASE), FOLDER)",
)


@dataclass(frozen=True)
class Card:
    """What a model's README tells of it."""

    name: str
    kind: str  # adapter, full, …
    base_id: str
    licence: str
    code_version: str
    job_id: str = ""
    dataset_id: str = ""
    parent: str = ""
    spec: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, float] = field(default_factory=dict)
    notes: Sequence[str] = ()  # what the figures do not show by themselves


def card_text(card: Card) -> str:
    """The README.md of a model's folder."""
    use = ADAPTER if card.kind == "adapter" else USES.get(card.spec.get("task", ""), LANGUAGE_MODEL)
    lineage = {
        "Base": card.base_id,
        "Continues": card.parent,
        "Job": card.job_id,
        "Dataset": card.dataset_id,
        "Made by": f"Breakwater {card.code_version}",
    }
    return f"""\
---
base_model: {json.dumps(card.base_id)}
license: {json.dumps(card.licence)}
library_name: {use.library}
pipeline_tag: {use.pipeline}
---
# {card.name}

{_lines(lineage)}

## Figures

{_figures(card.metrics)}{"".join(f"{chr(10) * 2}{note}" for note in card.notes)}

## Settings

```json
{json.dumps(card.spec, indent=2, sort_keys=True)}
```

## Use

```python
{use.imports}

{use.load}
```
"""


def _figures(metrics: Mapping[str, float]) -> str:
    """A line per figure; of a compressed model, a table of what was and what is."""
    before = {n.removeprefix(BEFORE): v for n, v in metrics.items() if n.startswith(BEFORE)}
    if not before:
        return _lines({name: f"{value:.6g}" for name, value in sorted(metrics.items())})
    rows = [
        f"| {name} | {value:.6g} | {metrics[name]:.6g} |"
        for name, value in sorted(before.items())
        if name in metrics
    ]
    return "\n".join(["| figure | before | after |", "|---|---|---|", *rows])


def _lines(pairs: Mapping[str, str]) -> str:
    return "\n".join(f"- {name}: {value}" for name, value in pairs.items() if value) or "- none"
