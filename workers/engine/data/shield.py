"""Markers that a person writes stay text: `<|end|>` inside a message must not end the message.

A special token's text in a message gets a private-use character after its first letter before the
chat template sees it, so that it survives rendering without being the token; the tokenizer then
encodes such a stretch letter by letter.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

SHIELD = "\ue000"


class Shield:
    """Guards the texts of `markers`, the special tokens of one tokenizer."""

    def __init__(self, markers: Iterable[str]) -> None:
        longest_first = sorted((m for m in markers if m), key=len, reverse=True)
        self._bare = _any_of(longest_first)
        self._shielded = _any_of([_shielded(marker) for marker in longest_first])

    def message(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """A chat message with every text in it shielded but its role, which the template reads."""
        return {key: v if key == "role" else self.value(v) for key, v in message.items()}

    def value(self, value: Any) -> Any:
        """JSON with every text in it shielded."""
        if isinstance(value, str):
            return self._bare.sub(lambda found: _shielded(found[0]), value)
        if isinstance(value, Mapping):
            return {key: self.value(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.value(item) for item in value]
        return value

    def stretches(self, text: str) -> Iterator[tuple[str, bool]]:
        """Cut rendered text into (stretch, whether it is a marker that someone wrote)."""
        done = 0
        for found in self._shielded.finditer(text):
            if found.start() > done:
                yield text[done : found.start()], False
            yield found[0].replace(SHIELD, "", 1), True
            done = found.end()
        if done < len(text):
            yield text[done:], False


def _shielded(marker: str) -> str:
    return marker[0] + SHIELD + marker[1:]


def _any_of(texts: list[str]) -> re.Pattern[str]:
    """Matches the first of `texts`; nothing at all where there are none."""
    return re.compile("|".join(map(re.escape, texts)) or r"(?!)")
