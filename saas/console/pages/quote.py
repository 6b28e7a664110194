"""A quote as a person reads it before saying yes."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django.utils.translation import gettext_lazy as _

from saas.console.columns import as_duration, as_money
from saas.console.task_words import SETTINGS
from saas.console.words import Word
from tenants.ledger.selectors import wallet_balance
from tenants.pricing.models import Quote
from tenants.pricing.quotes import CASES, quote_amounts
from workers.jobs.checked import Choice

LABELS = {"low": _("Low"), "expected": _("Expected"), "high": _("At most")}


def quote_shown(quote: Quote) -> dict[str, Any]:
    """Its three cases with tax and time, and what credit is left if it comes to the most.

    `enough` says whether the credit at hand covers the upper bound, which is set aside.
    """
    amounts = quote_amounts(quote)
    seconds = dict(zip(CASES, quote.seconds, strict=True)) if quote.seconds else {}
    balance = wallet_balance(tenant_id=quote.tenant_id, currency=quote.currency)
    after = balance.available - amounts["high"].gross
    return {
        "id": quote.pk,
        "expires_at": quote.expires_at,
        "cases": [
            {
                "label": LABELS[case],
                "net": as_money(amounts[case].net.amount, quote.currency),
                "tax": as_money(amounts[case].tax.amount, quote.currency),
                "total": as_money(amounts[case].gross.amount, quote.currency),
                "time": as_duration(float(seconds[case])) if case in seconds else "",
            }
            for case in CASES
        ],
        "adjustments": [
            {**each, "amount": as_money(Decimal(each["amount"]), quote.currency)}
            for each in quote.adjustments
        ],
        "is_timed": bool(seconds),
        "available": as_money(balance.available.amount, quote.currency),
        "after": as_money(after.amount, quote.currency),
        "enough": after.amount >= Decimal(0),
    }


def choices_shown(chosen: Mapping[str, Choice]) -> list[tuple[Word, str, Word]]:
    """Settings that were left to us: what each is called, what it came to, and why."""
    return [
        (*_named(name, choice.value), SETTINGS[name][1])
        for name, choice in chosen.items()
        if name in SETTINGS
    ]


def _named(name: str, value: Any) -> tuple[Word, str]:
    shown = f"{value:.3g}" if isinstance(value, float) else f"{value:,}"
    return SETTINGS[name][0], shown
