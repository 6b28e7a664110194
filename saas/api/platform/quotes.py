"""Quotes: what work would cost, and how long it would take, before it is begun."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from saas.api.fields import Amount, Constant, UnixTime
from saas.api.openai.fine_tuning_shapes import FineTuningJobIn
from saas.api.platform.compressions import CompressionIn
from saas.api.platform.evaluations import EvaluationIn
from saas.api.platform.pipelines import PipelineIn
from saas.api.prices import PriceOut, price
from saas.api.schema import operation
from saas.api.views import ApiView
from tenants.accounts.actors import Actor
from tenants.kernel.errors import InvalidInput
from tenants.pricing.models import Quote
from workers.jobs.selectors import quote_get
from workers.jobs.services import job_quote
from workers.jobs.states import Kind
from workers.serving.quoting import chat_quote

TAG = "quotes"


class QuoteIn(serializers.Serializer[Any]):
    """Beside `kind` the body of the request that would begin the work."""

    kind = serializers.ChoiceField(["fine_tune", "evaluate", "compress", "chat", "pipeline"])
    model = serializers.CharField(
        max_length=160, required=False, help_text="Of pipelines for methods only."
    )


class QuoteLineOut(serializers.Serializer[Any]):
    meter = serializers.CharField()
    low = Amount()
    expected = Amount()
    high = Amount()
    dimensions = serializers.DictField(child=serializers.CharField())


class AdjustmentOut(serializers.Serializer[Any]):
    """What a plugin that you enabled changes the price by. It is in the amounts already."""

    plugin = serializers.CharField()
    reason = serializers.CharField()
    share = Amount(help_text="Of the price before: -0.1 is a discount of 10%.")
    amount = Amount(help_text="Of the expected price, net.")


class SecondsOut(serializers.Serializer[Any]):
    """By what whole runs took, when this kind of work was measured on this kind of machine."""

    low = Amount(help_text="One run in ten takes less.")
    expected = Amount(help_text="The median: p50.")
    high = Amount(help_text="Nine runs in ten take less: p90.")


class QuoteOut(serializers.Serializer[Any]):
    id = serializers.CharField()
    object = Constant("quote")
    created_at = UnixTime()
    expires_at = UnixTime()
    kind = serializers.CharField()
    currency = serializers.CharField()
    lines = QuoteLineOut(many=True)
    adjustments = AdjustmentOut(many=True)
    low = PriceOut()
    expected = PriceOut()
    high = PriceOut(help_text="The most that this work is charged. Name the quote as `quote_id`.")
    seconds = SecondsOut(allow_null=True, help_text="Null where nothing was measured yet.")


def render(quote: Quote) -> dict[str, Any]:
    cases = ("low", "expected", "high")
    seconds = dict(zip(cases, quote.seconds, strict=True)) if quote.seconds else None
    amounts = {
        case: price(getattr(quote, f"{case}_net"), getattr(quote, f"{case}_tax")) for case in cases
    }
    answer: dict[str, Any] = QuoteOut(
        {
            "id": quote.id,
            "created_at": quote.created_at,
            "expires_at": quote.expires_at,
            "kind": quote.kind,
            "currency": quote.currency,
            "lines": quote.lines,
            "adjustments": quote.adjustments,
            "seconds": seconds,
            **amounts,
        }
    ).data
    return answer


def _fine_tune(view: ApiView, given: Mapping[str, Any]) -> Quote:
    sent = FineTuningJobIn(data=given)
    sent.is_valid(raise_exception=True)
    return job_quote(actor=view.actor, kind=Kind.FINE_TUNE, spec=sent.to_spec())


def _evaluate(view: ApiView, given: Mapping[str, Any]) -> Quote:
    sent = EvaluationIn(data=given)
    sent.is_valid(raise_exception=True)
    return job_quote(actor=view.actor, kind=Kind.EVALUATE, spec=sent.to_spec())


def _compress(view: ApiView, given: Mapping[str, Any]) -> Quote:
    sent = CompressionIn(data=given)
    sent.is_valid(raise_exception=True)
    return job_quote(actor=view.actor, kind=Kind.COMPRESS, spec=sent.to_spec())


def _pipeline(view: ApiView, given: Mapping[str, Any]) -> Quote:
    sent = PipelineIn(data=given)
    sent.is_valid(raise_exception=True)
    return job_quote(actor=view.actor, kind=Kind.PIPELINE, spec=sent.to_spec())


def _chat(view: ApiView, given: Mapping[str, Any]) -> Quote:
    actor: Actor = view.actor
    return chat_quote(actor=actor, body=json.dumps(given).encode())


_KINDS: Mapping[str, Callable[[ApiView, Mapping[str, Any]], Quote]] = {
    "fine_tune": _fine_tune,
    "evaluate": _evaluate,
    "compress": _compress,
    "chat": _chat,
    "pipeline": _pipeline,
}


class QuotesView(ApiView):
    """Nothing is held and nothing begins. Work that names the quote within its hour is charged at
    the lesser of what it used and `high`.
    """

    @operation("Quote work", tag=TAG, needs="jobs.write", answer=QuoteOut, status=201, body=QuoteIn)
    def post(self, request: Request) -> Response:
        if not isinstance(request.data, dict):
            raise InvalidInput("send a JSON object")
        given = dict(request.data)
        kind = self.body(QuoteIn)["kind"]
        del given["kind"]
        return Response(render(_KINDS[kind](self, given)), status=201)


class QuoteView(ApiView):
    @operation("Retrieve a quote", tag=TAG, needs="jobs.read", answer=QuoteOut)
    def get(self, request: Request, quote_id: str) -> Response:  # noqa: ARG002
        return Response(render(quote_get(quote_id)))
