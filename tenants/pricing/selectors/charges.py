"""Reads of charges and quotes."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.db.models import Q, QuerySet, Sum

from tenants.kernel.money import Money
from tenants.pricing.models import Charge, ChargeLine, Quote


@dataclass(frozen=True)
class QuoteError:
    """A quote beside what was charged for its work, net of tax. `error` = actual - expected."""

    quote_id: str
    tenant_id: str
    kind: str
    created_at: dt.datetime
    low: Money
    expected: Money
    high: Money
    actual: Money

    @property
    def error(self) -> Money:
        return self.actual - self.expected

    @property
    def within(self) -> bool:
        """Whether the actual lies between the quote's bounds."""
        return self.low <= self.actual and self.actual <= self.high


def charges_visible() -> QuerySet[Charge]:
    """The charges of the tenant in scope (of all, for the system), the latest first."""
    rows: QuerySet[Charge] = Charge.objects.order_by("-occurred_at", "-id")
    return rows


def charge_lines_visible() -> QuerySet[ChargeLine]:
    """Their lines."""
    rows: QuerySet[ChargeLine] = ChargeLine.objects.all()
    return rows


def charge_of_key(tenant_id: str, key: str) -> Charge | None:
    return charges_visible().filter(tenant_id=tenant_id, key=key).first()


def charged_for(subject_kind: str, subject_id: str, *, tenant_id: str) -> dict[str, Decimal]:
    """Net and tax of all that a job or request was charged, and what was rated before quote caps
    and waivers: `{"net", "tax", "rated"}`.
    """
    charges = charges_visible().filter(
        tenant_id=tenant_id, subject_kind=subject_kind, subject_id=subject_id
    )
    sums = charges.order_by().aggregate(net=Sum("net"), tax=Sum("tax"))
    lines = charge_lines_visible().filter(tenant_id=tenant_id, charge__in=charges, kind="usage")
    rated = lines.aggregate(rated=Sum("net"))["rated"]
    return {
        "net": sums["net"] or Decimal(0),
        "tax": sums["tax"] or Decimal(0),
        "rated": rated or Decimal(0),
    }


def quotes_visible() -> QuerySet[Quote]:
    """The quotes of the tenant in scope (of all, for the system), the latest first."""
    rows: QuerySet[Quote] = Quote.objects.order_by("-created_at", "-id")
    return rows


def quote_errors(
    *, since: dt.datetime | None = None, kinds: Sequence[str] = (), limit: int = 200
) -> list[QuoteError]:
    """The latest quotes whose work was charged, each beside the charge."""
    chosen = Q(quote_id__gt="")
    if since is not None:
        chosen &= Q(occurred_at__gte=since)
    charged = charges_visible().filter(chosen).order_by().values("quote_id")
    actual = dict(charged.annotate(net_sum=Sum("net")).values_list("quote_id", "net_sum"))
    quotes = quotes_visible().filter(pk__in=actual)
    if kinds:
        quotes = quotes.filter(kind__in=kinds)
    return [
        QuoteError(
            quote_id=quote.id,
            tenant_id=quote.tenant_id,
            kind=quote.kind,
            created_at=quote.created_at,
            low=Money(quote.low_net, quote.currency),
            expected=Money(quote.expected_net, quote.currency),
            high=Money(quote.high_net, quote.currency),
            actual=Money(actual[quote.id], quote.currency),
        )
        for quote in quotes[:limit]
    ]
