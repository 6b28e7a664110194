"""A disputed payment takes partners' shares of what it paid for; a won dispute gives them back."""

from __future__ import annotations

import pytest

from tenants.kernel.scope import system_scope
from tenants.ledger.selectors import unbalanced
from tests.tenants.accounts.factories import SignedUp
from tests.tenants.billing.stripe.world import World, object_id, topped_up
from tests.tenants.partners.factories import (
    PLUGIN,
    SEVENTY,
    partner_make,
    plugin_priced,
    standing,
)
from tests.tenants.pricing.books import charge, item

pytestmark = pytest.mark.django_db


def sold(customer: str, quantity: str) -> None:
    made = item("plugin.units", quantity)
    units = type(made)(made.meter, made.quantity, {"plugin": PLUGIN}, made.event_time)
    charge(customer, f"job{quantity}", units)


@pytest.mark.parametrize("outcome", ["won", "lost"])
def test_shares_follow_a_dispute(world: World, tenant: SignedUp, outcome: str) -> None:
    partner = partner_make(SEVENTY)
    plugin_priced()
    topped_up(world, tenant, "25")
    sold(tenant.tenant.id, "10")
    before = standing(partner)["pending"]
    assert 0 < before <= 7  # welcome credit pays a part, which the platform bears
    disputed = world.control.open_dispute(object_id(tenant, "charge"))
    world.settle()
    taken = standing(partner)
    assert taken["pending"] < before
    evidence = {"uncategorized_text": f"{outcome}_evidence".replace("won", "winning").replace(
        "lost", "losing")}  # fmt: skip
    world.api.v1.disputes.update(disputed, {"evidence": evidence})
    world.settle()
    after = standing(partner)
    assert after == (taken if outcome == "lost" else {**taken, "pending": before})
    with system_scope():
        assert unbalanced() == []
