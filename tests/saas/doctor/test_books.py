"""The doctor sees books that do not balance, and wallets that say other than the books."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from django.db import connections

from saas.doctor.books import books_check, usage_check
from saas.doctor.findings import Health
from tenants.kernel.clock import now
from tenants.kernel.scope import tenant_scope
from tenants.usage.services import usage_record
from tests.saas.doctor.factories import healths, the_only
from tests.tenants.ledger.factories import charge_make, customer_make, grant_make, hold_make
from tests.tenants.usage.factories import tenant_make, usage

pytestmark = pytest.mark.django_db


@contextmanager
def unchecked(table: str) -> Iterator[None]:
    """As somebody with the owner's rights might tamper: the table's own triggers off."""
    with connections["owner"].cursor() as cursor:
        cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        try:
            yield
        finally:
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")


def as_owner(statement: str) -> None:
    with connections["owner"].cursor() as cursor:
        cursor.execute(statement)


def used() -> None:
    tenant_id = customer_make()
    grant_make(tenant_id, "10")
    charge_make(tenant_id, "3")
    hold_make(tenant_id, "2")


def test_books_without_a_transaction_are_good() -> None:
    assert the_only(books_check()).health is Health.GOOD


def test_books_in_use_are_good() -> None:
    used()
    finding = the_only(books_check())
    assert (finding.health, finding.message[:14]) == (Health.GOOD, "2 transactions")


def test_a_posting_changed_by_hand_is_seen() -> None:
    used()
    with unchecked("ledger_posting"):
        as_owner("UPDATE ledger_posting SET amount = amount + 1 WHERE amount = 10")
        found = list(books_check())
    assert healths(found) == {"books": Health.FAILED}
    assert "1 transactions" in found[0].message


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE credit_grant SET remaining = remaining - 1",
        "UPDATE credit_grant SET held = held + 0.000000000001",
        "UPDATE wallet SET receivable = receivable + 1",
        "UPDATE wallet SET held_postpaid = 1",
        "UPDATE hold SET drawn = 1",
        "DELETE FROM hold_part",
    ],
)
def test_a_wallet_changed_by_hand_is_seen(change: str) -> None:
    used()
    as_owner(change)
    assert Health.FAILED in healths(books_check()).values()


def test_a_budget_changed_by_hand_is_seen() -> None:
    used()
    as_owner("SELECT budget_create(tenant_id, 'USD', 'tenant', '', NULL, 9) FROM wallet")
    assert the_only(books_check()).health is Health.GOOD
    as_owner("UPDATE budget_spend SET spent = 0")
    finding = the_only(books_check())
    assert finding.health is Health.FAILED
    assert "books say 3" in finding.message


def test_an_hour_changed_by_hand_is_seen() -> None:
    tenant_id = tenant_make()
    with tenant_scope(tenant_id):
        usage_record(tenant_id=tenant_id, events=[usage("a", at=now())])
    assert the_only(usage_check()).health is Health.GOOD
    with unchecked("usage_hour"):
        as_owner("UPDATE usage_hour SET quantity = quantity + 1")
    finding = the_only(usage_check())
    assert finding.health is Health.FAILED
    assert tenant_id in finding.message
