"""Models that sleep are woken by their first request; replicas that go are replaced."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import APIError, InternalServerError

from tenants.kernel.models import OutboxEvent
from tenants.kernel.scope import system_scope, tenant_scope
from tenants.usage.models import UsageEvent
from tests.workers.serving.factories import customer, text_base
from tests.workers.serving.gateway.directly import prompt_ids, written
from tests.workers.serving.replicas import ReplicaProcess, claimed
from workers.serving.models import Deployment
from workers.serving.replicas import Serving

pytestmark = pytest.mark.django_db

HELLO: list[Any] = [{"role": "user", "content": "Tell me of lists."}]


def deployment() -> Deployment:
    with system_scope():
        return Deployment.objects.get(model="tiny")


def test_a_sleeping_model_is_woken_and_the_caller_told_when_to_come_back(
    tiny: Path, client: Any, settings: Any, web: str
) -> None:
    settings.SERVING_WAKE_WAIT_S = 0.3
    text_base(tiny)
    # when nothing serves the model
    with pytest.raises(InternalServerError) as refused:
        client(customer()).chat.completions.create(model="tiny", messages=HELLO)
    # then the caller may come back
    assert refused.value.status_code == 503
    assert refused.value.code == "model_loading"
    assert refused.value.response.headers["x-should-retry"] == "true"
    assert int(refused.value.response.headers["retry-after"]) >= 1
    # and a replica is wanted, which the reconciler is told
    row = deployment()
    assert (row.state, row.wanted_until is not None) == (Deployment.State.WAKING, True)
    with system_scope():
        woken = OutboxEvent.objects.filter(name="deployment.woken")
        assert [event.payload["target"] for event in woken] == ["tiny"]


def test_a_request_waits_for_the_replica_that_it_woke(
    tiny: Path, client: Any, text_process: ReplicaProcess, tmp_path: Path, eventually: Any
) -> None:
    text_base(tiny)
    text_process.wait()
    acme = customer()
    chat = client(acme).chat.completions
    with ThreadPoolExecutor(1) as pool:
        # given a request for a model that sleeps
        waiting = pool.submit(
            chat.create, model="tiny", messages=HELLO, temperature=0, max_tokens=5
        )
        eventually(lambda: _state() == Deployment.State.WAKING)
        # when a replica comes up meanwhile
        parent = claimed(Serving("tiny", "tiny"), tmp_path / "late")
        with text_process.entered(parent):
            answer = waiting.result(timeout=30)
    # then the request is answered as ever
    expected = written(tiny, prompt_ids(tiny, HELLO), temperature=0, max_tokens=5)
    assert answer.choices[0].message.content == expected


def _state() -> str | None:
    with system_scope():
        row = Deployment.objects.filter(model="tiny").first()
        return row.state if row else None


def test_a_call_pushes_the_time_to_sleep_forward_and_wakes_once(
    tiny: Path, replica: Any, client: Any
) -> None:
    chat = client(customer()).chat.completions
    for _ in range(3):
        chat.create(model="tiny", messages=HELLO, max_tokens=1)
    with system_scope():
        assert OutboxEvent.objects.filter(name="deployment.woken").count() == 1
        assert Deployment.objects.count() == 1


def test_a_killed_replica_is_replaced_by_another_without_the_caller_noticing(
    tiny: Path, client: Any, fresh_replicas: Callable[[int], list[ReplicaProcess]]
) -> None:
    # given two replicas
    text_base(tiny)
    first, second = fresh_replicas(2)
    acme = customer()
    chat = client(acme).chat.completions
    chat.create(model="tiny", messages=HELLO, max_tokens=2)
    # when one is killed, whichever
    first.kill()
    found = [
        chat.create(model="tiny", messages=HELLO, temperature=0, max_tokens=6) for _ in range(4)
    ]
    # then the other answers all, each charged once
    expected = written(tiny, prompt_ids(tiny, HELLO), temperature=0, max_tokens=6)
    assert {answer.choices[0].message.content for answer in found} == {expected}
    with tenant_scope(acme.tenant_id):
        assert UsageEvent.objects.filter(meter="requests").count() == 5
    assert not second.ended.is_set()


def test_whole_answers_survive_a_kill_in_their_midst(
    tiny: Path, client: Any, fresh_replicas: Callable[[int], list[ReplicaProcess]], eventually: Any
) -> None:
    # given two replicas with long answers under way
    text_base(tiny)
    processes = fresh_replicas(2)
    acme = customer()
    chat = client(acme).chat.completions
    asked: dict[str, Any] = {"model": "tiny", "messages": HELLO, "temperature": 0,
                             "max_tokens": 90, "n": 4, "logit_bias": {"0": -100}}  # fmt: skip
    with ThreadPoolExecutor(3) as pool:
        answers = [pool.submit(chat.create, **asked) for _ in range(3)]
        eventually(lambda: any(_busy(process) for process in processes))
        # when the busy one is killed
        next(process for process in processes if _busy(process)).kill()
        found = [answer.result(timeout=60) for answer in answers]
    # then all are whole and right, and charged once
    ids = prompt_ids(tiny, HELLO)
    expected = written(tiny, ids, temperature=0, max_tokens=90, logit_bias=((0, -100.0),))
    assert {c.message.content for answer in found for c in answer.choices} == {expected}
    with tenant_scope(acme.tenant_id):
        charged = UsageEvent.objects.filter(meter="tokens.output").values_list(
            "quantity", flat=True
        )
        assert list(charged) == [360] * 3


def _busy(process: ReplicaProcess) -> bool:
    headers = {"x-replica-secret": process.given.secret}
    try:
        answer = httpx.get(f"http://{process.address}/health", headers=headers)
    except httpx.HTTPError:
        return False
    return bool(answer.json()["active"])


def test_a_stream_that_breaks_says_so_and_is_not_charged(
    tiny: Path, client: Any, fresh_replicas: Callable[[int], list[ReplicaProcess]], settings: Any
) -> None:
    settings.SERVING_WAKE_WAIT_S = 0.3
    # given the only replica in the midst of a streamed answer
    text_base(tiny)
    (process,) = fresh_replicas(1)
    acme = customer()
    stream = client(acme).chat.completions.create(
        model="tiny", messages=HELLO, max_tokens=100, n=8, stream=True, logit_bias={"0": -100}
    )
    next(stream)
    # when it is killed
    killer = threading.Thread(target=process.kill)
    killer.start()
    # then the stream ends with an error that the client raises
    with pytest.raises(APIError) as broken:
        list(stream)
    killer.join()
    assert broken.value.code == "replica_lost"
    # and nothing was charged
    with tenant_scope(acme.tenant_id):
        assert not UsageEvent.objects.exists()
