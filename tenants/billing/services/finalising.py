"""Finalising a statement: rate the month from its usage, post what its provisional charges lacked,
freeze, number and issue the invoice. One transaction, under the wallet's lock. System scope.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import hashlib
from dataclasses import dataclass
from decimal import Decimal

from django.db.models import F, Sum

from tenants.accounts.actors import Actor
from tenants.accounts.audit import audit_record
from tenants.billing.books import CREDIT_NOTE, postings, rounding, tax_change
from tenants.billing.freezing import facts_to_json
from tenants.billing.locks import statement_locked
from tenants.billing.models import Invoice, Statement
from tenants.billing.operators import operators_only
from tenants.billing.periods import Period
from tenants.billing.selectors.facts import (
    Before,
    charged_so_far,
    facts_now,
    months_before,
    stated_before,
    stated_now,
)
from tenants.billing.selectors.settling import settled_since
from tenants.billing.selectors.tax import tax_profile, tax_treatment
from tenants.billing.services.issuing import invoice_issue
from tenants.billing.services.statement_charges import statement_charge
from tenants.billing.services.tax import tax_apply
from tenants.billing.settlement import Document, Settled, document, total
from tenants.billing.states import InvoiceState, StatementState, require_statement_move
from tenants.billing.stating import (
    Late,
    LineKey,
    Stated,
    adjustments_of,
    difference,
    late_lines,
    stated_of,
    stated_to_json,
)
from tenants.billing.stating import Sum as Part
from tenants.billing.taxation import Treatment
from tenants.kernel.clock import now as clock_now
from tenants.kernel.errors import Conflict
from tenants.kernel.money import Money, minor_units
from tenants.ledger.chart import GrantKind
from tenants.ledger.models import Wallet
from tenants.ledger.services import grant_issue, transaction_post
from tenants.pricing.canonical import canonical_json
from tenants.pricing.rating import PeriodFacts, RatedPeriod, TaxFacts, rate

ZERO = Decimal(0)


@dataclass(frozen=True)
class _Month:
    """What a month and the late usage of earlier ones come to, before tax."""

    facts: PeriodFacts
    rated: RatedPeriod
    late: tuple[Late, ...]
    stated: dict[dt.date, Stated]  # this month's and earlier ones' lines, as they stand now
    before: Before


def statement_finalise(
    *, actor: Actor, statement_id: str, now: dt.datetime | None = None
) -> Statement:
    """Make a statement in grace final and issue its invoice; a month without lines has none.

    Raises PermissionDenied, NotFound, Conflict for one that is not in grace, lacks its approval, or
    comes after one that is not final yet.
    """
    operators_only(actor)
    statement = statement_locked(statement_id, of=actor)
    at = now or clock_now()
    _check(statement)
    treated = _tax_at_end(statement, at)
    month = _month(statement)
    moment = min(at, Period(statement.period).end - dt.timedelta(microseconds=1))
    posted = statement_charge(
        tenant_id=statement.tenant_id, statement=statement, parts=_uncharged(month), at=moment
    )
    settled = settled_since(
        tenant_id=statement.tenant_id,
        currency=statement.currency,
        since=min(month.stated),
    )
    mine = _mine(month, settled, statement.period)
    facts = _with_tax(month.facts, treated, mine)
    rated = rate(facts)
    mine, changed = _tax_changed(statement, mine, rated.tax, treated)
    shown = document(
        net=rated.net,
        tax=rated.tax,
        settled=mine,
        owed=_owed(statement, settled),
        currency=statement.currency,
    )
    rounded = _round(statement, shown, treated)
    _freeze(statement, month, facts, rated, settled, at)
    statement.transactions = [*posted, *changed, *rounded]
    statement.save()
    invoice_issue(
        tenant_id=statement.tenant_id,
        statement=statement,
        rated=rated,
        late=month.late,
        shown=shown,
        treated=treated,
        at=at,
    )
    tax_apply(tenant_id=statement.tenant_id, at=at)
    audit_record(actor=actor, action="statement.finalise", target=statement.id)
    return statement


def _check(statement: Statement) -> None:
    require_statement_move(statement.state, StatementState.FINAL)
    if statement.approval and statement.approved_at is None:
        raise Conflict("an operator must approve this statement first", code="statement_approval")
    earlier = Statement.objects.filter(
        tenant_id=statement.tenant_id, currency=statement.currency, period__lt=statement.period
    ).exclude(state=StatementState.FINAL)
    if earlier.exists():
        raise Conflict("an earlier month's statement is not final yet", code="statement_order")


def _tax_at_end(statement: Statement, at: dt.datetime) -> Treatment:
    """The tax in force when the month ended holds for all of it, also for what is posted now."""
    moment = min(at, Period(statement.period).end - dt.timedelta(microseconds=1))
    tax_apply(tenant_id=statement.tenant_id, at=moment)
    return tax_treatment(tax_profile(statement.tenant_id), at=moment)


def _month(statement: Statement) -> _Month:
    tenant_id, currency = statement.tenant_id, statement.currency
    period = Period(statement.period)
    before = stated_before(tenant_id, period, currency)
    facts = facts_now(tenant_id, period, currency=currency, residual=before.residual)
    earlier = {
        month.month: stated_now(tenant_id, month, currency)
        for month in months_before(tenant_id, period)
    }
    late = late_lines(earlier, before.stated)
    facts = dataclasses.replace(facts, adjustments=(*facts.adjustments, *adjustments_of(late)))
    rated = rate(facts)
    stated = {**earlier, period.month: stated_of(rated)}
    return _Month(facts, rated, tuple(late), stated, before)


def _uncharged(month: _Month) -> dict[dt.date, dict[LineKey, Part]]:
    """By month, what its lines come to beyond what it was charged for."""
    terms = month.facts.terms
    found = {}
    for period, lines in month.stated.items():
        charged = charged_so_far(terms.tenant_id, Period(period), month.facts.currency)
        if parts := difference(lines, charged):
            found[period] = parts
    return found


def _mine(month: _Month, settled: dict[dt.date, Settled], period: dt.date) -> Settled:
    """What settled this statement: this month's charges, and what changed in earlier ones."""
    changed = [
        settled.get(earlier, Settled()) - month.before.settled.get(earlier, Settled())
        for earlier in month.stated
        if earlier < period
    ]
    return total([*changed, settled.get(period, Settled())])


