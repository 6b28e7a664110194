"""Models. https://platform.openai.com/docs/api-reference/models"""

from __future__ import annotations

from typing import Any

from django.http import StreamingHttpResponse
from drf_spectacular.types import OpenApiTypes
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from saas.api.fields import Constant, UnixTime
from saas.api.pagination import listing
from saas.api.schema import list_of, operation
from saas.api.streams import streamed
from saas.api.views import ApiView
from tenants.kernel.crypto import tenant_data_key
from tenants.kernel.errors import PermissionDenied
from workers.assets.models import BaseModel, ModelVersion
from workers.assets.selectors import (
    ResolvedModel,
    model_resolve,
    models_visible,
    version_archive_chunks,
)
from workers.assets.services import model_version_delete


class ModelOut(serializers.Serializer[Any]):
    id = serializers.CharField()
    object = Constant("model")
    created = UnixTime()
    owned_by = serializers.CharField(help_text="`breakwater`, or your organisation's id.")
    kind = serializers.ChoiceField(["base", *ModelVersion.Kind.values])
    base = serializers.CharField(help_text="The catalogue model beneath.")
    base_kind = serializers.ChoiceField(BaseModel.Kind.values, help_text="What that one reads.")
    parent = serializers.CharField(  # type: ignore[assignment]
        allow_null=True, help_text="The model it was made from."
    )
    served_on = serializers.CharField(
        allow_null=True, help_text="The compressed model that an adapter was carried over to."
    )
    job_id = serializers.CharField(allow_null=True)
    is_checkpoint = serializers.BooleanField()
    licence = serializers.CharField()
    parameters = serializers.IntegerField()
    context_length = serializers.IntegerField()
    metrics = serializers.DictField()


class ModelDeletedOut(serializers.Serializer[Any]):
    id = serializers.CharField()
    object = Constant("model")
    deleted = serializers.BooleanField()


def render(model: ResolvedModel) -> dict[str, Any]:
    base, version = model.base, model.version
    own: dict[str, Any] = {
        "created": base.created_at,
        "owned_by": "breakwater",
        "kind": "base",
        "parent": None,
        "served_on": None,
        "job_id": None,
        "is_checkpoint": False,
        "licence": base.licence,
        "parameters": base.parameters,
        "metrics": {},
    }
    if version is not None:
        own = {
            "created": version.created_at,
            "owned_by": version.tenant_id,
            "kind": version.kind,
            "parent": version.parent.name if version.parent else base.id,
            "served_on": version.over.name if version.over else None,
            "job_id": version.job_id or None,
            "is_checkpoint": version.is_checkpoint,
            "licence": version.licence,
            "parameters": version.parameters,
            "metrics": version.metrics,
        }
    beneath = {"base": base.id, "base_kind": base.kind, "context_length": base.context_length}
    whole = {"id": model.name, **beneath, **own}
    answer: dict[str, Any] = ModelOut(whole).data
    return answer


class ModelsView(ApiView):
    @operation("List models", tag="models", needs="models.read", answer=list_of(ModelOut))
    def get(self, request: Request) -> Response:  # noqa: ARG002
        return Response(listing(map(render, models_visible())))


class ModelView(ApiView):
    @operation("Retrieve a model", tag="models", needs="models.read", answer=ModelOut)
    def get(self, request: Request, model: str) -> Response:  # noqa: ARG002
        return Response(render(model_resolve(model)))

    @operation(
        "Delete a fine-tuned model", tag="models", needs="models.write", answer=ModelDeletedOut
    )
    def delete(self, request: Request, model: str) -> Response:  # noqa: ARG002
        _own(model)
        model_version_delete(actor=self.actor, name=model)
        return Response(ModelDeletedOut({"id": model, "deleted": True}).data)


class ModelDownloadView(ApiView):
    """A tar archive of a PEFT or Hugging Face folder, as peft and transformers load it."""

    @operation(
        "Download a model",
        tag="models",
        needs="models.read",
        answer=OpenApiTypes.BINARY,
        media_type="application/x-tar",
    )
    def get(self, request: Request, model: str) -> StreamingHttpResponse:
        version = _own(model)
        return streamed(
            request._request,  # noqa: SLF001 -- Django's own, to know how it is served
            version_archive_chunks(version, tenant_data_key(version.tenant_id)),
            media_type="application/x-tar",
            filename=f"{version.id}.tar",
        )


def _own(name: str) -> ModelVersion:
    """Raises NotFound, or PermissionDenied for a catalogue model."""
    version = model_resolve(name).version
    if version is None:
        raise PermissionDenied(
            f"{name} belongs to the catalogue; only your own models can be deleted or downloaded",
            param="model",
            code="catalogue_model",
        )
    return version
