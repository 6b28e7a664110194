"""Canonical JSON: equal facts give equal bytes. Pure.

Keys in alphabetical order, no white space, numbers as plain strings, dates in ISO 8601. A statement
keeps the hash of its `RatedPeriod`; rating again must reproduce it.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
import json
from decimal import Decimal
from typing import Any

from tenants.pricing.exact import plain


def canonical_json(value: Any) -> bytes:
    """Return `value` (a dataclass, or JSON's types with Decimal, date and tuple) as bytes.

    Raises TypeError for anything else, floats among it.
    """
    text = json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode()


def canonical_hash(value: Any) -> str:
    """sha256 of `canonical_json`, in hexadecimal."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Decimal):
        return plain(value)
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).isoformat()
    if isinstance(value, dt.date):
        return value.isoformat()
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, str | bool | int):
        return value
    raise TypeError(f"{type(value).__name__} has no canonical form")
