"""Payouts at once, and beside what a charge locks: paid once, and nobody waits in a ring."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest
from django.db import connections

from tenants.kernel.errors import Conflict
from tenants.kernel.scope import system_scope
from tenants.ledger.selectors import unbalanced
from tenants.ledger.services import share_lock, wallet_lock
from tenants.marketplace.models import Payout
from tenants.marketplace.services.payouts import payout_confirm, payout_order
from tests.tenants.billing.factories import operator_of
from tests.tenants.marketplace.test_statements import sold, terms
from tests.tenants.partners.factories import partner_make, plugin_priced, standing

pytestmark = pytest.mark.django_db


@pytest.fixture
def earned() -> str:
    """A partner to whom 7.00 USD are available."""
    partner = partner_make(terms())
    plugin_priced()
    sold("10")
    return partner


def ordered(partner: str, key: str) -> str:
    """The payout's id, or what was said against it."""
    try:
        with system_scope():
            return str(payout_order(actor=operator_of(partner), currency="USD", key=key).id)
    except Conflict as error:
        return str(error.code)
    finally:
        connections.close_all()


def both(first: Callable[[], str], second: Callable[[], str]) -> list[str]:
    with ThreadPoolExecutor(2) as pool:
        return sorted(done.result() for done in [pool.submit(first), pool.submit(second)])


def test_two_payouts_at_once_pay_once(earned: str) -> None:
    found = both(lambda: ordered(earned, "a"), lambda: ordered(earned, "b"))
    assert found[1] == "payout_too_small"
    with system_scope():
        (row,) = Payout.objects.all()
        assert row.amount == Decimal(7)
        assert unbalanced() == []
    assert standing(earned)["available"] == 0


def test_one_key_at_once_is_one_payout_and_confirmed_at_once_it_is_sent_once(earned: str) -> None:
    first, second = both(lambda: ordered(earned, "a"), lambda: ordered(earned, "a"))
    assert first == second

    def confirmed() -> str:
        try:
            with system_scope():
                actor = operator_of(earned)
                return payout_confirm(actor=actor, payout_id=first, reference="bank 7").reference
        finally:
            connections.close_all()

    assert both(confirmed, confirmed) == ["bank 7", "bank 7"]
    with system_scope():
        assert unbalanced() == []
    assert standing(earned) == {"pending": 0, "available": 0, "paid": 0, "receivable": 0}


def test_a_payout_waits_for_a_partners_own_purchases_without_a_ring(earned: str) -> None:
    """Who takes back shares holds the customer's wallet, then wants the partner's: both are one."""
    with ThreadPoolExecutor(1) as pool:
        with system_scope():
            wallet_lock(tenant_id=earned, currency="USD")
            paying = pool.submit(ordered, earned, "a")
            while not _waits():
                assert not paying.done()
            share_lock(tenant_id=earned)  # raises where both wait for each other
        assert paying.result().startswith("pay_")


def _waits() -> bool:
    """Whether some connection to this database waits for a lock."""
    with connections["system"].cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_locks WHERE NOT granted")
        return bool(cursor.fetchone()[0])
