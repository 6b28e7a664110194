"""How much of its meter a job will use: the least, the expected and the most. Pure.

The most covers a run to the end, every pass over the data. Work that is done again after a crash is
the platform's cost, so no allowance is made for it.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Range:
    low: int
    expected: int
    high: int

    def times(self, factor: int) -> Range:
        return Range(self.low * factor, self.expected * factor, self.high * factor)


@dataclass(frozen=True)
class Measured:
    """One pass over the data as it was counted, whole: examples (where each is of several texts,
    at most that many texts), tokens, those to be learned, and the longest one's tokens.
    """

    examples: int
    tokens: int
    loss_tokens: int
    longest: int


def tokens_of_a_pass(data: Measured, *, policy: str, limit: int) -> Range:
    """Tokens that one pass computes, where no example has more than `limit`.

    Exact where every example fits, and else:
    - truncate: sum of min(n, limit) is at least limit / longest of the whole, and at most the whole
      without what the longest example loses;
    - split: pieces overlap by one token, and those with nothing to learn are left out.
    """
    if data.longest <= limit:
        return Range(data.tokens, data.tokens, data.tokens)
    if policy == "split":
        high = data.tokens + data.tokens // (limit - 1)
        return _range(data.loss_tokens, high)
    low = -(-data.tokens * limit // data.longest)
    high = min(data.tokens - (data.longest - limit), data.examples * limit)
    return _range(low, high)


def _range(low: int, high: int) -> Range:
    return Range(low, (low + high) // 2, high)
