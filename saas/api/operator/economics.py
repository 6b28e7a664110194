"""What a unit costs three ways, and whose all that was spent is, for staff."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from saas.api.fields import Constant
from saas.api.operator.costs import NEEDS, TAG, RangeQuery, table, table_of
from saas.api.schema import operation
from saas.api.views import ApiView
from tenants.costs.allocating import allocation_of, terms_of
from tenants.costs.allocation import Allocation, Terms
from tenants.costs.daily import DAY, midnight
from tenants.costs.defaults import CURRENCY
from tenants.costs.standard import Assumptions
from tenants.costs.unit_economics import UnitEconomics, assumptions_of, unit_economics
from tenants.kernel.clock import now
from tenants.pricing.floors import Takes, price_floor

USUAL = dt.timedelta(days=30)


def planned() -> serializers.DecimalField:
    return serializers.DecimalField(
        max_digits=4,
        decimal_places=3,
        required=False,
        help_text="The share of capacity that is planned to work; idle time beyond it is nobody's.",
    )


class _PlannedQuery(RangeQuery):
    planned_utilisation = planned()


def _share(of: str) -> serializers.DecimalField:
    return serializers.DecimalField(
        max_digits=5, decimal_places=4, required=False, help_text=f"{of}, as a share of the price."
    )


class TakesQuery(serializers.Serializer[Any]):
    """What is taken of a price before it pays a cost."""

    fees = _share("Ad-valorem fees")
    share = _share("A partner's part")
    margin = _share("The margin wanted")


class EconomicsQuery(_PlannedQuery, TakesQuery):
    split = serializers.ChoiceField(["tenant", "day", "meter"], required=False)


class EconomicsOut(serializers.Serializer[Any]):
    """Amounts are for a million tokens. Bounds are of sampling; scenarios are other choices."""

    object = Constant("cost.economics")
    kind = serializers.CharField()
    model = serializers.CharField()
    split = serializers.CharField(help_text="The tenant, day or meter, where asked for.")
    tokens = serializers.CharField()
    short_run = serializers.CharField(help_text="What not selling it would save.")
    long_run = serializers.CharField(help_text="At planned utilisation and volume.")
    long_run_low = serializers.CharField(allow_null=True)
    long_run_high = serializers.CharField(allow_null=True)
    floor = serializers.CharField(
        help_text="The lowest price that pays the long run's upper bound, fees, share and margin."
    )
    scenarios = serializers.DictField(child=serializers.CharField())
    currency = serializers.CharField()


class AllocationOut(serializers.Serializer[Any]):
    """One share of the period's cost; `strategic_idle` is the company's own."""

    object = Constant("cost.share")
    component = serializers.CharField()
    tenant_id = serializers.CharField()
    kind = serializers.CharField()
    model = serializers.CharField()
    method = serializers.CharField()
    resource = serializers.CharField()
    amount = serializers.CharField(help_text="An exact decimal number.")
    currency = serializers.CharField()


def days_of(query: dict[str, Any]) -> tuple[dt.datetime, dt.datetime]:
    """The whole UTC days asked for; the last 30, today included, where none are."""
    until = midnight(query.get("end_time") or now() + DAY)
    return midnight(query.get("start_time") or until - USUAL), until


def economics_of(query: dict[str, Any]) -> list[UnitEconomics]:
    since, until = days_of(query)
    utilisation = query.get("planned_utilisation") or Assumptions.planned_utilisation
    given = assumptions_of(since, until, planned_utilisation=utilisation)
    return unit_economics(since=since, until=until, split=query.get("split", ""), given=given)


def takes_of(query: dict[str, Any]) -> Takes:
    return Takes(**{name: query[name] for name in ("fees", "share", "margin") if name in query})


def economics_rows(found: list[UnitEconomics], takes: Takes) -> Iterator[dict[str, Any]]:
    for row in found:
        low, high = (row.share.low, row.share.high) if row.share else (None, None)
        yield {
            "object": "cost.economics",
            "kind": row.kind,
            "model": row.base,
            "split": row.split,
            "tokens": f"{row.tokens:.0f}",
            "short_run": f"{row.short_run:.9f}",
            "long_run": f"{row.long_run:.9f}",
            "long_run_low": None if low is None else f"{row.long_run * Decimal(repr(low)):.9f}",
            "long_run_high": None if high is None else f"{row.long_run * Decimal(repr(high)):.9f}",
            "floor": f"{price_floor(row.long_run_high, takes):.9f}",
            "scenarios": {name: f"{value:.9f}" for name, value in row.scenarios.items()},
            "currency": CURRENCY,
        }


def allocation_rows(found: Allocation) -> Iterator[dict[str, Any]]:
    nobody = {"tenant_id": "", "kind": "", "model": "", "method": ""}
    for (who, component), amount in sorted(found.shares.items(), key=str):
        yield {
            "object": "cost.share",
            "component": component,
            "tenant_id": who.tenant_id,
            "kind": who.kind,
            "model": who.base,
            "method": who.method,
            "resource": "",
            "amount": f"{amount:f}",
            "currency": CURRENCY,
        }
    for resource, amount in found.strategic.items():
        yield {
            "object": "cost.share",
            "component": "strategic_idle",
            **nobody,
            "resource": resource,
            "amount": f"{amount:f}",
            "currency": CURRENCY,
        }


class CostEconomicsView(ApiView):
    @operation(
        "Costs of a million tokens, three ways",
        tag=TAG,
        needs=NEEDS,
        answer=table_of(EconomicsOut, "CostEconomicsList"),
        query=EconomicsQuery,
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        query = self.query(EconomicsQuery)
        return table(economics_rows(economics_of(query), takes_of(query)))


class CostAllocationView(ApiView):
    @operation(
        "Whose the costs are, by the allocation rule",
        tag=TAG,
        needs=NEEDS,
        answer=table_of(AllocationOut, "CostAllocationList"),
        query=_PlannedQuery,
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        query = self.query(_PlannedQuery)
        since, until = days_of(query)
        utilisation = query.get("planned_utilisation") or Terms.planned_utilisation
        terms = terms_of(since, until, planned_utilisation=utilisation)
        return table(allocation_rows(allocation_of(since=since, until=until, terms=terms)))
