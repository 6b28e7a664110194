"""The trial balance: the accounts of all tenants, by kind; each currency sums to zero."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext_lazy as _

from saas.console import columns as show
from saas.console.money_words import ACCOUNT_KINDS
from saas.console.readonly import Section
from tenants.ledger.audit import projections_wrong
from tenants.ledger.selectors import AccountBalance, ledger_balances, unbalanced


@dataclass(frozen=True)
class Line:
    """All accounts of one kind and reference in one currency; one of the two columns is empty."""

    kind: str
    ref: str
    currency: str
    debit: Decimal | None
    credit: Decimal | None


def books(request: HttpRequest) -> HttpResponse:
    from saas.operations.site import operations

    lines = trial_balance(ledger_balances())
    currencies = sorted({line.currency for line in lines})
    wrong = [*unbalanced(), *projections_wrong()]
    return operations.page(
        request,
        "operations/books.html",
        title=_("Trial balance"),
        sections=[
            Section(currency, COLUMNS, [line for line in lines if line.currency == currency])
            for currency in currencies
        ],
        sums=[(currency, *_sums(lines, currency)) for currency in currencies],
        wrong=wrong,
    )


def trial_balance(accounts: Iterable[AccountBalance]) -> list[Line]:
    """Sum accounts over tenants (each grant's account joins its kind) into debit or credit."""
    sums: dict[tuple[str, str, str], Decimal] = {}
    for account in accounts:
        ref = "" if account.kind == "grant" else account.ref
        place = (str(account.kind), ref, account.amount.currency)
        sums[place] = sums.get(place, Decimal(0)) + account.amount.amount
    order = list(ACCOUNT_KINDS)
    return [
        Line(*place, debit=amount if amount > 0 else None, credit=-amount if amount < 0 else None)
        for place, amount in sorted(sums.items(), key=lambda item: (order.index(item[0][0]), item))
        if amount
    ]


def _sums(lines: Iterable[Line], currency: str) -> tuple[str, str]:
    own = [line for line in lines if line.currency == currency]
    debit = sum((line.debit or Decimal(0) for line in own), Decimal(0))
    credit = sum((line.credit or Decimal(0) for line in own), Decimal(0))
    return show.as_money(debit, currency), show.as_money(credit, currency)


COLUMNS = (
    show.word("kind", _("Account"), ACCOUNT_KINDS),
    show.text("ref", _("Sub-account")),
    show.amount("debit", _("Debit")),
    show.amount("credit", _("Credit")),
)
