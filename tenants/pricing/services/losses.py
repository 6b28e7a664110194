"""What is sold under proposals and loss budgets, day by day, and what is lost by it.

Counted anew from charges each time, under the budget's lock: running twice, or at once, counts
once. A day's floor is that of when the day was first counted.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal

from django.db.models import Q, QuerySet, Sum

from tenants.accounts.actors import system_actor
from tenants.accounts.models import Tenant
from tenants.kernel.clock import database_now
from tenants.kernel.scope import system_scope
from tenants.pricing.exact import EXACT, ZERO, round12
from tenants.pricing.floors import ClassFloor
from tenants.pricing.guard import SOLD_BY, floor_of
from tenants.pricing.matching import match_in
from tenants.pricing.models import ChargeLine, LossBudget, PriceProposal, SaleDay
from tenants.pricing.selectors.books import proposal_versions
from tenants.pricing.selectors.guarding import floors_now
from tenants.pricing.selectors.sold import Sold, due, sold_by_day
from tenants.pricing.services.floors import loss_budget_end

LATE = dt.timedelta(days=35)  # after its end charges may still come for a proposal
UPDATED = ("budget", "quantity", "net", "loss")


def losses_record() -> int:
    """Count what was sold under proposals and loss budgets, and end budgets that are used up.

    Returns how many budgets ended.
    """
    with system_scope():
        moment = database_now()
        floors = floors_now(moment)
        recent = Q(ended_at__isnull=True) | Q(ended_at__gt=moment - LATE)
        proposals = PriceProposal.objects.filter(recent, version__isnull=False)
        free = list(proposals.filter(loss_budget__isnull=True).order_by("id"))
        for proposal in free:
            _count(proposal.id, None, _of_proposal(proposal), floors)
        budgets = LossBudget.objects.filter(recent, starts__lte=moment)
        ids = list(budgets.order_by("id").values_list("id", flat=True))
    ended = 0
    for budget_id in ids:
        with system_scope():
            ended += _consume(budget_id, floors)
    return ended


def _consume(budget_id: str, floors: Sequence[ClassFloor]) -> bool:
    """Bring one budget up to date; True where it ended by that."""
    budget = LossBudget.objects.select_for_update().get(pk=budget_id)
    if budget.tenant_id is not None:
        _count(budget.id, budget, _of_tenant(budget), floors)
    for proposal in PriceProposal.objects.filter(loss_budget=budget, version__isnull=False):
        _count(proposal.id, budget, _of_proposal(proposal), floors)
    sums = SaleDay.objects.filter(budget=budget).aggregate(loss=Sum("loss"), sold=Sum("quantity"))
    budget.spent, budget.volume = sums["loss"] or ZERO, sums["sold"] or ZERO
    budget.save(update_fields=["spent", "volume"])
    why = _over(budget)
    if budget.ended_at is not None or why is None:
        return False
    platform = Tenant.objects.values_list("id", flat=True).get(is_platform=True)
    loss_budget_end(actor=system_actor(platform), budget=budget, why=why)
    return True


def _over(budget: LossBudget) -> LossBudget.End | None:
    if budget.spent >= budget.amount:
        return LossBudget.End.SPENT
    if budget.volume_cap is not None and budget.volume >= budget.volume_cap:
        return LossBudget.End.VOLUME
    return LossBudget.End.EXPIRED if budget.expires_at <= database_now() else None


def _of_proposal(proposal: PriceProposal) -> QuerySet[ChargeLine]:
    """Lines priced by the proposal's price."""
    lines: QuerySet[ChargeLine] = ChargeLine.objects.filter(
        price_key=proposal.price_key, version_id__in=proposal_versions(proposal)
    )
    return lines


def _of_tenant(budget: LossBudget) -> QuerySet[ChargeLine]:
    ends = min(budget.expires_at, budget.ended_at or budget.expires_at)
    rows: QuerySet[ChargeLine] = ChargeLine.objects.filter(
        tenant_id=budget.tenant_id,
        meter__in=SOLD_BY,
        day__gte=budget.starts.date(),
        charge__occurred_at__gte=budget.starts,
        charge__occurred_at__lt=ends,
    )
    return rows


def _count(
    subject_id: str,
    budget: LossBudget | None,
    lines: QuerySet[ChargeLine],
    floors: Sequence[ClassFloor],
) -> None:
    """Write the days of one subject down, each with the floor it was first counted with."""
    known = SaleDay.objects.filter(subject_id=subject_id)
    kept = {(row.day, row.tenant_id, row.price_key): row.floor for row in known}
    rows = [
        _row(subject_id, budget, sold, kept.get((sold.day, sold.tenant_id, sold.price_key)), floors)
        for sold in sold_by_day(lines)
    ]
    SaleDay.objects.bulk_create(
        rows,
        update_conflicts=True,
        unique_fields=["subject_id", "day", "tenant_id", "price_key"],
        update_fields=list(UPDATED),
    )


def _row(
    subject_id: str,
    budget: LossBudget | None,
    sold: Sold,
    floor: Decimal | None,
    floors: Sequence[ClassFloor],
) -> SaleDay:
    if floor is None:
        found = floor_of(sold.meter, match_in(sold.price_key), floors)
        floor = found.floor if found else ZERO
    return SaleDay(
        subject_id=subject_id,
        budget=budget,
        day=sold.day,
        tenant_id=sold.tenant_id,
        price_key=sold.price_key,
        quantity=sold.quantity,
        net=round12(sold.net),
        floor=floor,
        loss=round12(max(ZERO, EXACT.subtract(due(sold.quantity, floor), sold.net))),
    )
