"""What doctor says of Stripe: nothing is sent for it."""

from __future__ import annotations

from typing import Any

import pytest

from saas.doctor.findings import Finding, Health
from saas.doctor.optional import optional_check
from tenants.billing.stripe.findings import finding_open
from tenants.kernel.scope import system_scope

pytestmark = pytest.mark.django_db


def said(settings: Any, key: str, secret: str = "whsec_1") -> Finding:
    settings.STRIPE_SECRET_KEY, settings.STRIPE_WEBHOOK_SECRET = key, secret
    settings.STRIPE_API_BASE = "http://127.0.0.1:9"
    return next(found for found in optional_check() if found.about == "Stripe")


def test_without_a_key_it_is_off(settings: Any) -> None:
    found = said(settings, "")
    assert (found.health, found.todo) == (Health.OFF, "set STRIPE_SECRET_KEY")


def test_a_live_key_that_is_not_meant_fails(settings: Any) -> None:
    found = said(settings, "sk_live_1")
    assert found.health == Health.FAILED
    assert "STRIPE_ALLOW_LIVE=1" in found.todo
    assert "sk_live_1" not in found.message + found.todo


def test_without_webhooks_it_warns(settings: Any) -> None:
    assert "webhooks/stripe" in said(settings, "sk_test_1", "").todo


def test_open_findings_are_said(settings: Any) -> None:
    assert said(settings, "sk_test_1").health == Health.GOOD
    with system_scope():
        finding_open(kind="k", subject="s", action="a", evidence={})
    assert said(settings, "sk_test_1").health == Health.WARNING
