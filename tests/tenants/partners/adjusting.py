"""A trusted plugin for tests: ten per cent off, and a fee where the test says so."""

from __future__ import annotations

from decimal import Decimal

from plugins.sdk import Quote, QuoteAdjustment, hookimpl

offer = {"share": "-0.1", "currency": "USD", "reason": "Ten per cent off in March"}


@hookimpl
def quote_adjustment(quote: Quote) -> QuoteAdjustment | None:
    if quote.job_kind != "fine_tune":
        return None
    share = Decimal(offer["share"])
    return QuoteAdjustment(quote.amount * share, offer["currency"], offer["reason"])
