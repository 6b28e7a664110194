"""Each flow without a fault: what it leaves in the books, to the cent."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import pytest

from tenants.billing.stripe.reconciling.service import stripe_reconcile
from tests.tenants.accounts.factories import SignedUp
from tests.tenants.billing.stripe.ending import books, rows_of
from tests.tenants.billing.stripe.flows import FLOWS
from tests.tenants.billing.stripe.world import World

pytestmark = pytest.mark.django_db
D = Decimal

# Stripe's fee here is 2.9% + 0.30. Debits above zero; what is at zero is left out
BOOKS: Mapping[str, Mapping[str, str]] = {
    "checkout": {
        "grant": "-25",
        "provider_fee stripe": "1.02",
        "provider_pending stripe": "23.98",
    },
    "invoice": {
        "cash manual": "40",
        "provider_fee stripe": "2.04",
        "provider_pending stripe": "57.96",
        "revenue tokens": "-100",
    },
    "refund": {
        "grant": "-15",
        "provider_available stripe": "-10",
        "provider_fee stripe": "1.02",
        "provider_pending stripe": "23.98",
    },
    "credit_note": {
        "provider_available stripe": "-30",
        "provider_fee stripe": "3.20",
        "provider_pending stripe": "96.80",
        "revenue tokens": "-70",
    },
    "dispute": {
        "bad_debt": "10",
        "provider_available stripe": "-40",
        "provider_fee stripe": "16.02",
        "provider_pending stripe": "23.98",
        "revenue tokens": "-10",
    },
    "subscription": {
        "provider_fee stripe": "1.75",
        "provider_pending stripe": "48.25",
        "revenue plan": "-50",
    },
    "payout": {
        "cash manual": "20",
        "grant": "-100",
        "partner_share": "60",
        "provider_available stripe": "16.80",
        "provider_fee stripe": "3.20",
    },
}


@pytest.mark.parametrize("name", FLOWS)
def test_what_a_flow_leaves_in_the_books(name: str, world: World, tenant: SignedUp) -> None:
    for _ in FLOWS[name](world, tenant):
        world.settle()
    left = {" ".join(account.split()[:-1]): amount for account, amount in books().items()}
    assert left == {account: D(amount) for account, amount in BOOKS[name].items()}
    assert {state for _, state in rows_of(tenant.tenant.id)["calls"]} == {"done"}
    assert stripe_reconcile().differences == ()
