"""References on bank transfers: an invoice's number, or a tenant's own for top-ups. Pure.

People mistype: case, spaces and dashes do not matter, and other words may stand around it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_TOP_UP = re.compile(r"TOPUP([0-9A-Z]{26})")


def top_up_reference(tenant_id: str) -> str:
    """`TOPUP-` and the tenant's id without its prefix, in capitals."""
    return f"TOPUP-{tenant_id.removeprefix('ten_').upper()}"


def top_up_tenant(reference: str) -> str | None:
    """Return the tenant whose top-up reference stands in `reference`, if one does."""
    found = _TOP_UP.search(_plain(reference))
    return f"ten_{found[1].lower()}" if found else None


def numbers_in(reference: str, prefix: str) -> list[str]:
    """Return the invoice numbers (`BW-2026-000007`) that stand in `reference`, in order."""
    pattern = re.compile(rf"{re.escape(_plain(prefix))}(\d{{4}})(\d{{6}})(?!\d)")
    return _once(f"{prefix}-{year}-{number}" for year, number in pattern.findall(_plain(reference)))


def _plain(text: str) -> str:
    return re.sub(r"[^0-9A-Z]", "", text.upper())


def _once(values: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(values))
