"""Sortable, prefixed identifiers: a prefix, then a ULID in lower case.

26 characters of Crockford's base 32: 48 bits of milliseconds, 80 random bits. Within one process
ids grow strictly, also inside a millisecond and while the clock stands back; by random steps, so
that forked processes, which share the last value, part. Source: https://github.com/ulid/spec
"""

from __future__ import annotations

import secrets
import struct
import threading
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_PAIRS = [first + second for first in _ALPHABET for second in _ALPHABET]
_RANDOM_BITS = 80
_STEP_BYTES = 8
_lock = threading.Lock()
_last = 0


def new_id(prefix: str) -> str:
    """Return `prefix` followed by 26 characters that sort by time of making."""
    return new_ids(prefix, 1)[0]


def new_ids(prefix: str, count: int) -> list[str]:
    """Return `count` ids in ascending order, made in one go."""
    return [prefix + _encode(value) for value in _next_values(count)]


def _next_values(count: int) -> list[int]:
    global _last  # noqa: PLW0603 -- the generator's one piece of state
    fresh = (time.time_ns() // 1_000_000) << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
    steps = struct.unpack(f"<{count}Q", secrets.token_bytes(_STEP_BYTES * count))
    values = []
    with _lock:
        for step in steps:
            _last = max(fresh, _last + 1 + step)
            values.append(_last)
    return values


def _encode(value: int) -> str:
    return "".join([_PAIRS[(value >> shift) & 1023] for shift in range(120, -1, -10)])
