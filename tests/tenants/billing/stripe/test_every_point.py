"""Killed or cut off at any point, a flow ends with the same books as without a fault."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

import pytest

from tenants.billing.stripe.reconciling.service import stripe_reconcile
from tests.tenants.accounts.factories import tenant_make
from tests.tenants.billing.stripe.ending import (
    books,
    books_of,
    objects_in_stripe,
    rows_of,
    rows_times,
    times,
)
from tests.tenants.billing.stripe.flows import FLOWS, Flow
from tests.tenants.billing.stripe.points import REQUEST, Counting, Point, counting, survived
from tests.tenants.billing.stripe.world import World

pytestmark = pytest.mark.django_db
DAILY = {"checkout"}  # the rest: make test-all


def run(world: World, flow: Flow, point: Point | None = None) -> tuple[str, Counting]:
    """Live through a flow with a customer of its own, and a fault at `point`."""
    tenant = tenant_make(has_credit=False)
    with counting(world, point) as counts:
        for is_known in flow(world, tenant):
            with nullcontext() if is_known else counts.watched():
                survived(world.settle)
    return tenant.tenant.id, counts


@pytest.mark.parametrize("name", sorted(DAILY))
def test_a_flow_ends_the_same_whatever_happens_at_whichever_point(name: str, world: World) -> None:
    enumerated(world, FLOWS[name], lambda _: True)


@pytest.mark.parametrize("name", ["dispute", "refund"])
def test_a_flow_ends_the_same_whatever_happens_at_whichever_request(
    name: str, world: World
) -> None:
    enumerated(world, FLOWS[name], lambda point: point.what == REQUEST)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(FLOWS.keys() - DAILY))
def test_every_flow_ends_the_same_whatever_happens_at_whichever_point(
    name: str, world: World
) -> None:
    enumerated(world, FLOWS[name], lambda _: True)


def enumerated(world: World, flow: Flow, wanted: Callable[[Point], bool]) -> None:
    """Run a flow once without a fault, and once for each of its points that is wanted."""
    whole, counts = run(world, flow)
    one, in_stripe = books(), objects_in_stripe(world)
    own, rows = books_of(whole), rows_of(whole)
    assert "cash stripe USD" not in one
    points = [point for point in counts.points if wanted(point)]
    assert len(points) > 5
    for point in points:
        tenant_id, struck = run(world, flow, point)
        assert struck.struck, point
        assert (books_of(tenant_id), rows_of(tenant_id)) == (own, rows), point
    runs = 1 + len(points)
    assert books() == times(runs, one)
    assert objects_in_stripe(world) == rows_times(runs, in_stripe)
    assert stripe_reconcile().differences == ()
