"""Token ids to text as they come: whole characters only, nothing of a stop text. Free of torch."""

from __future__ import annotations

from collections.abc import Sequence

from workers.engine.data.tokens import Tokenizer

BROKEN = "\ufffd"
LONGEST = 4  # bytes of a character, so tokens at most


class Detokeniser:
    """Turns ids into text so that the pieces together are the text of all ids."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._context = 0  # ids at the window's start that only serve to get spacing right
        self._ids: list[int] = []
        self._given = 0  # characters of the window that are out

    def feed(self, token: int) -> str:
        """The text that `token` completes; empty while a character still lacks bytes."""
        self._ids.append(token)
        text = self._tokenizer.decode(self._ids)
        broken = len(text) - len(text.rstrip(BROKEN))
        # Some decoders show a run of bytes as broken until its last one is there. Past the longest
        # character the bytes are none; only those may be held back that can still begin one.
        hopeless = len(self._ids) - self._context >= LONGEST
        safe = len(text) - (min(broken, LONGEST - 1) if hopeless else broken)
        piece = text[self._given : safe]
        self._given = max(self._given, safe)
        if not broken:
            self._slide()
        return piece

    def rest(self) -> str:
        """What is left at the end; bytes that never became a character come as U+FFFD."""
        piece = self._tokenizer.decode(self._ids)[self._given :]
        self._ids, self._context, self._given = [], 0, 0
        return piece

    def _slide(self) -> None:
        """Keep only the newest whole piece as context, so that decoding stays short."""
        self._ids = self._ids[self._context :]
        self._context = len(self._ids)
        self._given = len(self._tokenizer.decode(self._ids))


class StopScanner:
    """Holds back what may become a stop text, and ends before the first one."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""

    def feed(self, text: str) -> tuple[str, bool]:
        """The text that is safe to give out, and whether a stop text was met."""
        self._held += text
        places = [p for p in (self._held.find(stop) for stop in self._stops) if p >= 0]
        if places:
            safe, self._held = self._held[: min(places)], ""
            return safe, True
        keep = max((_overlap(self._held, stop) for stop in self._stops), default=0)
        cut = len(self._held) - keep
        safe, self._held = self._held[:cut], self._held[cut:]
        return safe, False

    def rest(self) -> str:
        """What was held back, at the end."""
        text, self._held = self._held, ""
        return text


def _overlap(text: str, stop: str) -> int:
    """How many of the last characters of `text` begin `stop`."""
    for size in range(min(len(stop) - 1, len(text)), 0, -1):
        if text.endswith(stop[:size]):
            return size
    return 0
