"""Bad data and bad settings of jobs: the error names the line or field, and nothing is begun."""

from __future__ import annotations

import io
import pickle
import zipfile
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import override_settings

from tenants.kernel.scope import system_scope
from tests.saas.api.factories import BASE, Caller, chats, jsonl
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


def test_an_example_over_the_limit_is_named_with_its_line(api: Caller, base: BaseModel) -> None:
    rows = chats(2) + jsonl({"prompt": "a", "completion": "b " * 400})

    error = refused_job(api, rows, settings={"max_length": 128})

    assert (error["param"], error["code"]) == ("training_file", "example_too_long")
    assert "line 3" in error["message"]
    assert "128" in error["message"]


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


def test_a_zip_is_refused_where_texts_are_learned_from(base: BaseModel, api: Caller) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as writer:
        writer.writestr("train.jsonl", chats())

    file = api.upload(archive.getvalue(), "train.zip").json["id"]
    reply = api.post("/v1/fine_tuning/jobs", {"model": BASE, "training_file": file})
    assert (reply.status, reply.error["param"]) == (400, "training_file")
    assert "a zip archive, which text_generation does not read; send JSONL" in str(reply.error)


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


def test_a_form_without_its_file_is_refused(api: Caller) -> None:
    reply = api.form("/v1/files", {"purpose": "fine-tune"})

    assert reply.status == 400
    assert reply.error["param"] == "file"


def test_a_broken_form_is_refused(api: Caller) -> None:
    reply = api.send("POST", "/v1/files", raw=b"--x\r\n", content_type="multipart/form-data")

    assert reply.status == 400


def test_an_upload_part_without_its_upload_is_not_found(api: Caller) -> None:
    part = SimpleUploadedFile("data", b"abc")

    assert api.form("/v1/uploads/upload_none/parts", {"data": part}).status == 404
