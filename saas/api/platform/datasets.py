"""Datasets: what a file holds, as a base model reads it."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from saas.api.fields import Constant, UnixTime
from saas.api.pagination import PageQuery, page
from saas.api.schema import list_of, operation
from saas.api.views import ApiView
from workers.assets.models import Dataset
from workers.assets.selectors import dataset_get, datasets_visible, model_resolve
from workers.assets.services import dataset_validate


class DatasetOut(serializers.Serializer[Dataset]):
    id = serializers.CharField()
    object = Constant("dataset")
    created_at = UnixTime()
    file = serializers.CharField(source="file_id")
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


class DatasetView(ApiView):
    @operation("Retrieve a dataset", tag="datasets", needs="files.read", answer=DatasetOut)
    def get(self, request: Request, dataset_id: str) -> Response:  # noqa: ARG002
        return Response(render(dataset_get(dataset_id)))
