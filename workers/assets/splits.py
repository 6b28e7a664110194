"""Which rows train and which are held out: decided by content, so that it never changes. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

_SCALE = 2**64


def is_held_out(row: bytes, *, fraction: float, seed: int = 0) -> bool:
    """Whether `row` belongs to the held-out part, about `fraction` (0 to 1) of all rows.

    Depends on the row's own bytes and the seed alone: equal rows fall on the same side, and adding
    or reordering others moves none.
    """
    if not 0 <= fraction <= 1:
        raise ValueError(f"fraction is a number from 0 to 1, not {fraction}")
    digest = hashlib.blake2b(row.strip(), digest_size=8, salt=seed.to_bytes(8, "big")).digest()
    return int.from_bytes(digest, "big") < fraction * _SCALE


def held_out(
    rows: Iterable[bytes], *, fraction: float, seed: int = 0
) -> Iterator[tuple[bool, bytes]]:
    """Pair each row that is not blank with whether it is held out, in order."""
    for row in rows:
        if row.strip():
            yield is_held_out(row, fraction=fraction, seed=seed), row
