"""The flows of money, each from its first click to its last posting.

A flow is a generator: it does what customers, operators and banks do, and yields wherever our own
processes are to catch up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from tests.tenants.accounts.factories import SignedUp
from tests.tenants.billing.stripe.world import World, session_of, top_up

Flow = Callable[[World, SignedUp], Iterator[None]]


def checkout(world: World, tenant: SignedUp) -> Iterator[None]:
    visit = top_up(tenant, "25")
    yield
    world.control.pay_session(session_of(visit))
    yield


FLOWS: Mapping[str, Flow] = {"checkout": checkout}
