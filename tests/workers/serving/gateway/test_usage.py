"""What a call costs is written before its last chunk leaves: once, and only where it worked."""

from __future__ import annotations

import socket
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import APIStatusError

from tenants.kernel.scope import tenant_scope
from tenants.usage.models import UsageEvent
from tests.workers.serving.factories import Customer, customer
from tests.workers.serving.gateway.directly import prompt_ids
from tests.workers.serving.replicas import Parent
from workers.jobs.models import Job
from workers.serving.models import Replica

pytestmark = pytest.mark.django_db

HELLO: list[Any] = [{"role": "user", "content": "Tell me of lists."}]


def used(owner: Customer) -> dict[str, Decimal]:
    with tenant_scope(owner.tenant_id):
        return dict(UsageEvent.objects.values_list("meter", "quantity"))


def events(owner: Customer) -> list[UsageEvent]:
    with tenant_scope(owner.tenant_id):
        return list(UsageEvent.objects.order_by("meter"))


def test_usage_is_durable_before_the_last_chunk(tiny: Path, replica: Parent, client: Any) -> None:
    acme = customer()
    # when the chunk with the end of the only choice arrives
    stream = client(acme).chat.completions.create(
        model="tiny", messages=HELLO, max_tokens=9, temperature=0, stream=True
    )
    for chunk in stream:
        if chunk.choices[0].finish_reason:
            break
    # then the usage is there already, although the stream has not ended
    prompt = len(prompt_ids(tiny, HELLO))
    assert used(acme) == {"requests": 1, "tokens.input": prompt, "tokens.output": 9}
    stream.close()


def test_events_tell_whose_and_what_and_have_permanent_keys(replica: Parent, client: Any) -> None:
    acme = customer()
    # when a request is answered
    raw = client(acme).chat.completions.with_raw_response.create(
        model="tiny", messages=HELLO, max_tokens=3
    )
    # then its events stand under its id
    request_id = raw.headers["x-request-id"]
    found = events(acme)
    assert [event.key for event in found] == [f"{request_id}:{event.meter}" for event in found]
    for event in found:
        assert event.source == "gateway"
        assert event.dimensions["model"] == event.dimensions["base"] == "tiny"
        assert event.dimensions["api_key_id"] == acme.key_id
        assert event.dimensions["endpoint"] == "chat.completions"
        assert event.dimensions["deployment_id"].startswith("dep_")


def test_a_refused_request_is_not_charged(replica: Parent, client: Any) -> None:
    acme = customer()
    # when a prompt is too long
    long: list[Any] = [{"role": "user", "content": "word " * 500}]
    with pytest.raises(APIStatusError) as refused:
        client(acme).chat.completions.create(model="tiny", messages=long)
    # then nothing was used
    assert refused.value.code == "context_length_exceeded"
    assert used(acme) == {}


def test_a_client_that_hangs_up_pays_for_what_was_generated_and_stops_it(
    web: str, replica: Parent, eventually: Any
) -> None:
    acme = customer()
    # given a long streamed answer
    body = {"model": "tiny", "messages": HELLO, "max_tokens": 100, "stream": True, "n": 4,
            "logit_bias": {"0": -100}}  # fmt: skip
    with httpx.stream(
        "POST",
        f"{web}/v1/chat/completions",
        json=body,
        headers={"authorization": f"Bearer {acme.key}"},
    ) as answer:
        lines = answer.iter_lines()
        for _ in range(12):
            next(lines)
        # when the client goes
        answer.close()
    # then what was generated until then is charged, and it is less than was asked for
    eventually(lambda: "tokens.output" in used(acme))
    charged = used(acme)
    assert 1 <= charged["tokens.output"] < 400
    assert charged["requests"] == 1
    # and the replica generates no more
    eventually(lambda: active(replica) == 0)
    assert used(acme) == charged


def test_a_whole_answer_that_nobody_waits_for_stops_too(
    web: str, replica: Parent, eventually: Any
) -> None:
    acme = customer()
    # given a request without streaming
    body = b'{"model":"tiny","messages":[{"role":"user","content":"x"}],"max_tokens":90,"n":8,'
    body += b'"logit_bias":{"0":-100}}'
    host, port = web.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
            b"authorization: Bearer " + acme.key.encode() + b"\r\n"
            b"content-length: " + str(len(body)).encode() + b"\r\n\r\n" + body
        )
        eventually(lambda: active(replica) > 0)
    # when the connection is gone, then it ends early and is charged for its part
    eventually(lambda: active(replica) == 0)
    eventually(lambda: "tokens.output" in used(acme))
    assert used(acme)["tokens.output"] < 720


def active(parent: Parent) -> int:
    """Sequences that the replica says it generates; asked of it directly."""
    from tenants.kernel.scope import system_scope

    with system_scope():
        job = Job.objects.get(pk=parent.lease.job_id)
        row = Replica.objects.get(job=job)
    headers = {"x-replica-secret": row.secret}
    return int(httpx.get(f"http://{row.address}/health", headers=headers).json()["active"])
