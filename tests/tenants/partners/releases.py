"""Real wheels on the marketplace: submitted, checked, approved, published, enabled."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from plugins.kit.report import Report
from plugins.sdk.codec import from_json
from plugins.sdk.version import SDK_VERSION
from tenants.accounts.actors import system_actor
from tenants.accounts.models import Tenant
from tenants.kernel.crypto import data_key_create
from tenants.kernel.ids import new_id
from tenants.kernel.scope import system_scope, tenant_scope
from tenants.marketplace.judging import verdict_of
from tenants.marketplace.models import Listing
from tenants.marketplace.services import listings, reviews
from tenants.partners.models import Installation
from tenants.partners.selectors import release_named
from tenants.partners.services import plugin_enable
from tests.plugins.wheels import manifest, wheel_make
from tests.tenants.partners.factories import SEVENTY, agree
from tests.tenants.pricing.books import operator_make

COUNTING = """
import json
import time
from decimal import Decimal

from plugins.sdk import (
    Claim, Meter, Pipeline, PluginError, Price, Service, Step, StepResult, hookimpl,
)


@hookimpl
def pipelines():
    return (Pipeline("count", "Count lines", (Step("read", "prepare"), Step("sum", "evaluate"))),)


@hookimpl
def meters():
    return (Meter("lines", "line", "Lines counted", Decimal(1000000)),)


@hookimpl
def prices():
    return (Price("lines", Decimal("0.50"), "USD"),)


@hookimpl
def services():
    return (Service("advice", "Advice", "An hour with us.", "hourly", Decimal(100), "USD"),)


@hookimpl
def run_step(pipeline, step, work):
    if step == "read":
        start = (work.state or {"line": 0})["line"]
        with work.open(work.inputs[0]) as source:
            lines = source.read().splitlines()
        if lines and lines[0] == b"bad":
            raise PluginError("line 1: it says bad")
        if lines and lines[0] == b"exit":
            import os

            os._exit(0)
        if not lines:
            raise PluginError("it has no lines")
        pause = float(work.settings.get("pause", 0))
        for number in range(start, len(lines)):
            if pause:
                time.sleep(pause)
            work.beat(number / len(lines))
            if number % 10 == 9:
                work.snapshot({"line": number + 1})
        with work.create("count.json") as out:
            out.write(json.dumps({"lines": len(lines), "from": start}).encode())
        return StepResult({"from": start}, ("count.json",), (Claim("lines", Decimal(len(lines))),))
    (made,) = [each for each in work.inputs if each.name == "count.json"]
    with work.open(made) as source:
        try:
            lines = json.load(source)["lines"]
        except ValueError as error:
            raise PluginError(f"no count: {error}") from error
    with work.create("sum.txt") as out:
        out.write(str(lines).encode())
    return StepResult({"lines": lines}, ("sum.txt",), (), "Counts lines, and nothing more.")
"""
SCHEMA = """
[settings]
type = "object"
additionalProperties = false
[settings.properties.pause]
type = "number"
[settings.properties.token]
type = "string"
writeOnly = true
"""
SAMPLES = """
[[samples]]
hook = "run_step"
args = { pipeline = "count", step = "read" }
inputs = ["lines.jsonl"]

[[samples]]
hook = "run_step"
args = { pipeline = "count", step = "sum" }
inputs = ["count.json"]
"""


def partner_tenant(**fields: Any) -> Tenant:
    """A partner with a data key, and no agreement yet."""
    with system_scope():
        tenant_id = new_id("ten_")
        tenant: Tenant = Tenant.objects.create(
            id=tenant_id, name="Partner", slug=tenant_id[-20:], is_partner=True, **fields
        )
        data_key_create(tenant_id=tenant_id)
    return tenant


def wheel_of(
    folder: Path,
    name: str = "counting",
    version: str = "1.0",
    code: str = COUNTING,
    **changed: str,
) -> Path:
    """`changed` are keys of its plugin.toml."""
    more = {f"{name}/lines.jsonl": "{}\n" * 5, f"{name}/count.json": '{"lines": 5}'}
    toml = manifest(name, version, **changed) + SCHEMA + SAMPLES
    return wheel_make(folder, name, code, toml=toml, version=version, more=more)


def report_of(wheel: Path, name: str, version: str) -> dict[str, Any]:
    """What the conformance kit would say of a wheel that it passed."""
    check = {"group": "package", "subject": "plugin.toml", "verdict": "passed", "message": "fine"}
    return {
        "plugin": name,
        "version": version,
        "licence": "MIT",
        "wheel": wheel.name,
        "sdk": SDK_VERSION,
        "platform": "0.1.0",
        "not_enforced": [],
        "sha256": hashlib.sha256(wheel.read_bytes()).hexdigest(),
        "level": "namespaces",
        "checks": [check],
    }


def submitted(
    partner: Tenant, wheel: Path, name: str = "counting", version: str = "1.0"
) -> Listing:
    with tenant_scope(partner.id):
        return listings.listing_submit(
            actor=system_actor(partner.id),
            wheel_name=wheel.name,
            content=wheel.read_bytes(),
            title="Counting",
            conformance=report_of(wheel, name, version),
        )


def published(
    folder: Path, partner: Tenant | None = None, name: str = "counting", version: str = "1.0",
    code: str = COUNTING, **changed: str,
) -> Tenant:  # fmt: skip
    """Make a wheel and take it through its review; return its partner."""
    wheel = wheel_of(folder, name, version, code, **changed)
    return published_wheel(wheel, partner, name, version)


def published_wheel(wheel: Path, partner: Tenant | None, name: str, version: str) -> Tenant:
    """Take a wheel through its review; return its partner. The kit's word is put in its mouth."""
    if partner is None:
        partner = partner_tenant()
        agree(partner.id, SEVENTY)
    listing = submitted(partner, wheel, name, version)
    actor = operator_make()
    with system_scope():
        listings.listing_check(actor=actor, listing_id=listing.id)
    claimed = reviews.review_claim(listing_id=listing.id)
    assert claimed is not None
    report = from_json(Report, report_of(wheel, name, version))
    checked = reviews.review_end(row=claimed, verdict=verdict_of(claimed, report))
    assert checked.state == "checked", checked.reason
    with system_scope():
        listings.listing_approve(actor=actor, listing_id=listing.id)
        listings.listing_publish(actor=actor, listing_id=listing.id)
    return partner


def enabled(tenant_id: str, name: str = "counting", **settings: Any) -> Installation:
    with tenant_scope(tenant_id):
        return plugin_enable(
            actor=system_actor(tenant_id),
            plugin=name,
            permissions=release_named(name).manifest["permissions"],
            settings=settings,
        )
