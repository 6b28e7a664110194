"""Purchase plans for staff: worked out from the books, exported, adopted, set beside the actual."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from saas.api.fields import Amount, Constant, UnixTime
from saas.api.openai.fine_tuning_shapes import JobErrorOut, ProgressOut
from saas.api.openai.statuses import STATUSES, error_of, progress_of, status_of
from saas.api.operator.costs import NEEDS, TAG
from saas.api.operator.money_in import key_of
from saas.api.pagination import PageQuery, page
from saas.api.platform.invoice_documents import sent_as
from saas.api.schema import list_of, operation
from saas.api.views import ApiView
from saas.procurement import (
    procurement_adopt,
    procurement_cancel,
    procurement_result,
    procurement_submit,
    purchases_csv,
)
from tenants.costs.allocation import Terms
from tenants.costs.models import PurchasePlan
from tenants.costs.plan_actual import Passed, plan_actual
from tenants.costs.planning import MOST_MONTHS, MOST_SCENARIOS, Supplier, Wish
from tenants.costs.purchase_plans import WRITE, plan_get, plans
from tenants.kernel.clock import now
from workers.jobs.models import Job
from workers.jobs.selectors import job_get, jobs_visible
from workers.jobs.states import Kind, State


class SupplierIn(serializers.Serializer[Any]):
    name = serializers.CharField(max_length=60)
    base = serializers.CharField(max_length=200, help_text="A base model that we serve.")
    per_million = Amount(help_text="What a million tokens of it cost there, in USD.")


class PlanIn(serializers.Serializer[Any]):
    """Demand comes from the books' work, prices from the rates, capacity from the offers."""

    name = serializers.CharField(max_length=60)
    months = serializers.IntegerField(
        required=False, default=12, min_value=1, max_value=MOST_MONTHS
    )
    scenarios = serializers.IntegerField(
        required=False, default=10, min_value=1, max_value=MOST_SCENARIOS, help_text="Of demand."
    )
    unseen = serializers.IntegerField(
        required=False, default=200, min_value=1, max_value=1000,
        help_text="Scenarios to try the plan on that it has not seen.",
    )  # fmt: skip
    seed = serializers.IntegerField(required=False, default=1, min_value=0, max_value=2**31)
    utilisation = Amount(
        required=False,
        default=Terms().planned_utilisation,
        help_text="The share of capacity that is planned to work.",
    )
    penalty = Amount(
        required=False,
        default=Decimal(10),
        help_text="Of capacity that lacks, in prices on demand.",
    )
    budget = Amount(
        required=False, allow_null=True, default=None, help_text="To commit to in a month."
    )
    service = Amount(
        required=False, default=Decimal(0), help_text="The least share of demand to meet."
    )
    spot = serializers.BooleanField(
        required=False, default=True, help_text="Whether work that can wait may go there."
    )
    on_demand_limits = serializers.DictField(
        child=Amount(), required=False, default=dict, help_text="Slot-hours a month, by resource."
    )
    suppliers = SupplierIn(many=True, required=False, default=list)


class AdoptIn(serializers.Serializer[Any]):
    replaces = serializers.CharField(
        required=False, default="", allow_blank=True, max_length=40,
        help_text="The plan in force, in whose place it comes.",
    )  # fmt: skip


class PlanOut(serializers.Serializer[Any]):
    id = serializers.CharField()
    object = Constant("procurement.plan")
    name = serializers.CharField()
    starts = serializers.DateField(help_text="The first day of its first month.")
    months = serializers.IntegerField()
    currency = serializers.CharField()
    created_at = UnixTime()
    finished_at = UnixTime(allow_null=True)
    status = serializers.ChoiceField(sorted(set(STATUSES.values())))
    state = serializers.ChoiceField(State.values)
    progress = ProgressOut()
    error = JobErrorOut(allow_null=True)
    in_force = serializers.BooleanField()
    adopted_at = UnixTime(allow_null=True)
    ended_at = UnixTime(allow_null=True)
    left_out = serializers.DictField(
        child=serializers.FloatField(),
        help_text="Slot-hours of work that there is too little of to foresee.",
    )


class PlanResultOut(serializers.Serializer[Any]):
    object = Constant("procurement.result")
    plan = PlanOut()
    result = serializers.DictField(help_text="See docs/costs.md.")


class MonthPassedOut(serializers.Serializer[Any]):
    month = serializers.DateField()
    demand = serializers.DictField(child=serializers.FloatField(), help_text="As foreseen.")
    low = serializers.DictField(child=serializers.FloatField())
    high = serializers.DictField(child=serializers.FloatField())
    actual = serializers.DictField(child=serializers.FloatField())
    foreseen = serializers.FloatField(help_text="Cost by the plan.")
    came = serializers.FloatField(help_text="Its purchases at the demand that came.")
    knowing = serializers.FloatField(help_text="The best ones for that demand.")
    paid = Amount(help_text="By the books.")


