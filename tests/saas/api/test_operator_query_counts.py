"""No list of staff's asks the database once for each of its rows."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest

from tenants.billing.services.tax import tax_rate_set
from tenants.kernel.clock import now
from tenants.kernel.scope import system_scope, tenant_scope
from tenants.pricing.defaults import LIST_BOOK
from tenants.pricing.quotes import QuoteLine, quote_make
from tests.saas.api.factories import Caller, tenant_caller
from tests.saas.api.test_query_counts import queries_of
from tests.saas.money import billed, cost_measured, on_credit, stray_transfer, top_up
from tests.tenants.billing.factories import operator_of

pytestmark = pytest.mark.django_db

LISTS = [
    "bank_transfers", "contracts", "loss_budgets", "price_proposals",
    "costs/jobs", "grants", "invoices", "margins", "payments",
    "price_books", f"price_books/{LIST_BOOK}/versions", "price_overrides", "quote_errors",
    "statements", "tax_rates", "tenants",
]  # fmt: skip


def customer_make(operator: Caller, number: int) -> None:
    """A tenant with one of each thing that staff list."""
    caller = tenant_caller(f"Customer {number}")
    assert caller.tenant is not None
    on_credit(caller.tenant)
    billed(caller.tenant)
    top_up(caller.tenant)
    stray_transfer()
    cost_measured(caller.tenant, f"ftjob-{number}", quote_id=quoted(caller))
    with system_scope():
        tax_rate_set(
            actor=operator_of(caller.tenant.id),
            jurisdiction=f"X{number}",
            name="tax",
            rate=Decimal("0.1"),
            valid_from=now(),
        )
    override = {
        "meter": "tokens.trained",
        "tenant_id": caller.tenant.id,
        "reason": "for the sake of it",
        "expires_at": int((now() + dt.timedelta(days=1)).timestamp()),
    }
    proposal = {
        "meter": "tokens.trained",
        "book_id": LIST_BOOK,
        "charge": {"model": "standard", "unit": "1"},
        "ends": override["expires_at"],
        "note": override["reason"],
    }
    for path, body in (
        ("price_books", {"name": f"Book {number}"}),
        (f"price_books/{LIST_BOOK}/versions", {"prices": []}),
        ("price_overrides", override),
        ("loss_budgets", {**override, "amount": "5"}),
        ("price_proposals", proposal),
    ):
        assert operator.post(f"/operator/v1/{path}", body).status == 201, path


def quoted(caller: Caller) -> str:
    assert caller.actor is not None
    million = Decimal(1_000_000)
    with tenant_scope(caller.actor.tenant_id):
        quote = quote_make(
            actor=caller.actor,
            kind="fine_tune",
            fingerprint="f" * 64,
            lines=[QuoteLine("tokens.trained", million, million, 2 * million)],
        )
    return str(quote.id)


def test_a_longer_list_asks_no_more(operator: Caller) -> None:
    customer_make(operator, 0)
    paths = [f"/operator/v1/{name}" for name in LISTS]
    for path in paths:
        queries_of(operator, path)  # what is remembered after the first time
    before = {path: queries_of(operator, path) for path in paths}
    for number in (1, 2, 3):
        customer_make(operator, number)

    after = {path: queries_of(operator, path) for path in paths}

    for path in paths:
        assert after[path][0] >= before[path][0] + 3, path
        assert after[path][1] == before[path][1], path
