"""Calls that are sent again: under a key, or by an SDK that heard nothing. Charged once."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from typing import Any

import httpx
import pytest
from django.conf import settings

from tenants.kernel.clock import now
from tenants.kernel.errors import Conflict
from tenants.kernel.idempotency import KEPT_FOR, RETRY_WINDOW, idempotent_requests_purge
from tenants.kernel.models import IdempotentRequest
from tenants.kernel.money import Money
from tenants.kernel.scope import system_scope, tenant_scope
from tenants.ledger.models import Hold
from tenants.ledger.selectors import wallet_balance
from tenants.ledger.services import hold_place, hold_release
from tenants.pricing.charge_requests import ChargeItem, ChargeRequest
from tenants.pricing.models import Charge
from tenants.usage.ingestion import NewUsage
from tenants.usage.models import UsageEvent
from tests.workers.serving.factories import Customer, customer
from tests.workers.serving.replicas import Parent
from workers.serving.gateway.database import Database
from workers.serving.gateway.repeats import Claim, Repeat, kept
from workers.serving.gateway.usage import UsageBook

pytestmark = pytest.mark.django_db

Ask = Callable[..., httpx.Response]
BODIES: dict[str, dict[str, Any]] = {
    "/v1/chat/completions": {
        "model": "tiny",
        "messages": [{"role": "user", "content": "Tell me of lists."}],
        "max_tokens": 6,
    },
    "/v1/completions": {"model": "tiny", "prompt": "A list", "max_tokens": 6, "logprobs": 1},
}
CHAT = "/v1/chat/completions"
LONG = {"max_tokens": 90, "n": 4, "logit_bias": {"0": -100}}


@pytest.fixture
def ask(web: str, replica: Parent) -> Ask:
    """POST as a customer; keyword arguments are headers."""

    def post(
        owner: Customer, path: str = CHAT, more: Any = None, *, timeout: float = 60, **headers: str
    ) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return httpx.post(
            f"{web}{path}",
            json=BODIES[path] | (more or {}),
            headers={"authorization": f"Bearer {owner.key}", **named},
            timeout=timeout,
        )

    return post


def calls_charged(owner: Customer) -> int:
    """How many requests were used, and charged."""
    with tenant_scope(owner.tenant_id):
        used = UsageEvent.objects.filter(meter="requests").count()
        assert used == Charge.objects.filter(subject_kind="request").count()
        return used


def code(reply: httpx.Response) -> tuple[int, str]:
    return reply.status_code, reply.json()["error"]["code"]


@pytest.mark.parametrize("path", BODIES)
def test_the_same_key_gets_the_same_answer_and_is_charged_once(ask: Ask, path: str) -> None:
    acme = customer()
    first, second = (ask(acme, path, idempotency_key="one") for _ in range(2))
    assert (first.status_code, second.status_code) == (200, 200)
    assert second.json() == first.json()
    assert second.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    assert second.headers["x-request-id"] != first.headers["x-request-id"]
    assert calls_charged(acme) == 1


def test_embeddings_are_answered_again_too(embedding_replica: Parent, web: str) -> None:
    acme = customer()
    headers = {"authorization": f"Bearer {acme.key}", "idempotency-key": "one"}
    body = {"model": "minilm", "input": ["ships", "lists"]}
    first, second = (
        httpx.post(f"{web}/v1/embeddings", json=body, headers=headers, timeout=60) for _ in range(2)
    )
    assert second.json() == first.json()
    assert second.headers["idempotent-replayed"] == "true"
    assert calls_charged(acme) == 1


def test_what_is_kept_cannot_be_read_without_the_tenants_key(ask: Ask) -> None:
    acme = customer()
    text = ask(acme, idempotency_key="one").json()["choices"][0]["message"]["content"]
    with system_scope():
        row = IdempotentRequest.objects.get(key="call:key:one")
    assert set(row.response_body) == {"request_id", "sealed"}
    assert text
    assert text not in str(row.response_body)


def test_another_request_under_the_key_is_refused(ask: Ask) -> None:
    acme = customer()
    ask(acme, idempotency_key="one")
    for reply in (
        ask(acme, more={"max_tokens": 7}, idempotency_key="one"),
        ask(acme, "/v1/completions", idempotency_key="one"),
    ):
        assert code(reply) == (409, "idempotency_key_reused")
        assert reply.headers["x-should-retry"] == "false"
    assert calls_charged(acme) == 1


def test_tenants_do_not_share_keys(ask: Ask) -> None:
    acme, rival = customer(), customer("Rival")
    mine, theirs = ask(acme, idempotency_key="one"), ask(rival, idempotency_key="one")
    assert mine.json()["id"] != theirs.json()["id"]
    assert (calls_charged(acme), calls_charged(rival)) == (1, 1)


@pytest.mark.parametrize("key", ["", "a b", "k" * 201])
def test_an_unusable_key_is_refused(ask: Ask, key: str) -> None:
    reply = ask(customer(), idempotency_key=key)
    assert (reply.status_code, reply.json()["error"]["param"]) == (400, "Idempotency-Key")


def test_at_the_same_moment_one_works_and_the_others_are_told_to_wait(ask: Ask) -> None:
    acme = customer()
    with ThreadPoolExecutor(6) as pool:
        sent = [pool.submit(ask, acme, more=LONG, idempotency_key="one") for _ in range(6)]
        replies = [future.result() for future in sent]
    answered = [reply for reply in replies if reply.status_code == 200]
    waiting = [reply for reply in replies if reply.status_code != 200]
    assert len({reply.json()["id"] for reply in answered}) == 1
    for reply in waiting:
        assert code(reply) == (409, "idempotency_in_progress")
        assert (reply.headers["x-should-retry"], reply.headers["retry-after"]) == ("true", "2")
    assert calls_charged(acme) == 1
    again = ask(acme, more=LONG, idempotency_key="one")
    assert again.json() == answered[0].json()


def test_a_client_that_heard_nothing_comes_back_for_its_answer(
    ask: Ask, eventually: Callable[[Callable[[], bool]], None]
) -> None:
    acme = customer()
    # given a client that hangs up before its answer is there
    with pytest.raises(httpx.ReadTimeout):
        ask(acme, more=LONG, timeout=0.3, idempotency_key="one")
    # when it asks again under its key
    eventually(lambda: ask(acme, more=LONG, idempotency_key="one").status_code == 200)
    # then it gets the whole answer, and pays for one
    reply = ask(acme, more=LONG, idempotency_key="one")
    assert reply.json()["usage"]["completion_tokens"] == 360
    assert calls_charged(acme) == 1


def test_a_stream_is_charged_once_and_not_told_twice(ask: Ask) -> None:
    acme = customer()
    stream = {"stream": True}
    assert ask(acme, more=stream, idempotency_key="one").text.endswith("data: [DONE]\n\n")
    reply = ask(acme, more=stream, idempotency_key="one")
    assert code(reply) == (409, "idempotent_answer_not_kept")
    assert calls_charged(acme) == 1


@pytest.mark.parametrize("stream", [False, True])
def test_what_failed_may_be_sent_again_under_its_key(
    ask: Ask, stream: bool, eventually: Callable[[Callable[[], bool]], None]
) -> None:
    acme = customer()
    # given a request that is refused once its claim is taken: nothing can be held
    with tenant_scope(acme.tenant_id):
        left = wallet_balance(tenant_id=acme.tenant_id, currency="USD").available
        hold_place(tenant_id=acme.tenant_id, key="rest", amount=left - Money.of("0.0000001", "USD"))
    refused = ask(acme, more={"stream": stream}, idempotency_key="one")
    assert refused.status_code == 402, refused.text
    # when there is credit again
    with tenant_scope(acme.tenant_id):
        hold_release(tenant_id=acme.tenant_id, key="rest")
    # then it is answered
    eventually(lambda: ask(acme, more={"stream": stream}, idempotency_key="one").status_code == 200)
    assert calls_charged(acme) == 1


def test_an_sdks_retry_gets_what_its_first_attempt_got(ask: Ask) -> None:
    acme = customer()
    first = ask(acme, x_stainless_retry_count="0")
    retry = ask(acme, x_stainless_retry_count="1")
    assert retry.json() == first.json()
    assert calls_charged(acme) == 1
    # but a first attempt is always new work
    assert ask(acme, x_stainless_retry_count="0").json()["id"] != first.json()["id"]
    assert calls_charged(acme) == 2


def test_equal_first_attempts_at_once_are_each_their_own(ask: Ask) -> None:
    acme = customer()
    with ThreadPoolExecutor(6) as pool:
        sent = [pool.submit(ask, acme, x_stainless_retry_count="0") for _ in range(6)]
        replies = [future.result() for future in sent]
    assert {reply.status_code for reply in replies} == {200}
    assert len({reply.json()["id"] for reply in replies}) == 6
    assert calls_charged(acme) == 6


def test_answers_are_forgotten_those_for_retries_first(ask: Ask) -> None:
    acme = customer()
    ask(acme, idempotency_key="one")
    ask(acme, x_stainless_retry_count="0")
    for age, left in ((RETRY_WINDOW, ["call:key:one"]), (KEPT_FOR, [])):
        with system_scope():
            IdempotentRequest.objects.update(created_at=now() - age - dt.timedelta(seconds=1))
        idempotent_requests_purge()
        with system_scope():
            assert list(IdempotentRequest.objects.values_list("key", flat=True)) == left
    assert ask(acme, idempotency_key="one").status_code == 200
    assert calls_charged(acme) == 3


def test_whoever_lost_its_claim_meanwhile_is_not_charged() -> None:
    """The first took so long that another took over; both come to their end."""
    acme = customer()
    repeat = Repeat("call:key:one", "f" * 64, is_claimed=True, is_first=False)
    slow, quick = (Claim(acme.tenant_id, f"req_{name}", repeat) for name in ("slow", "quick"))

    async def end(database: Database, claim: Claim) -> None:
        event = NewUsage(
            meter="requests",
            quantity=Decimal(1),
            event_time=now(),
            source="gateway",
            key=f"{claim.request_id}:requests",
            dimensions={"model": "m", "base": "m", "endpoint": "chat.completions"},
        )
        item = ChargeItem(event.meter, event.quantity, event.dimensions, event.event_time)
        request = claim.request_id
        charge = ChargeRequest(acme.tenant_id, f"request:{request}", "request", request, [item])
        answer = await kept(database, claim, {"said": request})
        await UsageBook(database).commit([(acme.tenant_id, event)], charge, answer)

    async def run() -> None:
        database = Database()
        await database.open()
        try:
            await slow.take(database)
            with pytest.raises(Conflict):
                await quick.take(database)
            async with database.transaction() as connection:
                await connection.execute(
                    "UPDATE idempotent_request SET created_at = now() - make_interval(secs => %s)",
                    [settings.SERVING_HOLD_S + 1],
                )
            await quick.take(database)
            with pytest.raises(Conflict):
                await end(database, slow)
            await slow.release(database)  # frees nothing that is not its own
            await end(database, quick)
            await end(database, quick)  # as after an answer of the database that was lost
            with pytest.raises(Conflict):
                await end(database, slow)
        finally:
            await database.close()

    asyncio.run(run())
    with system_scope():
        assert list(UsageEvent.objects.values_list("key", flat=True)) == ["req_quick:requests"]
        assert not Hold.objects.filter(state="open").exists()
    assert calls_charged(acme) == 1
