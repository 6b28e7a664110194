"""Builders for tests about floors: measured costs, overrides, loss budgets, proposals."""

from __future__ import annotations

import dataclasses
import datetime as dt
from decimal import Decimal
from typing import Any, TypeVar

from tenants.accounts.actors import Actor
from tenants.costs.services import slot_time_record
from tenants.costs.slot_time import SlotTime
from tenants.kernel.clock import now
from tenants.kernel.ids import new_id
from tenants.kernel.money import Money
from tenants.kernel.scope import system_scope
from tenants.pricing.charge_models import Standard
from tenants.pricing.defaults import LIST_BOOK
from tenants.pricing.models import LossBudget, PriceProposal
from tenants.pricing.selectors import prices_standing, rate_card
from tenants.pricing.selectors.guarding import Standing
from tenants.pricing.services import (
    loss_budget_open,
    price_override_grant,
    price_proposal_approve,
    price_proposal_make,
)
from tenants.pricing.services.proposals import NewProposal
from tests.tenants.costs.factories import resource_make
from tests.tenants.pricing.books import (
    charge,
    count,
    item,
    operator_make,
    platform_make,
    prices_with,
    publish,
    tenant_make,
)
from tests.tenants.pricing.factories import D

Row = TypeVar("Row", LossBudget, PriceProposal)
DAY = dt.timedelta(days=1)
WHY = "matches a rival for a quarter"


def per_million(usd: str) -> dict[str, str]:
    return {"model": "standard", "unit": usd, "per": "1000000"}


def cost_measure(
    floor: str,
    *,
    kind: str = "fine_tune",
    days_ago: float = 1,
    base: str = "mini",
    tokens: int = 1_000_000,
) -> None:
    """Work of `kind` on a base that made `tokens` and cost 70% of `floor`: planned are 70%
    utilisation, so that is the floor of a million, and 70% of it the short-run cost at which all
    stops.
    """
    at = now() - dt.timedelta(days=days_ago)
    tenant = tenant_make("Somebody")
    resource = resource_make((at - dt.timedelta(days=60), str(D(floor) * D("0.7"))))
    entry = SlotTime(
        worker="wrk", slot=0, resource=resource, purpose="job", tenant_id=tenant, job_id="j",
        attempt=1, started_at=at, ended_at=at + dt.timedelta(seconds=1), key=new_id("k"),
        labels={"kind": kind, "base": base},
    )  # fmt: skip
    with system_scope():
        slot_time_record(entries=[entry])
    meter = "tokens.trained" if kind == "fine_tune" else "tokens.output"
    dimensions = {"job_id": "j"} if kind == "fine_tune" else {}
    count(tenant, meter, tokens, at=at, source="jobs", model=base, base=base, **dimensions)


def override(meter: str, *, expires: dt.timedelta = DAY, **of: str) -> None:
    actor = operator_make()
    with system_scope():
        price_override_grant(
            actor=actor,
            meter=meter,
            reason=WHY,
            expires_at=now() + expires,
            **of,  # type: ignore[arg-type]
        )


def list_at_six() -> None:
    """Six dollars for a million trained tokens, of which the floor is 5 and the short run 3.5."""
    platform_make()
    publish(prices_with(tokens_trained=per_million("6")))
    cost_measure("5")


def price_now(tenant_id: str = "") -> Decimal:
    """What a million trained tokens cost."""
    tenant_id = tenant_id or tenant_make()
    with system_scope():
        price = rate_card(tenant_id, now()).price_of("tokens.trained", {"base": "mini"})
    assert isinstance(price.model, Standard)
    return price.model.unit


def train(tenant_id: str, key: str, tokens: int) -> None:
    charge(tenant_id, key, item("tokens.trained", tokens, job_id="j"))


def again(row: Row) -> Row:
    """A row as it is by now."""
    with system_scope():
        row.refresh_from_db()
    return row


def standing_below() -> list[Standing]:
    with system_scope():
        return [standing for standing in prices_standing() if standing.price.is_below]


def budget_open(amount: str = "100", *, lasts: dt.timedelta = 30 * DAY, **of: Any) -> LossBudget:
    actor = operator_make()
    with system_scope():
        return loss_budget_open(
            actor=actor, reason=WHY, amount=Money.of(amount, "USD"), expires_at=now() + lasts, **of
        )


def another() -> Actor:
    """A second operator."""
    return dataclasses.replace(operator_make(), id="user_second")


def proposed(usd: str, *, lasts: dt.timedelta = 20 * DAY, **of: Any) -> PriceProposal:
    """A price of a million trained tokens, from now (or `starts`) on."""
    actor = operator_make()
    given: dict[str, Any] = {
        "book_id": LIST_BOOK,
        "meter": "tokens.trained",
        "charge": per_million(usd),
        "ends": (of.get("starts") or now()) + lasts,
        "note": WHY,
        **of,
    }
    with system_scope():
        return price_proposal_make(actor=actor, proposal=NewProposal(**given))


def approve(proposal: PriceProposal) -> PriceProposal:
    with system_scope():
        return price_proposal_approve(actor=another(), proposal_id=proposal.id)
