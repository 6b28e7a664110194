"""Every wrong request gets a clear error in OpenAI's shape, and nothing is charged for it."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import httpx
import pytest
from django.db.models.functions import Now

from tenants.accounts.models import ApiKey, Tenant
from tenants.accounts.services import api_key_create
from tenants.kernel.scope import system_scope, tenant_scope
from tenants.usage.models import UsageEvent
from tests.workers.serving.factories import Customer, customer
from tests.workers.serving.replicas import Parent

pytestmark = pytest.mark.django_db

CHAT = "/v1/chat/completions"
GOOD: dict[str, Any] = {"model": "tiny", "messages": [{"role": "user", "content": "x"}]}


def post(web: str, path: str, key: str, body: Any, **headers: str) -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    sent = {"authorization": f"Bearer {key}", "content-type": "application/json"} | headers
    return httpx.post(web + path, content=content, headers=sent, timeout=60)


def error_of(answer: httpx.Response) -> dict[str, Any]:
    """The error object, whole; each answer carries its id, its time, and whether to retry."""
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"].startswith("req_")
    assert int(answer.headers["openai-processing-ms"]) >= 0
    expected = "true" if answer.status_code in {429, 503} else "false"
    assert answer.headers["x-should-retry"] == expected
    error: dict[str, Any] = answer.json()["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["message"]
    return error


BAD: list[tuple[Any, int, str | None, str]] = [
    (b"{", 400, None, "invalid_json"),
    (b"\xff\xfe", 400, None, "invalid_json"),
    (b"[]", 400, None, "invalid_value"),
    (b'{"model":"tiny","messages":' + b"[" * 5000 + b"]" * 5000 + b"}", 400, None, "invalid_json"),
    ({"messages": GOOD["messages"]}, 400, "model", "missing_required_parameter"),
    ({"model": "tiny"}, 400, "messages", "missing_required_parameter"),
    (GOOD | {"messages": []}, 400, "messages", "invalid_value"),
    (GOOD | {"messages": [{"role": "robot", "content": "x"}]}, 400, "messages.0.role",
     "invalid_value"),
    (GOOD | {"messages": [{"role": "user"}]}, 400, "messages.0.content",
     "missing_required_parameter"),
    (GOOD | {"temperature": 3}, 400, "temperature", "invalid_value"),
    (GOOD | {"temperature": "hot"}, 400, "temperature", "invalid_value"),
    (json.dumps(GOOD | {"temperature": float("nan")}).encode(), 400, "temperature",
     "invalid_value"),
    (GOOD | {"top_p": 0}, 400, "top_p", "invalid_value"),
    (GOOD | {"n": 0}, 400, "n", "invalid_value"),
    (GOOD | {"n": 17}, 400, "n", "invalid_value"),
    (GOOD | {"max_tokens": 0}, 400, "max_tokens", "invalid_value"),
    (GOOD | {"max_tokens": True}, 400, "max_tokens", "invalid_value"),
    (GOOD | {"seed": 2**64}, 400, "seed", "invalid_value"),
    (GOOD | {"stop": ["a", "b", "c", "d", "e"]}, 400, "stop", "invalid_value"),
    (GOOD | {"stop": ""}, 400, "stop", "invalid_value"),
    (GOOD | {"logit_bias": {"x": 1}}, 400, "logit_bias", "invalid_value"),
    (GOOD | {"top_logprobs": 3}, 400, None, "invalid_value"),
    (GOOD | {"stream_options": {"include_usage": True}}, 400, None, "invalid_value"),
    (GOOD | {"best": 1}, 400, "best", "unknown_parameter"),
    (GOOD | {"tools": [{"type": "function"}]}, 400, "tools", "unsupported_parameter"),
    (GOOD | {"response_format": {"type": "json_object"}}, 400, "response_format",
     "unsupported_parameter"),
    (GOOD | {"max_tokens": 1000}, 400, "messages", "context_length_exceeded"),
    (GOOD | {"model": "nobody's"}, 404, "model", "model_not_found"),
    (GOOD | {"model": "tiny\u0000"}, 404, "model", "model_not_found"),
]  # fmt: skip


@pytest.mark.parametrize(("body", "status", "param", "code"), BAD)
def test_bad_bodies_are_refused_by_name(
    web: str, replica: Parent, body: Any, status: int, param: str | None, code: str
) -> None:
    acme = customer()
    answer = post(web, CHAT, acme.key, body)
    error = error_of(answer)
    assert (answer.status_code, error["param"], error["code"]) == (status, param, code)
    assert error["type"] == "invalid_request_error"
    with tenant_scope(acme.tenant_id):
        assert not UsageEvent.objects.exists()


def test_nulls_mean_the_default(web: str, replica: Parent) -> None:
    nulls = dict.fromkeys(["tools", "stop", "seed", "n", "user", "response_format", "logprobs"])
    answer = post(web, CHAT, customer().key, GOOD | nulls | {"max_tokens": 2})
    assert answer.status_code == 200


def test_methods_media_types_and_sizes(web: str, replica: Parent, settings: Any) -> None:
    key = customer().key
    for method in ("GET", "PUT", "DELETE", "OPTIONS"):
        answer = httpx.request(method, web + CHAT)
        assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
        error_of(answer)
    form = post(web, CHAT, key, b"model=tiny", **{"content-type": "text/plain"})
    assert (form.status_code, error_of(form)["code"]) == (415, "unsupported_media_type")
    settings.MAX_JSON_BYTES = 1000
    large = post(web, CHAT, key, GOOD | {"user": "x" * 1000})
    assert (large.status_code, error_of(large)["code"]) == (413, "too_large")


def changed_key(owner: Customer, **changes: Any) -> str:
    """A fresh key of the owner, altered in the database."""
    with tenant_scope(owner.tenant_id):
        issued = api_key_create(actor=owner.actor, name="other", **changes.pop("create", {}))
    with system_scope():
        ApiKey.objects.filter(pk=issued.row.pk).update(**changes) if changes else None
    return issued.secret


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("", "invalid_api_key"),
        ("Basic abc", "invalid_api_key"),
        ("Bearer", "invalid_api_key"),
        ("Bearer sk-123", "invalid_api_key"),
        ("Bearer bw-000000000000-nothing", "invalid_api_key"),
    ],
)
def test_no_key_no_answer(web: str, replica: Parent, header: str, code: str) -> None:
    # an unreadable body is not even looked at
    answer = httpx.post(
        web + CHAT,
        content=b"{",
        headers={"authorization": header, "content-type": "application/json"},
    )
    assert (answer.status_code, error_of(answer)["code"]) == (401, code)
    assert answer.headers["www-authenticate"] == "Bearer"


def test_keys_that_ended_or_may_not(web: str, replica: Parent) -> None:
    acme = customer()
    past = dt.datetime(2020, 1, 1, tzinfo=dt.UTC)
    cases = [
        (changed_key(acme, revoked_at=Now()), 401, "revoked_api_key"),
        (changed_key(acme, expires_at=past), 401, "expired_api_key"),
        (changed_key(acme, allowed_ips=["10.9.8.7", "::1"]), 403, "ip_not_allowed"),
        (changed_key(acme, create={"scopes": ["models.read"]}), 403, "missing_permission"),
        (changed_key(acme, create={"role": "viewer"}), 403, "missing_permission"),
        (acme.key[:-1] + ("a" if acme.key[-1] != "a" else "b"), 401, "invalid_api_key"),
    ]
    for key, status, code in cases:
        answer = post(web, CHAT, key, GOOD)
        assert (answer.status_code, error_of(answer)["code"]) == (status, code)
    here = changed_key(acme, allowed_ips=["127.0.0.1"])
    assert post(web, CHAT, here, GOOD | {"max_tokens": 1}).status_code == 200
    for status, code in (("suspended", "tenant_suspended"), ("closed", "tenant_closed")):
        with system_scope():
            Tenant.objects.filter(pk=acme.tenant_id).update(status=status)
        answer = post(web, CHAT, acme.key, GOOD)
        assert (answer.status_code, error_of(answer)["code"]) == (403, code)


def test_rate_limits_are_told_and_kept(web: str, replica: Parent, settings: Any) -> None:
    settings.RATE_LIMIT_REQUESTS = 2
    acme = customer()
    answers = [post(web, CHAT, acme.key, GOOD | {"max_tokens": 1}) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[0].headers["x-ratelimit-limit-requests"] == "2"
    assert answers[0].headers["x-ratelimit-remaining-requests"] == "1"
    assert "x-ratelimit-remaining-tokens" in answers[0].headers
    assert error_of(answers[2])["code"] == "rate_limit_exceeded"
    assert int(answers[2].headers["retry-after"]) >= 1
    assert post(web, CHAT, customer("Rival").key, GOOD | {"max_tokens": 1}).status_code == 200
