"""Partners' months: shares come of age, minimums are topped up, and all is stated. System scope."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from django.db.models import Q, QuerySet

from tenants.billing.operators import system_only
from tenants.billing.periods import Period
from tenants.kernel.clock import database_now
from tenants.kernel.ids import new_id
from tenants.kernel.money import Money
from tenants.kernel.outbox import emit
from tenants.kernel.scope import system_scope
from tenants.ledger.chart import AccountKind
from tenants.ledger.services import NewPosting, share_lock, share_release, transaction_post
from tenants.marketplace.events import PartnerStated
from tenants.marketplace.models import PartnerStatement
from tenants.marketplace.stating import summary_of
from tenants.partners.models import Agreement, Share
from tenants.partners.sharing import top_up
from tenants.partners.terms import terms_from_json

ZERO = Decimal(0)


def partners_advance(*, now: dt.datetime | None = None) -> int:
    """Let shares come of age, and state the month before, partner by partner, each in a transaction
    of its own. Safe to run twice. Returns how many statements were made.
    """
    with system_scope():
        at = now or database_now()
        pairs = set(Share.objects.values_list("partner_id", "currency").distinct())
        owed = Agreement.objects.values_list("tenant_id", "terms__currency").distinct()
        pairs |= {(partner, currency) for partner, currency in owed if currency}
    made = 0
    for partner_id, currency in sorted(pairs):
        with system_scope():
            share_release(tenant_id=partner_id, currency=currency, key=new_id("release_"))
            month = Period.of(at).previous()
            made += partner_state(tenant_id=partner_id, period=month, currency=currency) is not None
    return made


def partner_state(*, tenant_id: str, period: Period, currency: str) -> PartnerStatement | None:
    """State what was booked for a partner in a month, its minimums topped up first; once.

    None: there was nothing, or it was stated before.
    """
    system_only()
    share_lock(tenant_id=tenant_id)
    known = PartnerStatement.objects.filter(
        tenant_id=tenant_id, period=period.month, currency=currency
    )
    if known.exists():
        return None
    agreement = _agreement(tenant_id, period)
    if agreement is not None:
        _minimums(tenant_id, agreement, period, currency)
    rows = list(_booked(tenant_id, period, currency).order_by("id"))
    if not rows:
        return None
    summary = summary_of(rows)
    row: PartnerStatement = PartnerStatement.objects.create(
        id=new_id("pst_"),
        tenant_id=tenant_id,
        period=period.month,
        currency=currency,
        agreement_id=agreement.id if agreement else "",
        lines=list(summary.lines),
        sales=summary.sales,
        share=summary.share,
        cost=summary.cost,
        returns=summary.returns,
        minimum=summary.minimum,
    )
    emit(PartnerStated(tenant_id, statement_id=row.id, currency=currency, share=row.share))
    return row


def _booked(tenant_id: str, period: Period, currency: str) -> QuerySet[Share]:
    """Each share is booked in one month: when it was written; a minimum, in the month it is of."""
    written = Q(created_at__gte=period.start, created_at__lt=period.end) & ~Q(
        cause=Share.Cause.MINIMUM
    )
    minimum = Q(cause=Share.Cause.MINIMUM, period=period.month)
    return Share.objects.filter(written | minimum, partner_id=tenant_id, currency=currency)


def _agreement(tenant_id: str, period: Period) -> Agreement | None:
    """The terms that held when the month ended."""
    rows = Agreement.objects.filter(tenant_id=tenant_id, starts__lt=period.end)
    alive = Q(ends__isnull=True) | Q(ends__gte=period.end)
    found: Agreement | None = rows.filter(alive).order_by("-number").first()
    return found


def _minimums(tenant_id: str, agreement: Agreement, period: Period, currency: str) -> None:
    """Post what is missing to each line's minimum, where the agreement held all month."""
    terms = terms_from_json(agreement.terms)
    if terms.currency != currency or agreement.starts > period.start:
        return
    rows = _booked(tenant_id, period, currency)
    for revenue, line in terms.lines.items():
        earned = sum((row.amount for row in rows.filter(revenue=revenue)), ZERO)
        missing = top_up(line, earned)
        if missing > 0:
            _post_minimum(tenant_id, agreement, period, revenue, Money(missing, currency))


def _post_minimum(
    tenant_id: str, agreement: Agreement, period: Period, revenue: str, missing: Money
) -> None:
    transaction_id = transaction_post(
        tenant_id=tenant_id,
        key=f"minimum:{agreement.id}:{period}:{revenue}",
        kind="partner_minimum",
        postings=[
            NewPosting(AccountKind.PARTNER_SHARE, missing, ref="minimum"),
            NewPosting(AccountKind.PARTNER_PENDING, -missing, tenant_id=tenant_id),
        ],
    )
    Share.objects.create(
        transaction_id=transaction_id,
        cause=Share.Cause.MINIMUM,
        partner_id=tenant_id,
        agreement_id=agreement.id,
        revenue=revenue,
        period=period.month,
        currency=missing.currency,
        net=ZERO,
        amount=missing.amount,
        available_at=database_now(),
    )
