"""Price proposals: a price for a while, proposed by one and approved by another person.

An approved one becomes a version of its book at its start, through the price guard, and gives back
at its end what it replaced. What others publish meanwhile stands.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from typing import Any

import structlog

from tenants.accounts.actors import Actor, ActorKind, system_actor
from tenants.accounts.models import Tenant
from tenants.kernel.clock import database_now
from tenants.kernel.errors import (
    BreakwaterError,
    Conflict,
    InvalidInput,
    NotFound,
    PermissionDenied,
)
from tenants.kernel.ids import new_id
from tenants.kernel.scope import atomic, system_scope
from tenants.pricing.charge_json import model_from_json, model_to_json
from tenants.pricing.charge_models import Matrix
from tenants.pricing.matching import match_check, match_of, price_key
from tenants.pricing.models import LossBudget, PriceBook, PriceProposal
from tenants.pricing.permissions import operators_only, reason_checked
from tenants.pricing.price_writes import prices_lock
from tenants.pricing.proposal_moves import (
    proposal_activate,
    proposal_end,
    proposal_moved,
    proposal_refuse,
    proposal_rehearse,
)
from tenants.pricing.selectors.sold import proposal_actual
from tenants.pricing.services.floors import LONGEST, MOST

log = structlog.get_logger(__name__)

State = PriceProposal.State
FORESEEN = frozenset({"quantity", "revenue", "loss"})


@dataclass(frozen=True, kw_only=True)
class NewProposal:
    """`charge` for the counts of `meter` that `match`, in a book, during [starts, ends).

    `volume_cap` is of units; at it the proposal ends. `foreseen` says what is expected of the whole
    time: quantity, revenue and loss, in the currency of costs. `policy` is its campaign's.
    """

    book_id: str
    meter: str
    charge: Mapping[str, Any]
    ends: dt.datetime
    note: str
    starts: dt.datetime | None = None
    match: Mapping[str, str] = field(default_factory=dict)
    loss_budget_id: str = ""
    volume_cap: Decimal | None = None
    campaign_id: str = ""
    policy: str = ""
    foreseen: Mapping[str, Decimal] = field(default_factory=dict)


def price_proposal_make(*, actor: Actor, proposal: NewProposal) -> PriceProposal:
    """Write a proposal down; it holds nowhere until another person approves it.

    Raises PermissionDenied, NotFound, InvalidInput.
    """
    operators_only(actor)
    book = PriceBook.objects.filter(pk=proposal.book_id).first()
    if book is None:
        raise NotFound(f"no price book {proposal.book_id!r}", param="book_id")
    model = model_from_json(proposal.charge)
    if isinstance(model, Matrix):
        raise InvalidInput("propose one price, not a matrix", param="charge")
    match = match_of(proposal.match)
    match_check(proposal.meter, match)
    moment = database_now()
    starts = proposal.starts or moment
    _check_dates(starts, proposal.ends, moment)
    cap = proposal.volume_cap
    if cap is not None and not (0 < cap < MOST and cap == round(cap, 12)):
        raise InvalidInput("volume_cap is above 0, with at most 12 decimals", param="volume_cap")
    row: PriceProposal = PriceProposal.objects.create(
        id=new_id("prop_"),
        campaign_id=proposal.campaign_id,
        policy=proposal.policy,
        book=book,
        loss_budget=_budget(proposal.loss_budget_id, proposal.ends),
        meter=proposal.meter,
        match=dict(match),
        price_key=price_key(proposal.meter, match),
        charge=model_to_json(model),
        starts=starts,
        ends=proposal.ends,
        volume_cap=cap,
        foreseen=_foreseen(proposal.foreseen),
        note=reason_checked(proposal.note),
        proposed_by=actor.id,
    )
    proposal_moved(actor, row, "propose")
    return row


def price_proposal_approve(*, actor: Actor, proposal_id: str) -> PriceProposal:
    """Approve another's proposal: at its start (now, where that is past) its price holds.

    Raises PermissionDenied where the approver proposed it, NotFound, Conflict where it was decided
    upon, has passed, or another holds the same price then; InvalidInput(code="price_below_floor").
    """
    operators_only(actor)
    if actor.kind is not ActorKind.OPERATOR:
        raise PermissionDenied("a person approves a price, not the platform itself")
    prices_lock()
    row = _locked(proposal_id, State.PROPOSED)
    if row.proposed_by == actor.id:
        raise PermissionDenied(
            "a price is approved by another person than the one who proposed it",
            code="same_person",
        )
    moment = database_now()
    if row.ends <= moment:
        raise Conflict(f"{row.id} was for a time that has passed", param="proposal_id")
    _check_overlap(row)
    row.decided_by, row.decided_at = actor.id, moment
    if row.starts <= moment:
        proposal_activate(actor, row)
    else:
        proposal_rehearse(actor, row)
        row.state = State.APPROVED
        row.save(update_fields=["state", "decided_by", "decided_at"])
    proposal_moved(actor, row, "approve")
    return row


def price_proposal_refuse(*, actor: Actor, proposal_id: str, reason: str) -> PriceProposal:
    """Refuse a proposal, or withdraw one's own. Raises PermissionDenied, NotFound, Conflict."""
    operators_only(actor)
    row = _locked(proposal_id, State.PROPOSED, State.APPROVED)
    proposal_refuse(actor, row, reason_checked(reason))
    return row


