"""Writes of pricing: books, contracts, charges, sign-up with its welcome credit."""

from tenants.pricing.services.books import (
    fx_rate_set,
    price_book_create,
    price_books_ensure,
    price_version_draft,
    price_version_publish,
)
from tenants.pricing.services.charges import sales_shares, usage_charge, usage_charges
from tenants.pricing.services.contracts import (
    contract_end,
    contract_write,
    contracts_apply,
)
from tenants.pricing.services.findings import floors_sweep
from tenants.pricing.services.floors import (
    floor_policy_set,
    loss_budget_close,
    loss_budget_open,
    price_override_grant,
)
from tenants.pricing.services.losses import losses_record
from tenants.pricing.services.proposals import (
    price_proposal_approve,
    price_proposal_end,
    price_proposal_make,
    price_proposal_refuse,
    price_proposals_advance,
)
from tenants.pricing.services.sweep import tenant_usage_sweep, usage_sweep
from tenants.pricing.services.welcome import customer_sign_up, welcome_credit_grant

__all__ = [
    "contract_end",
    "contract_write",
    "contracts_apply",
    "customer_sign_up",
    "floor_policy_set",
    "floors_sweep",
    "fx_rate_set",
    "loss_budget_close",
    "loss_budget_open",
    "losses_record",
    "price_book_create",
    "price_books_ensure",
    "price_override_grant",
    "price_proposal_approve",
    "price_proposal_end",
    "price_proposal_make",
    "price_proposal_refuse",
    "price_proposals_advance",
    "price_version_draft",
    "price_version_publish",
    "sales_shares",
    "tenant_usage_sweep",
    "usage_charge",
    "usage_charges",
    "usage_sweep",
    "welcome_credit_grant",
]
