"""Stripe's counterpart on loopback as a service: `STRIPE=local` brings it, `STRIPE=off` ends it.

The choice is kept in `$VAR/env` with the settings that follow from it. No money moves, and Stripe
itself hears of nothing. It is part of the tests, so it runs from a source checkout only.
"""

from __future__ import annotations

import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

from saas.runtime.errors import RuntimeFailure
from saas.runtime.layout import ROOT, Layout
from saas.runtime.ports import HOST, free_port, port_answers, port_is_free
from saas.runtime.secrets import env_write, port_of
from saas.runtime.services import STORES, Service

CHOICE = "STRIPE"
LOCAL, OFF = "local", "off"
KEPT = (CHOICE, "STRIPE_API_BASE", "STRIPE_SECRET_KEY", "STRIPE_WEBHOOK_SECRET")
MODULE = "tests.stripe_server"


def stripe_choice(environ: Mapping[str, str]) -> str:
    """What is asked for: "local", "off", or "" for what was chosen before. Raises RuntimeFailure.

    The environment's own key wins over what is kept, so both at once is refused.
    """
    asked = environ.get(CHOICE, "")
    if asked not in {LOCAL, OFF, ""}:
        raise RuntimeFailure(
            f"STRIPE={asked} is neither {LOCAL} (a test server on this machine) nor {OFF}; for "
            "Stripe itself set STRIPE_SECRET_KEY"
        )
    given = [name for name in KEPT[1:] if environ.get(name)]
    if asked == LOCAL and given:
        raise RuntimeFailure(
            f"STRIPE={LOCAL} brings its own settings, but {', '.join(given)} is set too: unset "
            "one or the other"
        )
    return asked


def stripe_ensure(layout: Layout, values: Mapping[str, str], choice: str) -> dict[str, str]:
    """Keep the choice in `$VAR/env`; return the settings with it. Raises RuntimeFailure."""
    kept = {name: text for name, text in values.items() if name not in KEPT}
    choice = choice or values.get(CHOICE, "")
    found = {**kept, **_local(values)} if choice == LOCAL else kept
    if found != values:
        env_write(layout.env_file, found)
    return found


def stripe_service(settings: Mapping[str, str], var: Path) -> Service | None:
    """The server to run, None where Stripe is not a local one."""
    if settings.get(CHOICE) != LOCAL:
        return None
    port = port_of(settings["STRIPE_API_BASE"])
    command = [
        *(sys.executable, "-m", MODULE, "--port", str(port), "--state", str(var / "stripe.json")),
        *("--webhook-url", f"{settings['BASE_URL']}/webhooks/stripe"),
        *("--webhook-secret", settings["STRIPE_WEBHOOK_SECRET"]),
    ]
    return Service("stripe", command, STORES, ready=lambda: port_answers(port), stop_order=2)


def _local(values: Mapping[str, str]) -> dict[str, str]:
    if not (ROOT / MODULE.replace(".", "/")).is_dir():
        raise RuntimeFailure(
            f"STRIPE={LOCAL} needs the source checkout with its tests, which is not at {ROOT}"
        )
    address = values.get("STRIPE_API_BASE", "")
    if values.get(CHOICE) != LOCAL or not port_is_free(port_of(address)):
        address = f"http://{HOST}:{free_port(avoid=_taken(values))}"
    return {
        CHOICE: LOCAL,
        "STRIPE_API_BASE": address,
        "STRIPE_SECRET_KEY": values.get("STRIPE_SECRET_KEY") or "sk_test_local",
        "STRIPE_WEBHOOK_SECRET": values.get("STRIPE_WEBHOOK_SECRET")
        or f"whsec_{secrets.token_urlsafe(24)}",
    }


def _taken(values: Mapping[str, str]) -> set[int]:
    return {port_of(values[name]) for name in ("BASE_URL", "DATABASE_URL", "REDIS_URL")}
