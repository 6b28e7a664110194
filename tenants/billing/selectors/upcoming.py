"""The running month as an invoice that is not one yet: rated as if it ended now. No row changes."""

from __future__ import annotations

import dataclasses
import datetime as dt
from decimal import Decimal

from tenants.billing.descriptions import description_of, meter_of, unit_of
from tenants.billing.documents.view import InvoiceView, Line, Tax
from tenants.billing.models import Statement
from tenants.billing.periods import Period
from tenants.billing.selectors.facts import facts_now, months_before, stated_before, stated_now
from tenants.billing.selectors.parties import customer, party_of, seller
from tenants.billing.selectors.settling import settled_since
from tenants.billing.selectors.tax import tax_profile, tax_treatment
from tenants.billing.settlement import Document, Settled, document, total
from tenants.billing.states import StatementState
from tenants.billing.stating import (
    LATE,
    Late,
    LineKey,
    adjustments_of,
    in_rated_order,
    late_lines,
)
from tenants.billing.taxation import Treatment
from tenants.kernel.clock import now as clock_now
from tenants.pricing.rating import PeriodFacts, RatedLine, RatedPeriod, TaxFacts, rate

ZERO = Decimal(0)


def invoice_upcoming(
    *, tenant_id: str, currency: str = "USD", now: dt.datetime | None = None
) -> InvoiceView:
    """What the running month comes to so far, and what credit has paid of it.

    What is not charged yet (a plan fee, a true-up) counts as due. Late usage of months that are
    final is in it; that of a month in grace is not: it lands on that month's own statement.
    """
    at = now or clock_now()
    period = Period.of(at)
    before = stated_before(tenant_id, period, currency)
    late = _late(tenant_id, period, currency)
    facts = facts_now(tenant_id, period, currency=currency, residual=before.residual)
    facts = dataclasses.replace(facts, adjustments=(*facts.adjustments, *adjustments_of(late)))
    treated = tax_treatment(tax_profile(tenant_id), at=at)
    settled = settled_since(tenant_id=tenant_id, currency=currency, since=period.month)
    mine = settled.get(period.month, Settled())
    rated = rate(_taxed(facts, treated, mine))
    mine = _as_if_charged(mine, rated)
    shown = document(
        net=rated.net, tax=rated.tax, settled=mine, owed=mine.postpaid, currency=currency
    )
    return _view(tenant_id, rated, late, shown, treated)


def _late(tenant_id: str, period: Period, currency: str) -> list[Late]:
    final = set(
        Statement.objects.filter(
            tenant_id=tenant_id, currency=currency, state=StatementState.FINAL
        ).values_list("period", flat=True)
    )
    before = stated_before(tenant_id, period, currency)
    months = [month for month in months_before(tenant_id, period) if month.month in final]
    return late_lines(
        {month.month: stated_now(tenant_id, month, currency) for month in months}, before.stated
    )


def _taxed(facts: PeriodFacts, treated: Treatment, settled: Settled) -> PeriodFacts:
    untaxed = settled.allowance + settled.promotion + settled.prepaid_untaxed
    return dataclasses.replace(facts, tax=TaxFacts(treated.rate, treated.jurisdiction, untaxed))


def _as_if_charged(settled: Settled, rated: RatedPeriod) -> Settled:
    """What the month comes to beyond what was charged, as owed."""
    missing = rated.net_exact + rated.tax - settled.gross
    return total([settled, Settled(postpaid=missing, tax=rated.tax - settled.tax)])


def _view(
    tenant_id: str,
    rated: RatedPeriod,
    late: list[Late],
    shown: Document,
    treated: Treatment,
) -> InvoiceView:
    names = ("net", "tax", "total", "allowance", "promotion", "prepaid", "brought_forward", "due")
    waiting = iter(in_rated_order(late))
    return InvoiceView(
        number="",
        state="upcoming",
        currency=rated.currency,
        period=f"{rated.period:%Y-%m}",
        issued_on=None,
        due_on=None,
        seller=party_of(seller()),
        customer=party_of(customer(tax_profile(tenant_id))),
        lines=tuple(
            _line(position, line, rated, next(waiting) if line.kind == LATE else None)
            for position, line in enumerate(rated.lines, 1)
        ),
        taxes=tuple(
            Tax(treated.name or line.jurisdiction, line.rate, line.taxable, line.tax)
            for line in rated.tax_lines
        ),
        **{name: getattr(shown, name) for name in names},
        paid=ZERO,
        credited=ZERO,
        reverse_charge=treated.reverse_charge,
    )


def _line(position: int, line: RatedLine, rated: RatedPeriod, late: Late | None) -> Line:
    own = LineKey(line.kind, line.revenue, line.price_key, line.version_id, line.contract_id)
    key = late.key if late else own
    period = late.period if late else rated.period
    counted = late.sum.quantity if late else line.quantity
    return Line(
        position=position,
        kind=line.kind,
        description=description_of(key, late=period if late else None),
        period=f"{period:%Y-%m}",
        quantity=counted if key.price_key else None,
        unit=unit_of(key.price_key),
        exact=line.exact,
        net=line.cents,
        meter=meter_of(key.price_key),
        price_key=key.price_key,
        revenue=key.revenue,
        price_version=key.version_id,
        key=key,
    )
