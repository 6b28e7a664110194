"""Texts to vectors, so that what belongs together lies close: contrastive learning.

Each anchor is to find its positive among all positives and negatives of the update, by the cosine
of their vectors: cross-entropy over cosines / temperature (InfoNCE; van den Oord et al. 2018,
arXiv:1807.03748, with in-batch negatives as Henderson et al. 2017, arXiv:1705.00652). The negatives
of an update do not depend on memory: passes that do not fit at once are recomputed one by one in
the backward pass (Gao et al. 2021, arXiv:2101.06983).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, normalize
from torch.utils.checkpoint import checkpoint
from transformers import AutoModel

from workers.engine.compression.quantise.files import plain_config, quantised_config, quantised_load
from workers.engine.data.model_files import read_json
from workers.engine.data.packing import Ints, alike
from workers.engine.data.text_pairs import Pairs, pairs_read
from workers.engine.data.tokens import Tokenizer
from workers.engine.errors import ModelError
from workers.engine.models import DTYPES, config_load, context_length, parameter_count
from workers.engine.profiles import BACKWARD_ACTIVATIONS, BACKWARD_WEIGHTS, FORWARD
from workers.engine.protocol import Numerics
from workers.engine.specs import EvaluateSpec, FineTuneSpec
from workers.engine.tasks.retrieval import Retrieval
from workers.engine.tasks.scores import Score, groups_of
from workers.engine.unfit import refuse_unfit
from workers.engine.whole import UNLOADABLE, whole_load


@dataclass(frozen=True)
class Padded:
    """Texts of similar lengths. `places`: (B,), which of the batch's; `ids`, `mask`: (B, T)."""

    places: Ints
    ids: Ints
    mask: Ints


@dataclass(frozen=True)
class PairBatch:
    """All pairs of an update, in passes. `texts`: (pairs, 3), places in `parts`; -1 = none.

    `same` says of each positive and negative, by its place, which text it is; `fits`, whether what
    all passes compute may be kept until the backward pass.
    """

    parts: tuple[Padded, ...]
    texts: Ints
    same: Ints
    tokens: int
    fits: bool

    @property
    def examples(self) -> int:
        return len(self.texts)

    @property
    def weight(self) -> int:
        return len(self.texts)


class Embeddings:
    """Pairs and triplets of texts; the loss is in nats per anchor."""

    shares_base = is_packed = False
    head: tuple[str, ...] = ()

    def __init__(self, base: Path, spec: FineTuneSpec | EvaluateSpec) -> None:
        refuse_unfit(spec)
        self.base, self.spec = base, spec
        self._tokenizer = Tokenizer.load(base)
        self._device = "cpu"  # until the model is opened

    @cached_property
    def _config(self) -> Any:
        return config_load(self.base)

    def read(self, path: Path, folder: Path, *, training: bool) -> Pairs:
        longest = min(self.spec.max_length, encoder_limit(self.base, self._config))
        policy = self.spec.length_policy
        with path.open("rb") as handle:
            found = pairs_read(handle, self._tokenizer, policy, longest, training=training)
            return Pairs.write(found, folder, vocabulary=self._config.vocab_size)

    def model(self, numerics: Numerics) -> nn.Module:
        self._device = numerics.device
        return encoder_without_head(self.base, numerics)

    def micro_batches(
        self,
        data: Pairs,
        chosen: Sequence[int],
        budget: int,
        *,
        packing: bool,
    ) -> list[PairBatch]:
        """One batch, for the pairs tell each other apart; its parts hold `budget` tokens each."""
        texts = data.texts[list(chosen)]
        used = texts[texts >= 0]
        place = {int(text): number for number, text in enumerate(used)}
        ids = [data.shards[int(text)][0] for text in used]
        known: dict[bytes, int] = {}
        groups = alike([len(each) for each in ids], budget, packing=packing, device=self._device)
        pad = self._config.pad_token_id or 0
        parts = tuple(_padded(ids, group, pad) for group in groups)
        return [
            PairBatch(
                parts=parts,
                fits=sum(part.ids.size for part in parts) <= budget,
                texts=np.array([[place.get(int(text), -1) for text in row] for row in texts]),
                same=np.array([known.setdefault(each.tobytes(), len(known)) for each in ids]),
                tokens=sum(map(len, ids)),
            )
        ]

    def loss(
        self, model: nn.Module, batch: PairBatch, device: str
    ) -> tuple[Tensor, Mapping[str, Any]]:
        return self.loss_of(self.outputs(model, batch, device), batch)

    def outputs(self, model: nn.Module, batch: PairBatch, device: str) -> Tensor:
        return vectors_of(model, batch, device)

    def loss_of(self, outputs: Tensor, batch: PairBatch) -> tuple[Tensor, Mapping[str, Any]]:
        vectors = outputs
        anchors, candidates = (side.to(vectors.device) for side in _sides(batch))
        cosines = vectors[anchors] @ vectors[candidates].t()
        numbers = torch.arange(len(candidates), device=vectors.device)
        own = numbers[: len(anchors)]
        same = torch.from_numpy(batch.same).to(vectors.device)[candidates]
        twins = (same[None] == same[own][:, None]) & (own[:, None] != numbers)
        scaled = (cosines.float() / self.spec.embeddings.temperature).masked_fill(twins, -torch.inf)
        hits = (scaled.detach().argmax(1) == own).sum()
        return cross_entropy(scaled, own, reduction="sum"), {"hits": hits}

    def scores(
        self,
        model: nn.Module,
        data: Pairs,
        budget: int,
        device: str,
        *,
        chosen: Sequence[int] | None = None,
    ) -> Iterator[Score]:
        """In groups, each told apart by itself; then how anchors find theirs among all."""
        found = Retrieval()
        for group in groups_of(data, chosen):
            (batch,) = self.micro_batches(data, group, budget, packing=True)
            with torch.inference_mode():
                vectors = vectors_of(model, batch, device)
                loss, sums = self.loss_of(vectors, batch)
                texts = data.texts[list(group)]
                found.add(vectors.cpu().numpy(), batch.texts, data.shards, texts)
            yield Score.of(batch, loss, sums)
        yield Score(sums=found.sums())

    def metrics(self, score: Score) -> dict[str, float]:
        """Loss in nats; the share of anchors that find their positive first among the others of a

        batch. On held-out data also among all of the file's (`recall_at_1`, `mrr`).
        """
        found = {"loss": score.loss, "accuracy": score.sums.get("hits", 0) / max(score.weight, 1)}
        ranked = score.sums.get("ranked", 0)
        if ranked:
            found["recall_at_1"] = score.sums["first"] / ranked
            found["recall_at_10"] = score.sums["tenth"] / ranked
            found["mrr"] = score.sums["reciprocal"] / ranked
        return found

    def flops_per_token(self, model: nn.Module, *, training: bool) -> float:
        products = FORWARD + (BACKWARD_ACTIVATIONS + BACKWARD_WEIGHTS if training else 0.0)
        return products * parameter_count(model)


