"""From logits to the next token: bias, penalties, temperature, top-k, top-p, and a seeded draw."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import torch
from torch import Tensor

from workers.engine.specs import GenerateSpec


@dataclass(frozen=True)
class Choice:
    """The token drawn, with log-probabilities under the model alone.

    `logprob` is its own; `top` pairs the likeliest tokens with theirs.
    """

    token: int
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()


@dataclass
class Sampler:
    """Draws one completion's tokens. The same seed and logits give the same tokens."""

    spec: GenerateSpec
    counts: Counter[int] = field(default_factory=Counter)
    generator: torch.Generator = field(default_factory=torch.Generator)

    def __post_init__(self) -> None:
        if self.spec.seed is None:
            self.generator.seed()
        else:
            self.generator.manual_seed(self.spec.seed)

    def draw(self, logits: Tensor) -> Choice:
        """The next token for `logits` (vocabulary,); it counts for later penalties."""
        raw = logits.float().cpu()
        shaped = self._adjusted(raw)
        if self.spec.temperature == 0:
            token = int(shaped.argmax())
        else:
            token = self._drawn(probabilities(shaped, self.spec))
        self.counts[token] += 1
        return _choice(token, raw, self.spec.logprobs)

    def _adjusted(self, logits: Tensor) -> Tensor:
        """Logits after bias and penalties (OpenAI: z − n·frequency − [n > 0]·presence)."""
        spec = self.spec
        seen = self.counts if spec.frequency_penalty or spec.presence_penalty else {}
        if not spec.logit_bias and not seen:
            return logits
        logits = logits.clone()
        for token, bias in spec.logit_bias:
            if token < len(logits):
                logits[token] += bias
        for token, times in seen.items():
            logits[token] -= times * spec.frequency_penalty + spec.presence_penalty
        return logits

    def _drawn(self, weights: Tensor) -> int:
        """One token by inverting the cumulative distribution at a uniform number."""
        totals = weights.double().cumsum(0)
        point = torch.rand((), dtype=torch.float64, generator=self.generator) * totals[-1]
        token = int(torch.searchsorted(totals, point, right=True))
        return min(token, int(weights.nonzero()[-1]))


def probabilities(logits: Tensor, spec: GenerateSpec) -> Tensor:
    """(vocabulary,): the distribution to draw from.

    What top-k and top-p leave out is 0, the rest sums to 1. Top-p keeps the fewest likeliest tokens
    whose mass reaches it (Holtzman et al. 2020, arXiv:1904.09751).
    """
    scaled = (logits - logits.max()) / spec.temperature
    if spec.top_k and spec.top_k < len(scaled):
        least = scaled.topk(spec.top_k).values[-1]
        scaled = scaled.masked_fill(scaled < least, -torch.inf)
    weights = scaled.softmax(0)
    if spec.top_p < 1:
        ordered, order = weights.sort(descending=True, stable=True)
        before = ordered.cumsum(0) - ordered
        weights = weights.index_fill(0, order[before >= spec.top_p], 0.0)
    return weights / weights.sum()


def _choice(token: int, raw: Tensor, wanted: int | None) -> Choice:
    if wanted is None:
        return Choice(token)
    logs = raw.log_softmax(0)
    best = logs.topk(min(wanted, len(logs))) if wanted else None
    top = tuple(zip(best.indices.tolist(), best.values.tolist(), strict=True)) if best else ()
    return Choice(token, float(logs[token]), top)
