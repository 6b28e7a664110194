"""Stripe for each test, the real SDK in front of it: on loopback, or in its test mode."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from stripe import HTTPClient

from saas.runtime.layout import Layout
from tenants.accounts.services import platform_tenant_ensure
from tenants.billing.stripe.client import API_VERSION
from tenants.kernel.scope import system_scope
from tenants.ledger.audit import projections_wrong
from tenants.ledger.selectors import unbalanced
from tests.plugin import STRIPE_KEY
from tests.stripe_server.running import stripe_server
from tests.tenants.accounts.factories import SignedUp, tenant_make
from tests.tenants.billing.stripe.shapes import recorded
from tests.tenants.billing.stripe.targets import TestMode
from tests.tenants.billing.stripe.world import SECRET, World


@pytest.fixture
def world(
    settings: Any, request: pytest.FixtureRequest, _django_db_helper: None
) -> Iterator[World]:
    """A Stripe with nothing in it (test mode: nothing of ours); afterwards the books balance."""
    key = request.config.stash[STRIPE_KEY]
    if key and "_shapes" not in request.fixturenames:
        pytest.skip("needs faults, time, or a Stripe of its own: runs on loopback only")
    platform_tenant_ensure()
    settings.STRIPE_WEBHOOK_SECRET = SECRET
    yield from _in_test_mode(settings, key) if key else _on_loopback(settings)
    with system_scope():
        assert list(unbalanced()) == []
        assert list(projections_wrong()) == []


@pytest.fixture
def tenant(world: World) -> SignedUp:
    """A customer with empty books."""
    return tenant_make(has_credit=False)


@pytest.fixture(scope="session")
def _shapes(layout: Layout, pytestconfig: pytest.Config) -> Iterator[None]:
    """Where both targets have run, their difference is in the data folder."""
    target = "test-mode" if pytestconfig.stash[STRIPE_KEY] else "loopback"
    with recorded(layout.var, target):
        yield


def _on_loopback(settings: Any) -> Iterator[World]:
    with pytest.MonkeyPatch.context() as patch, stripe_server() as control:
        patch.setattr(HTTPClient, "INITIAL_DELAY", 0.001)
        patch.setattr(HTTPClient, "MAX_DELAY", 0.002)
        settings.STRIPE_SECRET_KEY = "sk_test_loopback"
        settings.STRIPE_API_BASE = control.url
        control.api_version(API_VERSION)
        yield World(control)


def _in_test_mode(settings: Any, key: str) -> Iterator[World]:
    settings.STRIPE_SECRET_KEY, settings.STRIPE_API_BASE = key, ""
    world = TestMode()
    yield world
    world.clean()
