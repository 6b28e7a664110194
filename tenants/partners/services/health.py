"""How plugins fare: the host's facts, by day; what fails too often is suspended. System scope."""

from __future__ import annotations

from collections.abc import Iterable

from django.db.models.functions import Now

from plugins.host.facts import ITS_OWN, Outcome
from tenants.accounts.actors import Actor
from tenants.accounts.audit import audit_record
from tenants.kernel.clock import database_now
from tenants.kernel.errors import NotFound
from tenants.kernel.outbox import emit
from tenants.partners.events import PluginSuspended
from tenants.partners.models import Health, Release
from tenants.partners.permissions import staff_only

MOST_IN_A_ROW = 20  # over all tenants: a release that fails so often is called no more


def health_record(*, outcomes: Iterable[Outcome]) -> None:
    """Count calls and failures by release and day; suspend what fails again and again.

    A refusal with the plugin's own words, and our failures, are not held against it.
    """
    for outcome in outcomes:
        release = Release.objects.filter(plugin=outcome.plugin, version=outcome.version).first()
        if release is not None and release.partner_id is not None:
            _count(release, outcome)


def _count(release: Release, outcome: Outcome) -> None:
    today = database_now().date()
    Health.objects.get_or_create(release=release, day=today)
    row = Health.objects.select_for_update().get(release=release, day=today)
    failure = outcome.failure
    row.calls += 1
    row.wall_s += outcome.wall_s
    row.cpu_s += outcome.cpu_s
    if failure is None:
        row.in_a_row = 0
    else:
        row.failures = {**row.failures, failure.kind: row.failures.get(failure.kind, 0) + 1}
        row.last_failure = f"{failure.kind}: {failure.message}"[:500]
        row.in_a_row += failure.kind in ITS_OWN
    row.save()
    if row.in_a_row >= MOST_IN_A_ROW:
        _suspend(release, f"{row.in_a_row} calls in a row failed; the last: {row.last_failure}")


def release_suspend(*, actor: Actor, release_id: str, reason: str) -> Release:
    """Call a release no more; who enabled it keeps its settings. Raises NotFound."""
    staff_only(actor)
    release: Release | None = Release.objects.filter(pk=release_id).first()
    if release is None:
        raise NotFound(f"no release {release_id!r}", param="release_id")
    _suspend(release, reason)
    audit_record(actor=actor, action="plugin.suspend", target=release.id, data={"reason": reason})
    return release


def _suspend(release: Release, reason: str) -> None:
    if release.suspended_at is not None:
        return
    release.suspended_at, release.suspended_because = Now(), reason[:500]
    release.save(update_fields=["suspended_at", "suspended_because"])
    release.refresh_from_db(fields=["suspended_at"])
    emit(
        PluginSuspended(
            release.partner_id,
            release_id=release.id,
            plugin=release.plugin,
            version=release.version,
            reason=release.suspended_because,
        )
    )
