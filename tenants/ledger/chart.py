"""The chart of accounts: what kinds there are, who owns an account, and what `ref` tells apart.

Postings carry a sign: **debit positive, credit negative**. So assets and costs stand above zero,
liabilities and revenue below. The database keeps the same lists (`sql/chart.sql`); a test compares.
"""

from __future__ import annotations

from django.db.models import TextChoices

DEFAULT_CURRENCY = "USD"  # of a tenant whose contract says nothing else


class AccountKind(TextChoices):
    """One kind of account. Its comment says: class, what `ref` holds, what it counts."""

    # the customer's own
    RECEIVABLE = "receivable"  # asset: what the customer owes
    GRANT = "grant"  # liability; ref = grant id: prepaid credit that is left
    # the platform's
    REVENUE = "revenue"  # income; ref = a `RevenueLine`, net of tax
    CONTRA_REVENUE = "contra_revenue"  # less income; ref = promotion, allowance, goodwill
    CREDIT_OFFSET = "credit_offset"  # the other side of credit nobody paid for; ref = its kind
    CASH = "cash"  # asset; ref = provider ("manual"): money at hand
    PROVIDER_FEE = "provider_fee"  # cost; ref = provider
    PROVIDER_PENDING = "provider_pending"  # asset; ref = provider: charged, not yet available
    PROVIDER_AVAILABLE = "provider_available"  # asset; ref = provider: to be paid out to us
    PROVIDER_PAYOUT = "provider_payout"  # asset; ref = provider: on its way to our bank
    PROVIDER_DISPUTE = "provider_dispute"  # asset; ref = provider: taken back while disputed
    TAX_PAYABLE = "tax_payable"  # liability; ref = jurisdiction
    ROUNDING = "rounding"  # sub-cent remainders of invoices
    BAD_DEBT = "bad_debt"  # cost: receivables given up
    FX_TRADING = "fx_trading"  # ref = the other currency: the position of conversions
    FX_GAIN = "fx_gain"  # realised gains (credit) and losses (debit)
    PARTNER_SHARE = "partner_share"  # cost: what partners earn
    # the partner's own
    PARTNER_PENDING = "partner_pending"  # liability: earned, within the hold period
    PARTNER_AVAILABLE = "partner_available"  # liability: may be paid out
    PARTNER_PAID = "partner_paid"  # what was paid out
    PARTNER_RECEIVABLE = "partner_receivable"  # asset: taken back after it was paid out


class RevenueLine(TextChoices):
    """What was sold: the `ref` of a revenue account."""

    TOKENS = "tokens"
    TRAINING = "training"
    EVALUATION = "evaluation"
    STORAGE = "storage"
    DEPLOYMENTS = "deployments"
    PLUGINS = "plugins"
    SERVICES = "services"
    PLAN = "plan"
    COMMITMENT = "commitment"
    BREAKAGE = "breakage"  # paid credit that expired unused


class GrantKind(TextChoices):
    """Where credit comes from, in the order in which it is used."""

    ALLOWANCE = "allowance"  # part of a plan
    PROMOTION = "promotion"  # a present: reduces revenue, is never cash
    PAID = "paid"  # a top-up: a liability until it is used


CUSTOMERS = frozenset({AccountKind.RECEIVABLE, AccountKind.GRANT})
PARTNERS = frozenset(
    {
        AccountKind.PARTNER_PENDING,
        AccountKind.PARTNER_AVAILABLE,
        AccountKind.PARTNER_PAID,
        AccountKind.PARTNER_RECEIVABLE,
    }
)
