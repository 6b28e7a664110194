"""Builders for tests about billing: a customer with terms, what it uses, and the clock's moves.

Months are named by hand: usage of a past month is charged and stated now, with `now` given.
"""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

from tenants.accounts.actors import Actor, ActorKind, system_actor
from tenants.accounts.services import platform_tenant_ensure
from tenants.billing.models import Invoice, Statement
from tenants.billing.periods import Period
from tenants.billing.services.statements import statements_advance
from tenants.kernel.ids import new_id
from tenants.kernel.money import Money
from tenants.kernel.scope import system_scope, tenant_scope
from tenants.ledger.chart import AccountKind, GrantKind
from tenants.ledger.models import LedgerPosting, LedgerTransaction, Wallet
from tenants.ledger.services import grant_issue
from tenants.pricing.charging import Charged, ChargeItem, ChargeRequest
from tenants.pricing.models import Contract, Price, PriceBook, PriceBookVersion
from tenants.pricing.services import usage_charge
from tenants.usage.ingestion import NewUsage
from tenants.usage.meters import METERS
from tenants.usage.services import usage_record
from tests.tenants.accounts.factories import tenant_make

MODEL = "breakwater-mini-1"
MARCH, APRIL, MAY = (Period(dt.date(2026, month, 1)) for month in (3, 4, 5))
GRACE = dt.timedelta(days=3)


def on(period: Period, day: int, hour: int = 12) -> dt.datetime:
    """A moment of a month."""
    return period.start + dt.timedelta(days=day - 1, hours=hour)


def customer(**terms: Any) -> str:
    """Return the id of a new tenant, with a contract from long ago where there are `terms`."""
    platform_tenant_ensure()  # whose the revenue is
    tenant_id = tenant_make(has_credit=False).tenant.id
    if terms:
        contract(tenant_id, **terms)
    return tenant_id


def contract(
    tenant_id: str, starts: dt.datetime = dt.datetime(2026, 1, 1, tzinfo=dt.UTC), **terms: Any
) -> str:
    """Terms in the past, which no operator could write any more; the former ones end there."""
    fields = {"currency": "USD", **terms}
    with system_scope():
        former = Contract.objects.filter(tenant_id=tenant_id, ends__isnull=True)
        former.update(ends=starts)
        row: Contract = Contract.objects.create(
            id=new_id("contract_"), tenant_id=tenant_id, starts=starts, **fields
        )
    return row.id


def book(charge: dict[str, Any], *, meter: str = "tokens.input", revenue: str = "tokens") -> str:
    """Return the id of a book of USD in which one meter has a price and all else is free."""
    with system_scope():
        row = PriceBook.objects.create(id=new_id("book_"), name="Test", currency="USD")
    version(row.id, charge, meter=meter, revenue=revenue)
    return row.id


def version(
    book_id: str,
    charge: dict[str, Any],
    *,
    meter: str = "tokens.input",
    revenue: str = "tokens",
    valid_from: dt.datetime = dt.datetime(2025, 1, 1, tzinfo=dt.UTC),
) -> str:
    """A published version of a book, also one that holds since the past."""
    with system_scope():
        number = PriceBookVersion.objects.filter(book_id=book_id).count() + 1
        row = PriceBookVersion.objects.create(
            id=new_id("bookv_"),
            book_id=book_id,
            number=number,
            valid_from=valid_from,
            published_at=valid_from,
        )
        free = {"model": "standard", "unit": "0"}
        Price.objects.bulk_create(
            Price(
                version=row,
                meter=name,
                revenue=revenue if name == meter else "services",
                charge=charge if name == meter else free,
            )
            for name in METERS
        )
    return row.id


def counted(
    tenant_id: str, key: str, quantity: int | str, at: dt.datetime, meter: str = "tokens.input"
) -> NewUsage:
    """Record an event that nobody charges for at once."""
    event = NewUsage(
        meter=meter,
        quantity=Decimal(quantity),
        event_time=at,
        source="test",
        key=key,
        dimensions={"model": MODEL, "base": MODEL},
    )
    with tenant_scope(tenant_id):
        usage_record(tenant_id=tenant_id, events=[event])
    return event


def used(
    tenant_id: str,
    key: str,
    quantity: int | str,
    at: dt.datetime,
    meter: str = "tokens.input",
    **request: Any,
) -> Charged:
    """Record an event and charge it, as the gateway does."""
    event = NewUsage(
        meter=meter,
        quantity=Decimal(quantity),
        event_time=at,
        source="gateway",
        key=key,
        dimensions={"model": MODEL, "base": MODEL},
    )
    item = ChargeItem(event.meter, event.quantity, event.dimensions, event.event_time)
    with tenant_scope(tenant_id):
        usage_record(tenant_id=tenant_id, events=[event])
        return usage_charge(
            tenant_id=tenant_id,
            request=ChargeRequest(
                tenant_id=tenant_id,
                key=key,
                subject_kind="request",
                subject_id=key,
                items=[item],
                **request,
            ),
        )


def granted(
    tenant_id: str,
    amount: str,
    kind: GrantKind = GrantKind.PAID,
    currency: str = "USD",
    **more: Any,
) -> str:
    with system_scope():
        return grant_issue(
            tenant_id=tenant_id,
            key=new_id("test-grant-"),
            kind=kind,
            amount=Money.of(amount, currency),
            source="manual" if kind is GrantKind.PAID else "test",
            **more,
        )


def operator_of(tenant_id: str) -> Actor:
    return Actor(kind=ActorKind.OPERATOR, id="user_1", tenant_id=tenant_id)


def system_of(tenant_id: str) -> Actor:
    return system_actor(tenant_id)


def stated(tenant_id: str, period: Period, *, days: int = 4) -> Invoice:
    """Advance to `days` after the month, and return its invoice."""
    statements_advance(now=period.end + dt.timedelta(days=days), tenant_id=tenant_id)
    return invoice_of(tenant_id, period)


def open_statement(tenant_id: str, period: Period) -> None:
    """Let the month's statement be opened while it runs."""
    statements_advance(now=on(period, 2), tenant_id=tenant_id)


def invoice_of(tenant_id: str, period: Period) -> Invoice:
    with system_scope():
        found: Invoice = Invoice.objects.get(tenant_id=tenant_id, period=period.month)
    return found


def statement_of(tenant_id: str, period: Period) -> Statement:
    with system_scope():
        found: Statement = Statement.objects.get(tenant_id=tenant_id, period=period.month)
    return found


def receivable(tenant_id: str, currency: str = "USD") -> Decimal:
    with system_scope():
        return Decimal(Wallet.objects.get(tenant_id=tenant_id, currency=currency).receivable)


def postings_of(tenant_id: str) -> list[tuple[str, str, str, Decimal]]:
    """(transaction kind, account kind, ref, amount) of all that is about a tenant, in order."""
    with system_scope():
        ids = LedgerTransaction.objects.filter(tenant_id=tenant_id).values_list("id", flat=True)
        rows = LedgerPosting.objects.filter(transaction_id__in=list(ids)).select_related(
            "transaction", "account"
        )
        return [
            (row.transaction.kind, row.account.kind, row.account.ref, row.amount)
            for row in rows.order_by("id")
        ]


def sum_of(tenant_id: str, kind: AccountKind, ref: str | None = None) -> Decimal:
    """The balance that a tenant's transactions left on one kind of account."""
    return sum(
        (
            amount
            for _, account, its_ref, amount in postings_of(tenant_id)
            if account == kind and ref in {None, its_ref}
        ),
        Decimal(0),
    )
