"""Files. https://platform.openai.com/docs/api-reference/files"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from rest_framework import serializers
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from saas.api.fields import Constant, UnixTime
from saas.api.pagination import PageQuery, page
from saas.api.schema import list_of, operation
from saas.api.streams import streamed
from saas.api.views import ApiView
from tenants.kernel.clock import now
from workers.assets.models import File
from workers.assets.selectors import file_chunks, file_get, files_visible
from workers.assets.services import file_create, file_delete

PURPOSES = ["fine-tune", "batch", "assistants", "user_data", "vision"]
KEPT = [*PURPOSES, "fine-tune-results", "batch_output", "assistants_output"]


class FileOut(serializers.Serializer[File]):
    id = serializers.CharField()
    object = Constant("file")
    bytes = serializers.IntegerField()
    created_at = UnixTime()
    expires_at = UnixTime(allow_null=True)
    filename = serializers.CharField()
    purpose = serializers.ChoiceField(KEPT)
    status = serializers.ChoiceField(File.Status.values)
    status_details = serializers.SerializerMethodField()

    def get_status_details(self, file: File) -> str | None:
        return file.status_details or None


class FileDeletedOut(serializers.Serializer[Any]):
    id = serializers.CharField()
    object = Constant("file")
    deleted = serializers.BooleanField()


class ExpiresAfterIn(serializers.Serializer[Any]):
    anchor = serializers.ChoiceField(["created_at"])
    seconds = serializers.IntegerField(min_value=3600, max_value=30 * 24 * 3600)


class FileIn(serializers.Serializer[Any]):
    file = serializers.FileField(max_length=1024)
    purpose = serializers.ChoiceField(PURPOSES)
    expires_after = ExpiresAfterIn(required=False)


class FilesQuery(PageQuery):
    limit = serializers.IntegerField(
        required=False, default=10_000, min_value=1, max_value=10_000, help_text="How many at most."
    )
    purpose = serializers.ChoiceField(KEPT, required=False, help_text="Only files of this purpose.")


def nested(form: Mapping[str, Any]) -> dict[str, Any]:
    """A form's `expires_after[seconds]=…` as `{"expires_after": {"seconds": …}}`."""
    found: dict[str, Any] = {}
    for name, value in form.items():
        outer, bracket, inner = name.partition("[")
        if bracket and inner.endswith("]"):
            known = found.get(outer)
            found[outer] = {**(known if isinstance(known, dict) else {}), inner[:-1]: value}
        else:
            found.setdefault(name, value)
    return found


def expiry(after: dict[str, Any] | None) -> dt.datetime | None:
    return now() + dt.timedelta(seconds=after["seconds"]) if after else None


def render(file: File) -> dict[str, Any]:
    return FileOut(file).data


class FilesView(ApiView):
    parser_classes = (MultiPartParser,)

    @operation(
        "List files", tag="files", needs="files.read", answer=list_of(FileOut), query=FilesQuery
    )
    def get(self, request: Request) -> Response:  # noqa: ARG002
        query = self.query(FilesQuery)
        rows = files_visible()
        if "purpose" in query:
            rows = rows.filter(purpose=query["purpose"])
        return Response(page(rows, query, render))

    @operation(
        "Upload a file",
        tag="files",
        needs="files.write",
        answer=FileOut,
        body=FileIn,
        multipart=True,
        costs=True,
    )
    def post(self, request: Request) -> Response:
        sent = self.body(FileIn, nested(request.POST.dict() | request.FILES.dict()))
        upload = sent["file"]
        file = file_create(
            actor=self.actor,
            filename=upload.name,
            purpose=sent["purpose"],
            chunks=upload.chunks(),
            media_type=upload.content_type or "",
            expires_at=expiry(sent.get("expires_after")),
        )
        return Response(render(file))


class FileView(ApiView):
    @operation("Retrieve a file", tag="files", needs="files.read", answer=FileOut)
    def get(self, request: Request, file_id: str) -> Response:  # noqa: ARG002
        return Response(render(file_get(file_id)))

    @operation("Delete a file", tag="files", needs="files.write", answer=FileDeletedOut)
    def delete(self, request: Request, file_id: str) -> Response:  # noqa: ARG002
        file_delete(actor=self.actor, file_id=file_id)
        return Response(FileDeletedOut({"id": file_id, "deleted": True}).data)


class FileContentView(ApiView):
    @operation(
        "Download a file's content",
        tag="files",
        needs="files.read",
        answer=OpenApiTypes.BINARY,
        media_type="application/octet-stream",
    )
    def get(self, request: Request, file_id: str) -> StreamingHttpResponse:
        file = file_get(file_id)
        return streamed(
            request._request,  # noqa: SLF001 -- Django's own, to know how it is served
            file_chunks(file),
            media_type="application/octet-stream",
            filename=file.filename,
        )
