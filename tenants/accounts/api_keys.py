"""The form of an API key: `bw-<12 look-up characters>-<43 secret ones>`. Pure."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass

_LOOKUP = 12
_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
_FORM = re.compile(r"bw-([0-9a-z]{12})-(.+)", re.DOTALL)


@dataclass(frozen=True)
class FreshKey:
    """`secret` is shown to its owner once and never stored."""

    secret: str
    prefix: str
    hash: str


def fresh_key() -> FreshKey:
    prefix = "".join(secrets.choice(_ALPHABET) for _ in range(_LOOKUP))
    secret = f"bw-{prefix}-{secrets.token_urlsafe(32)}"
    return FreshKey(secret=secret, prefix=prefix, hash=key_hash(secret))


def key_hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()


def key_prefix(secret: str) -> str | None:
    """Return the look-up part, or None for what is not one of our keys."""
    form = _FORM.fullmatch(secret)
    return form[1] if form else None


def key_matches(secret: str, expected_hash: str) -> bool:
    return hmac.compare_digest(key_hash(secret), expected_hash)
