"""Compressions: a model made smaller, by given settings or down to a target."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from saas.api.fields import Constant, Metadata, UnixTime
from saas.api.openai.fine_tuning_shapes import (
    FineTuningJobEventOut,
    JobErrorOut,
    ProgressOut,
    render_event,
)
from saas.api.openai.statuses import STATUSES, error_of, progress_of, status_of
from saas.api.pagination import PageQuery, page
from saas.api.prices import JobPriceOut, price_of
from saas.api.schema import list_of, operation
from saas.api.views import ApiView
from saas.pareto import pareto_svg
from tenants.kernel.errors import Conflict, NotFound
from workers.engine.compression.report import notes_of
from workers.engine.compression.specs import FORMATS
from workers.jobs.models import Job
from workers.jobs.selectors import job_events, job_get, jobs_visible
from workers.jobs.services import job_cancel, job_submit
from workers.jobs.states import Kind, State

TAG = "compressions"


class CompressionIn(serializers.Serializer[Any]):
    model = serializers.CharField(max_length=160, help_text="A base model, or one of your own.")
    file = serializers.CharField(
        max_length=64,
        help_text="Examples as for a fine-tune of this model, to calibrate and recover with.",
    )
    validation_file = serializers.CharField(
        max_length=64,
        required=False,
        allow_null=True,
        help_text="To measure on. Without it some rows of `file` are held out.",
    )
    suffix = serializers.RegexField(
        r"^[A-Za-z0-9][A-Za-z0-9._-]{0,39}$",
        required=False,
        allow_null=True,
        help_text="Becomes part of the new model's name.",
    )
    adapters = serializers.ListField(
        child=serializers.CharField(max_length=160),
        required=False,
        max_length=32,
        help_text="Your adapters of this base, to carry over: each becomes a model of its own.",
    )
    settings = serializers.DictField(
        help_text="`prune`, `mask`, `quantise` and `recover`; or `target`: `price` per million "
        "tokens, `latency` or `bytes` as shares of the dense model's, and `quality_loss`.\n\n"
        "`quantise`, and each of `target.formats`, is one of:\n"
        + "\n".join(f"- `{name}`: {meaning}" for name, meaning in FORMATS.items())
    )
    metadata = Metadata(required=False, default=dict)
    quote_id = serializers.CharField(
        required=False, allow_null=True, max_length=40, help_text="Hold it to a quote's price."
    )

    def to_spec(self) -> dict[str, Any]:
        """The spec as `job_submit` takes it."""
        sent = self.validated_data
        return {
            "model": sent["model"],
            "file_id": sent["file"],
            "validation_file_id": sent.get("validation_file"),
            "adapters": sent.get("adapters"),
            "suffix": sent.get("suffix"),
            "settings": sent["settings"],
        }


class CompressionOut(serializers.Serializer[Any]):
    id = serializers.CharField()
    object = Constant("compression")
    created_at = UnixTime()
    started_at = UnixTime(allow_null=True)
    finished_at = UnixTime(allow_null=True)
    model = serializers.CharField()
    compressed_model = serializers.CharField(allow_null=True)
    file = serializers.CharField()
    validation_file = serializers.CharField(allow_null=True)
    settings = serializers.DictField()
    status = serializers.ChoiceField(sorted(set(STATUSES.values())))
    state = serializers.ChoiceField(State.values)
    metrics = serializers.DictField(
        child=serializers.FloatField(),
        help_text="Parameters, bytes, latency of `latency_tokens`, and the task's own measures; "
        "`dense_…`: before.",
    )
    metadata = Metadata()
    error = JobErrorOut(allow_null=True)
    progress = ProgressOut()
    price = JobPriceOut(allow_null=True)


class FigureOut(serializers.Serializer[Any]):
    before = serializers.FloatField()
    after = serializers.FloatField()


class CandidateOut(serializers.Serializer[Any]):
    ratio = serializers.FloatField(help_text="Share of MLP channels and heads removed.")
    scorer = serializers.CharField()
    format = serializers.CharField()
    latency = serializers.FloatField(help_text="Of the dense model's.")
    bytes = serializers.FloatField(help_text="Of the dense model's.")
    quality_loss = serializers.FloatField(help_text="Share by which the metric got worse.")
    is_measured = serializers.BooleanField(help_text="False: by a cheap proxy only.")


class CarriedOut(serializers.Serializer[Any]):
    model = serializers.CharField(help_text="An adapter on the compressed model; call it by this.")
    carried_from = serializers.CharField(help_text="The adapter of the base that it was.")
    error = serializers.FloatField(
        help_text="The share of its output that is lost, as a mean over layers."
    )


class SearchOut(serializers.Serializer[Any]):
    reached = serializers.BooleanField()
    limit = serializers.CharField(help_text="What limits it, where the target was not reached.")
    metric = serializers.SerializerMethodField(help_text="What quality is judged by.")
    recommended = CandidateOut()
    candidates = CandidateOut(many=True)
    measured = CandidateOut(many=True)
    front = CandidateOut(many=True, help_text="The Pareto front, cheapest first.")

    def get_metric(self, search: dict[str, Any]) -> str:
        return str(search.get("metric", "perplexity"))


class CompressionResultsOut(serializers.Serializer[Any]):
    object = Constant("compression.results")
    compressed_model = serializers.CharField()
    figures = serializers.DictField(child=FigureOut())
    settings = serializers.DictField(help_text="What the model was made with.")
    prices = serializers.DictField(
        child=serializers.CharField(),
        allow_null=True,
        help_text="Of a million tokens, where a price was the target: `target`, `dense`, "
        "and `reached`, the compressed model's at the dense one's margin.",
    )
    format = serializers.ChoiceField(
        list(FORMATS), help_text="What the weights are rounded to; none: they are not."
    )
    quantisation_errors = serializers.DictField(
        child=serializers.FloatField(),
        help_text="Of each layer: the share of its output that rounding its weights takes.",
    )
    masked_weights = serializers.IntegerField(
        allow_null=True, help_text="Weights set to zero, where a mask was asked for."
    )
    notes = serializers.ListField(
        child=serializers.CharField(), help_text="What these figures do not show by themselves."
    )
    adapters = CarriedOut(many=True, help_text="Those that were carried over, in their order.")
    search = SearchOut(allow_null=True)


def render(job: Job) -> dict[str, Any]:
    answer: dict[str, Any] = CompressionOut(
        {
            "id": job.id,
            "created_at": job.created_at,
            "started_at": job.started_at,
            "finished_at": job.finished_at,
            "model": job.spec["model"],
            "compressed_model": job.result.get("model_name"),
            "file": job.spec["file_id"],
            "validation_file": job.spec["validation_file_id"],
            "settings": job.spec["settings"],
            "status": status_of(job),
            "state": job.state,
            "metrics": job.result.get("metrics", {}),
            "metadata": job.metadata,
            "error": error_of(job),
            "progress": progress_of(job),
            "price": price_of(job),
        }
    ).data
    return answer


def render_results(job: Job) -> dict[str, Any]:
    metrics, report = job.result["metrics"], job.result["report"]
    figures = {
        name: {"before": metrics[f"dense_{name}"], "after": value}
        for name, value in metrics.items()
        if f"dense_{name}" in metrics
    }
    answer: dict[str, Any] = CompressionResultsOut(
        {
            "compressed_model": job.result["model_name"],
            "figures": figures,
            "settings": report["settings"],
            "prices": prices_of(job),
            "format": report["settings"]["quantise"],
            "quantisation_errors": report.get("quantisation_errors", {}),
            "masked_weights": report.get("masked_weights"),
            "notes": notes_of(report),
            "adapters": job.result.get("adapters", []),
            "search": report.get("search"),
        }
    ).data
    return answer


def prices_of(job: Job) -> dict[str, str] | None:
    """Of a million tokens, where a price was the target: `target`, `dense`, and what the
    compressed model `reached`: its price at the dense model's margin.
    """
    asked: dict[str, str] | None = job.spec["price"]
    if asked is None:
        return None
    metrics = job.result["metrics"]
    share = Decimal(repr(metrics["latency_ms"])) / Decimal(repr(metrics["dense_latency_ms"]))
    reached = (Decimal(asked["dense"]) * share).quantize(Decimal("1e-6"))
    return {**asked, "reached": f"{reached:f}"}


def finished(job_id: str) -> Job:
    """A compression with its result. Raises NotFound, Conflict while there is none."""
    job = job_get(job_id, kind=Kind.COMPRESS)
    if job.state != State.SUCCEEDED:
        raise Conflict(
            f"{job.id} is {job.state}; it has results once it has succeeded",
            code="compression_not_finished",
        )
    return job


class CompressionsView(ApiView):
    @operation(
        "List compressions",
        tag=TAG,
        needs="jobs.read",
        answer=list_of(CompressionOut),
        query=PageQuery,
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        return Response(page(jobs_visible(Kind.COMPRESS), self.query(PageQuery), render))

    @operation(
        "Create a compression",
        tag=TAG,
        needs="jobs.write",
        answer=CompressionOut,
        status=201,
        body=CompressionIn,
        costs=True,
    )
    def post(self, request: Request) -> Response:
        sent = CompressionIn(data=request.data)
        sent.is_valid(raise_exception=True)
        job = job_submit(
            actor=self.actor,
            kind=Kind.COMPRESS,
            spec=sent.to_spec(),
            metadata=sent.validated_data["metadata"],
            quote_id=sent.validated_data.get("quote_id"),
        )
        return Response(render(job), status=201)


class CompressionView(ApiView):
    @operation("Retrieve a compression", tag=TAG, needs="jobs.read", answer=CompressionOut)
    def get(self, request: Request, compression_id: str) -> Response:  # noqa: ARG002
        return Response(render(job_get(compression_id, kind=Kind.COMPRESS)))


class CompressionCancelView(ApiView):
    @operation("Cancel a compression", tag=TAG, needs="jobs.write", answer=CompressionOut)
    def post(self, request: Request, compression_id: str) -> Response:  # noqa: ARG002
        job = job_get(compression_id, kind=Kind.COMPRESS)
        return Response(render(job_cancel(actor=self.actor, job_id=job.id)))


class CompressionEventsView(ApiView):
    @operation(
        "List a compression's events",
        tag=TAG,
        needs="jobs.read",
        answer=list_of(FineTuningJobEventOut),
        query=PageQuery,
    )
    def get(self, request: Request, compression_id: str) -> Response:  # noqa: ARG002
        job = job_get(compression_id, kind=Kind.COMPRESS)
        return Response(page(job_events(job.id), self.query(PageQuery), render_event))


class CompressionResultsView(ApiView):
    @operation(
        "Retrieve a compression's results",
        tag=TAG,
        needs="jobs.read",
        answer=CompressionResultsOut,
        conflicts=True,
    )
    def get(self, request: Request, compression_id: str) -> Response:  # noqa: ARG002
        return Response(render_results(finished(compression_id)))


class CompressionPlotView(ApiView):
    @operation(
        "Draw a compression's search",
        tag=TAG,
        needs="jobs.read",
        answer=OpenApiTypes.STR,
        media_type="image/svg+xml",
        conflicts=True,
    )
    def get(self, request: Request, compression_id: str) -> HttpResponse:  # noqa: ARG002
        search = finished(compression_id).result["report"].get("search")
        if search is None:
            raise NotFound(
                f"{compression_id} had given settings, so there was no search to draw",
                code="no_search",
            )
        drawn = pareto_svg(
            search,
            cost="cost, of the dense model's",
            loss=f"{search.get('metric', 'perplexity')} lost",
        )
        return HttpResponse(drawn, content_type="image/svg+xml")
