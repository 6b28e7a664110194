"""A model folder's tokenizer and template, and a data file read through them into shards."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from workers.engine.data.chat import ChatTemplate
from workers.engine.data.readers import read_examples
from workers.engine.data.shards import Shards
from workers.engine.data.tokens import Tokenizer


@dataclass(frozen=True)
class Reader:
    """How texts become tokens, for a model that knows `vocabulary` of them and holds `context`."""

    tokenizer: Tokenizer
    template: ChatTemplate | None
    vocabulary: int
    context: int

    @classmethod
    def load(cls, folder: Path, *, vocabulary: int, context: int) -> Self:
        return cls(Tokenizer.load(folder), ChatTemplate.load(folder), vocabulary, context)

    def shards(self, path: Path, folder: Path, *, policy: str, max_length: int) -> Shards:
        """The examples of `path`, stored in `folder`.

        Raises:
            DataError: a row cannot be used.
        """
        longest = min(max_length, self.context)
        examples = read_examples(path, self.tokenizer, self.template, policy, longest)
        return Shards.write(examples, folder, vocabulary=self.vocabulary)
