"""The door to Stripe: which keys may be used, and the version that is pinned."""

from __future__ import annotations

import socket
from typing import Any

import pytest
import stripe

from tenants.billing.stripe.client import API_VERSION, StripeOff, stripe_client, stripe_mode


def keyed(settings: Any, key: str, *, live: bool = False) -> None:
    settings.STRIPE_SECRET_KEY, settings.STRIPE_ALLOW_LIVE = key, live
    settings.STRIPE_API_BASE = "http://127.0.0.1:9"


@pytest.mark.parametrize("key", ["sk_live_1", "rk_live_1"])
def test_a_live_key_is_refused_before_anything_is_sent(
    settings: Any, key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    keyed(settings, key)
    monkeypatch.setattr(socket, "create_connection", lambda *_a, **_k: pytest.fail("it was sent"))
    with pytest.raises(StripeOff, match="STRIPE_ALLOW_LIVE"):
        stripe_client()


def test_production_says_that_a_live_key_is_meant(settings: Any) -> None:
    keyed(settings, "sk_live_1", live=True)
    assert stripe_mode() == "live"


@pytest.mark.parametrize("key", ["sk_test_1", "rk_test_1"])
def test_test_keys_are_used_anywhere(settings: Any, key: str) -> None:
    keyed(settings, key)
    assert stripe_mode() == "test"
    assert isinstance(stripe_client(), stripe.StripeClient)


@pytest.mark.parametrize("key", ["", "pk_test_1", "whsec_1", "sk_tset_1"])
def test_what_is_no_secret_key_is_refused(settings: Any, key: str) -> None:
    keyed(settings, key)
    with pytest.raises(StripeOff, match="STRIPE_SECRET_KEY"):
        stripe_client()


def test_the_pinned_version_is_sent_whatever_the_sdk_prefers(settings: Any) -> None:
    keyed(settings, "sk_test_1")
    assert stripe_client()._requestor._options.stripe_version == API_VERSION
