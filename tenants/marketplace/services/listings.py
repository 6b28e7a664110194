"""A listing's life: submitted by its partner, then moved by operators, each with a reason."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from plugins.sdk.codec import to_json
from tenants.accounts.actors import Actor, system_actor
from tenants.accounts.audit import audit_record
from tenants.kernel.errors import Conflict, InvalidInput
from tenants.kernel.ids import new_id
from tenants.kernel.outbox import emit
from tenants.marketplace.events import ListingMoved
from tenants.marketplace.examining import wheel_examine
from tenants.marketplace.locks import listing_locked
from tenants.marketplace.models import Listing, ListingStep
from tenants.marketplace.services.offering import prices_offer, services_offer
from tenants.marketplace.states import LISTING_MOVES, ListingState, require_move
from tenants.marketplace.submitted_reports import report_check
from tenants.partners.models import Agreement, Release, Seller
from tenants.partners.permissions import partner_only, staff_only
from tenants.partners.services import release_suspend, seller_claim
from tenants.partners.wheels import wheel_store

WRITE = "partner.write"


def listing_submit(
    *,
    actor: Actor,
    wheel_name: str,
    content: bytes,
    title: str,
    description: str = "",
    conformance: Mapping[str, Any] | None = None,
) -> Listing:
    """Submit a wheel for review. It is read, and none of it runs.

    `conformance`: its partner's own report, so that what is known to fail is not submitted.
    Raises PermissionDenied, InvalidInput (no wheel, bad manifest, a failed check), Conflict (the
    name is another partner's, this version is under review or published already), TooLarge.
    """
    actor.require(WRITE)
    partner_only(actor)
    manifest = wheel_examine(wheel_name, content)
    _refuse_taken(actor.tenant_id, manifest.name, manifest.version)
    if not 1 <= len(title.strip()) <= 120:
        raise InvalidInput("a title has 1 to 120 characters", param="title")
    key, digest = wheel_store(content)
    if conformance:
        report_check(conformance, plugin=manifest.name, version=manifest.version, sha256=digest)
    row: Listing = Listing.objects.create(
        id=new_id("lst_"),
        tenant_id=actor.tenant_id,
        plugin=manifest.name,
        version=manifest.version,
        title=title.strip(),
        description=description.strip(),
        manifest=to_json(manifest),
        submitted_report=dict(conformance or {}),
        wheel_name=wheel_name,
        wheel_key=key,
        wheel_sha256=digest,
        wheel_bytes=len(content),
    )
    _told(actor, row, "")
    return row


def listing_check(*, actor: Actor, listing_id: str) -> Listing:
    """Have the conformance kit run on its wheel, by a worker: see `reviews.py`."""
    staff_only(actor)
    row = listing_locked(listing_id)
    row.check_tries, row.check_until, row.checks_made, row.check_subject = 0, None, 0, ""
    return listing_move(actor=actor, row=row, state=ListingState.CHECKING, reason="")


def listing_approve(*, actor: Actor, listing_id: str, reason: str = "") -> Listing:
    """A person has looked at it. Raises Conflict where its partner has no agreement in force."""
    staff_only(actor)
    row = listing_locked(listing_id)
    if not Agreement.objects.filter(tenant_id=row.tenant_id, ends__isnull=True).exists():
        raise Conflict(
            "its partner has no agreement in force: write one first", code="agreement_missing"
        )
    return listing_move(actor=actor, row=row, state=ListingState.APPROVED, reason=reason)


def listing_publish(*, actor: Actor, listing_id: str, reason: str = "") -> Listing:
    """Put it on the marketplace, its prices into the price books and its services on sale.

    A suspended one is called again. Raises Conflict, and what publishing a price version raises.
    """
    staff_only(actor)
    row = listing_locked(listing_id)
    require_move(LISTING_MOVES, f"listing {row}", row.state, ListingState.PUBLISHED)
    if row.release_id:
        Release.objects.filter(pk=row.release_id).update(suspended_at=None, suspended_because="")
        return listing_move(actor=actor, row=row, state=ListingState.PUBLISHED, reason=reason)
    seller_claim(tenant_id=row.tenant_id, name=f"plugin:{row.plugin}")
    release = Release.objects.create(
        id=new_id("rel_"),
        plugin=row.plugin,
        version=row.version,
        partner_id=row.tenant_id,
        publisher=row.tenant.name,
        title=row.title,
        description=row.description,
        manifest=row.manifest,
        offers=row.offers,
        wheel_key=row.wheel_key,
        wheel_name=row.wheel_name,
        wheel_sha256=row.wheel_sha256,
    )
    row.release_id = release.id
    prices_offer(actor=actor, plugin=row.plugin, asked=row.offers.get("prices", ()))
    services_offer(
        tenant_id=row.tenant_id, plugin=row.plugin, declared=row.offers.get("services", ())
    )
    return listing_move(actor=actor, row=row, state=ListingState.PUBLISHED, reason=reason)


def listing_suspend(*, actor: Actor, listing_id: str, reason: str) -> Listing:
    """Take it off the marketplace: who enabled it keeps its settings, but it is not called."""
    staff_only(actor)
    row = listing_locked(listing_id)
    require_move(LISTING_MOVES, f"listing {row}", row.state, ListingState.SUSPENDED)
    _require_reason(reason)
    release_suspend(actor=actor, release_id=row.release_id, reason=reason)
    return listing_move(actor=actor, row=row, state=ListingState.SUSPENDED, reason=reason)


def listing_refuse(*, actor: Actor, listing_id: str, reason: str) -> Listing:
    """It is not published; its partner reads why, and may submit it anew."""
    staff_only(actor)
    _require_reason(reason)
    return listing_move(
        actor=actor, row=listing_locked(listing_id), state=ListingState.REFUSED, reason=reason
    )


def listing_follow_suspension(*, release_id: str, reason: str) -> None:
    """Its release was suspended by the platform itself (system scope)."""
    row: Listing | None = Listing.objects.select_for_update().filter(release_id=release_id).first()
    if row is not None and row.state == ListingState.PUBLISHED:
        listing_move(
            actor=system_actor(row.tenant_id), row=row, state=ListingState.SUSPENDED, reason=reason
        )


def _refuse_taken(partner_id: str, plugin: str, version: str) -> None:
    seller = Seller.objects.filter(name=f"plugin:{plugin}").first()
    if seller is not None and seller.partner_id != partner_id:
        raise Conflict(
            f"the name {plugin!r} is another partner's; choose another one",
            param="wheel",
            code="name_taken",
        )
    if Release.objects.filter(plugin=plugin, partner__isnull=True).exists():
        raise Conflict(f"the name {plugin!r} is a built-in's", param="wheel", code="name_taken")
    rows = Listing.objects.filter(tenant_id=partner_id, plugin=plugin, version=version)
    if rows.exclude(state=ListingState.REFUSED).exists():
        raise Conflict(
            f"{plugin} {version} was submitted already; a change is a new version",
            param="wheel",
            code="version_taken",
        )


def _require_reason(reason: str) -> None:
    if not 1 <= len(reason.strip()) <= 500:
        raise InvalidInput("say why, in 1 to 500 characters", param="reason")


def listing_move(*, actor: Actor, row: Listing, state: ListingState, reason: str) -> Listing:
    """Move a locked listing, and tell it with its reason. Raises Conflict."""
    require_move(LISTING_MOVES, f"listing {row}", row.state, state)
    row.state, row.reason = state, reason.strip()[:500]
    row.save()
    _told(actor, row, row.reason)
    return row


def _told(actor: Actor, row: Listing, reason: str) -> None:
    ListingStep.objects.create(
        tenant_id=row.tenant_id,
        listing=row,
        state=row.state,
        reason=reason,
        actor_kind=str(actor.kind),
    )
    audit_record(actor=actor, action=f"listing.{row.state}", target=row.id)
    emit(
        ListingMoved(
            row.tenant_id,
            listing_id=row.id,
            plugin=row.plugin,
            version=row.version,
            state=row.state,
            reason=reason,
        )
    )
