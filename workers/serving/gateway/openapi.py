"""The gateway's part of the OpenAPI document: requests from the models that check them."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from workers.serving.gateway.requests import (
    ChatRequest,
    CompletionRequest,
    EmbeddingRequest,
    PredictionRequest,
)

Json = dict[str, Any]

REF = "#/components/schemas/{model}"
STATUSES = {
    "400": "a field is wrong; `error.param` names it",
    "401": "no valid API key",
    "402": "there is no credit left for this, or a hard budget is used up",
    "403": "the key may not do this",
    "404": "no such model, or it is not deployed",
    "409": "the Idempotency-Key was used for another request, or its first is still at work",
    "413": "the body is too large",
    "415": "the body is not JSON",
    "429": "a rate limit is reached; see retry-after",
    "500": "something went wrong on our side",
    "503": "the model is being loaded; see retry-after",
}


def gateway_openapi() -> Json:
    """Return `{"paths", "components"}` for its paths. They refer to the schema `Error`."""
    asked = (ChatRequest, CompletionRequest, EmbeddingRequest, PredictionRequest)
    modes: list[tuple[type[BaseModel], Any]] = [(kind, "validation") for kind in asked]
    _, definitions = models_json_schema(modes, ref_template=REF)
    return {
        "paths": {
            "/v1/chat/completions": _post("chat_completions_create", "Chat", ChatRequest, _CHAT),
            "/v1/completions": _post(
                "completions_create", "Continue a text", CompletionRequest, _COMPLETION
            ),
            "/v1/embeddings": _post(
                "embeddings_create", "Turn texts into vectors", EmbeddingRequest, _EMBEDDING
            ),
            "/v1/predictions": _post(
                "predictions_create",
                "Predict a table's target, or the class of a text, image or recording",
                PredictionRequest,
                _PREDICTION,
            ),
        },
        "components": {"schemas": definitions["$defs"]},
    }


def _post(name: str, summary: str, asked: type[BaseModel], answer: Json) -> Json:
    responses = {"200": _ok(answer, streams=asked in {ChatRequest, CompletionRequest})}
    responses |= {status: _error(text) for status, text in STATUSES.items()}
    body = {"application/json": {"schema": {"$ref": REF.format(model=asked.__name__)}}}
    operation = {
        "operationId": name,
        "summary": summary,
        "description": "Needs the permission `inference`.",
        "tags": ["models"],
        "security": [{"ApiKey": []}],
        "x-costs-money": True,
        "parameters": [_KEY],
        "requestBody": {"required": True, "content": body},
        "responses": responses,
    }
    return {"post": operation}


def _ok(answer: Json, *, streams: bool) -> Json:
    content: Json = {"application/json": {"schema": answer}}
    if streams:
        content["text/event-stream"] = {"schema": {"type": "string"}}
    return {"description": "the answer; with stream=true as server-sent events", "content": content}


def _error(text: str) -> Json:
    schema = {"$ref": REF.format(model="Error")}
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def _object(**properties: Json) -> Json:
    return {"type": "object", "required": sorted(properties), "properties": properties}


def _only(value: str) -> Json:
    return {"type": "string", "enum": [value]}


def _list(item: Json) -> Json:
    return {"type": "array", "items": item}


_KEY: Json = {
    "name": "Idempotency-Key",
    "in": "header",
    "description": "sent again under the same key, the call is answered as before and charged once",
    "schema": {"type": "string", "pattern": r"^[\x21-\x7e]{1,200}$"},
}
_TEXT: Json = {"type": "string"}
_WHOLE: Json = {"type": "integer"}
_FINISH: Json = {"type": "string", "enum": ["stop", "length"]}
_USAGE = _object(prompt_tokens=_WHOLE, completion_tokens=_WHOLE, total_tokens=_WHOLE)
_CHAT = _object(
    id=_TEXT,
    object=_only("chat.completion"),
    created=_WHOLE,
    model=_TEXT,
    choices=_list(
        _object(
            index=_WHOLE,
            message=_object(role=_only("assistant"), content=_TEXT),
            finish_reason=_FINISH,
        )
    ),
    usage=_USAGE,
)
_COMPLETION = _object(
    id=_TEXT,
    object=_only("text_completion"),
    created=_WHOLE,
    model=_TEXT,
    choices=_list(_object(index=_WHOLE, text=_TEXT, finish_reason=_FINISH)),
    usage=_USAGE,
)
_EMBEDDING = _object(
    object=_only("list"),
    data=_list(
        _object(
            object=_only("embedding"),
            index=_WHOLE,
            embedding={"oneOf": [_list({"type": "number"}), _TEXT]},
        )
    ),
    model=_TEXT,
    usage=_object(prompt_tokens=_WHOLE, total_tokens=_WHOLE),
)
_NUMBER: Json = {"type": "number"}
_PREDICTED = _object(
    object=_only("prediction"), index=_WHOLE, prediction={"oneOf": [_NUMBER, _TEXT]}
)
_PREDICTED["properties"]["probabilities"] = {"type": "object", "additionalProperties": _NUMBER}
_PREDICTION = _object(
    object=_only("list"),
    data=_list(_PREDICTED),
    model=_TEXT,
    usage=_object(prompt_tokens=_WHOLE, total_tokens=_WHOLE),
)
