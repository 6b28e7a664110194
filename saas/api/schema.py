"""The OpenAPI document: every operation with every status it may answer."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, TypeVar

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, inline_serializer
from rest_framework import serializers

from workers.serving.gateway.openapi import gateway_openapi

View = TypeVar("View", bound=Callable[..., Any])
Answer = type[serializers.Serializer[Any]] | serializers.Serializer[Any] | OpenApiTypes | None

_ERRORS = {
    "400": "The request is malformed or a value is not allowed; `param` names it.",
    "401": "The API key is missing, wrong, expired or revoked.",
    "402": "There is no credit left for this, or a hard budget is used up.",
    "403": "The key's role or scopes do not allow this.",
    "404": "There is no such thing in your organisation.",
    "409": "The thing's state does not allow this, or the request is a duplicate.",
    "413": "The body is too large.",
    "415": "The content type is not one that this route reads.",
    "429": "Too many requests; see `retry-after`.",
    "503": "Not available at the moment; see `retry-after`.",
}
_METHODS = ("get", "post", "put", "patch", "delete")
COSTS = "x-costs-money"  # marks such an operation in the document
CONFLICTS = "x-may-conflict"  # one that reads, and answers 409 until there is something to read


def operation(
    summary: str,
    *,
    tag: str,
    needs: str | None,
    answer: Answer,
    status: int = 200,
    body: type[serializers.Serializer[Any]] | Mapping[str, Any] | None = None,
    query: type[serializers.Serializer[Any]] | None = None,
    parameters: Sequence[OpenApiParameter] = (),
    media_type: str = "application/json",
    multipart: bool = False,
    costs: bool = False,
    conflicts: bool = False,
) -> Callable[[View], View]:
    """Document one method of a view, and name the permission that it needs (None: it is public).

    `costs` says that it starts what will be charged: without credit, or beyond a hard budget, its
    service answers 402. `conflicts`: it reads what an unfinished job does not have yet, and answers
    409 until then. `body` may be several: media type → serializer or JSON schema.
    """
    document = extend_schema(
        operation_id=re.sub(r"[^a-z0-9]+", "_", summary.lower()).strip("_"),
        summary=summary,
        tags=[tag],
        request={"multipart/form-data": body} if multipart else body,
        responses={(status, media_type): answer},
        extensions={COSTS: True} if costs else {CONFLICTS: True} if conflicts else None,
        parameters=[*([query] if query else []), *parameters],
    )

    def decorate(method: View) -> View:
        setattr(method, "needs", needs)  # noqa: B010 -- functions have no such attribute for mypy
        setattr(method, "costs", costs)  # noqa: B010
        documented: View = document(method)
        return documented

    return decorate


@cache
def list_of(item: type[serializers.Serializer[Any]]) -> serializers.Serializer[Any]:
    """A page of `item`s, for the document."""
    name = item.__name__.removesuffix("Out") + "List"
    fields: dict[str, Any] = {
        "object": serializers.ChoiceField(["list"]),
        "data": item(many=True),
        "has_more": serializers.BooleanField(),
        "first_id": serializers.CharField(allow_null=True),
        "last_id": serializers.CharField(allow_null=True),
    }
    return inline_serializer(name, fields)


class OperationSchema(AutoSchema):
    """Names the permission that a method needs, below its description."""

    def get_description(self) -> str:  # type: ignore[override]
        needs = getattr(getattr(self.view, self.method.lower()), "needs", None)
        text = (type(self.view).__doc__ and inspect.getdoc(type(self.view))) or ""
        return f"{text}\n\nNeeds the permission `{needs}`.".strip() if needs else text


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    target_class = "saas.api.authentication.ApiKeyAuthentication"
    name = "ApiKey"

    def get_security_definition(self, auto_schema: AutoSchema) -> dict[str, str]:  # noqa: ARG002
        return {"type": "http", "scheme": "bearer", "description": "An API key: `bw-…`"}


def complete(result: dict[str, Any], generator: Any, request: Any, public: bool) -> dict[str, Any]:  # noqa: ARG001, FBT001
    """drf-spectacular's hook: adds the gateway's routes and the errors of each operation."""
    components = result.setdefault("components", {}).setdefault("schemas", {})
    components["Error"] = _ERROR
    result["paths"]["/healthz"] = {"get": _HEALTH}
    _add_gateway(result)
    for path, item in result["paths"].items():
        for method in _METHODS:
            if method in item and path != "/healthz":
                _add_errors(path, method, item[method])
    return result


def _add_gateway(result: dict[str, Any]) -> None:
    """Chat, completions and embeddings are served in front of Django."""
    document = gateway_openapi()
    result["paths"].update(document["paths"])
    result["components"]["schemas"].update(document["components"]["schemas"])


def _add_errors(path: str, method: str, found: dict[str, Any]) -> None:
    public = {} in found.get("security", []) or not found.get("security")
    statuses = ["400", "429", "503"]
    statuses += [] if public else ["401", "403"]
    statuses += ["402"] if found.get(COSTS) else []
    statuses += ["404"] if "{" in path or method == "post" else []
    statuses += ["409"] if method != "get" or found.get(CONFLICTS) else []
    statuses += ["413", "415"] if method in {"post", "put", "patch"} else []
    for status in statuses:
        found["responses"].setdefault(status, _error(status))


def _error(status: str) -> dict[str, Any]:
    schema = {"$ref": "#/components/schemas/Error"}
    return {
        "description": _ERRORS[status],
        "content": {"application/json": {"schema": schema}},
    }


_TEXT = {"type": ["string", "null"]}
_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "param", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": _TEXT,
                "code": _TEXT,
            },
        }
    },
}
_CHECKS = {
    "type": "object",
    "required": ["status", "checks"],
    "properties": {
        "status": {"type": "string", "enum": ["ok", "unavailable"]},
        "checks": {"type": "object", "additionalProperties": {"type": "string"}},
    },
}
_HEALTH_BODY = {"content": {"application/json": {"schema": _CHECKS}}}
_HEALTH = {
    "operationId": "healthz",
    "summary": "Whether this process can do its work",
    "tags": ["health"],
    "security": [],
    "responses": {
        "200": {"description": "Everything it needs is there.", **_HEALTH_BODY},
        "503": {"description": "`checks` says what is missing.", **_HEALTH_BODY},
    },
}
