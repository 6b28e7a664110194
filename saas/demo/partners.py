"""The demo's partner: a plugin on its way to a customer, what the customer got, who earned what."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from plugins.host.errors import SandboxUnavailable
from plugins.kit.commands import wheel_of
from saas.demo.identities import DemoFailed
from saas.demo.money import Account
from saas.demo.waiting import wait_for
from saas.runtime.layout import ROOT

EXAMPLE = ROOT / "plugins" / "examples" / "finance_risk"
PLUGIN, PIPELINE = "finance_risk", "risk"
TERMS = {"currency": "USD", "hold_days": 0, "lines": {"plugins": {"share": "0.7"}}}
LIMIT_S = 120.0


def publish(partner: Account, operator: Account) -> Mapping[str, Any]:
    """Build the example's wheel, and see it through review; its listing."""
    known = partner.get("/v1/partner/listings")["data"]
    published = next((each for each in known if each["state"] == "published"), None)
    if published is not None:
        return dict(published)
    waiting = next((each for each in known if each["state"] == "submitted"), None)
    if waiting is None:
        with wheel_of(EXAMPLE) as wheel:
            waiting = _submit(partner, wheel)
    agreement = {"partner": partner.identity.tenant, "terms": TERMS}
    operator.post("/operator/v1/agreements", agreement)
    path = f"/operator/v1/listings/{waiting['id']}"
    operator.post(f"{path}/check", {})
    _checked(partner, waiting["id"])
    operator.post(f"{path}/approve", {"reason": "it passed"})
    return dict(operator.post(f"{path}/publish", {"reason": "it passed"}))


def _checked(partner: Account, listing_id: str) -> None:
    """Wait until a worker has judged the wheel."""

    def judged() -> Mapping[str, Any] | None:
        found: Mapping[str, Any] = partner.get(f"/v1/partner/listings/{listing_id}")
        return None if found["state"] == "checking" else found

    listing = wait_for("the wheel's check", judged, limit_s=LIMIT_S)
    if listing["state"] == "submitted":  # no fault of the wheel's
        raise SandboxUnavailable(listing["reason"])
    if listing["state"] != "checked":
        raise DemoFailed(f"{PLUGIN} is {listing['state']}: {listing['reason']}")


def enable(customer: Account) -> None:
    """Grant what the plugin asks for, once."""
    if any(each["plugin"] == PLUGIN for each in customer.get("/v1/plugins")["data"]):
        return
    offers = customer.get("/v1/marketplace/plugins")["data"]
    offer = next(each for each in offers if each["plugin"] == PLUGIN)
    customer.post("/v1/plugins", {"plugin": PLUGIN, "permissions": offer["permissions"]})


def run(customer: Account) -> Mapping[str, Any]:
    """Run the partner's pipeline on the data that it brings; the ended job."""
    job = customer.post("/v1/pipelines", {"plugin": PLUGIN, "pipeline": PIPELINE})
    return customer.ended(f"/v1/pipelines/{job['id']}", limit_s=LIMIT_S)


def earned(partner: Account) -> str:
    """All that the partner's shares have come to and is not paid out yet."""
    found = partner.get("/v1/partner/balances")["data"]
    if not found:
        raise DemoFailed("the partner earned nothing")
    return ", ".join(f"{each['pending']} {each['currency']} pending" for each in found)


def _submit(partner: Account, wheel: Path) -> Mapping[str, Any]:
    answer = httpx.post(
        f"{partner.base_url}/v1/partner/listings",
        headers={"Authorization": f"Bearer {partner.identity.api_key}"},
        data={"title": "Risk of default or high expenditure"},
        files={"wheel": (wheel.name, wheel.read_bytes())},
        timeout=60,
    )
    if answer.is_error:
        raise DemoFailed(f"submitting {wheel.name} answered {answer.status_code}: {answer.text}")
    return dict(answer.json())
