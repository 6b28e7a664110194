"""Two platforms look at the same statements at once: each month becomes final once."""

from __future__ import annotations

import datetime as dt
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from django.db import connections

from tenants.billing.models import Invoice
from tenants.billing.services.statements import statements_advance
from tenants.kernel.scope import system_scope
from tenants.ledger.audit import projections_wrong
from tenants.ledger.chart import AccountKind
from tenants.ledger.selectors import unbalanced
from tests.tenants.billing.factories import MARCH, book, customer, on, sum_of, used

pytestmark = pytest.mark.django_db
AT = MARCH.end + dt.timedelta(days=4)


def advance(_: int) -> int:
    try:
        return statements_advance(now=AT)
    finally:
        connections.close_all()


def test_a_month_becomes_final_once_however_many_look() -> None:
    book_id = book({"model": "standard", "unit": "0.01"})
    tenants = [customer(book_id=book_id, plan_fee=Decimal(20)) for _ in range(4)]
    for tenant_id in tenants:
        used(tenant_id, "a", 100, on(MARCH, 3))
    with ThreadPoolExecutor(4) as pool:
        finals = list(pool.map(advance, range(4)))
    assert sum(finals) == len(tenants)
    with system_scope():
        numbers = sorted(Invoice.objects.exclude(number="").values_list("number", flat=True))
        assert numbers == [f"BW-2026-{number:06}" for number in range(1, 5)]
        assert list(unbalanced()) == []
        assert list(projections_wrong()) == []
    for tenant_id in tenants:
        assert sum_of(tenant_id, AccountKind.REVENUE) == -21
