"""The marketplace's things for tests of routes: rows, where a real wheel is not what is tested."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

from django.core.files.base import ContentFile

from tenants.accounts.actors import Actor
from tenants.accounts.models import Tenant
from tenants.kernel.ids import new_id
from tenants.kernel.scope import system_scope, tenant_scope
from tenants.marketplace.models import Listing, PartnerStatement, Payout, Service
from tenants.marketplace.services.orders import order_place
from tenants.partners.models import Release
from tenants.partners.services import plugin_enable

PLUGIN = "lister"
MANIFEST: dict[str, Any] = {
    "name": PLUGIN,
    "version": "1.0",
    "author": "A test",
    "licence": "MIT",
    "contact": "tests",
    "category": "pipelines",
    "least_platform": "0.1",
    "greatest_platform": "1",
    "permissions": ["data.datasets"],
}
OFFERS: dict[str, Any] = {
    "pipelines": [
        {
            "name": "list",
            "title": "List",
            "steps": [{"name": "read", "kind": "prepare", "queue": "cpu", "time_limit_s": 60}],
        }
    ],
    "meters": [{"name": "lines", "unit": "line", "title": "Lines", "most_per_call": "1000"}],
    "dataset_readers": [{"name": "lines", "suffixes": [".jsonl"]}],
    "hooks": ["pipelines", "run_step", "meters", "dataset_readers", "read_dataset",
              "prepare_dataset"],
}  # fmt: skip
ENABLING = {"plugin": PLUGIN, "permissions": ["data.datasets"]}
RUNNING = {"plugin": PLUGIN, "pipeline": "list"}


def plugin_offered(plugin: str = PLUGIN) -> Release:
    """A release on the marketplace, once; its units cost 1 USD each."""
    with system_scope():
        found: Release
        found, made = Release.objects.get_or_create(
            plugin=plugin,
            version="1.0",
            defaults={
                "id": new_id("rel_"),
                "publisher": "A test",
                "title": "Lister",
                "manifest": {**MANIFEST, "name": plugin},
                "offers": OFFERS,
            },
        )
    if made:
        from tests.tenants.partners.factories import plugin_priced

        plugin_priced("0.001", plugin=plugin)
    return found


def service_offered(partner: Tenant, *, price: str | None = "1", name: str = "") -> Service:
    with system_scope():
        row: Service = Service.objects.create(
            id=new_id("svc_"),
            partner=partner,
            name=name or new_id("s")[-20:],
            title=f"Advice {new_id('')[-6:]}",
            billing="hourly",
            price=None if price is None else Decimal(price),
            currency="USD",
        )
    return row


def partner_become(tenant: Tenant) -> None:
    with system_scope():
        Tenant.objects.filter(pk=tenant.id).update(is_partner=True)


def listing_made(partner: Tenant, **fields: Any) -> Listing:
    with system_scope():
        row: Listing = Listing.objects.create(
            **{
                "id": new_id("lst_"),
                "tenant_id": partner.id,
                "plugin": new_id("p")[-20:],
                "version": "1.0",
                "title": "Lister",
                "manifest": MANIFEST,
                "wheel_name": "lister.whl",
                "wheel_key": "plugins/none.whl",
                "wheel_sha256": "0" * 64,
                "wheel_bytes": 1,
                **fields,
            }
        )
    return row


def payout_made(partner: Tenant) -> Payout:
    with system_scope():
        row: Payout = Payout.objects.create(
            id=new_id("pay_"),
            tenant_id=partner.id,
            key=new_id("k"),
            payer="manual",
            amount=Decimal(1),
            currency="USD",
        )
    return row


def wheel_sent() -> dict[str, Any]:
    """A form that is no wheel."""
    return {"wheel": ContentFile(b"nothing", name="a-1.0-py3-none-any.whl"), "title": "A"}


def statement_made(partner: Tenant) -> PartnerStatement:
    line = {"cause": "sale", "seller": "plugin:x", "revenue": "plugins", "net": "1", "share": "0.7",
            "cost": "0"}  # fmt: skip
    with system_scope():
        row: PartnerStatement = PartnerStatement.objects.create(
            id=new_id("pst_"),
            tenant_id=partner.id,
            period=dt.date(2026, 3, 1),
            currency="USD",
            lines=[line],
            sales=Decimal(1),
            share=Decimal("0.7"),
            cost=Decimal(0),
            returns=Decimal(0),
            minimum=Decimal(0),
        )
    return row


def market_rows(tenant: Tenant, actor: Actor) -> tuple[Any, ...]:
    """What one tenant has of the marketplace: as customer, and as its own seller."""
    partner_become(tenant)
    plugin_offered()
    service = service_offered(tenant)
    with tenant_scope(tenant.id):
        installation = plugin_enable(actor=actor, **ENABLING)
        order = order_place(actor=actor, service_id=service.id)
    made = listing_made(tenant), statement_made(tenant), payout_made(tenant)
    return installation, order, *made
