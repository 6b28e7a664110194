"""The platform's own check of a wheel: the conformance kit, confined, on a worker.

`listing_check` asks for it. Whoever judges holds a lease that each check renews, and a judge that
died is followed by the next. Outside of any scope: no transaction waits for a stranger's wheel.
"""

from __future__ import annotations

import threading
from datetime import timedelta

from django.db.models import Q, QuerySet

from plugins.sdk.codec import to_json
from tenants.accounts.actors import Actor, system_actor
from tenants.kernel.clock import database_now
from tenants.kernel.errors import FencedOut
from tenants.kernel.scope import system_scope
from tenants.marketplace.judging import Verdict, listing_judge
from tenants.marketplace.locks import listing_locked
from tenants.marketplace.models import Listing
from tenants.marketplace.selectors import listing_get
from tenants.marketplace.services.listings import listing_check, listing_move
from tenants.marketplace.states import ListingState

MOST_TRIES = 3
LEASE_S = 300.0  # one check takes at most some runs of a sample, of a minute each
_ONE = threading.Lock()


def reviews_waiting() -> bool:
    """Whether a wheel waits for its judge (system scope)."""
    return _waiting().exists()


def reviews_run() -> int:
    """Judge what waits, one wheel at a time in this process; return how many were judged."""
    if not _ONE.acquire(blocking=False):
        return 0  # whoever holds it goes on until nothing waits
    try:
        count = 0
        while (row := review_claim()) is not None:
            review_run(row=row)
            count += 1
        return count
    finally:
        _ONE.release()


def review_now(*, actor: Actor, listing_id: str) -> Listing:
    """Have one listing checked, and judge it here: no worker sees it without a lease."""
    with system_scope():
        row = listing_check(actor=actor, listing_id=listing_id)
        row = review_claim(listing_id=listing_id) or row
    return review_run(row=row)


def review_claim(*, listing_id: str = "") -> Listing | None:
    """The next listing, leased to us; the number of its tries is our fencing token."""
    with system_scope():
        rows = _waiting().select_for_update(skip_locked=True)
        row: Listing | None = (rows.filter(pk=listing_id) if listing_id else rows).first()
        if row is not None:
            row.check_tries += 1
            row.checks_made, row.check_subject = 0, ""
            row.check_until = database_now() + timedelta(seconds=LEASE_S)
            row.save()
        return row


def review_run(*, row: Listing) -> Listing:
    """Judge a claimed listing, and move it."""
    if row.check_tries > MOST_TRIES:
        said = f"its check ended in the middle {MOST_TRIES} times; see the workers' logs"
        return review_end(row=row, verdict=Verdict(ListingState.SUBMITTED, said))
    try:
        verdict = listing_judge(row, lambda count, subject: _renew(row, count, subject))
    except FencedOut:
        with system_scope():
            return listing_get(row.id)
    return review_end(row=row, verdict=verdict)


def review_end(*, row: Listing, verdict: Verdict) -> Listing:
    """Move a claimed listing. What another judge or an operator decided meanwhile stays."""
    with system_scope():
        fresh = listing_locked(row.id)
        if fresh.state != ListingState.CHECKING or fresh.check_tries != row.check_tries:
            return fresh
        fresh.check_until = None
        fresh.offers = verdict.offers or {}
        fresh.conformance = {} if verdict.report is None else to_json(verdict.report)
        actor = system_actor(row.tenant_id)
        return listing_move(actor=actor, row=fresh, state=verdict.state, reason=verdict.reason)


def _waiting() -> QuerySet[Listing]:
    free = Q(check_until__isnull=True) | Q(check_until__lt=database_now())
    rows: QuerySet[Listing] = Listing.objects.filter(free, state=ListingState.CHECKING)
    return rows.order_by("created_at", "id")


def _renew(row: Listing, count: int, subject: str) -> None:
    """Raises FencedOut where somebody else has it, or it is no longer checked."""
    with system_scope():
        mine = Listing.objects.filter(
            pk=row.id, state=ListingState.CHECKING, check_tries=row.check_tries
        )
        until = database_now() + timedelta(seconds=LEASE_S)
        if not mine.update(check_until=until, checks_made=count, check_subject=subject[:200]):
            raise FencedOut(f"the check of listing {row} is no longer ours")
