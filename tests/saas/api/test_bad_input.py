"""Bad input, one test each: a clear error in the documented shape, nothing lost or half done."""

from __future__ import annotations

import datetime as dt
import io
import pickle
import zipfile
from typing import Any

import pytest
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import override_settings

from tenants.accounts.models import ApiKey
from tenants.kernel.clock import now
from tenants.kernel.scope import system_scope
from tests.saas.api.factories import BASE, Caller, chats, jsonl, tenant_caller
from workers.assets.models import BaseModel, File
from workers.jobs.models import Job

pytestmark = pytest.mark.django_db


def job_count() -> int:
    with system_scope():
        return Job.objects.count()


def file_count() -> int:
    with system_scope():
        return File.objects.count()


def refused_job(api: Caller, content: bytes, **settings_of_job: Any) -> dict[str, Any]:
    """Upload `content`, try to train on it, and return the error. No job may be left behind."""
    uploaded = api.upload(content)
    assert uploaded.status == 200, uploaded.content
    job = {"model": BASE, "training_file": uploaded.json["id"], **settings_of_job}
    reply = api.post("/v1/fine_tuning/jobs", job)
    assert reply.status == 400, reply.content
    assert job_count() == 0
    assert api.get(f"/v1/files/{uploaded.json['id']}").status == 200
    return reply.error


def refused_upload(api: Caller, content: bytes, name: str = "train.jsonl") -> dict[str, Any]:
    reply = api.upload(content, name)
    assert reply.status == 400, reply.content
    assert file_count() == 0
    return reply.error


# Training data


def test_lines_that_are_not_json_are_named(api: Caller, base: BaseModel) -> None:
    error = refused_job(api, chats(2) + b"this is no JSON\n")

    assert error["param"] == "training_file"
    assert "line 3" in error["message"]


def test_unknown_roles_are_named(api: Caller, base: BaseModel) -> None:
    row = {"messages": [{"role": "robot", "content": "a"}, {"role": "assistant", "content": "b"}]}

    error = refused_job(api, jsonl(row))

    assert error["param"] == "training_file"
    assert "role" in error["message"]


def test_an_empty_file_is_refused(api: Caller) -> None:
    assert "empty" in refused_upload(api, b"")["message"]


def test_a_file_without_examples_is_refused(api: Caller, base: BaseModel) -> None:
    error = refused_job(api, b"\n\n\n")

    assert error["param"] == "training_file"


def test_one_line_of_five_megabytes_is_refused(api: Caller, base: BaseModel) -> None:
    row = {"prompt": "a", "completion": "b" * 5_000_000}

    error = refused_job(api, jsonl(row))

    assert error["param"] == "training_file"
    assert "line 1" in error["message"]


def test_invalid_utf8_is_refused_with_its_line(api: Caller) -> None:
    error = refused_upload(api, chats(1) + b'{"prompt": "\xff"}\n')

    assert "line 2" in error["message"]


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "1e999"])
def test_a_learning_rate_that_is_no_number_is_refused(
    api: Caller, base: BaseModel, literal: str
) -> None:
    file_id = api.upload(chats()).json["id"]
    body = (
        f'{{"model": "{BASE}", "training_file": "{file_id}", "method": {{"type": "supervised", '
        f'"supervised": {{"hyperparameters": {{"learning_rate_multiplier": {literal}}}}}}}}}'
    )

    reply = api.send("POST", "/v1/fine_tuning/jobs", raw=body)

    assert reply.status == 400
    assert job_count() == 0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("learning_rate_multiplier", "NaN"),
        ("learning_rate_multiplier", 0),
        ("n_epochs", -1),
        ("n_epochs", 2.5),
        ("n_epochs", 10**30),
        ("batch_size", "many"),
        ("batch_size", True),
    ],
)
def test_bad_hyperparameters_are_named(
    api: Caller, base: BaseModel, field: str, value: Any
) -> None:
    error = refused_job(api, chats(), hyperparameters={field: value})

    assert field in f"{error['param']} {error['message']}"


def test_a_whole_number_beyond_every_float_is_refused(api: Caller, base: BaseModel) -> None:
    error = refused_job(api, chats(), settings={"learning_rate": 10**400})

    assert error["param"] == "learning_rate"


def test_unknown_engine_settings_are_named(api: Caller, base: BaseModel) -> None:
    error = refused_job(api, chats(), settings={"learning_rat": 1})

    assert "learning_rat" in str(error["param"])


def test_an_unknown_model_is_not_found(api: Caller, base: BaseModel) -> None:
    file_id = api.upload(chats()).json["id"]

    reply = api.post("/v1/fine_tuning/jobs", {"model": "gpt-9", "training_file": file_id})

    assert reply.status == 404
    assert reply.error["code"] == "model_not_found"
    assert reply.error["param"] == "model"


def test_a_deleted_file_is_not_found(api: Caller, base: BaseModel) -> None:
    file_id = api.upload(chats()).json["id"]
    assert api.delete(f"/v1/files/{file_id}").status == 200

    reply = api.post("/v1/fine_tuning/jobs", {"model": BASE, "training_file": file_id})

    assert reply.status == 404
    assert reply.error["param"] == "training_file"
    assert api.get(f"/v1/files/{file_id}").status == 404


def test_methods_that_are_not_offered_are_refused(api: Caller, base: BaseModel) -> None:
    error = refused_job(api, chats(), method={"type": "reinforcement"})

    assert error["param"] == "method.type"


# Uploads


def test_a_pickle_is_refused(api: Caller) -> None:
    error = refused_upload(api, pickle.dumps({"weights": [1, 2, 3]}), "data.jsonl")

    assert "pickle" in error["message"]


def test_a_zip_is_refused_as_training_data(api: Caller) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as writer:
        writer.writestr("train.jsonl", chats())

    assert "zip" in refused_upload(api, archive.getvalue())["message"]


@pytest.mark.parametrize(
    "name", ["../../etc/passwd.jsonl", "..\\..\\boot.jsonl", "/absolute/train.jsonl", "a/b.jsonl"]
)
def test_path_tricks_in_names_leave_a_plain_name(api: Caller, name: str) -> None:
    reply = api.upload(chats(), name)

    assert reply.status == 200
    assert "/" not in reply.json["filename"]
    assert "\\" not in reply.json["filename"]
    assert ".." not in reply.json["filename"]


def test_a_file_over_the_limit_is_too_large_and_leaves_nothing(api: Caller) -> None:
    with override_settings(MAX_FILE_BYTES=1000):
        reply = api.upload(chats(40))

    assert reply.status == 413
    assert reply.error["code"] == "too_large"
    assert file_count() == 0


def test_a_body_over_the_limit_is_too_large(api: Caller) -> None:
    big = b'{"name": "' + b"x" * settings.DATA_UPLOAD_MAX_MEMORY_SIZE + b'"}'

    reply = api.send("POST", "/v1/api_keys", raw=big)

    assert reply.status == 413
    assert reply.error["code"] == "too_large"


def test_a_form_without_its_file_is_refused(api: Caller) -> None:
    reply = api.form("/v1/files", {"purpose": "fine-tune"})

    assert reply.status == 400
    assert reply.error["param"] == "file"


def test_a_broken_form_is_refused(api: Caller) -> None:
    reply = api.send("POST", "/v1/files", raw=b"--x\r\n", content_type="multipart/form-data")

    assert reply.status == 400


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
    assert file_count() == 0


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


def test_an_upload_part_without_its_upload_is_not_found(api: Caller) -> None:
    part = SimpleUploadedFile("data", b"abc")

    assert api.form("/v1/uploads/upload_none/parts", {"data": part}).status == 404
