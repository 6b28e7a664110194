"""Reads of pricing."""

from tenants.pricing.selectors.books import (
    contract_in_force,
    contracts_visible,
    exchange_rate,
    price_book_get,
    price_books,
    price_version_get,
    price_versions,
    rate_card,
    tenant_terms,
    unit_prices,
    version_prices,
    version_rows,
)
from tenants.pricing.selectors.charges import (
    charge_lines_visible,
    charge_of_key,
    charged_for,
    charges_visible,
    quote_errors,
    quotes_visible,
)
from tenants.pricing.selectors.guarding import prices_standing
from tenants.pricing.selectors.periods import (
    period_adjustments,
    period_charged,
    period_counted,
    period_facts,
    uncharged,
)

__all__ = [
    "charge_lines_visible",
    "charge_of_key",
    "charged_for",
    "charges_visible",
    "contract_in_force",
    "contracts_visible",
    "exchange_rate",
    "period_adjustments",
    "period_charged",
    "period_counted",
    "period_facts",
    "price_book_get",
    "price_books",
    "price_version_get",
    "price_versions",
    "prices_standing",
    "quote_errors",
    "quotes_visible",
    "rate_card",
    "tenant_terms",
    "uncharged",
    "unit_prices",
    "version_prices",
    "version_rows",
]
