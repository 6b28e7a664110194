"""Stripe on loopback for each test, the real SDK in front of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from stripe import HTTPClient

from tenants.accounts.services import platform_tenant_ensure
from tenants.billing.stripe.client import API_VERSION
from tenants.kernel.scope import system_scope
from tenants.ledger.audit import projections_wrong
from tenants.ledger.selectors import unbalanced
from tests.stripe_server.running import stripe_server
from tests.tenants.accounts.factories import SignedUp, tenant_make
from tests.tenants.billing.stripe.world import SECRET, World


@pytest.fixture
def world(
    settings: Any, monkeypatch: pytest.MonkeyPatch, _django_db_helper: None
) -> Iterator[World]:
    """A Stripe with nothing in it; afterwards the books must balance."""
    monkeypatch.setattr(HTTPClient, "INITIAL_DELAY", 0.001)
    monkeypatch.setattr(HTTPClient, "MAX_DELAY", 0.002)
    platform_tenant_ensure()
    with stripe_server() as control:
        settings.STRIPE_SECRET_KEY = "sk_test_loopback"
        settings.STRIPE_API_BASE = control.url
        settings.STRIPE_WEBHOOK_SECRET = SECRET
        control.api_version(API_VERSION)
        yield World(control)
    with system_scope():
        assert list(unbalanced()) == []
        assert list(projections_wrong()) == []


@pytest.fixture
def tenant(world: World) -> SignedUp:
    """A customer with empty books."""
    return tenant_make(has_credit=False)
