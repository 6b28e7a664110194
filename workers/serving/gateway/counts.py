"""What a request counts: what that costs at most, is recorded as, and is charged as."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from tenants.accounts.actors import Actor
from tenants.pricing.charge_requests import ChargeItem, ChargeRequest
from tenants.usage.ingestion import NewUsage
from workers.serving.gateway.admission import Model
from workers.serving.gateway.funds import Reservation
from workers.serving.gateway.repeats import Claim, Repeat
from workers.serving.gateway.waking import Offer


@dataclass(frozen=True)
class Call:
    """Who asks for what."""

    request_id: str
    endpoint: str  # chat.completions, completions, embeddings
    actor: Actor
    model: Model
    repeat: Repeat | None = field(default=None, kw_only=True)

    @property
    def is_claimed(self) -> bool:
        """Whether the client gave a key to ask again under."""
        return self.repeat is not None and self.repeat.is_claimed

    @property
    def claim(self) -> Claim | None:
        """Its right to answer a request that may be sent again."""
        if self.repeat is None:
            return None
        return Claim(self.actor.tenant_id, self.request_id, self.repeat)


@dataclass(frozen=True)
class Ticket(Call):
    """An admitted request."""

    offer: Offer


@dataclass(frozen=True)
class Counts:
    """Tokens of one request: `prompt` once, however many choices are drawn from it."""

    prompt: int
    generated: int = 0


def quantities(call: Call, counts: Counts) -> dict[str, int]:
    """What the request counts, by meter."""
    is_embedding = call.endpoint == "embeddings"
    return {
        "requests": 1,
        "tokens.embedded" if is_embedding else "tokens.input": counts.prompt,
        "tokens.output": counts.generated,
    }


def priced_by(call: Call) -> dict[str, str]:
    """The dimensions that prices may depend on."""
    return {"model": call.model.name, "base": call.model.base_id, "endpoint": call.endpoint}


def labels_of(call: Call) -> dict[str, str]:
    """Whom budgets count it for."""
    return {"api_key_id": call.actor.id, "model": call.model.name}


def usage_of(ticket: Ticket, counts: Counts) -> list[NewUsage]:
    """The request's events: one a meter, under (request id, meter) for ever."""
    now = dt.datetime.now(dt.UTC)
    dimensions = {
        **priced_by(ticket),
        "api_key_id": ticket.actor.id,
        "request_id": ticket.request_id,
        "deployment_id": ticket.offer.deployment_id,
    }
    return [
        NewUsage(
            meter=meter,
            quantity=Decimal(quantity),
            event_time=now,
            source="gateway",
            key=f"{ticket.request_id}:{meter}",
            dimensions=dimensions,
        )
        for meter, quantity in quantities(ticket, counts).items()
        if quantity
    ]


def charge_of(
    ticket: Ticket, events: Sequence[NewUsage], reservation: Reservation
) -> ChargeRequest:
    """The request's one charge; it ends what was set aside."""
    return ChargeRequest(
        tenant_id=ticket.actor.tenant_id,
        key=reservation.key,
        subject_kind="request",
        subject_id=ticket.request_id,
        items=[ChargeItem(e.meter, e.quantity, e.dimensions, e.event_time) for e in events],
        hold_key=reservation.key if reservation.held else None,
        labels=labels_of(ticket),
    )
