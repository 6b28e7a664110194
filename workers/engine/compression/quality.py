"""How good a model is, in the one figure that a compression may only worsen so far. Torch-free."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

LEAST = 1e-12  # a figure of zero would make any change infinite


@dataclass(frozen=True)
class Quality:
    """One metric by its name, and whether more of it is better."""

    metric: str
    is_gain: bool

    def loss(self, before: float, after: float) -> float:
        """The share by which it got worse: an error's growth, a gain's fall. Below 0: better."""
        change = (after - before) / max(abs(before), LEAST)
        return -change if self.is_gain else change


# Told by the first of these that a task measures.
QUALITIES = (
    Quality("perplexity", is_gain=False),  # of texts
    Quality("mse", is_gain=False),  # of a table's quantity
    Quality("mrr", is_gain=True),  # of embeddings: the mean reciprocal rank of what belongs
    Quality("accuracy", is_gain=True),  # of classes
)


def quality_of(metrics: Mapping[str, float]) -> Quality:
    """By what a model with these metrics is judged.

    Raises:
        KeyError: it has no such metric.
    """
    for quality in QUALITIES:
        if quality.metric in metrics:
            return quality
    raise KeyError(f"none of {', '.join(q.metric for q in QUALITIES)} was measured")


def quality_lost(metrics: Mapping[str, float]) -> float:
    """The share lost between a compression's `dense_…` figure and its own."""
    quality = quality_of(metrics)
    return quality.loss(metrics[f"dense_{quality.metric}"], metrics[quality.metric])
