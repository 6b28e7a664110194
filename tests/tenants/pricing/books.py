"""Builders for tests about price books, contracts and charges in the database."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from tenants.accounts.actors import Actor, ActorKind
from tenants.accounts.models import Tenant
from tenants.kernel.ids import new_id
from tenants.kernel.money import Money
from tenants.kernel.scope import system_scope, tenant_scope
from tenants.ledger.chart import GrantKind
from tenants.ledger.services import grant_issue, wallet_change
from tenants.pricing.charging import Charged, ChargeItem, ChargeRequest
from tenants.pricing.defaults import LIST_BOOK, PRICES
from tenants.pricing.models import Contract, PriceBookVersion
from tenants.pricing.services import (
    contract_write,
    price_version_draft,
    price_version_publish,
    usage_charge,
)
from tenants.pricing.services.books import NewPrice
from tenants.usage.ingestion import NewUsage
from tenants.usage.services import usage_record

MINI = {"model": "mini", "base": "mini"}


def tenant_make(name: str = "Acme", *, credit: str = "") -> str:
    """Return the id of a new tenant, with paid credit in USD where it is given."""
    tenant_id = new_id("ten_")
    with system_scope():
        Tenant.objects.create(id=tenant_id, name=name, slug=tenant_id[-20:])
        if credit:
            credit_give(tenant_id, credit)
    return tenant_id


def platform_make() -> str:
    """The platform's own tenant, which owns the platform's accounts."""
    from tenants.accounts.services import platform_tenant_ensure

    return platform_tenant_ensure().id


def credit_give(tenant_id: str, amount: str, currency: str = "USD", **options: Any) -> str:
    """Paid credit, unless `kind` says otherwise (system scope)."""
    fields: dict[str, Any] = {"kind": GrantKind.PAID, "source": "manual", **options}
    return grant_issue(
        tenant_id=tenant_id,
        key=new_id("top-up-"),
        amount=Money(Decimal(amount), currency),
        **fields,
    )


def tax_set(tenant_id: str, rate: str) -> None:
    with system_scope():
        wallet_change(
            tenant_id=tenant_id, currency="USD", tax_rate=Decimal(rate), tax_jurisdiction="DE"
        )


def operator_make() -> Actor:
    return Actor(kind=ActorKind.OPERATOR, id="user_op", tenant_id=platform_make())


def prices_with(**charges: Mapping[str, Any]) -> list[NewPrice]:
    """The list's first prices, some charged otherwise; `tokens_input` names `tokens.input`."""
    changed = {name.replace("_", ".", 1): charge for name, charge in charges.items()}
    return [NewPrice(p.meter, p.revenue, changed.get(p.meter, p.charge), p.match) for p in PRICES]


def publish(
    prices: list[NewPrice],
    *,
    book_id: str = LIST_BOOK,
    valid_from: dt.datetime | None = None,
    actor: Actor | None = None,
) -> PriceBookVersion:
    """A new version of a book, in force now or from `valid_from` on."""
    actor = actor or operator_make()
    with system_scope():
        draft = price_version_draft(actor=actor, book_id=book_id, prices=prices)
        return price_version_publish(actor=actor, version_id=draft.id, valid_from=valid_from)


def contract_make(tenant_id: str, **terms: Any) -> Contract:
    actor = operator_make()
    with system_scope():
        return contract_write(actor=actor, tenant_id=tenant_id, **terms)


def item(
    meter: str, quantity: int | str, at: dt.datetime | None = None, **dimensions: str
) -> ChargeItem:
    return ChargeItem(
        meter, Decimal(quantity), {**MINI, **dimensions}, at or dt.datetime.now(dt.UTC)
    )


def request(tenant_id: str, key: str, *items: ChargeItem, **fields: Any) -> ChargeRequest:
    given: dict[str, Any] = {"subject_kind": "request", "subject_id": key, **fields}
    return ChargeRequest(tenant_id=tenant_id, key=key, items=items, **given)


def charge(tenant_id: str, key: str, *items: ChargeItem, **fields: Any) -> Charged:
    """Charge one request in the tenant's own scope."""
    with tenant_scope(tenant_id):
        return usage_charge(tenant_id=tenant_id, request=request(tenant_id, key, *items, **fields))


def count(
    tenant_id: str,
    meter: str,
    quantity: int | str,
    *,
    key: str = "",
    at: dt.datetime | None = None,
    source: str = "storage",
    **dimensions: str,
) -> None:
    """Record one usage event."""
    event = NewUsage(
        meter=meter,
        quantity=Decimal(quantity),
        event_time=at or dt.datetime.now(dt.UTC),
        source=source,
        key=key or new_id("event-"),
        dimensions=dimensions,
    )
    with tenant_scope(tenant_id):
        usage_record(tenant_id=tenant_id, events=[event])
