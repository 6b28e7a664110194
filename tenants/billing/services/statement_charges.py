"""The one charge of a statement: what its months' provisional charges lacked. System scope."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal

from tenants.billing.descriptions import meter_of
from tenants.billing.models import Statement
from tenants.billing.operators import system_only
from tenants.billing.periods import Period
from tenants.billing.shares import sold_back
from tenants.billing.stating import RERATING, LineKey, Sum, by_revenue
from tenants.kernel.ids import new_id
from tenants.ledger.chart import GrantKind, RevenueLine
from tenants.ledger.services import charge_post
from tenants.ledger.statements import ChargeLine as NewLine
from tenants.ledger.statements import ChargeOutcome
from tenants.pricing.canonical import canonical_hash
from tenants.pricing.charge_lines import seller_in
from tenants.pricing.models import Charge, ChargeLine
from tenants.pricing.rating import USAGE
from tenants.pricing.services import sales_shares

ZERO = Decimal(0)
NOTHING = ChargeOutcome("", ZERO, ZERO, ZERO, ZERO, ZERO, ZERO)


def statement_charge(
    *,
    tenant_id: str,
    statement: Statement,
    parts: Mapping[dt.date, Mapping[LineKey, Sum]],
    at: dt.datetime,
) -> list[str]:
    """Charge what is missing (below zero: give back), under the statement's own key.

    Returns the ledger transaction's id, or nothing where nothing was missing.
    """
    system_only()
    if not any(part.exact for lines in parts.values() for part in lines.values()):
        return []
    outcome = _post(tenant_id, statement, parts, at)
    charge = _charge(tenant_id, statement, parts, outcome, at)
    ChargeLine.objects.bulk_create(
        _line(charge, period, key, part)
        for period, lines in parts.items()
        for key, part in lines.items()
        if part.exact
    )
    return [outcome.transaction_id] if outcome.transaction_id else []


def _post(
    tenant_id: str,
    statement: Statement,
    parts: Mapping[dt.date, Mapping[LineKey, Sum]],
    at: dt.datetime,
) -> ChargeOutcome:
    sums: dict[str, Decimal] = {}
    for lines in parts.values():
        for revenue, net in by_revenue(lines).items():
            sums[revenue] = sums.get(revenue, ZERO) + net
    lines_ = [NewLine(RevenueLine(revenue), net) for revenue, net in sorted(sums.items()) if net]
    if not lines_:
        return NOTHING
    return charge_post(
        tenant_id=tenant_id,
        currency=statement.currency,
        key=f"statement:{statement.id}",
        lines=lines_,
        occurred_at=at,
        data={"statement_id": statement.id},
        spare=[GrantKind.ALLOWANCE],  # its month is over; the next one's is not for plan fees
        shares=_shares(statement, parts, at),
    )


def _shares(
    statement: Statement, parts: Mapping[dt.date, Mapping[LineKey, Sum]], at: dt.datetime
) -> list[dict[str, str]]:
    """Partners share in what was missing; of what goes back, what they had of that month goes."""
    sales: dict[tuple[str, str], Decimal] = {}
    backs: list[dict[str, str]] = []
    for period, lines in sorted(parts.items()):
        for key, part in lines.items():
            seller = seller_in(key.price_key)
            if seller and part.exact > 0:
                place = seller, key.revenue
                sales[place] = sales.get(place, ZERO) + part.exact
            elif seller and part.exact < 0:
                backs.append(sold_back(seller, key.revenue, period, -part.exact))
    subject = f"statement:{statement.id}"
    sold = sales_shares(
        tenant_id=statement.tenant_id,
        sales=sales,
        at=at,
        currency=statement.currency,
        subject=subject,
    )
    return [*sold, *backs]


def _charge(
    tenant_id: str,
    statement: Statement,
    parts: Mapping[dt.date, Mapping[LineKey, Sum]],
    outcome: ChargeOutcome,
    at: dt.datetime,
) -> Charge:
    said = [
        [period, key.to_text(), part.exact]
        for period, lines in sorted(parts.items())
        for key, part in lines.items()
    ]
    charge: Charge = Charge.objects.create(
        id=new_id("charge_"),
        tenant_id=tenant_id,
        key=f"statement:{statement.id}",
        request_hash=canonical_hash(said),
        subject_kind="statement",
        subject_id=statement.id,
        currency=statement.currency,
        occurred_at=at,
        net=outcome.net,
        tax=outcome.tax,
        allowance=outcome.allowance,
        promotion=outcome.promotion,
        paid=outcome.paid,
        postpaid=outcome.postpaid,
        transaction_id=outcome.transaction_id,
    )
    return charge


def _line(charge: Charge, period: dt.date, key: LineKey, part: Sum) -> ChargeLine:
    """On the month's last day. It counts nothing: quantities are usage's own."""
    return ChargeLine(
        tenant_id=charge.tenant_id,
        charge=charge,
        period=period,
        day=Period(period).next().month - dt.timedelta(days=1),
        kind=RERATING if key.kind == USAGE else key.kind,
        revenue=key.revenue,
        meter=meter_of(key.price_key),
        price_key=key.price_key,
        version_id=key.version_id,
        contract_id=key.contract_id,
        quantity=ZERO,
        net=part.exact,
        currency=charge.currency,
    )
