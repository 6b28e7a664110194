"""The same request twice: one effect, one answer; also at the same moment, and after a failure."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connections

from tenants.accounts.models import ApiKey
from tenants.kernel.idempotency import idempotent_requests_purge
from tenants.kernel.models import IdempotentRequest
from tenants.kernel.scope import system_scope
from tests.saas.api.factories import PASSWORD, Caller, Reply, chats, version_make
from workers.assets.models import BaseModel, File

pytestmark = pytest.mark.django_db

KEYS = "/v1/api_keys"


def key_count(name: str) -> int:
    with system_scope():
        return ApiKey.objects.filter(name=name).count()


def test_the_same_key_and_body_get_the_same_answer_once(api: Caller) -> None:
    first = api.post(KEYS, {"name": "ci"}, Idempotency_Key="one")
    second = api.post(KEYS, {"name": "ci"}, Idempotency_Key="one")

    assert (first.status, second.status) == (201, 201)
    assert first.json == second.json
    assert "idempotent-replayed" not in first.headers
    assert second.headers["idempotent-replayed"] == "true"
    assert key_count("ci") == 1


def test_another_body_under_the_same_key_is_a_conflict(api: Caller) -> None:
    api.post(KEYS, {"name": "ci"}, Idempotency_Key="one")

    reply = api.post(KEYS, {"name": "other"}, Idempotency_Key="one")

    assert reply.status == 409
    assert reply.error["code"] == "idempotency_key_reused"
    assert reply.headers["x-should-retry"] == "false"
    assert key_count("other") == 0


def test_tenants_do_not_share_keys(api: Caller, rival: Caller) -> None:
    mine = api.post(KEYS, {"name": "ci"}, Idempotency_Key="one")
    theirs = rival.post(KEYS, {"name": "ci"}, Idempotency_Key="one")

    assert mine.json["id"] != theirs.json["id"]


def test_a_failed_request_may_be_sent_again_under_its_key(api: Caller) -> None:
    failed = api.post(KEYS, {"name": ""}, Idempotency_Key="one")
    reply = api.post(KEYS, {"name": "ci"}, Idempotency_Key="one")

    assert (failed.status, reply.status) == (400, 201)


@pytest.mark.parametrize("key", ["", " ", "k" * 201, "naïve"])
def test_unusable_keys_are_refused(api: Caller, key: str) -> None:
    reply = api.post(KEYS, {"name": "ci"}, Idempotency_Key=key)

    assert reply.status == 400
    assert reply.error["param"] == "Idempotency-Key"


def test_two_at_the_same_moment_do_the_work_once(api: Caller) -> None:
    ready = threading.Barrier(4)

    def send(_: int) -> Reply:
        ready.wait()
        try:
            return Caller(api.secret).post(KEYS, {"name": "race"}, Idempotency_Key="race")
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as threads:
        replies = list(threads.map(send, range(4)))

    assert [reply.status for reply in replies] == [201] * 4
    assert len({reply.json["id"] for reply in replies}) == 1
    assert key_count("race") == 1


def test_an_sdks_retry_is_known_by_its_body(api: Caller) -> None:
    first = api.post(KEYS, {"name": "ci"}, X_Stainless_Retry_Count="0")
    retried = api.post(KEYS, {"name": "ci"}, X_Stainless_Retry_Count="1")

    assert retried.json == first.json
    assert key_count("ci") == 1


def test_two_equal_requests_that_are_no_retries_are_two(api: Caller) -> None:
    first = api.post(KEYS, {"name": "ci"}, X_Stainless_Retry_Count="0")
    second = api.post(KEYS, {"name": "ci"}, X_Stainless_Retry_Count="0")
    retried = api.post(KEYS, {"name": "ci"}, X_Stainless_Retry_Count="1")

    assert first.json["id"] != second.json["id"]
    assert retried.json["id"] == second.json["id"]
    assert key_count("ci") == 2


def test_a_retry_whose_first_try_never_arrived_does_the_work(api: Caller) -> None:
    reply = api.post(KEYS, {"name": "ci"}, X_Stainless_Retry_Count="2")

    assert reply.status == 201
    assert key_count("ci") == 1


def test_an_upload_is_known_by_its_content_not_by_its_boundary(api: Caller) -> None:
    """A retry builds the form anew, with another boundary between the parts."""

    def send(boundary: str, count: str) -> Reply:
        parts = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nfine-tune\r\n'
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; '
            f'filename="a.jsonl"\r\n\r\n{chats().decode()}\r\n--{boundary}--\r\n'
        )
        return api.send(
            "POST",
            "/v1/files",
            raw=parts,
            content_type=f"multipart/form-data; boundary={boundary}",
            X_Stainless_Retry_Count=count,
        )

    first, retried = send("aaaa", "0"), send("bbbb", "1")

    assert first.status == 200, first.content
    assert first.json == retried.json
    with system_scope():
        assert File.objects.count() == 1


def test_another_file_is_another_request(api: Caller) -> None:
    def send(content: bytes) -> Reply:
        file = SimpleUploadedFile("a.jsonl", content)
        form = {"purpose": "fine-tune", "file": file}
        return api.form("/v1/files", form, Idempotency_Key="one")

    assert send(chats(2)).status == 200
    assert send(chats(3)).status == 409


def test_secrets_in_kept_answers_are_sealed(api: Caller) -> None:
    secret = api.post(KEYS, {"name": "ci"}, Idempotency_Key="one").json["secret"]

    with system_scope():
        kept = str(IdempotentRequest.objects.get(key="key:one").response_body)
    assert secret not in kept
    assert secret.split("-")[1] not in kept


def test_old_answers_are_forgotten(api: Caller) -> None:
    api.post(KEYS, {"name": "ci"}, Idempotency_Key="one")
    with system_scope():
        IdempotentRequest.objects.update(created_at="2020-01-01T00:00:00Z")

    assert idempotent_requests_purge() == 1
    assert api.post(KEYS, {"name": "other"}, Idempotency_Key="one").status == 201


def sign_up_body(**changes: str) -> dict[str, str]:
    return {"organisation": "Acme", "email": "a@example.com", "password": PASSWORD} | changes


def test_a_repeated_sign_up_gets_its_first_key_again(nobody: Caller) -> None:
    first = nobody.post("/v1/sign_up", sign_up_body(), Idempotency_Key="one")
    again = nobody.post("/v1/sign_up", sign_up_body(), Idempotency_Key="one")

    assert (first.status, again.status) == (201, 201)
    assert again.json == first.json
    assert again.headers["idempotent-replayed"] == "true"


def test_a_sign_up_is_not_told_to_one_who_lacks_the_password(nobody: Caller) -> None:
    nobody.post("/v1/sign_up", sign_up_body(), Idempotency_Key="one")

    reply = nobody.post(
        "/v1/sign_up", sign_up_body(password="another horse 9"), Idempotency_Key="one"
    )

    assert reply.status == 409
    assert "bw-" not in reply.content.decode()


def test_what_is_made_twice_at_the_same_moment_is_a_conflict_to_retry(
    api: Caller, base: BaseModel
) -> None:
    """A lost race on a unique constraint is no error of ours; the SDKs send the request again."""
    ready = threading.Barrier(4)
    version = version_make(api)

    def deploy(_: int) -> Reply:
        ready.wait()
        try:
            return Caller(api.secret).post("/v1/deployments", {"model": version.name})
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as threads:
        replies = list(threads.map(deploy, range(4)))

    assert sorted(reply.status for reply in replies) == [201, 409, 409, 409]
