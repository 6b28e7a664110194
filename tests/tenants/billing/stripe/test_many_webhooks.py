"""Very many webhooks, 30% twice, in any order, 5% never: the same end as with none amiss."""

from __future__ import annotations

import os
import random

import pytest

from tenants.billing.stripe.models import StripeEvent
from tenants.billing.stripe.reconciling.service import stripe_reconcile
from tenants.kernel.scope import system_scope
from tests.tenants.accounts.factories import tenant_make
from tests.tenants.billing.stripe.ending import books, books_of, rows_of, times
from tests.tenants.billing.stripe.world import (
    World,
    disordered,
    receive,
    session_of,
    top_up,
    topped_up,
)

pytestmark = pytest.mark.django_db


def flooded(world: World, wanted: int) -> None:
    """Live through enough top-ups for `wanted` webhooks, all of which come at once, disordered."""
    plain = tenant_make(has_credit=False)
    topped_up(world, plain, "25")
    one, own, rows = books(), books_of(plain.tenant.id), rows_of(plain.tenant.id)
    with system_scope():
        count = -(-wanted // StripeEvent.objects.count())
    tenants = [tenant_make(has_credit=False) for _ in range(count)]
    visits = [top_up(tenant, "25") for tenant in tenants]
    payloads: list[bytes] = []
    world.shuffle = lambda found: payloads.extend(found) or []
    world.settle()
    for visit in visits:
        world.control.pay_session(session_of(visit))
    payloads += world.control.take_events()
    assert len(payloads) >= wanted
    for payload in disordered(random.Random(5))(payloads):
        receive(payload)
    world.settle()
    assert stripe_reconcile().healed > 0
    for tenant in tenants:
        assert (books_of(tenant.tenant.id), rows_of(tenant.tenant.id)) == (own, rows)
    assert books() == times(1 + count, one)
    healed_twice = stripe_reconcile()
    assert (healed_twice.healed, healed_twice.differences) == (0, ())


def test_webhooks_in_disorder_end_as_if_in_order(world: World) -> None:
    flooded(world, 100)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_very_many_webhooks_in_disorder_end_as_if_in_order(world: World) -> None:
    """MANY_WEBHOOKS=10000 for as many as the platform is to bear."""
    flooded(world, int(os.environ.get("MANY_WEBHOOKS", "1000")))