def encoder_without_head(folder: Path, numerics: Numerics) -> nn.Module:
    """An encoder, less what is no part of these vectors. Raises ModelError."""
    model = encoder_load(folder, numerics)
    if getattr(model, "pooler", None) is not None:  # it would never learn
        cast("Any", model).pooler = None
    return model


def encoder_load(folder: Path, numerics: Numerics) -> nn.Module:
    """An encoder's folder, frozen, in evaluation mode.

    Raises:
        ModelError: it holds no encoder.
    """
    dtype = DTYPES[numerics.dtype]
    quantised = quantised_config(folder)
    if quantised is not None:

        def build() -> nn.Module:
            made: nn.Module = AutoModel.from_config(plain_config(folder), dtype=dtype)  # type: ignore[no-untyped-call]
            return made

        return quantised_load(folder, quantised, build, numerics.device)
    try:
        model = whole_load(AutoModel, folder, spared="pooler.", dtype=dtype)
    except UNLOADABLE as error:
        raise ModelError(f"{folder.name} is no encoder in Hugging Face layout ({error})") from error
    return model.requires_grad_(requires_grad=False).eval().to(numerics.device)


def encoder_limit(folder: Path, config: Any) -> int:
    """Tokens that an encoder takes: what it was trained for, else what it has places for."""
    stated: int | None = read_json(folder / "sentence_bert_config.json").get("max_seq_length")
    return stated or context_length(config)


def pooled(model: nn.Module, ids: Tensor, mask: Tensor) -> Tensor:
    """(B, hidden): the mean over each text's own tokens (Reimers & Gurevych 2019)."""
    hidden: Tensor = model(input_ids=ids, attention_mask=mask).last_hidden_state
    weight = mask[..., None].to(hidden.dtype)
    return (hidden * weight).sum(1) / weight.sum(1)


def vectors_of(model: nn.Module, batch: PairBatch, device: str) -> Tensor:
    """(texts, hidden), of length 1, in the batch's order."""
    found, places = [], []
    for part in batch.parts:
        ids, mask = (torch.from_numpy(given).to(device) for given in (part.ids, part.mask))
        if not batch.fits and len(batch.parts) > 1 and torch.is_grad_enabled():
            means = checkpoint(
                pooled, model, ids, mask, use_reentrant=False, preserve_rng_state=False
            )
        else:
            means = pooled(model, ids, mask)
        found.append(means)
        places.append(torch.from_numpy(part.places).to(device))
    order = torch.cat(places).argsort()
    return normalize(torch.cat(found)[order])


def _sides(batch: PairBatch) -> tuple[Tensor, Tensor]:
    """Places of anchors, and of candidates: first their positives in order, then negatives."""
    negatives = batch.texts[:, 2][batch.texts[:, 2] >= 0]
    candidates = np.concatenate([batch.texts[:, 1], negatives])
    return torch.from_numpy(batch.texts[:, 0]), torch.from_numpy(candidates)


def _padded(texts: Sequence[Ints], group: Sequence[int], pad: int) -> Padded:
    ids = np.full((len(group), max(len(texts[index]) for index in group)), pad, dtype=np.int64)
    mask = np.zeros_like(ids)
    for row, index in enumerate(group):
        ids[row, : len(texts[index])] = texts[index]
        mask[row, : len(texts[index])] = 1
    return Padded(np.array(group), ids, mask)
