"""Direct preference optimisation: make preferred outputs likelier than others, near a reference.

For a prompt x with outputs w (preferred) and l, per pair (Rafailov et al. 2023, arXiv:2305.18290,
equation 7): −log σ(β·log π(w|x)/π₀(w|x) − β·log π(l|x)/π₀(l|x)). The reference π₀ is the model as
training begins; its log-probabilities are computed once, so that no second model is kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import softplus

from workers.engine.data.dataset import Reader
from workers.engine.data.packing import Ints, Pack, pack, plan
from workers.engine.data.preferences import Preferences, preferences_read
from workers.engine.losses import losses_then
from workers.engine.models import (
    Batch,
    config_load,
    context_length,
    model_load,
    parameter_count,
    shape_of,
)
from workers.engine.profiles import FORWARD, flops_per_token
from workers.engine.protocol import Numerics
from workers.engine.specs import EvaluateSpec, FineTuneSpec
from workers.engine.tasks.scores import Score, groups_of, scores_of
from workers.engine.unfit import refuse_unfit


@dataclass(frozen=True)
class PairPack:
    """Pairs in one pack.

    `owners`: (L,), the sequence of each learned token. `reference`: (pairs, 2), in nats. `chosen`:
    (pairs,), which of the data they are.
    """

    pack: Pack
    owners: Ints
    reference: Ints
    chosen: Ints

    @property
    def examples(self) -> int:
        return len(self.chosen)

    @property
    def tokens(self) -> int:
        return self.pack.tokens

    @property
    def weight(self) -> int:
        return len(self.chosen)


class PreferenceTuning:
    """Pairs of outputs; the loss is in nats per pair, ln 2 for a model that is its reference."""

    shares_base = is_packed = True
    head: tuple[str, ...] = ()

    def __init__(self, base: Path, spec: FineTuneSpec | EvaluateSpec) -> None:
        refuse_unfit(spec)
        self.base, self.spec = base, spec

    @cached_property
    def _reader(self) -> Reader:
        config = config_load(self.base)
        return Reader.load(self.base, vocabulary=config.vocab_size, context=context_length(config))

    def read(self, path: Path, folder: Path, *, training: bool) -> Preferences:  # noqa: ARG002
        spec, text = self.spec, self._reader
        longest = min(spec.max_length, text.context)
        with path.open("rb") as handle:
            found = preferences_read(
                handle, text.tokenizer, text.template, spec.length_policy, longest
            )
            return Preferences.write(found, folder, vocabulary=text.vocabulary)

    def model(self, numerics: Numerics) -> nn.Module:
        return model_load(self.base, dtype=numerics.dtype, device=numerics.device)

    def prepare(
        self, model: nn.Module, data: Preferences, budget: int, device: str
    ) -> Iterator[Score]:
        """Ask the model, as it is now, how likely each output is: the reference."""
        data.reference = np.zeros((len(data), 2))
        for chosen in groups_of(data):
            for batch in self.micro_batches(data, chosen, budget, packing=True):
                with torch.no_grad():
                    losses, _ = losses_then(model, Batch.of(batch.pack, device), lambda each: each)
                    found = _outputs(losses, batch)
                data.reference[batch.chosen] = found.double().cpu().numpy()
                yield Score(tokens=batch.tokens)

    def micro_batches(
        self, data: Preferences, chosen: Sequence[int], budget: int, *, packing: bool
    ) -> list[PairPack]:
        """Both outputs of a pair stand in one pass."""
        assert data.reference is not None  # noqa: S101  (`prepare` comes first)
        lengths = [int(data.lengths[index]) for index in chosen]
        found = []
        for group in plan(lengths, budget, packing=packing):
            places = np.array([int(chosen[place]) for place in group])
            joined = pack([data.shards[2 * i + side] for i in places for side in (0, 1)])
            owners = np.searchsorted(np.array(joined.bounds), joined.places, side="right") - 1
            found.append(PairPack(joined, owners, data.reference[places], places))
        return found

    def loss(
        self, model: nn.Module, batch: PairPack, device: str
    ) -> tuple[Tensor, Mapping[str, Any]]:
        reference = torch.from_numpy(batch.reference).to(device)
        beta = self.spec.preference.beta

        def pair_losses(losses: Tensor) -> Tensor:
            rewards = beta * (_outputs(losses, batch) - reference.to(losses.dtype))
            return softplus(rewards[:, 1] - rewards[:, 0]).sum()

        loss, losses = losses_then(model, Batch.of(batch.pack, device), pair_losses)
        likely = _outputs(losses, batch).double()
        rewards = beta * (likely - reference)
        margins = rewards[:, 0] - rewards[:, 1]
        return loss, {
            "hits": (margins > 0).sum(),
            "margin": margins.sum(),
            "preferred": rewards[:, 0].sum(),
            "likelier": (likely[:, 0] > likely[:, 1]).sum(),
        }

    def scores(
        self,
        model: nn.Module,
        data: Preferences,
        budget: int,
        device: str,
        *,
        chosen: Sequence[int] | None = None,
    ) -> Iterator[Score]:
        return scores_of(self, model, data, budget, device, chosen=chosen)

    def metrics(self, score: Score) -> dict[str, float]:
        """Loss in nats; of the rewards β·log π/π₀: how often the preferred output's is the higher

        (`accuracy`), by how much, and that of preferred outputs; and how often the preferred output
        is the likelier one, whatever the reference.
        """
        pairs = max(score.weight, 1)
        return {
            "loss": score.loss,
            "accuracy": score.sums.get("hits", 0) / pairs,
            "reward_margin": score.sums.get("margin", 0.0) / pairs,
            "preferred_reward": score.sums.get("preferred", 0.0) / pairs,
            "likelier": score.sums.get("likelier", 0) / pairs,
        }

    def flops_per_token(self, model: nn.Module, *, training: bool) -> float:
        if training and isinstance(self.spec, FineTuneSpec):
            return flops_per_token(self.spec, shape_of(model))
        return FORWARD * parameter_count(model)


def _outputs(losses: Tensor, batch: PairPack) -> Tensor:
    """(pairs, 2): log-probabilities of whole outputs, from the losses (L,) of their tokens."""
    owners = torch.from_numpy(batch.owners).to(losses.device)
    sums = losses.new_zeros(2 * batch.examples).index_add(0, owners, losses)
    return -sums.view(-1, 2)
