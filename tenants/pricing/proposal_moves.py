"""How a price proposal moves: into force, back out of it, refused; each told and audited.

Callers hold the prices' lock and the proposal's row.
"""

from __future__ import annotations

from typing import Any

from django.db import transaction

from tenants.accounts.actors import Actor
from tenants.accounts.audit import audit_record
from tenants.kernel.clock import database_now
from tenants.kernel.errors import InvalidInput
from tenants.kernel.outbox import emit
from tenants.kernel.scope import atomic, required_scope
from tenants.pricing.events import PriceProposalMoved
from tenants.pricing.locks import book_locked
from tenants.pricing.matching import match_of, price_key
from tenants.pricing.models import Price, PriceBook, PriceBookVersion, PriceProposal
from tenants.pricing.price_writes import price_guard
from tenants.pricing.selectors.books import version_in_force, version_rows
from tenants.pricing.services.books import (
    NewPrice,
    price_version_draft,
    version_put_in_force,
)

State = PriceProposal.State


def proposal_activate(actor: Actor, row: PriceProposal) -> None:
    """Put its price in force, past the guard; what it replaces is kept on the row."""
    book = book_locked(row.book_id)
    with price_guard(book_id=book.id):
        held = {_key(price): price for price in _rows_now(book)}
        before = held.get(row.price_key)
        row.replaced = None if before is None else _kept(before)
        if (like := before or held.get(row.meter)) is None:
            raise InvalidInput(
                f"{book.id} has no price of {row.meter} yet; publish a version with one first",
                param="meter",
                code="price_gap",
            )
        price = NewPrice(row.meter, like.revenue, row.charge, row.match)
        row.state = State.ACTIVE
        row.version = _publish(actor, book, row.price_key, price)
        row.save()


def proposal_rehearse(actor: Actor, row: PriceProposal) -> None:
    """Would the guard let it pass if it began now? Nothing stays. Raises what the guard does."""
    with atomic():
        proposal_activate(actor, row)
        transaction.set_rollback(True, using=required_scope().alias)
    row.state, row.version, row.replaced = State.PROPOSED, None, None


def proposal_end(actor: Actor, row: PriceProposal, why: str) -> None:
    """Give back what it replaced, unless something else holds there by now."""
    book = book_locked(row.book_id)
    held = {_key(price): price for price in _rows_now(book)}.get(row.price_key)
    if held is not None and held.charge == row.charge:
        kept = row.replaced
        price = None if kept is None else NewPrice(row.meter, match=row.match, **kept)
        row.end_version = _publish(actor, book, row.price_key, price)
    row.state, row.ended_at, row.ended_why = State.ENDED, database_now(), why
    row.save(update_fields=["state", "ended_at", "ended_why", "end_version"])
    proposal_moved(actor, row, "end")


def proposal_refuse(actor: Actor, row: PriceProposal, why: str) -> None:
    row.state, row.ended_why = State.REFUSED, why
    row.decided_by, row.decided_at = actor.id, database_now()
    row.save(update_fields=["state", "ended_why", "decided_by", "decided_at"])
    proposal_moved(actor, row, "refuse")


def proposal_moved(actor: Actor, row: PriceProposal, action: str) -> None:
    data = {"price_key": row.price_key, "state": str(row.state), "why": row.ended_why}
    audit_record(actor=actor, action=f"price_proposal.{action}", target=row.id, data=data)
    emit(
        PriceProposalMoved(
            tenant_id=None,
            proposal_id=row.id,
            campaign_id=row.campaign_id,
            book_id=row.book_id,
            price_key=row.price_key,
            state=str(row.state),
            why=row.ended_why,
        )
    )


def _publish(actor: Actor, book: PriceBook, key: str, price: NewPrice | None) -> PriceBookVersion:
    """The prices in force now with another (or none) under `key`, from now on."""
    others = [_again(held) for held in _rows_now(book) if _key(held) != key]
    version = price_version_draft(
        actor=actor,
        book_id=book.id,
        prices=[*others, *([price] if price else [])],
        note=f"price proposal for {key}"[:200],
    )
    version_put_in_force(actor=actor, version=version, between=True)
    return version


def _rows_now(book: PriceBook) -> list[Price]:
    return list(version_rows(version_in_force(book, database_now())))


def _key(price: Price) -> str:
    """Its price key; a matrix has none."""
    if price.charge.get("model") == "matrix":
        return ""
    return price_key(price.meter, match_of(price.match))


def _kept(price: Price) -> dict[str, Any]:
    return {"revenue": price.revenue, "charge": price.charge}


def _again(price: Price) -> NewPrice:
    return NewPrice(price.meter, price.revenue, price.charge, price.match)
