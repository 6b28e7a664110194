"""Killed or cut off at any point, a flow ends with the same books as without a fault."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from tenants.accounts.services import platform_tenant_ensure
from tenants.billing.stripe.client import API_VERSION
from tenants.billing.stripe.reconciling.service import stripe_reconcile
from tests.database import database_clean
from tests.stripe_server.running import stripe_server
from tests.tenants.accounts.factories import tenant_make
from tests.tenants.billing.stripe.ending import End, end_of
from tests.tenants.billing.stripe.flows import FLOWS, Flow
from tests.tenants.billing.stripe.points import Counting, Point, counting, points_of, survived
from tests.tenants.billing.stripe.world import World

pytestmark = pytest.mark.django_db


class Runs:
    """Runs of one flow, each with a Stripe and a database of its own."""

    def __init__(self, flow: Flow, settings: Any, cleaner: psycopg.Connection) -> None:
        self.flow, self.settings, self.cleaner = flow, settings, cleaner

    def run(self, point: Point | None = None) -> tuple[End, Counting]:
        """Where it ends, with a fault at `point`."""
        database_clean(self.cleaner)
        platform_tenant_ensure()
        tenant = tenant_make(has_credit=False)
        with stripe_server() as control:
            self.settings.STRIPE_API_BASE = control.url
            control.api_version(API_VERSION)
            world = World(control)
            with counting(world, point) as counts:
                for _ in self.flow(world, tenant):
                    with counts.watched():
                        survived(world.settle)
                    if counts.struck:
                        stripe_reconcile()
            stripe_reconcile()
            world.settle()
            return end_of(world), counts


@pytest.mark.parametrize("name", FLOWS)
def test_a_flow_ends_the_same_whatever_happens_at_whichever_point(
    name: str, world: World, settings: Any, _cleaner: psycopg.Connection
) -> None:
    runs = Runs(FLOWS[name], settings, _cleaner)
    wanted, counts = runs.run()
    assert wanted["rows"]["findings"] == {}
    assert wanted["books"].get("cash stripe USD") is None
    found = points_of(counts)
    assert len(found) > 20
    for point in found:
        ended, counts = runs.run(point)
        assert counts.struck, point
        assert ended == wanted, point
