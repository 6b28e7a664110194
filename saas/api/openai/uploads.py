"""Uploads in parts. https://platform.openai.com/docs/api-reference/uploads"""

from __future__ import annotations

from typing import Any

from django.conf import settings
from rest_framework import serializers
from rest_framework.parsers import MultiPartParser
from rest_framework.request import Request
from rest_framework.response import Response

from saas.api.fields import Constant, UnixTime
from saas.api.openai.files import PURPOSES, FileOut
from saas.api.schema import operation
from saas.api.views import ApiView
from workers.assets.models import Upload, UploadPart
from workers.assets.services import (
    upload_cancel,
    upload_complete,
    upload_create,
    upload_part_add,
)

MOST_PARTS = 10_000


class UploadOut(serializers.Serializer[Upload]):
    id = serializers.CharField()
    object = Constant("upload")
    bytes = serializers.IntegerField()
    created_at = UnixTime()
    expires_at = UnixTime()
    filename = serializers.CharField()
    purpose = serializers.CharField()
    status = serializers.ChoiceField(Upload.Status.values)
    file = FileOut(allow_null=True)


class UploadPartOut(serializers.Serializer[UploadPart]):
    id = serializers.CharField()
    object = Constant("upload.part")
    created_at = UnixTime()
    upload_id = serializers.CharField()


class UploadIn(serializers.Serializer[Any]):
    filename = serializers.CharField(max_length=1024)
    purpose = serializers.ChoiceField(PURPOSES)
    bytes = serializers.IntegerField(min_value=1, max_value=settings.MAX_FILE_BYTES)
    mime_type = serializers.CharField(max_length=100)


class UploadPartIn(serializers.Serializer[Any]):
    data = serializers.FileField(max_length=1024)  # type: ignore[assignment]


class UploadCompleteIn(serializers.Serializer[Any]):
    part_ids = serializers.ListField(
        child=serializers.CharField(max_length=64), min_length=1, max_length=MOST_PARTS
    )
    md5 = serializers.RegexField(
        r"^[0-9a-fA-F]{32}$", required=False, help_text="Of the whole file, as hex digits."
    )


class UploadsView(ApiView):
    @operation(
        "Begin an upload in parts",
        tag="uploads",
        needs="files.write",
        answer=UploadOut,
        body=UploadIn,
        costs=True,
    )
    def post(self, request: Request) -> Response:  # noqa: ARG002
        sent = self.body(UploadIn)
        upload = upload_create(
            actor=self.actor,
            filename=sent["filename"],
            purpose=sent["purpose"],
            bytes=sent["bytes"],
            media_type=sent["mime_type"],
        )
        return Response(UploadOut(upload).data)


class UploadPartsView(ApiView):
    parser_classes = (MultiPartParser,)

    @operation(
        "Add a part to an upload",
        tag="uploads",
        needs="files.write",
        answer=UploadPartOut,
        body=UploadPartIn,
        multipart=True,
    )
    def post(self, request: Request, upload_id: str) -> Response:  # noqa: ARG002
        chunks = self.body(UploadPartIn)["data"].chunks()
        part = upload_part_add(actor=self.actor, upload_id=upload_id, chunks=chunks)
        return Response(UploadPartOut(part).data)


class UploadCompleteView(ApiView):
    @operation(
        "Complete an upload",
        tag="uploads",
        needs="files.write",
        answer=UploadOut,
        body=UploadCompleteIn,
        costs=True,
    )
    def post(self, request: Request, upload_id: str) -> Response:  # noqa: ARG002
        sent = self.body(UploadCompleteIn)
        upload = upload_complete(
            actor=self.actor,
            upload_id=upload_id,
            part_ids=sent["part_ids"],
            md5=sent.get("md5", ""),
        )
        return Response(UploadOut(upload).data)


class UploadCancelView(ApiView):
    @operation("Cancel an upload", tag="uploads", needs="files.write", answer=UploadOut)
    def post(self, request: Request, upload_id: str) -> Response:  # noqa: ARG002
        return Response(UploadOut(upload_cancel(actor=self.actor, upload_id=upload_id)).data)
