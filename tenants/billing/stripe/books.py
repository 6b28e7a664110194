"""The postings that Stripe's balance makes in our books. Pure.

Payments, refunds and transfers that our services book stand on `cash stripe`, a clearing account;
what Stripe's balance says of them takes it from there. At rest it is zero: whatever is left is
money that one side knows of and the other does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

from tenants.billing.books import Entry
from tenants.billing.providers import MANUAL
from tenants.billing.stripe.names import STRIPE
from tenants.ledger.chart import AccountKind, RevenueLine

ZERO = Decimal(0)
CLEARING = (AccountKind.CASH, STRIPE)
PENDING = (AccountKind.PROVIDER_PENDING, STRIPE)
AVAILABLE = (AccountKind.PROVIDER_AVAILABLE, STRIPE)
ON_ITS_WAY = (AccountKind.PROVIDER_PAYOUT, STRIPE)
DISPUTED = (AccountKind.PROVIDER_DISPUTE, STRIPE)
FEES = (AccountKind.PROVIDER_FEE, STRIPE)
BANK = (AccountKind.CASH, MANUAL)  # the account that bank transfers reach, too
BAD_DEBT = (AccountKind.BAD_DEBT, "")

# a balance transaction's `reporting_category` → where its amount comes from
# https://docs.stripe.com/reports/reporting-categories
COUNTERPARTS: Mapping[str, tuple[AccountKind, str]] = {
    "charge": CLEARING,
    "charge_failure": CLEARING,
    "refund": CLEARING,
    "refund_failure": CLEARING,
    "partial_capture_reversal": CLEARING,
    "transfer": CLEARING,
    "transfer_reversal": CLEARING,
    "dispute": DISPUTED,
    "dispute_reversal": DISPUTED,
    "payout": ON_ITS_WAY,
    "payout_reversal": ON_ITS_WAY,
    "topup": BANK,
    "topup_reversal": BANK,
    "fee": FEES,
    "network_cost": FEES,
    "tax": FEES,
}


@dataclass(frozen=True)
class BalanceChange:
    """A balance transaction: `amount` = `net` + `fee`, below zero where money leaves."""

    category: str
    amount: Decimal
    fee: Decimal
    net: Decimal


def is_known(category: str) -> bool:
    return category in COUNTERPARTS


def balance_entries(change: BalanceChange) -> list[Entry]:
    """What came (or went), less Stripe's fee, is pending; unknown categories stay in clearing."""
    counterpart = COUNTERPARTS.get(change.category, CLEARING)
    return _entries((PENDING, change.net), (FEES, change.fee), (counterpart, -change.amount))


def available_entries(change: BalanceChange) -> list[Entry]:
    """It may be paid out now."""
    return _entries((AVAILABLE, change.net), (PENDING, -change.net))


def payout_arrived(amount: Decimal) -> list[Entry]:
    """A payout has reached our bank."""
    return _entries((BANK, amount), (ON_ITS_WAY, -amount))


def transfer_sent(amount: Decimal) -> list[Entry]:
    """What was on its way to a partner has left our balance."""
    return _entries(((AccountKind.PARTNER_PAID, ""), amount), (CLEARING, -amount))


def transfer_refused(amount: Decimal) -> list[Entry]:
    """It never left: it may be paid again."""
    paid, available = (AccountKind.PARTNER_PAID, ""), (AccountKind.PARTNER_AVAILABLE, "")
    return _entries((paid, amount), (available, -amount))


def transfer_taken_back(amount: Decimal) -> list[Entry]:
    """It came back, off what the partner owed us."""
    return _entries((CLEARING, amount), ((AccountKind.PARTNER_RECEIVABLE, ""), -amount))


def metered_sale(amount: Decimal, *, tax: Decimal) -> list[Entry]:
    """What Stripe priced and collected itself: revenue at once, beside every wallet."""
    revenue = (AccountKind.REVENUE, str(RevenueLine.SERVICES))
    return _entries(
        (CLEARING, amount), (revenue, tax - amount), ((AccountKind.TAX_PAYABLE, STRIPE), -tax)
    )


def dispute_lost(amount: Decimal, *, withdrawn: Decimal) -> list[Entry]:
    """The disputed money does not come back. `withdrawn` of it was taken off unused credit, the
    rest is a loss.
    """
    return _entries((CLEARING, withdrawn), (BAD_DEBT, amount - withdrawn), (DISPUTED, -amount))


def _entries(*parts: tuple[tuple[AccountKind, str], Decimal]) -> list[Entry]:
    summed: dict[tuple[AccountKind, str], Decimal] = {}
    for account, amount in parts:
        summed[account] = summed.get(account, ZERO) + amount
    return [Entry(kind, ref, amount) for (kind, ref), amount in summed.items() if amount]
