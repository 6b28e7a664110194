"""Builders for tests about partners: agreements, sales, and what the books say of them."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from tenants.accounts.models import Tenant
from tenants.kernel.ids import new_id
from tenants.kernel.scope import system_scope
from tenants.ledger.chart import AccountKind
from tenants.ledger.models import LedgerPosting
from tenants.partners.models import Agreement, Share
from tenants.partners.services import agreement_write, seller_claim
from tenants.pricing.defaults import PRICES
from tenants.pricing.services.books import NewPrice
from tests.tenants.pricing.books import operator_make, publish

PLUGIN = "risk"
SELLER = f"plugin:{PLUGIN}"
SEVENTY = {"currency": "USD", "lines": {"plugins": {"share": "0.7"}}}


def partner_make(terms: Mapping[str, Any] | None = None, *, seller: str = SELLER) -> str:
    """Return the id of a new partner that sells as `seller`, by an agreement on `terms`."""
    actor = operator_make()
    partner_id = new_id("ten_")
    with system_scope():
        Tenant.objects.create(id=partner_id, name="Partner", slug=partner_id[-20:], is_partner=True)
        seller_claim(tenant_id=partner_id, name=seller)
    if terms:
        agree(partner_id, terms, actor=actor)
    return partner_id


def agree(partner_id: str, terms: Mapping[str, Any], **options: Any) -> Agreement:
    actor = options.pop("actor", None) or operator_make()
    with system_scope():
        return agreement_write(actor=actor, partner_id=partner_id, terms=terms, **options)


def plugin_priced(unit: str = "1", *, plugin: str = PLUGIN) -> None:
    """From now on one unit of the plugin costs `unit` USD by the list."""
    prices = [NewPrice(p.meter, p.revenue, p.charge, p.match) for p in PRICES]
    mine = NewPrice(
        "plugin.units", "plugins", {"model": "standard", "unit": unit}, {"plugin": plugin}
    )
    publish([*prices, mine])


def standing(partner_id: str, currency: str = "USD") -> dict[str, Decimal]:
    """What stands on a partner's accounts, as owed to it; below zero: it owes."""
    found = {}
    with system_scope():
        for kind in ("pending", "available", "paid", "receivable"):
            rows = LedgerPosting.objects.filter(
                tenant_id=partner_id,
                account__kind=AccountKind(f"partner_{kind}"),
                currency=currency,
            )
            found[kind] = -sum((row.amount for row in rows), Decimal(0))
    return found


def shares_sum(partner_id: str, currency: str = "USD") -> Decimal:
    with system_scope():
        rows = Share.objects.filter(partner_id=partner_id, currency=currency)
        return sum((row.amount - row.cost for row in rows), Decimal(0))
