"""Campaigns, for staff: drafted from the books, rehearsed as jobs, read as brief and plots."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from saas.api.fields import Amount, Constant, UnixTime
from saas.api.openai.fine_tuning_shapes import JobErrorOut, ProgressOut
from saas.api.openai.statuses import STATUSES, error_of, progress_of, status_of
from saas.api.operator.costs import table, table_of
from saas.api.operator.proposals import PriceProposalOut, render_proposal
from saas.api.pagination import PageQuery, page
from saas.api.schema import list_of, operation
from saas.api.views import ApiView
from saas.campaigns import (
    campaign_cancel,
    campaign_propose,
    campaign_result,
    campaign_submit,
)
from tenants.market.campaigns.specs import LONGEST_POLICY
from tenants.market.drafting import Stated, campaign_draft
from tenants.market.proposing import Wish
from tenants.market.reporting.brief import brief
from tenants.market.reporting.plots import PLOTS, plot
from tenants.market.reporting.words import LANGUAGES
from workers.jobs.models import Job
from workers.jobs.selectors import job_get, jobs_visible
from workers.jobs.states import Kind, State

TAG = "operator"
READ, WRITE = "jobs.read", "jobs.write"


class DraftIn(serializers.Serializer[Any]):
    base = serializers.CharField(max_length=200, help_text="An offer of ours with a class.")
    name = serializers.CharField(required=False, default="", allow_blank=True, max_length=60)
    cash = serializers.FloatField(help_text="At hand.")
    cash_limit = serializers.FloatField(required=False, default=0.0, help_text="Beneath: ruin.")
    own_share = serializers.FloatField(
        required=False, default=Stated.own_share, help_text="Of each segment's customers."
    )
    outside_share = serializers.FloatField(
        required=False, default=Stated.outside_share, help_text="Who buy nowhere."
    )


class DraftOut(serializers.Serializer[Any]):
    object = Constant("campaign.draft")
    campaign = serializers.DictField(help_text="To be looked through, changed, and rehearsed.")


class CampaignIn(serializers.Serializer[Any]):
    campaign = serializers.DictField(help_text="See docs/market.md.")


class CampaignOut(serializers.Serializer[Any]):
    id = serializers.CharField()
    object = Constant("campaign")
    name = serializers.CharField()
    created_at = UnixTime()
    finished_at = UnixTime(allow_null=True)
    status = serializers.ChoiceField(sorted(set(STATUSES.values())))
    state = serializers.ChoiceField(State.values)
    progress = ProgressOut()
    error = JobErrorOut(allow_null=True)
    campaign = serializers.DictField()


class CampaignResultOut(serializers.Serializer[Any]):
    object = Constant("campaign.result")
    result = serializers.DictField()


class ProposeIn(serializers.Serializer[Any]):
    base = serializers.CharField(max_length=200)
    policy = serializers.CharField(
        required=False,
        default="",
        allow_blank=True,
        max_length=LONGEST_POLICY,
        help_text="Default: proposed.",
    )
    months = serializers.IntegerField(required=False, default=3, min_value=1, max_value=120)
    starts = UnixTime(required=False, allow_null=True, default=None, help_text="Default: now.")
    loss_budget_id = serializers.CharField(
        required=False, default="", allow_blank=True, max_length=40, help_text="Below the floor."
    )
    volume_cap = Amount(
        required=False, allow_null=True, default=None, help_text="Tokens of each meter."
    )


class BriefQuery(serializers.Serializer[Any]):
    language = serializers.ChoiceField(LANGUAGES, required=False, default=LANGUAGES[0])


class FormatQuery(serializers.Serializer[Any]):
    format = serializers.ChoiceField(["svg", "png"], required=False, default="svg")


def render(job: Job) -> dict[str, Any]:
    answer: dict[str, Any] = CampaignOut(
        {
            "id": job.id,
            "name": job.spec["campaign"]["name"],
            "created_at": job.created_at,
            "finished_at": job.finished_at,
            "status": status_of(job),
            "state": job.state,
            "progress": progress_of(job),
            "error": error_of(job),
            "campaign": job.spec["campaign"],
        }
    ).data
    return answer


class CampaignDraftView(ApiView):
    @operation(
        "Draft a campaign from the books", tag=TAG, needs=READ, answer=DraftOut, body=DraftIn
    )
    def post(self, request: Request) -> Response:  # noqa: ARG002
        sent = self.body(DraftIn)
        base, name = sent.pop("base"), sent.pop("name")
        return Response(
            DraftOut({"campaign": campaign_draft(base, Stated(**sent), name=name)}).data
        )


class CampaignsView(ApiView):
    @operation("List campaigns", tag=TAG, needs=READ, answer=list_of(CampaignOut), query=PageQuery)
    def get(self, request: Request) -> Response:  # noqa: ARG002
        return Response(page(jobs_visible(Kind.CAMPAIGN), self.query(PageQuery), render))

    @operation(
        "Rehearse a campaign",
        tag=TAG,
        needs=WRITE,
        answer=CampaignOut,
        status=201,
        body=CampaignIn,
    )
    def post(self, request: Request) -> Response:  # noqa: ARG002
        job = campaign_submit(actor=self.actor, spec=self.body(CampaignIn)["campaign"])
        return Response(render(job), status=201)


class CampaignView(ApiView):
    @operation("Retrieve a campaign", tag=TAG, needs=READ, answer=CampaignOut)
    def get(self, request: Request, campaign_id: str) -> Response:  # noqa: ARG002
        return Response(render(job_get(campaign_id, kind=Kind.CAMPAIGN)))


class CampaignCancelView(ApiView):
    @operation("Cancel a campaign", tag=TAG, needs=WRITE, answer=CampaignOut)
    def post(self, request: Request, campaign_id: str) -> Response:  # noqa: ARG002
        return Response(render(campaign_cancel(actor=self.actor, campaign_id=campaign_id)))


class CampaignResultView(ApiView):
    @operation(
        "Retrieve a campaign's result",
        tag=TAG,
        needs=READ,
        answer=CampaignResultOut,
        conflicts=True,
    )
    def get(self, request: Request, campaign_id: str) -> Response:  # noqa: ARG002
        return Response(CampaignResultOut({"result": campaign_result(campaign_id)}).data)


class CampaignProposeView(ApiView):
    """The prices of a policy, for another person to approve; see price proposals."""

    @operation(
        "Propose a campaign's prices",
        tag=TAG,
        needs="billing.write",
        answer=table_of(PriceProposalOut, "CampaignProposalList"),
        status=201,
        body=ProposeIn,
    )
    def post(self, request: Request, campaign_id: str) -> Response:  # noqa: ARG002
        wish = Wish(**self.body(ProposeIn))
        rows = campaign_propose(actor=self.actor, campaign_id=campaign_id, wish=wish)
        answer = table(render_proposal(row) for row in rows)
        answer.status_code = 201
        return answer


class CampaignBriefView(ApiView):
    @operation(
        "Read a campaign's brief",
        tag=TAG,
        needs=READ,
        answer=OpenApiTypes.STR,
        media_type="text/markdown",
        query=BriefQuery,
        conflicts=True,
    )
    def get(self, request: Request, campaign_id: str) -> HttpResponse:  # noqa: ARG002
        language = self.query(BriefQuery)["language"]
        text = brief(campaign_result(campaign_id), language)
        return HttpResponse(text, content_type="text/markdown; charset=utf-8")


class CampaignPlotView(ApiView):
    @operation(
        "Draw a campaign",
        tag=TAG,
        needs=READ,
        answer=OpenApiTypes.STR,
        media_type="image/svg+xml",
        query=FormatQuery,
        conflicts=True,
        parameters=[OpenApiParameter("name", enum=list(PLOTS), location="path")],
    )
    def get(self, request: Request, campaign_id: str, name: str) -> HttpResponse:  # noqa: ARG002
        form = self.query(FormatQuery)["format"]
        drawn = plot(campaign_result(campaign_id), name, form)
        types = {"svg": "image/svg+xml", "png": "image/png"}
        return HttpResponse(drawn, content_type=types[form])
