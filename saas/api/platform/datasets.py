"""Datasets: what a file holds, as a base model reads it."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from saas.api.fields import Constant, UnixTime
from saas.api.pagination import PageQuery, page
from saas.api.platform.pipelines import PipelineOut
from saas.api.platform.pipelines import render as render_pipeline
from saas.api.schema import list_of, operation
from saas.api.views import ApiView
from workers.assets.models import Dataset
from workers.assets.selectors import dataset_get, datasets_visible, file_get, model_resolve
from workers.assets.services import dataset_validate
from workers.jobs.plugin_steps import PREPARE, READ, plugin_reading
from workers.jobs.services import job_submit
from workers.jobs.states import Kind


class DatasetOut(serializers.Serializer[Dataset]):
    id = serializers.CharField()
    object = Constant("dataset")
    created_at = UnixTime()
    file = serializers.CharField(source="file_id")
    made_of = serializers.CharField(
        source="file.made_of", help_text="The file that this one was made of; empty: an upload."
    )
    made_by = serializers.CharField(source="file.made_by", help_text="The job that made the file.")
    model = serializers.CharField(source="base_id", help_text="Whose tokenizer counted.")
    format = serializers.CharField(help_text="chat, completion, text, labelled, csv …")
    status = serializers.ChoiceField(
        Dataset.Status.values, help_text="validating: a worker reads the file, see read_bytes."
    )
    bytes = serializers.IntegerField(source="file.bytes", help_text="Of the file.")
    read_bytes = serializers.IntegerField(help_text="How far a worker is; 0 where none was needed.")
    examples = serializers.IntegerField()
    tokens = serializers.IntegerField()
    loss_tokens = serializers.IntegerField(help_text="Those that a model would learn to say.")
    longest = serializers.IntegerField(help_text="Tokens of the longest example.")
    duplicates = serializers.IntegerField()
    problem_count = serializers.IntegerField()
    problems = serializers.ListField(
        child=serializers.DictField(), help_text="The first: line, field, reason, fix."
    )


class DatasetIn(serializers.Serializer[Any]):
    file = serializers.CharField(max_length=64)
    model = serializers.CharField(max_length=160)
    task = serializers.CharField(
        required=False, max_length=32, help_text="What it is read for; by default the model's own."
    )


class DatasetImportIn(serializers.Serializer[Any]):
    file = serializers.CharField(max_length=64, help_text="In a format that a plugin reads.")
    plugin = serializers.CharField(
        required=False, max_length=63, help_text="Where several that are enabled read it."
    )
    quote_id = serializers.CharField(required=False, allow_null=True, max_length=40)


class DatasetPrepareIn(serializers.Serializer[Any]):
    file = serializers.CharField(max_length=64, help_text="JSON lines.")
    plugin = serializers.CharField(max_length=63, help_text="One that prepares datasets.")
    quote_id = serializers.CharField(required=False, allow_null=True, max_length=40)


class DatasetsQuery(PageQuery):
    file = serializers.CharField(required=False, max_length=64, help_text="Only of this file.")


def render(dataset: Dataset) -> dict[str, Any]:
    return DatasetOut(dataset).data


class DatasetsView(ApiView):
    @operation(
        "List datasets",
        tag="datasets",
        needs="files.read",
        answer=list_of(DatasetOut),
        query=DatasetsQuery,
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        query = self.query(DatasetsQuery)
        rows = datasets_visible()
        if "file" in query:
            rows = rows.filter(file_id=query["file"])
        return Response(page(rows, query, render))

    @operation(
        "Validate a file for a model",
        tag="datasets",
        needs="files.write",
        answer=DatasetOut,
        body=DatasetIn,
    )
    def post(self, request: Request) -> Response:  # noqa: ARG002
        sent = self.body(DatasetIn)
        base = model_resolve(sent["model"]).base
        dataset = dataset_validate(
            actor=self.actor,
            file_id=sent["file"],
            base_id=base.id,
            task=sent.get("task"),
            param="file",
        )
        return Response(render(dataset))


def _made(view: ApiView, hook: str, sent: dict[str, Any], plugin: str) -> Response:
    job = job_submit(
        actor=view.actor,
        kind=Kind.PIPELINE,
        spec={"plugin": plugin, "pipeline": hook, "file_ids": [sent["file"]]},
        quote_id=sent.get("quote_id"),
    )
    return Response(render_pipeline(job), status=201)


class DatasetImportView(ApiView):
    """The job's one result file is JSON lines, made of the file that was sent."""

    @operation(
        "Import a file in a plugin's format",
        tag="datasets",
        needs="jobs.write",
        answer=PipelineOut,
        status=201,
        body=DatasetImportIn,
        costs=True,
    )
    def post(self, request: Request) -> Response:  # noqa: ARG002
        sent = self.body(DatasetImportIn)
        name = file_get(sent["file"], param="file").filename
        plugin = sent.get("plugin") or plugin_reading(self.actor.tenant_id, name)
        return _made(self, READ, sent, plugin)


class DatasetPrepareView(ApiView):
    """Cleaned, labelled or redacted by a plugin: a new file, made of the one that was sent."""

    @operation(
        "Prepare a dataset",
        tag="datasets",
        needs="jobs.write",
        answer=PipelineOut,
        status=201,
        body=DatasetPrepareIn,
        costs=True,
    )
    def post(self, request: Request) -> Response:  # noqa: ARG002
        sent = self.body(DatasetPrepareIn)
        return _made(self, PREPARE, sent, sent["plugin"])


class DatasetView(ApiView):
    @operation("Retrieve a dataset", tag="datasets", needs="files.read", answer=DatasetOut)
    def get(self, request: Request, dataset_id: str) -> Response:  # noqa: ARG002
        return Response(render(dataset_get(dataset_id)))
