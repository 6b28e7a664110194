"""The wallet: what credit is left, from which grants, what moved it, and how to top it up."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html_join
from django.utils.translation import gettext_lazy as _

from saas.console import columns as show
from saas.console.asking import actor_of, allowed
from saas.console.lists.transactions import KINDS, with_effect
from saas.console.money_words import GRANT_KINDS
from saas.console.pages.card_payments import methods_section
from saas.console.readonly import Section
from saas.currencies import currency_of
from tenants.billing.manual.references import top_up_reference
from tenants.ledger.models import LedgerTransaction
from tenants.ledger.selectors import Balance, wallet_balance

NEWEST = 10
SOURCES = {
    "manual": _("Bank transfer"),
    "stripe": _("Card or bank debit"),
    "welcome": _("Welcome credit"),
    "contract": _("Contract"),
}


def wallet(request: HttpRequest) -> HttpResponse:
    from saas.console.site import console

    actor = actor_of(request)
    currency = currency_of(actor.tenant_id)
    balance = wallet_balance(tenant_id=actor.tenant_id, currency=currency)
    moved = LedgerTransaction.objects.order_by("-id")
    newest = with_effect(moved, tenant_id=actor.tenant_id)[:NEWEST]
    return console.page(
        request,
        "console/wallet.html",
        title=_("Wallet"),
        figures=balance_figures(balance),
        grants=Section(_("Credit"), grant_columns(currency), balance.grants),
        transactions=Section(_("Newest transactions"), TRANSACTIONS, list(newest)),
        transfer=transfer_lines(actor.tenant_id),
        methods=methods_section(actor.tenant_id),
        may_pay=allowed(request, "billing.write"),
    )


def balance_figures(balance: Balance) -> list[tuple[Any, str, Any]]:
    figures = (
        (_("Credit left"), balance.available),
        (_("Held for running work"), balance.held),
        (_("Owed"), balance.owed),
        (_("Credit limit"), balance.credit_limit),
    )
    return [(label, show.as_cents(money.amount, money.currency), "") for label, money in figures]


def transfer_lines(tenant_id: str) -> list[tuple[Any, Any]]:
    """How a bank transfer finds its way here."""
    bank = settings.COMPANY_BANK.split("|") if settings.COMPANY_BANK else []
    where = format_html_join("", "{}<br>", ((line,) for line in bank))
    return [
        (_("To"), settings.COMPANY_NAME),
        (_("Account"), where or _("ask us: no account is set up here")),
        (_("Payment reference"), show.as_code(top_up_reference(tenant_id))),
    ]


def source_name(source: str) -> Any:
    """Where credit came from, as people call it; an operator's reason as it was written."""
    return SOURCES.get(source.partition(":")[0], source)


def grant_columns(currency: str) -> Sequence[show.Cell]:
    money = partial(show.money, currency=currency)
    return (
        show.word("kind", _("Kind"), GRANT_KINDS),
        money("remaining", _("Left")),
        money("held", _("Held")),
        money("amount", _("At first")),
        show.column(lambda grant: source_name(grant.source), _("From whom")),
        show.moment("expires_at", _("Expires")),
    )


TRANSACTIONS = (
    show.moment("occurred_at", _("When")),
    show.word("kind", _("Kind"), KINDS),
    show.amount("effect", _("Effect")),
)
