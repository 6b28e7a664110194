"""What doctor says of the alert webhook: nothing is sent for it."""

from __future__ import annotations

import base64
from decimal import Decimal
from typing import Any

import pytest

from saas.doctor.findings import Finding, Health
from saas.doctor.optional import optional_check
from tenants.kernel.scope import system_scope
from tenants.market.models import AlertDelivery, MarketAlert
from tests.tenants.market.market import cut, launched, read, sold

pytestmark = pytest.mark.django_db

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()


def said(settings: Any, url: str, secret: str = SECRET) -> Finding:
    settings.ALERT_WEBHOOK_URL, settings.ALERT_WEBHOOK_SECRET = url, secret
    settings.ALERT_WEBHOOK_PRIVATE = False
    return next(found for found in optional_check() if found.about == "alert webhook")


def test_without_an_address_it_is_off(settings: Any) -> None:
    found = said(settings, "")
    assert found.health == Health.OFF
    assert "ALERT_WEBHOOK_URL" in found.todo


def test_settings_that_do_not_fit_are_named_and_no_secret_is_told(settings: Any) -> None:
    found = said(settings, "http://example.org/")
    assert (found.health, found.message) == (Health.FAILED, "ALERT_WEBHOOK_URL cannot be used")
    found = said(settings, "https://example.org/", "whsec_c2VjcmV0")
    assert found.message == "ALERT_WEBHOOK_SECRET cannot be used"
    assert "c2VjcmV0" not in found.todo


def test_of_an_address_only_the_host_is_told(settings: Any) -> None:
    """Many receivers know their callers by a token in the path."""
    found = said(settings, "https://example.org:8443/hooks/t0ken?key=k3y")
    assert found.message == "alerts on rivals go to example.org:8443"


def test_what_was_given_up_is_said(settings: Any) -> None:
    assert said(settings, "https://example.org/hook").health == Health.GOOD
    sold(cost=Decimal("0.35"))
    read(launched(), cut())
    with system_scope():
        AlertDelivery.objects.create(alert=MarketAlert.objects.get(), state="dead")
    assert said(settings, "https://example.org/hook").health == Health.WARNING
