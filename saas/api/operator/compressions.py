"""What compressions did to the cost of a million tokens and to its floor, for staff."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from saas.api.fields import Constant
from saas.api.operator.costs import NEEDS, TAG, table, table_of
from saas.api.operator.economics import TakesQuery, planned, takes_of
from saas.api.schema import operation
from saas.api.views import ApiView
from tenants.costs.standard import Assumptions
from workers.jobs.compression_costs import compression_costs


class CompressionCostQuery(TakesQuery):
    planned_utilisation = planned()


class CompressionCostOut(serializers.Serializer[Any]):
    """Costs are of a slot that is kept busy; floors add the waiting that is planned for."""

    object = Constant("cost.compression")
    compression_id = serializers.CharField()
    tenant_id = serializers.CharField()
    base = serializers.CharField()
    before = serializers.CharField(help_text="A million tokens through the dense model.")
    after = serializers.CharField(help_text="A million tokens through the compressed one.")
    floor_before = serializers.CharField(
        help_text="The lowest price of them that pays the cost at planned utilisation, fees, share "
        "and margin."
    )
    floor_after = serializers.CharField(help_text="The same of the compressed model.")
    currency = serializers.CharField()


def compression_rows(query: dict[str, Any]) -> Iterator[dict[str, Any]]:
    utilisation = query.get("planned_utilisation") or Assumptions.planned_utilisation
    given = Assumptions(planned_utilisation=utilisation)
    for row in compression_costs(given=given, takes=takes_of(query)):
        yield {
            "object": "cost.compression",
            "compression_id": row.job.id,
            "tenant_id": row.job.tenant_id,
            "base": row.job.spec["base_id"],
            "before": f"{row.before.cost.amount:f}",
            "after": f"{row.after.cost.amount:f}",
            "floor_before": f"{row.before.floor.amount:f}",
            "floor_after": f"{row.after.floor.amount:f}",
            "currency": row.after.cost.currency,
        }


class CostsByCompressionView(ApiView):
    @operation(
        "Unit costs and floors before and after compressions",
        tag=TAG,
        needs=NEEDS,
        answer=table_of(CompressionCostOut, "CompressionCostList"),
        query=CompressionCostQuery,
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        return table(compression_rows(self.query(CompressionCostQuery)))
