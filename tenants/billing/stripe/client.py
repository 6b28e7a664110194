"""The one client of Stripe's API: its key, its pinned version, and the door against live keys."""

from __future__ import annotations

from functools import cache

from django.conf import settings
from stripe import StripeClient

from tenants.kernel.errors import Conflict

API_VERSION = "2026-10-28.endive"  # pinned: an SDK of another version changes nothing unasked
LIVE_KEYS = ("sk_live_", "rk_live_")
TEST_KEYS = ("sk_test_", "rk_test_")
LIVE, TEST = "live", "test"


class StripeOff(Conflict):
    """There is no key, or one that may not be used here."""

    code = "stripe_off"


def stripe_is_on() -> bool:
    """Whether a key is set. Says nothing about whether it works."""
    return bool(settings.STRIPE_SECRET_KEY)


def stripe_mode() -> str:
    """`test` or `live`, as the key says. Raises StripeOff without a usable key."""
    return _mode(settings.STRIPE_SECRET_KEY, allow_live=settings.STRIPE_ALLOW_LIVE)


def stripe_client() -> StripeClient:
    """Return the client. Raises StripeOff before anything is sent."""
    stripe_mode()
    return _client(settings.STRIPE_SECRET_KEY, settings.STRIPE_API_BASE)


def _mode(key: str, *, allow_live: bool) -> str:
    if not key:
        raise StripeOff("payments by card are off here: no STRIPE_SECRET_KEY is set")
    if key.startswith(TEST_KEYS):
        return TEST
    if not key.startswith(LIVE_KEYS):
        raise StripeOff("STRIPE_SECRET_KEY is no secret key of Stripe's: it begins with sk_ or rk_")
    if not allow_live:
        raise StripeOff(
            "STRIPE_SECRET_KEY is a live key, which moves real money: set STRIPE_ALLOW_LIVE=1 in "
            "production, and a test key anywhere else"
        )
    return LIVE


@cache
def _client(key: str, api_base: str) -> StripeClient:
    """`api_base`: another server than Stripe's own, for all kinds of requests."""
    version = {"stripe_version": API_VERSION, "max_network_retries": 1}
    if not api_base:
        return StripeClient(key, **version)  # type: ignore[arg-type]
    names = ("api", "connect", "files", "meter_events")
    addresses = dict.fromkeys(names, api_base.rstrip("/"))
    return StripeClient(key, base_addresses=addresses, **version)  # type: ignore[arg-type]