class PlanActualOut(serializers.Serializer[Passed]):
    """Each whole month since. Demand is in slot-hours at planned utilisation, by class."""

    object = Constant("procurement.actual")
    months = MonthPassedOut(many=True)
    regret = serializers.FloatField(help_text="What knowing the demand would have saved.")
    bought = serializers.ListField(
        child=serializers.DictField(), help_text="By one who had known it."
    )


def render(plan: PurchasePlan, job: Job) -> dict[str, Any]:
    answer: dict[str, Any] = PlanOut(
        {
            "id": plan.id,
            "name": plan.name,
            "starts": plan.starts,
            "months": plan.months,
            "currency": plan.drafted["currency"],
            "created_at": plan.created_at,
            "finished_at": job.finished_at,
            "status": status_of(job),
            "state": job.state,
            "progress": progress_of(job),
            "error": error_of(job),
            "in_force": plan.in_force,
            "adopted_at": plan.adopted_at,
            "ended_at": plan.ended_at,
            "left_out": plan.drafted["left_out"],
        }
    ).data
    return answer


def rendered(plan: PurchasePlan) -> dict[str, Any]:
    return render(plan, job_get(plan.id, kind=Kind.PROCURE))


def wish_of(sent: Mapping[str, Any]) -> Wish:
    suppliers = tuple(Supplier(**one) for one in sent["suppliers"])
    return Wish(**{**sent, "suppliers": suppliers})


class PurchasePlansView(ApiView):
    """`Idempotency-Key` is kept for ever: sent again, it answers with the plan that was made."""

    @operation(
        "List purchase plans", tag=TAG, needs=NEEDS, answer=list_of(PlanOut), query=PageQuery
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        found = page(plans(), self.query(PageQuery), lambda row: {"id": row.id, "row": row})
        jobs = jobs_visible(Kind.PROCURE).in_bulk([one["id"] for one in found["data"]])
        found["data"] = [render(one["row"], jobs[one["id"]]) for one in found["data"]]
        return Response(found)

    @operation(
        "Plan what compute to buy",
        tag=TAG,
        needs="jobs.write",
        answer=PlanOut,
        status=201,
        body=PlanIn,
    )
    def post(self, request: Request) -> Response:
        wish = wish_of(self.body(PlanIn))
        plan = procurement_submit(actor=self.actor, wish=wish, key=key_of(request))
        return Response(rendered(plan), status=201)


class PurchasePlanView(ApiView):
    @operation("Retrieve a purchase plan", tag=TAG, needs=NEEDS, answer=PlanOut)
    def get(self, request: Request, plan_id: str) -> Response:  # noqa: ARG002
        return Response(rendered(plan_get(plan_id)))


class PurchasePlanCancelView(ApiView):
    @operation("Cancel a purchase plan", tag=TAG, needs="jobs.write", answer=PlanOut)
    def post(self, request: Request, plan_id: str) -> Response:  # noqa: ARG002
        procurement_cancel(actor=self.actor, plan_id=plan_id)
        return Response(rendered(plan_get(plan_id)))


class PurchasePlanResultView(ApiView):
    @operation(
        "Export a purchase plan",
        tag=TAG,
        needs=NEEDS,
        answer=PlanResultOut,
        conflicts=True,
    )
    def get(self, request: Request, plan_id: str) -> Response:  # noqa: ARG002
        result = procurement_result(plan_id)
        plan = rendered(plan_get(plan_id))
        return Response({"object": "procurement.result", "plan": plan, "result": result})


class PurchasePlanPurchasesView(ApiView):
    @operation(
        "Export a purchase plan's purchases as CSV",
        tag=TAG,
        needs=NEEDS,
        answer=OpenApiTypes.STR,
        media_type="text/csv",
        conflicts=True,
    )
    def get(self, request: Request, plan_id: str) -> HttpResponse:  # noqa: ARG002
        plan = plan_get(plan_id)
        return sent_as(purchases_csv(plan).encode(), "text/csv", f"purchases-{plan.id}.csv")


class PurchasePlanAdoptView(ApiView):
    """From its first month on, later demand and cost are set beside it. 409 where another plan is
    in force than `replaces` names, what is held has changed, or what it buys is not offered so any
    more.
    """

    @operation("Adopt a purchase plan", tag=TAG, needs=WRITE, answer=PlanOut, body=AdoptIn)
    def post(self, request: Request, plan_id: str) -> Response:  # noqa: ARG002
        replaces = self.body(AdoptIn)["replaces"]
        plan = procurement_adopt(actor=self.actor, plan_id=plan_id, replaces=replaces)
        return Response(rendered(plan))


class PurchasePlanActualView(ApiView):
    @operation(
        "Compare a purchase plan with what happened", tag=TAG, needs=NEEDS, answer=PlanActualOut
    )
    def get(self, request: Request, plan_id: str) -> Response:  # noqa: ARG002
        return Response(PlanActualOut(plan_actual(plan_get(plan_id), now())).data)
