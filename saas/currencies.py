"""Which currency a tenant is billed in, and which one its prices are written in."""

from __future__ import annotations

from tenants.kernel.clock import now
from tenants.pricing.cards import CURRENCY
from tenants.pricing.models import PriceBookVersion
from tenants.pricing.selectors import contract_in_force


def currency_of(tenant_id: str) -> str:
    """That of the contract in force, else the list's."""
    contract = contract_in_force(tenant_id, now())
    return contract.currency if contract else CURRENCY


def book_currency(version_id: str) -> str:
    """That of the book which a price version belongs to: its prices' amounts are in it."""
    version = PriceBookVersion.objects.select_related("book").get(pk=version_id)
    return version.book.currency
