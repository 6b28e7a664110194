"""What a purchase plan is refused for, and how long it will take: the platform's own work."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tenants.accounts.actors import Actor
from tenants.accounts.models import Tenant
from tenants.costs.plan_report import plan_case
from tenants.kernel.errors import PermissionDenied

Seconds = tuple[float, float, float]
PER_CELL_S = 0.003  # of offers x months x scenarios: measured on 50 x 36 x 10
MOST_S = 600.0


def complete(actor: Actor, given: Mapping[str, Any]) -> tuple[dict[str, Any], Seconds]:
    """The spec, and its time. Raises PermissionDenied, InvalidInput where the case makes no sense.

    `plan` is as `plan_draft` writes it: what it knows of the books is in it.
    """
    if not Tenant.objects.filter(pk=actor.tenant_id, is_platform=True).exists():
        raise PermissionDenied("purchases are planned by the platform's own staff")
    plan = dict(given["plan"])
    case = plan_case(plan)
    expected = 1 + PER_CELL_S * len(case.offers) * case.months * len(case.weights)
    return {"plan": plan}, (0.5, expected, max(MOST_S, 4 * expected))
