"""The postings that billing makes itself, beside charges, grants and payments. Pure.

Debit above zero, credit below; each list sums to zero in one currency.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from decimal import Decimal

from tenants.kernel.money import Money
from tenants.ledger.chart import AccountKind
from tenants.ledger.services import NewPosting

ZERO = Decimal(0)
CREDIT_NOTE = "credit_note"  # a cash account that each note passes through, and leaves at zero


@dataclass(frozen=True)
class Entry:
    """`amount` on the account (kind, ref)."""

    kind: AccountKind
    ref: str
    amount: Decimal


def postings(entries: Sequence[Entry], currency: str) -> list[NewPosting]:
    """The entries as the ledger takes them."""
    return [
        NewPosting(kind=entry.kind, ref=entry.ref, amount=Money(entry.amount, currency))
        for entry in entries
    ]


def rounding(*, receivable: Decimal, tax: Decimal, jurisdiction: str) -> list[Entry]:
    """Make the receivable what the invoice says is due, and the tax what it says is taxed."""
    return _kept(
        [
            Entry(AccountKind.RECEIVABLE, "", receivable),
            Entry(AccountKind.TAX_PAYABLE, jurisdiction, -tax),
            Entry(AccountKind.ROUNDING, "", tax - receivable),
        ]
    )


def refund_rounding(*, tax: Decimal, jurisdiction: str, provider: str) -> list[Entry]:
    """Make the tax that is sent back with a top-up what its credit note says, in minor units."""
    return _kept(
        [
            Entry(AccountKind.TAX_PAYABLE, jurisdiction, tax),
            Entry(AccountKind.CASH, provider, -tax),
        ]
    )


def tax_change(*, owed: Decimal, credit: Decimal, jurisdiction: str) -> list[Entry]:
    """Tax that the period's end made more (or, below zero, less) than was taken with the charges.

    `owed` is owed more or less; `credit`, at most zero, passes through `CREDIT_NOTE` into a grant.
    """
    return _kept(
        [
            Entry(AccountKind.RECEIVABLE, "", owed),
            Entry(AccountKind.CASH, CREDIT_NOTE, credit),
            Entry(AccountKind.TAX_PAYABLE, jurisdiction, -(owed + credit)),
        ]
    )


@dataclass(frozen=True)
class GivenBack:
    """A credit note's gross amount, by what had settled that part of the invoice.

    `owed` was not paid yet. `paid` was, and goes to the payer or into the wallet. `prepaid` and
    `untaxed` (taxed at top-up) become paid credit again, `promotion` promotional credit;
    `allowance` lapses: its month is over.
    """

    owed: Decimal = ZERO
    paid: Decimal = ZERO
    prepaid: Decimal = ZERO
    untaxed: Decimal = ZERO
    promotion: Decimal = ZERO
    allowance: Decimal = ZERO

    @property
    def total(self) -> Decimal:
        return sum((getattr(self, field.name) for field in fields(self)), ZERO)


def credit_note(
    *,
    revenue: Mapping[str, Decimal],
    tax: Decimal,
    jurisdiction: str,
    parts: GivenBack,
    cash: Mapping[str, Decimal],
) -> list[Entry]:
    """Take back revenue and tax. `cash`: how much leaves through which provider.

    The rest of what was paid, and prepaid credit, pass through `CREDIT_NOTE`, out of which a grant
    is then made. Raises ValueError unless revenue and tax come to the parts.
    """
    if sum(revenue.values(), ZERO) + tax != parts.total:
        raise ValueError("a credit note's revenue and tax must come to what is given back")
    kept = parts.paid - sum(cash.values(), ZERO) + parts.prepaid + parts.untaxed
    return _kept(
        [
            *(Entry(AccountKind.REVENUE, ref, net) for ref, net in sorted(revenue.items())),
            Entry(AccountKind.TAX_PAYABLE, jurisdiction, tax),
            Entry(AccountKind.RECEIVABLE, "", -parts.owed),
            *(Entry(AccountKind.CASH, ref, -amount) for ref, amount in sorted(cash.items())),
            Entry(AccountKind.CASH, CREDIT_NOTE, -kept),
            Entry(AccountKind.CONTRA_REVENUE, "promotion", -parts.promotion),
            Entry(AccountKind.CONTRA_REVENUE, "allowance", -parts.allowance),
        ]
    )


def write_off(amount: Decimal) -> list[Entry]:
    """What is not expected any more is a cost."""
    return _kept(
        [
            Entry(AccountKind.BAD_DEBT, "", amount),
            Entry(AccountKind.RECEIVABLE, "", -amount),
        ]
    )


def recovery(amount: Decimal) -> list[Entry]:
    """Owed again, before it is paid after all."""
    return [Entry(entry.kind, entry.ref, -entry.amount) for entry in write_off(amount)]


def _kept(entries: Sequence[Entry]) -> list[Entry]:
    return [entry for entry in entries if entry.amount != 0]
