"""What collects money. Our invoices say what is owed; a provider gets it, and tells what it got.

`manual/` (bank transfers) and `stripe/` ship; another implements the same four methods and is
listed in `PROVIDERS`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Protocol

from django.utils.module_loading import import_string

from tenants.billing.models import Invoice, Payment
from tenants.kernel.errors import InvalidInput

MANUAL = "manual"
PROVIDERS: Mapping[str, str] = {
    MANUAL: "tenants.billing.manual.provider.ManualProvider",
    "stripe": "tenants.billing.stripe.provider.StripeProvider",
}


@dataclass(frozen=True)
class Collection:
    """How an invoice is being collected: what the customer must do, a line each."""

    provider: str
    reference: str
    instructions: tuple[str, ...]


@dataclass(frozen=True)
class Receipt:
    """A payment as its provider knows it."""

    provider: str
    external_id: str
    amount: Decimal
    currency: str


class Provider(Protocol):
    """One way to collect money. `name` is the ref of its accounts in the ledger."""

    name: str

    def collect(self, invoice: Invoice) -> Collection:
        """Begin, or go on, to collect what is left of an open invoice. Safe to repeat."""

    def top_up(self, tenant_id: str, currency: str) -> Collection:
        """Say how the tenant buys prepaid credit."""

    def refund(self, payment: Payment, amount: Decimal, *, key: str) -> str:
        """Send `amount` of a payment back; return the provider's id of it. Once for each `key`."""

    def receipts(self, invoice: Invoice) -> Sequence[Receipt]:
        """Return what this provider has received for an invoice."""


@cache
def provider_named(name: str) -> Provider:
    """Return a provider. Raises InvalidInput for an unknown one."""
    if name not in PROVIDERS:
        raise InvalidInput(
            f"unknown provider {name!r}; known are {', '.join(PROVIDERS)}", param="provider"
        )
    made: Provider = import_string(PROVIDERS[name])()
    return made
