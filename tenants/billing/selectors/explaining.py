"""Explain this line: its arithmetic, the version of its price, and the usage events behind it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.db.models import Q, QuerySet

from tenants.billing.explaining import Explained, explain
from tenants.billing.models import InvoiceLine
from tenants.billing.periods import Period
from tenants.billing.selectors.facts import facts_now
from tenants.billing.stating import LATE
from tenants.kernel.errors import InvalidInput, NotFound
from tenants.pricing.cards import CardPrice, RateCard
from tenants.pricing.rating import PeriodFacts
from tenants.usage.models import UsageEvent

ZERO = Decimal(0)
MOST = 500


@dataclass(frozen=True)
class LineExplanation:
    """A line and where its amount comes from.

    `arithmetic` is None for lines that count nothing (a fee, a waiver: `line.data` and its kind say
    all). For a late line it is the whole month's, of which earlier statements said a part.
    `valid_from` is when the price version came into force in the month. `events` is one page.
    """

    line: InvoiceLine
    arithmetic: Explained | None
    price_version: str
    valid_from: dt.datetime | None
    events: Sequence[UsageEvent]
    event_count: int
    next_page: str | None


def line_explain(line_id: str, *, page: str = "", limit: int = 100) -> LineExplanation:
    """Explain an invoice line of the scope. `page` is the `next_page` of the answer before.

    Raises NotFound, InvalidInput.
    """
    line: InvoiceLine | None = InvoiceLine.objects.filter(pk=line_id).first()
    if line is None:
        raise NotFound(f"no invoice line {line_id!r}", param="line_id")
    if not 1 <= limit <= MOST:
        raise InvalidInput(f"a page has 1 to {MOST} events", param="limit")
    if not line.price_key:
        return LineExplanation(line, None, line.price_version, None, (), 0, None)
    facts = facts_now(line.tenant_id, Period(line.period), currency=line.invoice.currency)
    card, price = _priced(facts, line)
    events = events_of(line.tenant_id, card, price)
    rows = list(events.filter(id__gt=page).order_by("id")[: limit + 1])
    return LineExplanation(
        line=line,
        arithmetic=_arithmetic(facts, card, price, line),
        price_version=card.version_id,
        valid_from=card.starts,
        events=rows[:limit],
        event_count=events.count(),
        next_page=rows[limit - 1].id if len(rows) > limit else None,
    )


def events_of(tenant_id: str, card: RateCard, price: CardPrice) -> QuerySet[UsageEvent]:
    """The usage that a price counted under a card: no more specific price took it."""
    rows = UsageEvent.objects.filter(
        tenant_id=tenant_id,
        meter=price.meter,
        event_time__gte=card.starts,
        event_time__lt=card.ends,
    )
    chosen = _matching(price)
    for other in card.prices.by_meter[price.meter]:
        if other.key == price.key:
            break  # the list runs from the most specific on
        chosen &= ~_matching(other)
    found: QuerySet[UsageEvent] = rows.filter(chosen)
    return found


def _matching(price: CardPrice) -> Q:
    """Contains, so that a dimension that is not there is no match, and its negation is one."""
    return Q(dimensions__contains=dict(price.match)) if price.match else Q()


def _priced(facts: PeriodFacts, line: InvoiceLine) -> tuple[RateCard, CardPrice]:
    contract = line.data.get("contract_id", "")
    for card in facts.terms.cards:
        if (card.version_id, card.contract_id) == (line.price_version, contract):
            return card, card.prices.by_key[line.price_key]
    raise NotFound(f"the price of {line.id} is not in force in its month any more")


def _arithmetic(
    facts: PeriodFacts, card: RateCard, price: CardPrice, line: InvoiceLine
) -> Explained:
    """Tiers count on from the cards of the month before this one."""
    counted = {
        (t.version_id, t.contract_id): t.quantity for t in facts.totals if t.price_key == price.key
    }
    mine = card.version_id, card.contract_id
    before = ZERO
    for name in dict.fromkeys((c.version_id, c.contract_id) for c in facts.terms.cards):
        if name == mine:
            break
        before += counted.get(name, ZERO)
    quantity = counted.get(mine, ZERO) if line.kind == LATE else line.quantity or ZERO
    return explain(price.model, quantity, before=before, factor=card.factor)