def price_proposal_end(*, actor: Actor, proposal_id: str, reason: str) -> PriceProposal:
    """End an active proposal before its time. Raises PermissionDenied, NotFound, Conflict."""
    operators_only(actor)
    prices_lock()
    row = _locked(proposal_id, State.ACTIVE)
    proposal_end(actor, row, reason_checked(reason))
    return row


def price_proposals_advance() -> int:
    """Begin what has been approved and is due, end what is over; each in its own transaction.

    One that the guard refuses at its start, because costs have moved, is refused with its words.
    One that cannot end (its book lacks a meter that came meanwhile) is logged, tried again the next
    time, and keeps no other from moving. Returns how many moved.
    """
    with system_scope():
        moment = database_now()
        waiting = PriceProposal.objects.filter(state=State.APPROVED, starts__lte=moment)
        due = list(waiting.order_by("starts").values_list("id", flat=True))
        active = PriceProposal.objects.filter(state=State.ACTIVE).select_related("loss_budget")
        over = [(row.id, why) for row in active if (why := _over(row, moment))]
    ended = sum(_end_if_active(proposal_id, why) for proposal_id, why in over)
    return ended + sum(_begin(proposal_id) for proposal_id in due)


def _over(row: PriceProposal, moment: dt.datetime) -> str:
    """Why an active proposal ends now; empty: it goes on."""
    if row.ends <= moment:
        return "its time is over"
    if row.loss_budget is not None and row.loss_budget.ended_at is not None:
        return f"its loss budget ended: {row.loss_budget.ended_why}"
    if row.volume_cap is not None and proposal_actual(row).quantity >= row.volume_cap:
        return "its volume is sold"
    return ""


@system_scope()
def _begin(proposal_id: str) -> bool:
    """True where it moved: into force, or to where the guard's refusal is kept."""
    prices_lock()
    row = PriceProposal.objects.select_for_update().get(pk=proposal_id)
    if row.state != State.APPROVED:
        return False
    actor = _platform()
    try:
        with atomic():
            if row.ends <= database_now():
                raise Conflict("its time is over")
            proposal_activate(actor, row)
    except BreakwaterError as error:
        row.refresh_from_db()
        proposal_refuse(actor, row, error.message[:500])
        return True
    proposal_moved(actor, row, "begin")
    return True


@system_scope()
def _end_if_active(proposal_id: str, why: str) -> bool:
    """True where it ended."""
    prices_lock()
    row = PriceProposal.objects.select_for_update().get(pk=proposal_id)
    if row.state != State.ACTIVE:
        return False
    try:
        with atomic():
            proposal_end(_platform(), row, why)
    except BreakwaterError:
        log.exception("a price proposal cannot end", proposal=proposal_id)
        return False
    return True


def _locked(proposal_id: str, *states: PriceProposal.State) -> PriceProposal:
    """Raises NotFound, Conflict where it is in another state."""
    row = PriceProposal.objects.select_for_update().filter(pk=proposal_id).first()
    if row is None:
        raise NotFound(f"no price proposal {proposal_id!r}", param="price_proposal_id")
    if row.state not in states:
        raise Conflict(f"{proposal_id} is {row.state}", param="price_proposal_id")
    return row


def _check_dates(starts: dt.datetime, ends: dt.datetime, moment: dt.datetime) -> None:
    if starts.tzinfo is None or starts < moment:
        raise InvalidInput("a proposal starts now or later", param="starts")
    if ends.tzinfo is None or not dt.timedelta(0) < ends - starts <= LONGEST:
        raise InvalidInput("a proposal ends after it starts, within a year", param="ends")


def _check_overlap(row: PriceProposal) -> None:
    others = PriceProposal.objects.filter(
        book=row.book_id,
        price_key=row.price_key,
        state__in=[State.APPROVED, State.ACTIVE],
        starts__lt=row.ends,
        ends__gt=row.starts,
    )
    if (other := others.first()) is not None:
        raise Conflict(
            f"{other.id} holds {row.price_key} until {other.ends.isoformat()}",
            param="price_proposal_id",
            code="proposal_overlap",
        )


def _budget(budget_id: str, ends: dt.datetime) -> LossBudget | None:
    if not budget_id:
        return None
    budget = LossBudget.objects.filter(pk=budget_id).first()
    if budget is None:
        raise NotFound(f"no loss budget {budget_id!r}", param="loss_budget_id")
    if budget.tenant_id is not None:
        raise InvalidInput(
            f"{budget_id} is for one tenant's terms, not for a book", param="loss_budget_id"
        )
    if budget.ended_at is not None or budget.expires_at < ends:
        raise InvalidInput(
            f"{budget_id} ends at {budget.expires_at.isoformat()}, before the proposal does",
            param="loss_budget_id",
        )
    return budget


def _foreseen(given: Mapping[str, Decimal]) -> dict[str, str]:
    if unknown := sorted(given.keys() - FORESEEN):
        raise InvalidInput(f"foreseen knows no {', '.join(unknown)}", param="foreseen")
    try:
        found = {name: Decimal(value) for name, value in given.items()}
    except (InvalidOperation, TypeError, ValueError) as error:
        raise InvalidInput("what is foreseen are decimals", param="foreseen") from error
    if any(not value.is_finite() or not 0 <= value < MOST for value in found.values()):
        raise InvalidInput("what is foreseen is at least 0 and finite", param="foreseen")
    return {name: f"{value:f}" for name, value in found.items()}


def _platform() -> Actor:
    return system_actor(Tenant.objects.values_list("id", flat=True).get(is_platform=True))
