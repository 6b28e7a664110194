"""Markets in the database: files read, an offer of ours with prices and costs."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal
from typing import Any

from tenants.accounts.actors import Actor, system_actor
from tenants.costs.services import slot_time_record
from tenants.kernel.clock import now
from tenants.kernel.scope import system_scope
from tenants.market.importing.moves_csv import COLUMNS
from tenants.market.models import MarketImport
from tenants.market.services import moves_import, offer_set, price_list_import
from tests.tenants.costs.factories import NOON, resource_make, slot_time
from tests.tenants.pricing.books import count, platform_make, tenant_make


def operator() -> Actor:
    return system_actor(platform_make())


def today() -> dt.date:
    return now().date()


def csv_of(*rows: dict[str, Any]) -> str:
    usual = {
        "date": today().isoformat(), "provider": "Acme", "model": "acme-1",
        "model_class": "small", "currency": "USD", "kind": "cut", "source": "its page",
        "confidence": "primary",
    }  # fmt: skip
    lines = [",".join(str((usual | row).get(name, "")) for name in COLUMNS) for row in rows]
    return "\n".join([",".join(COLUMNS), *lines]) + "\n"


def launched(**changes: Any) -> dict[str, Any]:
    """A product that began a year ago at 1 and 4."""
    day = (today() - dt.timedelta(days=365)).isoformat()
    return {"date": day, "kind": "launch", "input_after": 1, "output_after": 4} | changes


def cut(**changes: Any) -> dict[str, Any]:
    """Today, to a half."""
    sides = {"input_before": 1, "output_before": 4, "input_after": 0.5, "output_after": 2}
    return sides | changes


def read(*rows: dict[str, Any], **options: Any) -> MarketImport:
    with system_scope():
        return moves_import(actor=operator(), text=csv_of(*rows), **options)


def read_list(models: dict[str, tuple[float, float]], **options: Any) -> MarketImport:
    """Prices by `provider/model`, per token."""
    text = json.dumps({
        name: {
            "litellm_provider": name.split("/")[0], "mode": "chat",
            "input_cost_per_token": sides[0], "output_cost_per_token": sides[1],
        }
        for name, sides in models.items()
    })  # fmt: skip
    with system_scope():
        return price_list_import(actor=operator(), text=text, **options)


def sold(base: str = "mini", model_class: str = "small", *, cost: Decimal = Decimal(1)) -> None:
    """An offer of ours, at list price, whose last day's tokens cost `cost` USD a million."""
    with system_scope():
        offer_set(actor=operator(), base=base, model_class=model_class)
    day = (now() - dt.timedelta(days=1)).replace(hour=12, minute=0, second=0, microsecond=0)
    offset = (day - NOON).total_seconds()
    resource = resource_make((NOON - dt.timedelta(days=3000), "0.01"))
    tenant = tenant_make("Buyer")
    labels = {"kind": "serve", "base": base}
    seconds = float(cost / Decimal("0.01"))
    entry = slot_time(offset, offset + seconds, resource=resource, tenant_id=tenant, labels=labels)
    with system_scope():
        slot_time_record(entries=[entry])
    count(tenant, "tokens.input", 1_000_000, at=day, source="gateway", model=base, base=base)
