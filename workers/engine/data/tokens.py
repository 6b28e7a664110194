"""A model's tokenizer: texts to token ids, counts, and loss masks.

Uses `tokenizers` alone, free of torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Self

import tokenizers

from workers.engine.data.chat import Segment
from workers.engine.data.model_files import read_json, special_texts
from workers.engine.data.shield import Shield
from workers.engine.errors import DataError, ModelError

Encoded = tuple[list[int], list[int]]  # token ids; 1 where the token is to be learned


class Tokenizer:
    """The `tokenizer.json` of a Hugging Face folder, with the begin and end tokens it names."""

    def __init__(self, core: tokenizers.Tokenizer, *, eos_ids: Sequence[int]) -> None:
        core.no_truncation()
        core.no_padding()
        self._core = core
        self._literal: tokenizers.Tokenizer | None = None
        added = core.get_added_tokens_decoder().values()
        self.shield = Shield(token.content for token in added if token.special)
        self.eos_ids = tuple(eos_ids)
        opening = core.encode("", add_special_tokens=True).ids
        self.bos_id = opening[0] if opening and opening[0] not in self.eos_ids else None

    @classmethod
    def load(cls, folder: Path) -> Self:
        """The tokenizer of a model folder.

        Raises:
            ModelError: the folder has no usable `tokenizer.json`.
        """
        path = folder / "tokenizer.json"
        try:
            core = tokenizers.Tokenizer.from_file(str(path))
        except Exception as error:
            raise ModelError(
                f"{folder.name}/tokenizer.json cannot be read ({error}); a model folder needs "
                "the fast tokenizer's file."
            ) from error
        return cls(core, eos_ids=_eos_ids(core, folder))

    @property
    def eos_id(self) -> int | None:
        """The end token that training appends and teaches."""
        return self.eos_ids[0] if self.eos_ids else None

    @property
    def vocabulary(self) -> int:
        """The number of token ids."""
        return self._core.get_vocab_size(with_added_tokens=True)

    def encode(self, text: str) -> list[int]:
        """Token ids of `text`; markers in it are read as such unless shielded, none is added.

        Raises:
            DataError: the text is no Unicode (JSON can smuggle in half a surrogate pair).
        """
        ids: list[int] = []
        for stretch, is_literal in self.shield.stretches(text):
            ids += self._letters(stretch) if is_literal else self._ids(stretch, specials=False)
        return ids

    def _letters(self, marker: str) -> list[int]:
        """A marker's text as the ids of ordinary words."""
        if self._literal is None:
            self._literal = tokenizers.Tokenizer.from_str(self._core.to_str())
            self._literal.encode_special_tokens = True
        ids: list[int] = self._literal.encode(marker, add_special_tokens=False).ids
        return ids

    def _ids(self, text: str, *, specials: bool) -> list[int]:
        try:
            ids: list[int] = self._core.encode(text, add_special_tokens=specials).ids
        except TypeError as error:
            raise DataError("the text holds half a surrogate pair; remove it") from error
        return ids

    def encode_whole(self, text: str) -> list[int]:
        """Token ids of a text by itself, with what encoders put around it ([CLS] … [SEP]).

        Raises:
            DataError: the text is no Unicode.
        """
        return self._ids(text, specials=True)

    def encode_prompt(self, text: str) -> list[int]:
        """Token ids of a bare prompt, after the begin token if the model uses one.

        A begin token is never doubled.
        """
        ids = self.encode(text)
        if self.bos_id is None or ids[:1] == [self.bos_id]:
            return ids
        return [self.bos_id, *ids]

    def count(self, text: str, *, specials: bool = False) -> int:
        """How many tokens `text` is; with `specials`, those too that encoders put around it."""
        return len(self._ids(text, specials=specials))

    def decode(self, ids: Sequence[int], *, skip_special: bool = True) -> str:
        """The text of `ids`; bytes that form no character yet come out as U+FFFD."""
        return self._core.decode(list(ids), skip_special_tokens=skip_special)

    def piece(self, token: int) -> str:
        """The vocabulary's own spelling of a token id; empty for an id it does not have."""
        return self._core.id_to_token(token) or ""

    def encode_segments(self, segments: Iterable[Segment]) -> Encoded:
        """A rendered chat's ids and loss mask.

        Each segment is encoded alone, as serving will see it. The end token of a trained turn is
        learned; what the template writes after it is not.
        """
        ids: list[int] = []
        mask: list[int] = []
        for segment in segments:
            part = self.encode(segment.text)
            learned = self._up_to_end(part) if segment.trainable else 0
            mask += [1] * learned + [0] * (len(part) - learned)
            ids += part
        return _first_unlearned(ids, mask)

    def encode_completion(self, prompt: str, completion: str) -> Encoded:
        """A prompt and its completion, closed by the end token.

        The completion and the end are learned.
        """
        head = self.encode_prompt(prompt)
        tail = self.encode(completion)
        if self.eos_id is not None and tail[-1:] != [self.eos_id]:
            tail.append(self.eos_id)
        return _first_unlearned(head + tail, [0] * len(head) + [1] * len(tail))

    def _up_to_end(self, ids: Sequence[int]) -> int:
        for index in range(len(ids) - 1, -1, -1):
            if ids[index] in self.eos_ids:
                return index + 1
        return len(ids)


def _first_unlearned(ids: list[int], mask: list[int]) -> Encoded:
    """Nothing comes before the first token, so nothing can predict it."""
    return ids, [0, *mask[1:]] if mask else mask


def _eos_ids(core: tokenizers.Tokenizer, folder: Path) -> list[int]:
    """End tokens: the tokenizer's own first, then those that the model's folder stops at."""
    own = special_texts(read_json(folder / "tokenizer_config.json")).get("eos_token")
    found = [core.token_to_id(own)] if own else []
    for name in ("generation_config.json", "config.json"):
        found += _as_list(read_json(folder / name).get("eos_token_id"))
    return list(dict.fromkeys(i for i in found if i is not None))


def _as_list(value: Any) -> list[int]:
    return value if isinstance(value, list) else [value]
