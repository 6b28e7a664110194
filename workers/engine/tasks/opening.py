"""The task that a spec names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from workers.engine.specs import EvaluateSpec, FineTuneSpec
from workers.engine.tasks.embeddings import Embeddings
from workers.engine.tasks.preference import PreferenceTuning
from workers.engine.tasks.sample_classification import AudioClassification, ImageClassification
from workers.engine.tasks.tabular import Tabular
from workers.engine.tasks.task import Task
from workers.engine.tasks.text_classification import TextClassification
from workers.engine.tasks.text_generation import TextGeneration

_TASKS: Mapping[str, Callable[[Path, Any], Task]] = {
    "audio_classification": AudioClassification,
    "embeddings": Embeddings,
    "image_classification": ImageClassification,
    "preference": PreferenceTuning,
    "tabular": Tabular,
    "text_classification": TextClassification,
    "text_generation": TextGeneration,
}


def task_open(base: Path, spec: FineTuneSpec | EvaluateSpec) -> Task:
    """The task that `spec` names, over the base folder."""
    return _TASKS[spec.task](base, spec)
