"""What became of a campaign: what was sold under its prices, beside what it foresaw."""

from __future__ import annotations

from typing import Any, get_args

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from saas.api.fields import Amount, Constant
from saas.api.operator.campaigns import READ, TAG, FormatQuery
from saas.api.operator.proposals import ActualOut, PriceProposalOut, render_proposal
from saas.api.schema import operation
from saas.api.views import ApiView
from saas.campaigns import campaign_outcome, campaign_outcome_of, campaign_result
from tenants.market.campaigns.specs import LONGEST_POLICY
from tenants.market.following import FIGURES, Followed, MonthState, Verdict, Why
from tenants.market.reporting.plots import outcome_plot

TYPES = {"svg": "image/svg+xml", "png": "image/png"}


class _Band(serializers.Serializer[Any]):
    low = serializers.FloatField()
    median = serializers.FloatField()
    high = serializers.FloatField()


class _Figure(serializers.Serializer[Any]):
    foreseen = _Band(allow_null=True, help_text="10%, median and 90% of the rehearsal's paths.")
    actual = Amount(allow_null=True, help_text="Null: not known; `unknown` says why.")
    verdict = serializers.ChoiceField(
        [*get_args(Verdict)], help_text="Of a whole month, once over."
    )
    unknown = serializers.ChoiceField([*get_args(Why)])


class CampaignMonthOut(serializers.Serializer[Any]):
    number = serializers.IntegerField(help_text="1 is the first; thirty days each.")
    first = serializers.DateField()
    last = serializers.DateField()
    state = serializers.ChoiceField([*get_args(MonthState)])
    revenue = _Figure(help_text="In the campaign's currency, as loss and price.")
    tokens = _Figure(help_text="Sold, in millions.")
    loss = _Figure(help_text="What was sold below: foreseen of long-run cost, actual of the floor.")
    price = _Figure(help_text="A million tokens.")
    share = _Figure(help_text="Of the customers that the campaign took the market to have.")


class CampaignSoldOut(PriceProposalOut):
    actual = ActualOut(help_text="In the currency of costs, as what is foreseen.")


class CampaignFollowedOut(serializers.Serializer[Any]):
    policy = serializers.CharField(help_text="Empty: of prices that were proposed by hand.")
    state = serializers.ChoiceField(["proposed", "waiting", "under_way", "ended"])
    first = serializers.DateField(allow_null=True, help_text="Null: nobody has approved it yet.")
    months = CampaignMonthOut(many=True)
    proposals = CampaignSoldOut(many=True)


class CampaignOutcomeOut(serializers.Serializer[Any]):
    object = Constant("campaign.outcome")
    campaign_id = serializers.CharField()
    currency = serializers.CharField()
    policies = CampaignFollowedOut(many=True, help_text="Empty: no prices were proposed.")


class OutcomePlotQuery(FormatQuery):
    policy = serializers.CharField(
        required=False, default="", allow_blank=True, max_length=LONGEST_POLICY
    )


def render_followed(one: Followed) -> dict[str, Any]:
    months = [
        {
            "number": month.number,
            "first": month.first,
            "last": month.last,
            "state": month.state,
            **{name: month.figures[name] for name in FIGURES},
        }
        for month in one.months
    ]
    return {
        "policy": one.policy,
        "state": one.state,
        "first": one.first,
        "months": CampaignMonthOut(months, many=True).data,
        "proposals": [
            {**render_proposal(row), "actual": ActualOut(actual).data}
            for row, actual in one.proposals
        ],
    }


class CampaignOutcomeView(ApiView):
    @operation(
        "Lay what happened beside what a campaign foresaw",
        tag=TAG,
        needs=READ,
        answer=CampaignOutcomeOut,
        conflicts=True,
    )
    def get(self, request: Request, campaign_id: str) -> Response:  # noqa: ARG002
        return Response(
            {
                "object": "campaign.outcome",
                "campaign_id": campaign_id,
                "currency": campaign_result(campaign_id)["currency"],
                "policies": [render_followed(one) for one in campaign_outcome(campaign_id)],
            }
        )


class CampaignOutcomePlotView(ApiView):
    @operation(
        "Draw what happened on what was foreseen",
        tag=TAG,
        needs=READ,
        answer=OpenApiTypes.STR,
        media_type="image/svg+xml",
        query=OutcomePlotQuery,
        conflicts=True,
    )
    def get(self, request: Request, campaign_id: str) -> HttpResponse:  # noqa: ARG002
        asked = self.query(OutcomePlotQuery)
        followed = campaign_outcome_of(campaign_id, asked["policy"])
        currency = campaign_result(campaign_id)["currency"]
        drawn = outcome_plot(followed, currency, asked["format"])
        return HttpResponse(drawn, content_type=TYPES[asked["format"]])
