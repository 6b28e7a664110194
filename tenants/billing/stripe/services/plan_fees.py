"""Charging a month's plan fee as soon as its subscription has paid it. System scope."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

from tenants.billing.models import Statement
from tenants.billing.operators import system_only
from tenants.billing.periods import Period
from tenants.billing.services.tax import tax_apply
from tenants.billing.states import StatementState
from tenants.billing.stripe.plan_fees import fee_of_month
from tenants.kernel.clock import now
from tenants.kernel.ids import new_id
from tenants.ledger.chart import GrantKind, RevenueLine
from tenants.ledger.services import charge_post, wallet_lock
from tenants.ledger.statements import ChargeLine as NewLine
from tenants.ledger.statements import ChargeOutcome
from tenants.pricing.canonical import canonical_hash
from tenants.pricing.models import Charge, ChargeLine, Contract
from tenants.pricing.rating import PLAN_FEE


def plan_fee_charge(*, tenant_id: str, contract_id: str, period: Period) -> Charge | None:
    """Charge the fee now, from what was paid for it; its month's statement then finds it charged.

    Once for each contract and month; None where the month's statement has charged it already.
    """
    system_only()
    contract: Contract = Contract.objects.get(pk=contract_id, tenant_id=tenant_id)
    wallet_lock(tenant_id=tenant_id, currency=contract.currency)
    key = _key(contract_id, period)
    known: Charge | None = Charge.objects.filter(tenant_id=tenant_id, key=key).first()
    net = fee_of_month(contract, period)
    if known is not None or net <= 0 or _is_final(contract, period):
        return known
    tax_apply(tenant_id=tenant_id)  # a wallet that the payment has just made knows no tax yet
    at = max(period.start, min(now(), period.end - dt.timedelta(microseconds=1)))
    outcome = charge_post(
        tenant_id=tenant_id,
        currency=contract.currency,
        key=key,
        lines=[NewLine(RevenueLine.PLAN, net)],
        occurred_at=at,
        data={"contract_id": contract_id},
        spare=[GrantKind.ALLOWANCE, GrantKind.PROMOTION],  # it was paid for with money
    )
    return _written(contract, period, key, net, outcome, at)


def plan_fee_charged(*, tenant_id: str, contract_id: str, period: Period) -> bool:
    """Whether a month's fee was paid and charged already."""
    rows = Charge.objects.filter(tenant_id=tenant_id, key=_key(contract_id, period))
    return bool(rows.exists())


def _key(contract_id: str, period: Period) -> str:
    return f"plan_fee:{contract_id}:{period.month:%Y-%m}"


def _is_final(contract: Contract, period: Period) -> bool:
    rows = Statement.objects.filter(
        tenant_id=contract.tenant_id, currency=contract.currency, period=period.month
    )
    return bool(rows.filter(state=StatementState.FINAL).exists())


def _written(
    contract: Contract,
    period: Period,
    key: str,
    net: Decimal,
    outcome: ChargeOutcome,
    at: dt.datetime,
) -> Charge:
    charge: Charge = Charge.objects.create(
        id=new_id("charge_"),
        tenant_id=contract.tenant_id,
        key=key,
        request_hash=canonical_hash([key, net]),
        subject_kind="plan",
        subject_id=contract.id,
        currency=contract.currency,
        occurred_at=at,
        net=outcome.net,
        tax=outcome.tax,
        allowance=outcome.allowance,
        promotion=outcome.promotion,
        paid=outcome.paid,
        postpaid=outcome.postpaid,
        transaction_id=outcome.transaction_id,
    )
    ChargeLine.objects.create(
        tenant_id=contract.tenant_id,
        charge=charge,
        period=period.month,
        day=at.date(),
        kind=PLAN_FEE,
        revenue=str(RevenueLine.PLAN),
        meter="",
        price_key="",
        version_id="",
        contract_id=contract.id,
        quantity=Decimal(0),
        net=net,
        currency=contract.currency,
    )
    return charge
