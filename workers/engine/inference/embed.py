"""Vectors for texts: a BERT-type encoder, the mean over its tokens, normalised.

Source: Reimers & Gurevych 2019, arXiv:1908.10084.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

import tokenizers
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from workers.engine import devices
from workers.engine.checks import SpecError
from workers.engine.errors import ContextError, ModelError
from workers.engine.models import config_of
from workers.engine.protocol import DEFAULT_NUMERICS, Numerics
from workers.engine.specs import EmbedSpec
from workers.engine.tasks.embeddings import encoder_limit, encoder_load, pooled

DEFAULT_SPEC = EmbedSpec()


class EmbeddingModel:
    """A sentence encoder in memory.

    It gives `dimensions` numbers per vector, and takes at most `limit` tokens per text.
    """

    def __init__(self, model: nn.Module, tokenizer: tokenizers.Tokenizer, limit: int) -> None:
        tokenizer.no_padding()
        tokenizer.no_truncation()
        self._model, self._tokenizer, self.limit = model, tokenizer, limit
        self.dimensions = int(config_of(model).hidden_size)

    @classmethod
    def load(cls, folder: Path, numerics: Numerics = DEFAULT_NUMERICS) -> Self:
        """Load an encoder folder.

        Raises:
            ModelError: it holds no usable encoder.
        """
        devices.settle(numerics)
        model = encoder_load(folder, numerics)
        try:
            tokenizer = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        except Exception as error:
            raise ModelError(f"{folder.name} has no usable tokenizer.json ({error})") from error
        return cls(model, tokenizer, encoder_limit(folder, config_of(model)))

    def embed(
        self, texts: Sequence[str], spec: EmbedSpec = DEFAULT_SPEC
    ) -> tuple[list[list[float]], list[int]]:
        """One vector of length 1 per text, in order, and how many tokens each text has.

        Begin and end tokens are counted.

        Raises:
            ContextError: a text is longer than `limit` tokens.
            SpecError: more dimensions are wished than the model has.
        """
        width = spec.dimensions or self.dimensions
        if width > self.dimensions:
            raise SpecError(
                "dimensions", f"{width} is not allowed; this model has {self.dimensions}."
            )
        ids = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        self._check_lengths(ids)
        vectors: list[list[float]] = [[] for _ in ids]
        for group in _groups([len(each) for each in ids], spec.batch_tokens):
            found = normalize(self._means([ids[index] for index in group])[:, :width])
            for index, vector in zip(group, found.tolist(), strict=True):
                vectors[index] = vector
        return vectors, [len(each) for each in ids]

    def _check_lengths(self, ids: Sequence[Sequence[int]]) -> None:
        for index, each in enumerate(ids):
            if len(each) > self.limit:
                raise ContextError(
                    f"input {index} has {len(each)} tokens; this model takes at most "
                    f"{self.limit}. Split it."
                )

    @torch.inference_mode()
    def _means(self, ids: Sequence[Sequence[int]]) -> Tensor:
        """(texts, hidden): the mean over each text's own tokens."""
        longest = max(map(len, ids))
        device = next(self._model.parameters()).device
        tokens = torch.zeros(len(ids), longest, dtype=torch.long)
        mask = torch.zeros(len(ids), longest, dtype=torch.long)
        for row, each in enumerate(ids):
            tokens[row, : len(each)] = torch.tensor(each)
            mask[row, : len(each)] = 1
        return pooled(self._model, tokens.to(device), mask.to(device))


def _groups(lengths: Sequence[int], budget: int) -> Iterator[list[int]]:
    """Indices grouped so that a group, padded to its longest, has at most `budget` tokens."""
    group: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: lengths[i]):
        if group and (len(group) + 1) * lengths[index] > budget:
            yield group
            group = []
        group.append(index)
    if group:
        yield group
