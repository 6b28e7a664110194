"""Idempotency keys, lost answers and retries, as the real SDK meets them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from stripe import APIConnectionError, IdempotencyError, StripeClient, StripeError

from tests.stripe_server.control import Control
from tests.stripe_server.factories import client_of
from tests.stripe_server.faults import What


@pytest.fixture(autouse=True)
def _clear(control: Control) -> None:
    control.clear()


def create(stripe: StripeClient, key: str, name: str = "A") -> str:
    return str(stripe.v1.customers.create({"name": name}, {"idempotency_key": key}).id)


def test_the_same_key_gives_the_same_answer(control: Control, stripe: StripeClient) -> None:
    assert create(stripe, "k1") == create(stripe, "k1")
    assert [row["is_replay"] for row in control.requests()] == [False, True]


def test_the_same_key_for_another_request_is_refused(stripe: StripeClient) -> None:
    create(stripe, "k2")
    with pytest.raises(IdempotencyError):
        create(stripe, "k2", name="B")


def test_a_key_is_pruned_after_a_day(control: Control, stripe: StripeClient) -> None:
    first = create(stripe, "k3")
    control.advance(days=0.9)
    assert create(stripe, "k3") == first
    control.advance(days=0.2)
    assert create(stripe, "k3") != first


def test_a_refusal_by_the_contract_leaves_no_key(stripe: StripeClient) -> None:
    wrong = {"nam": "A"}
    with pytest.raises(StripeError):
        stripe.v1.customers.create(wrong, {"idempotency_key": "k4"})  # type: ignore[arg-type]
    create(stripe, "k4")


def test_a_decline_is_replayed(stripe: StripeClient) -> None:
    """https://docs.stripe.com/api/idempotent_requests: whatever the first answer was."""
    params: Any = {"amount": 500, "currency": "usd", "payment_method": "pm_card_chargeDeclined",
              "confirm": True}  # fmt: skip
    said = []
    for _ in range(2):
        with pytest.raises(StripeError) as raised:
            stripe.v1.payment_intents.create(params, {"idempotency_key": "k5"})
        said.append(raised.value.json_body)
    assert said[0] == said[1]


@pytest.mark.parametrize("what", [What.LOSE, What.REFUSE])
def test_the_sdks_own_retry_heals_a_broken_connection(control: Control, what: What) -> None:
    control.fault(what, "POST /v1/customers")
    patient = client_of(control, retries=2)
    made = patient.v1.customers.create({"name": "once"})
    named = [c for c in patient.v1.customers.list({"limit": 100}) if c.name == "once"]
    assert made.id in {c.id for c in named}
    asked = [row for row in control.requests() if row["method"] == "POST"]
    assert len(asked) == 2
    assert asked[0]["key"] == asked[1]["key"] != ""
    assert asked[1]["is_replay"] is (what is What.LOSE)


def test_without_retries_the_caller_hears_of_it(control: Control, stripe: StripeClient) -> None:
    control.fault(What.LOSE, "POST /v1/customers")
    with pytest.raises(APIConnectionError):
        create(stripe, "k6")
    create(stripe, "k6")
    assert [row.get("is_replay") for row in control.requests()] == [False, True]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_planned_statuses_are_answered_once(
    control: Control, stripe: StripeClient, status: int
) -> None:
    control.fault(What.STATUS, "POST /v1/customers", skip=1, status=status)
    create(stripe, f"a{status}")
    with pytest.raises(StripeError) as raised:
        create(stripe, f"b{status}")
    assert raised.value.http_status == status
    create(stripe, f"b{status}")


def test_many_at_once_under_one_key_make_one_object(control: Control) -> None:
    clients = [client_of(control) for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        ids = set(pool.map(lambda c: create(c, "k7"), clients))
    assert len(ids) == 1


def test_a_key_whose_first_request_is_in_flight_is_in_use(
    control: Control, stripe: StripeClient
) -> None:
    control.fault(What.HOLD, "POST /v1/customers")
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(create, client_of(control), "k8")
        while not control.requests():  # until it has come in
            pass
        with pytest.raises(StripeError) as raised:
            create(stripe, "k8")
        control.release()
        made = first.result(20)
    assert raised.value.http_status == 409
    assert raised.value.json_body["error"]["code"] == "idempotency_key_in_use"  # type: ignore[index]
    assert create(stripe, "k8") == made


def test_a_replay_says_what_it_replays(control: Control) -> None:
    headers = {"Authorization": "Bearer sk_test_local", "Idempotency-Key": "k9"}
    first, second = (
        httpx.post(f"{control.url}/v1/customers", data={"name": "A"}, headers=headers)
        for _ in range(2)
    )
    assert "idempotent-replayed" not in first.headers
    assert second.headers["idempotent-replayed"] == "true"
    assert second.headers["original-request"] == first.headers["request-id"]
    assert second.headers["request-id"] != first.headers["request-id"]


@pytest.mark.parametrize("version", ["2020-08-27", "latest"])
def test_another_version_than_the_contracts_is_refused(control: Control, version: str) -> None:
    headers = {"Authorization": "Bearer sk_test_local", "Stripe-Version": version}
    answer = httpx.get(f"{control.url}/v1/balance", headers=headers)
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith(f"Invalid Stripe API version: {version}")
