"""Stripe itself, as a process of its own, killed in the middle of a flow and started again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from saas.runtime.ports import free_port
from tenants.billing.stripe.client import API_VERSION
from tenants.billing.stripe.reconciling.service import stripe_reconcile
from tests.stripe_server.faults import What
from tests.stripe_server.running import Process
from tests.tenants.accounts.factories import SignedUp
from tests.tenants.billing.stripe.ending import books
from tests.tenants.billing.stripe.flows import invoice
from tests.tenants.billing.stripe.world import World

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("what", "path"), [(What.DIE, "POST /v1/invoiceitems"), (What.DIE_AFTER, "/finalize")]
)
def test_a_stripe_that_dies_is_waited_for(
    world: World, tenant: SignedUp, settings: Any, tmp_path: Path, what: What, path: str
) -> None:
    """Before a request is acted upon, and after it and unheard."""
    server = Process(free_port(), tmp_path / "stripe.json")
    control = server.start()
    settings.STRIPE_API_BASE = control.url
    control.api_version(API_VERSION)
    control.fault(what, path)
    died = World(control)

    def settle() -> None:
        """Whoever notices that it is gone starts it again."""
        for _ in range(10):
            try:
                died.settle()
            except Exception:  # noqa: BLE001 -- the door is closed, too
                assert server.running is not None
                server.running.wait(10)
                died.control = server.start()
            else:
                return

    try:
        for _ in invoice(died, tenant):
            settle()
        assert books()["revenue tokens USD"] == -100
        assert books()["cash manual USD"] == 40
        assert stripe_reconcile().differences == ()
    finally:
        server.kill()
