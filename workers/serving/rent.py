"""What an awake deployment must have set aside: the price of its next hour, where hours have one.

A deployment's hold lives from waking to sleeping. Hours are charged from it as they are counted
(`metering.py`), and it is filled up again each time; where that is refused, the deployment sleeps.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_CEILING, Context, Decimal

from tenants.kernel.clock import database_now
from tenants.kernel.errors import InsufficientCredit
from tenants.kernel.money import Money
from tenants.kernel.outbox import emit
from tenants.kernel.scope import system_scope
from tenants.ledger.models import Hold
from tenants.ledger.selectors import holds_open, wallet_balance
from tenants.ledger.services import hold_extend, hold_place
from tenants.pricing.cards import RateCard, period_of
from tenants.pricing.charge_models import most
from tenants.pricing.selectors import tenant_terms
from workers.serving.events import DeploymentSlept
from workers.serving.models import Deployment
from workers.serving.moves import deployment_move, rent_key

METER = "deployment.hours"
ASLEEP = (Deployment.State.ASLEEP, Deployment.State.DELETED)
_UP = Context(prec=200, rounding=ROUND_CEILING)
_TWELFTH = Decimal(1).scaleb(-12)


def deployments_hold() -> int:
    """Set the next hour of each awake deployment aside; return how many went to sleep instead."""
    with system_scope():
        rows = list(_awake())
        now = database_now()
        period = period_of(now)
        terms = tenant_terms(sorted({row.tenant_id for row in rows}), [period])
        priced = []
        for row in rows:
            card = terms[row.tenant_id, period].at(now)
            if hour_price(card, row):
                priced.append((row.pk, card))
    return sum(_hold_one(pk, card) for pk, card in priced)


def hour_price(card: RateCard, row: Deployment) -> Decimal:
    """The most that an hour costs, net."""
    price = card.price_of(METER, {"model": row.model, "base": row.base_id})
    exact = _UP.multiply(most(price.model, Decimal(1)), card.factor)
    return exact.quantize(_TWELFTH, context=_UP)


def _awake() -> Sequence[Deployment]:
    rows = Deployment.objects.filter(tenant__is_platform=False, deleted_at__isnull=True)
    found: Sequence[Deployment] = rows.exclude(state__in=ASLEEP).order_by("tenant_id", "id")
    return found


def _hold_one(pk: str, card: RateCard) -> int:
    """In a transaction of its own: wallets of several tenants are never held together."""
    with system_scope():
        row = Deployment.objects.select_for_update(of=("self",)).get(pk=pk)
        if row.state in ASLEEP:
            return 0
        refused = _refusal(row, card)
        if not refused:
            return 0
        why = f"put to sleep: {refused}"
        deployment_move(row, Deployment.State.ASLEEP, wanted_until=None, last_error=why)
        emit(DeploymentSlept(tenant_id=row.tenant_id, deployment_id=row.id, target=row.target))
        return 1


def _refusal(row: Deployment, card: RateCard) -> str:
    """Why the next hour cannot be set aside; nothing where it is.

    A hold is in one currency: after its contract went on in another one, a deployment sleeps, and
    its next waking holds in that one.
    """
    rows = holds_open(tenant_id=row.tenant_id).select_related("wallet")
    held: Hold | None = rows.filter(key=rent_key(row)).first()
    if held is not None and held.wallet.currency != card.currency:
        return f"the contract goes on in {card.currency}"
    try:
        _cover(row, card, held)
    except InsufficientCredit as error:
        return error.message
    return ""


def _cover(row: Deployment, card: RateCard, held: Hold | None) -> None:
    net, key = hour_price(card, row), rent_key(row)
    wallet = wallet_balance(tenant_id=row.tenant_id, currency=card.currency)
    tax = _UP.multiply(net, wallet.tax_rate)
    needed = net + tax.quantize(_TWELFTH, context=_UP)
    if held is None:
        hold_place(
            tenant_id=row.tenant_id,
            key=key,
            amount=Money(needed, card.currency),
            labels={"model": row.model},
        )
    elif (left := held.amount - held.drawn) < needed:
        extra = Money(needed - left, card.currency)
        hold_extend(tenant_id=row.tenant_id, key=key, extra=extra)