def _with_tax(facts: PeriodFacts, treated: Treatment, settled: Settled) -> PeriodFacts:
    untaxed = settled.allowance + settled.promotion + settled.prepaid_untaxed
    tax = TaxFacts(rate=treated.rate, jurisdiction=treated.jurisdiction, untaxed=untaxed)
    return dataclasses.replace(facts, tax=tax)


def _tax_changed(
    statement: Statement, settled: Settled, tax: Decimal, treated: Treatment
) -> tuple[Settled, list[str]]:
    """Post the tax that the month's end made more, or less, than was taken with its charges.

    What is only rounding (two minor units) is left to the rounding. Money back goes off what is
    owed, the rest into the wallet.
    """
    change = tax - settled.tax
    if abs(change) <= Decimal(2).scaleb(-minor_units(statement.currency)):
        return settled, []
    owed = max(change, -_receivable(statement))
    jurisdiction = treated.jurisdiction or _taxed_before(statement)
    key = f"statement:{statement.id}:tax"
    transactions = [
        transaction_post(
            tenant_id=statement.tenant_id,
            key=key,
            kind="tax_change",
            postings=postings(
                tax_change(owed=owed, credit=change - owed, jurisdiction=jurisdiction),
                statement.currency,
            ),
            data={"statement_id": statement.id},
        )
    ]
    if change < owed:
        grant_issue(
            tenant_id=statement.tenant_id,
            key=f"{key}:credit",
            kind=GrantKind.PAID,
            amount=Money(owed - change, statement.currency),
            source=f"{CREDIT_NOTE}:{statement.id}",
        )
    return settled + Settled(postpaid=owed, prepaid=change - owed, tax=change), transactions


def _taxed_before(statement: Statement) -> str:
    """The jurisdiction of the tax that was taken with the month's charges."""
    from tenants.ledger.models import Funding

    row = (
        Funding.objects.filter(
            tenant_id=statement.tenant_id, wallet__currency=statement.currency, tax__gt=0
        )
        .order_by("-id")
        .first()
    )
    return str(row.jurisdiction) if row else ""


def _receivable(statement: Statement) -> Decimal:
    wallet = Wallet.objects.get(tenant_id=statement.tenant_id, currency=statement.currency)
    return Decimal(wallet.receivable)


def _owed(statement: Statement, settled: dict[dt.date, Settled]) -> Decimal:
    """What of the receivable is this statement's: less open invoices, and later months' charges."""
    open_invoices = Invoice.objects.filter(
        tenant_id=statement.tenant_id, currency=statement.currency, state=InvoiceState.OPEN
    )
    left = open_invoices.aggregate(total=Sum(F("due") - F("paid") - F("credited")))["total"]
    later = total(part for period, part in settled.items() if period > statement.period)
    return _receivable(statement) - (left or ZERO) - later.postpaid


def _round(statement: Statement, shown: Document, treated: Treatment) -> list[str]:
    entries = rounding(
        receivable=max(shown.rounding, -_receivable(statement)),
        tax=shown.tax_rounding,
        jurisdiction=treated.jurisdiction,
    )
    if not entries:
        return []
    return [
        transaction_post(
            tenant_id=statement.tenant_id,
            key=f"statement:{statement.id}:rounding",
            kind="rounding",
            postings=postings(entries, statement.currency),
            data={"statement_id": statement.id},
        )
    ]


def _freeze(
    statement: Statement,
    month: _Month,
    facts: PeriodFacts,
    rated: RatedPeriod,
    settled: dict[dt.date, Settled],
    at: dt.datetime,
) -> None:
    text = canonical_json(rated)
    statement.state = StatementState.FINAL
    statement.facts = facts_to_json(facts)
    statement.rated = text.decode()
    statement.sha256 = hashlib.sha256(text).hexdigest()
    statement.charged = {
        "lines": stated_to_json(month.stated),
        "settled": {
            period.isoformat(): part.to_json()
            for period, part in settled.items()
            if period <= statement.period
        },
    }
    statement.residual_in = rated.residual_in
    statement.residual_out = rated.residual_out
    statement.finalised_at = at
