"""Row locks of partners."""

from __future__ import annotations

from tenants.kernel.errors import NotFound
from tenants.partners.models import Installation


def installation_locked(installation_id: str) -> Installation:
    """An installation of the scope with its row locked. Raises NotFound."""
    rows = Installation.objects.select_for_update(of=("self",)).select_related(
        "release", "previous"
    )
    row: Installation | None = rows.filter(pk=installation_id, removed_at__isnull=True).first()
    if row is None:
        raise NotFound(f"no installation {installation_id!r}", param="installation_id")
    return row
