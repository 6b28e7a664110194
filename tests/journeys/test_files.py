"""Files and uploads through the real client."""

from __future__ import annotations

import hashlib

import openai
import pytest
from openai import OpenAI

from tests.journeys.checked import checked
from tests.saas.api.factories import chats

pytestmark = pytest.mark.django_db


def test_a_file_comes_back_as_it_went(client: OpenAI) -> None:
    content = chats(40)

    made = checked(client.files.create(file=("train.jsonl", content), purpose="fine-tune"))
    found = checked(client.files.retrieve(made.id))

    assert found == made
    assert (made.filename, made.bytes, made.purpose) == ("train.jsonl", len(content), "fine-tune")
    assert client.files.content(made.id).read() == content


def test_a_large_file_streams_both_ways(client: OpenAI) -> None:
    content = b"".join(b'{"prompt": "%d", "completion": "yes"}\n' % n for n in range(400_000))
    assert len(content) > 12_000_000

    made = checked(client.files.create(file=("big.jsonl", content), purpose="fine-tune"))

    digest = hashlib.sha256()
    with client.files.with_streaming_response.content(made.id) as answer:
        for piece in answer.iter_bytes():
            digest.update(piece)
    assert digest.hexdigest() == hashlib.sha256(content).hexdigest()


def test_lists_are_walked_page_by_page(client: OpenAI) -> None:
    made = [
        client.files.create(file=(f"{n}.jsonl", chats(n + 1)), purpose="fine-tune").id
        for n in range(7)
    ]

    first = client.files.list(limit=3)
    for file in first.data:
        checked(file)

    assert first.has_more
    assert [file.id for file in client.files.list(limit=3)] == made[::-1]
    assert [file.id for file in client.files.list(limit=2, order="asc")] == made
    assert client.files.list(purpose="batch").data == []


def test_a_deleted_file_is_gone(client: OpenAI) -> None:
    made = client.files.create(file=("train.jsonl", chats()), purpose="fine-tune")

    assert checked(client.files.delete(made.id)).deleted
    with pytest.raises(openai.NotFoundError) as raised:
        client.files.retrieve(made.id)
    assert raised.value.code == "not_found"


def test_another_tenant_s_file_is_not_found(client: OpenAI, rival_client: OpenAI) -> None:
    made = client.files.create(file=("train.jsonl", chats()), purpose="fine-tune")

    for call in (
        rival_client.files.retrieve,
        rival_client.files.content,
        rival_client.files.delete,
    ):
        with pytest.raises(openai.NotFoundError):
            call(made.id)
    assert client.files.retrieve(made.id).id == made.id


def test_a_file_expires_when_asked_to(client: OpenAI) -> None:
    made = client.files.create(
        file=("train.jsonl", chats()),
        purpose="fine-tune",
        expires_after={"anchor": "created_at", "seconds": 7200},
    )

    assert checked(made).expires_at is not None
    assert abs(made.expires_at - made.created_at - 7200) <= 2


def test_an_upload_in_parts_becomes_one_file(client: OpenAI) -> None:
    content = chats(60)
    middle = len(content) // 2
    upload = checked(
        client.uploads.create(
            bytes=len(content),
            filename="big.jsonl",
            mime_type="application/jsonl",
            purpose="fine-tune",
        )
    )
    second = checked(client.uploads.parts.create(upload.id, data=content[middle:]))
    first = checked(client.uploads.parts.create(upload.id, data=content[:middle]))

    done = checked(
        client.uploads.complete(
            upload.id,
            part_ids=[first.id, second.id],
            md5=hashlib.md5(content, usedforsecurity=False).hexdigest(),
        )
    )

    assert done.status == "completed"
    assert done.file is not None
    assert client.files.content(done.file.id).read() == content


def test_an_upload_with_too_few_bytes_stays_open(client: OpenAI) -> None:
    upload = client.uploads.create(
        bytes=10, filename="a.jsonl", mime_type="text/plain", purpose="fine-tune"
    )
    part = client.uploads.parts.create(upload.id, data=b"abc")

    with pytest.raises(openai.BadRequestError):
        client.uploads.complete(upload.id, part_ids=[part.id])

    assert checked(client.uploads.cancel(upload.id)).status == "cancelled"


def test_a_body_over_the_limit_is_refused_by_a_real_server(client: OpenAI) -> None:
    with pytest.raises(openai.APIStatusError) as raised:
        client.post("/api_keys", body={"name": "x" * 9_000_000}, cast_to=object)

    assert raised.value.status_code == 413


def test_the_clients_own_chunked_upload_works(client: OpenAI) -> None:
    content = chats(200)

    done = checked(
        client.uploads.upload_file_chunked(
            file=content,
            filename="chunked.jsonl",
            bytes=len(content),
            mime_type="application/jsonl",
            purpose="fine-tune",
            part_size=5000,
        )
    )

    assert done.file is not None
    assert client.files.content(done.file.id).read() == content
