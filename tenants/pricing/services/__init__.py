"""Writes of pricing: books, contracts, charges, sign-up with its welcome credit."""

from tenants.pricing.services.books import (
    fx_rate_set,
    price_book_create,
    price_books_ensure,
    price_override_grant,
    price_version_draft,
    price_version_publish,
)
from tenants.pricing.services.charges import sales_shares, usage_charge, usage_charges
from tenants.pricing.services.contracts import (
    contract_end,
    contract_write,
    contracts_apply,
)
from tenants.pricing.services.sweep import tenant_usage_sweep, usage_sweep
from tenants.pricing.services.welcome import customer_sign_up, welcome_credit_grant

__all__ = [
    "contract_end",
    "contract_write",
    "contracts_apply",
    "customer_sign_up",
    "fx_rate_set",
    "price_book_create",
    "price_books_ensure",
    "price_override_grant",
    "price_version_draft",
    "price_version_publish",
    "sales_shares",
    "tenant_usage_sweep",
    "usage_charge",
    "usage_charges",
    "usage_sweep",
    "welcome_credit_grant",
]
