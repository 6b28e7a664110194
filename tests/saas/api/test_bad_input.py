"""Bad requests, one test each: a clear error in the documented shape, nothing lost or half done."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.conf import settings

from tenants.accounts.models import ApiKey
from tenants.kernel.clock import now
from tenants.kernel.scope import system_scope
from tests.saas.api.factories import BASE, Caller, chats, tenant_caller
from workers.assets.models import BaseModel, File

pytestmark = pytest.mark.django_db


# Keys


def test_a_wrong_key_is_refused(base: BaseModel) -> None:
    reply = Caller("bw-aaaaaaaaaaaa-wrong").get("/v1/models")

    assert reply.status == 401
    assert reply.error["code"] == "invalid_api_key"
    assert reply.headers["www-authenticate"] == "Bearer"


def test_an_expired_key_is_refused(api: Caller) -> None:
    with system_scope():
        ApiKey.objects.update(expires_at=now() - dt.timedelta(seconds=1))

    reply = api.get("/v1/models")

    assert reply.status == 401
    assert reply.error["code"] == "expired_api_key"


def test_a_revoked_key_is_refused(api: Caller) -> None:
    key = api.get("/v1/api_keys").json["data"][0]["id"]
    assert api.delete(f"/v1/api_keys/{key}").status == 200

    reply = api.get("/v1/models")

    assert reply.status == 401
    assert reply.error["code"] == "revoked_api_key"


def test_a_key_of_another_tenant_sees_its_own_things_only(api: Caller, rival: Caller) -> None:
    file_id = api.upload(chats()).json["id"]

    assert rival.get(f"/v1/files/{file_id}").status == 404
    assert rival.get("/v1/files").json["data"] == []


def test_a_key_may_do_no_more_than_its_scopes(db: None) -> None:
    narrow = tenant_caller(scopes=("files.read",))

    assert narrow.get("/v1/files").status == 200
    reply = narrow.upload(chats())
    assert reply.status == 403
    assert reply.error["code"] == "missing_permission"


# Addresses, queries, bodies


@pytest.mark.parametrize("limit", ["0", "-1", "101", "10" * 30, "many", "1.5"])
def test_a_limit_out_of_bounds_is_refused(api: Caller, limit: str) -> None:
    reply = api.get(f"/v1/fine_tuning/jobs?limit={limit}")

    assert reply.status == 400
    assert reply.error["param"] == "limit"


@pytest.mark.parametrize("query", ["after=nonsense", "after=%F0%9F%92%A5", "order=sideways"])
def test_other_page_parameters_are_checked(api: Caller, query: str) -> None:
    reply = api.get(f"/v1/files?{query}")

    assert reply.status == 400
    assert reply.error["param"] == query.partition("=")[0]


@pytest.mark.parametrize("path", ["/v1/files/%00", "/v1/files?after=%00", "/v1/files?%00=1"])
def test_nul_in_an_address_is_refused(api: Caller, path: str) -> None:
    assert api.get(path).status == 400


@pytest.mark.parametrize(
    "body",
    [
        '{"name": ',
        "[]",
        '"text"',
        "null",
        "",
        '{"name": "a\\u0000b"}',
        '{"name": "\\ud800"}',
        '{"na\\u0000me": "a"}',
        '{"name": NaN}',
        '{"name": 1' + "0" * 5000 + "}",
        "[" * 200_000,
        '{"name": ' + "[" * 40 + "]" * 40 + "}",
        b"\xff\xfe{}",
        '{"name": "x", "expires_at": 99999999999999999999}',
        '{"name": "x", "expires_at": -1}',
        '{"name": "x", "expires_at": true}',
        '{"name": "x", "allowed_ips": ["999.0.0.1"]}',
        '{"name": "x", "scopes": ["everything"]}',
        '{"name": "' + "x" * 121 + '"}',
        '{"name": "   "}',
    ],
)
def test_unusable_bodies_are_refused(api: Caller, body: str | bytes) -> None:
    before = len(api.get("/v1/api_keys").json["data"])

    reply = api.send("POST", "/v1/api_keys", raw=body)

    assert reply.status == 400, reply.content
    assert reply.error["type"] == "invalid_request_error"
    assert len(api.get("/v1/api_keys").json["data"]) == before


def test_a_body_over_the_limit_is_too_large(api: Caller) -> None:
    big = b'{"name": "' + b"x" * settings.DATA_UPLOAD_MAX_MEMORY_SIZE + b'"}'

    reply = api.send("POST", "/v1/api_keys", raw=big)

    assert reply.status == 413
    assert reply.error["code"] == "too_large"


def test_text_of_any_script_passes(api: Caller) -> None:
    name = "密钥 🔑 ключ \u202e"

    reply = api.post("/v1/api_keys", {"name": name})

    assert reply.status == 201
    assert reply.json["name"] == name


@pytest.mark.parametrize("content_type", ["text/plain", "application/xml", "multipart/form-data"])
def test_another_content_type_is_refused(api: Caller, content_type: str) -> None:
    reply = api.send("POST", "/v1/api_keys", raw=b'{"name": "x"}', content_type=content_type)

    assert reply.status == 415


@pytest.mark.parametrize("charset", ["zlib", "undefined", "idna", "punycode", "utf-7", "utf-16"])
@pytest.mark.parametrize(
    ("path", "kind"), [("/v1/api_keys", "application/json"), ("/v1/files", "multipart/form-data")]
)
def test_a_body_in_another_character_set_is_refused(
    api: Caller, path: str, kind: str, charset: str
) -> None:
    reply = api.send(
        "POST", path, raw=b'{"name": "x"}', content_type=f"{kind}; boundary=x; charset={charset}"
    )

    assert reply.status == 415
    assert charset in reply.error["message"]
    with system_scope():
        assert not File.objects.exists()


def test_an_address_is_read_as_utf8_whatever_the_content_type_says(api: Caller) -> None:
    reply = api.send("GET", "/v1/files?after=%zz", content_type="text/plain; charset=hex")

    assert reply.status in {400, 415}


def test_an_unknown_route_and_method_say_so_in_json(api: Caller) -> None:
    assert api.get("/v1/nothing/here").error["code"] == "unknown_url"
    reply = api.delete("/v1/files")
    assert reply.status == 405
    assert "GET" in reply.headers["allow"]


@pytest.mark.parametrize(
    "metadata",
    [{f"k{n}": "v" for n in range(17)}, {"k" * 65: "v"}, {"k": "v" * 513}, {"k": [1]}, "text"],
)
def test_metadata_out_of_bounds_is_refused(api: Caller, base: BaseModel, metadata: Any) -> None:
    reply = api.post(
        "/v1/evaluations",
        {"model": BASE, "file": api.upload(chats()).json["id"], "metadata": metadata},
    )

    assert reply.status == 400
    assert str(reply.error["param"]).startswith("metadata")
