"""Sortable, prefixed identifiers: a prefix, then a ULID in lower case.

26 characters of Crockford's base 32: 48 bits of milliseconds, 80 random bits. Within one process
ids grow strictly, also inside a millisecond and while the clock stands back; by random steps, so
that forked processes, which share the last value, part. Source: https://github.com/ulid/spec
"""

from __future__ import annotations

import secrets
import threading
import time

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_RANDOM_BITS = 80
_STEP_BITS = 64
_lock = threading.Lock()
_last = 0


def new_id(prefix: str) -> str:
    """Return `prefix` followed by 26 characters that sort by time of making."""
    return prefix + _encode(_next_value())


def _next_value() -> int:
    global _last  # noqa: PLW0603 -- the generator's one piece of state
    fresh = (time.time_ns() // 1_000_000) << _RANDOM_BITS | secrets.randbits(_RANDOM_BITS)
    with _lock:
        _last = max(fresh, _last + 1 + secrets.randbits(_STEP_BITS))
        return _last


def _encode(value: int) -> str:
    return "".join(_ALPHABET[(value >> shift) & 31] for shift in range(125, -1, -5))
