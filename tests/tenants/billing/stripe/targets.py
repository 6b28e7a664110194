"""The other target of the suite: Stripe's own test mode, with `STRIPE_SECRET_KEY=sk_test_…`.

Nobody can pay a page, wait a week or break a connection there: tests that need it are skipped.
Webhooks cannot reach us, so Stripe's events are asked for. What a run made is deleted at its end.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any

import pytest
from stripe import StripeError

from tenants.billing.stripe.models import StripeObject
from tenants.kernel.scope import system_scope
from tests.tenants.billing.stripe.world import World, receive

QUIET_S = 6.0  # events of test mode come within seconds
POLL_S = 1.0


class NoControl:
    """Stripe has no such door."""

    def __getattr__(self, name: str) -> Any:
        pytest.skip(f"only the server on loopback can {name.replace('_', ' ')}")


@dataclass
class TestMode(World):
    """Stripe's test mode; its events since the start of the run."""

    __test__ = False
    control: Any = field(default_factory=NoControl)
    since: int = field(default_factory=lambda: int(time.time()))
    known: set[str] = field(default_factory=set)

    def deliver(self) -> int:
        found = self.api.v1.events.list({"created": {"gte": self.since}, "limit": 100})
        fresh = [event for event in found.auto_paging_iter() if event.id not in self.known]
        for event in reversed(fresh):
            self.known.add(event.id)
            receive(json.dumps(event.to_dict()).encode())
        return len(fresh)

    def settle(self) -> None:
        """Until nothing has come for a while."""
        last = time.monotonic()
        while time.monotonic() - last < QUIET_S:
            before = len(self.known)
            super().settle()
            if len(self.known) != before:
                last = time.monotonic()
            time.sleep(POLL_S)

    def clean(self) -> None:
        """Delete the run's customers, and with them what hangs on them."""
        with system_scope():
            rows = StripeObject.objects.filter(kind="customer", state="active")
            ids = list(rows.values_list("stripe_id", flat=True))
        for customer in ids:
            try:
                self.api.v1.customers.delete(customer)
            except StripeError as error:
                print(f"{customer} was left behind: {error}")  # noqa: T201 -- for whoever runs it
