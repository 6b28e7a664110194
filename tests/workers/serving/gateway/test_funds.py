"""Calls and money: set aside before, extended before it is passed, charged once, given back."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import APIStatusError

from tenants.accounts.actors import Actor, ActorKind
from tenants.accounts.services import api_key_create
from tenants.kernel.money import Money
from tenants.kernel.scope import system_scope, tenant_scope
from tenants.ledger.models import Hold
from tenants.ledger.selectors import Balance, holds_open, unbalanced, wallet_balance
from tenants.ledger.services import budget_create, hold_place, holds_expire
from tenants.pricing.contract_terms import NewContract
from tenants.pricing.models import Charge, PeriodTotal
from tenants.pricing.services import contract_write
from tenants.usage.models import UsageEvent
from tests.workers.serving.factories import Customer, customer, text_base
from tests.workers.serving.gateway.directly import prompt_ids
from tests.workers.serving.replicas import Parent
from workers.serving.gateway.database import Database
from workers.serving.gateway.funds import Funds, Reservation

pytestmark = pytest.mark.django_db

HELLO: list[Any] = [{"role": "user", "content": "Tell me of lists."}]
IN, OUT = Decimal("0.0000006"), Decimal("0.0000018")  # a token, by the list
NO_END = {"0": -100}  # the end token is not drawn: an answer has the length asked for


def price(tiny: Path, generated: int) -> Decimal:
    return len(prompt_ids(tiny, HELLO)) * IN + generated * OUT


def balance(owner: Customer) -> Balance:
    with tenant_scope(owner.tenant_id):
        return wallet_balance(tenant_id=owner.tenant_id, currency="USD")


def charges(owner: Customer) -> list[Charge]:
    with tenant_scope(owner.tenant_id):
        return list(Charge.objects.order_by("created_at"))


def generated(owner: Customer) -> int:
    with tenant_scope(owner.tenant_id):
        return sum(int(e.quantity) for e in UsageEvent.objects.filter(meter="tokens.output"))


def leave(owner: Customer, amount: Decimal) -> None:
    """Set everything but `amount` aside for something else."""
    left = balance(owner).available.amount - amount
    with tenant_scope(owner.tenant_id):
        hold_place(tenant_id=owner.tenant_id, key="rest", amount=Money(left, "USD"))


def holds_of_calls(owner: Customer) -> list[Hold]:
    with tenant_scope(owner.tenant_id):
        return list(holds_open(tenant_id=owner.tenant_id).exclude(key="rest"))


def test_a_call_is_charged_what_it_used_in_the_transaction_of_its_usage(
    tiny: Path, replica: Parent, client: Any
) -> None:
    acme = customer()
    client(acme).chat.completions.create(
        model="tiny", messages=HELLO, max_tokens=12, n=2, logit_bias=NO_END
    )

    (charge,) = charges(acme)
    assert charge.net == price(tiny, 24)
    assert charge.subject_kind == "request"
    assert balance(acme).available.amount == 1000 - price(tiny, 24)
    assert holds_of_calls(acme) == []
    with system_scope():
        totals = dict(PeriodTotal.objects.values_list("price_key", "quantity"))
        used = dict(UsageEvent.objects.values_list("meter", "quantity"))
        assert unbalanced() == []
    assert totals == used


def test_a_stream_holds_a_block_and_the_next_before_it_is_passed(
    tiny: Path, replica: Parent, client: Any, settings: Any
) -> None:
    settings.SERVING_BLOCK_TOKENS = 4
    acme = customer()
    stream = client(acme).chat.completions.create(
        model="tiny", messages=HELLO, max_tokens=10, stream=True, logit_bias=NO_END
    )
    next(iter(stream))
    with tenant_scope(acme.tenant_id):
        asked = Hold.objects.get().amount
    assert asked in {price(tiny, 4), price(tiny, 8), price(tiny, 10)}
    for _ in stream:
        pass

    with tenant_scope(acme.tenant_id):
        hold = Hold.objects.get()
    # never more than the request can come to
    assert (hold.state, hold.amount) == ("closed", price(tiny, 10))
    assert charges(acme)[0].net == price(tiny, 10)


def test_a_stream_whose_credit_ends_is_charged_for_what_it_showed(
    web: str, tiny: Path, replica: Parent, settings: Any
) -> None:
    settings.SERVING_BLOCK_TOKENS = 3
    acme = customer()
    leave(acme, price(tiny, 7))  # two blocks, and one token

    body = {"model": "tiny", "messages": HELLO, "max_tokens": 50, "stream": True,
            "logit_bias": NO_END}  # fmt: skip
    headers = {"authorization": f"Bearer {acme.key}"}
    answer = httpx.post(f"{web}/v1/chat/completions", json=body, headers=headers, timeout=30)

    assert answer.status_code == 200
    chunks = [json.loads(line[6:]) for line in answer.text.split("\n\n") if line]
    assert chunks[-1]["error"]["code"] == "insufficient_credit"
    assert chunks[-1]["error"]["type"] == "insufficient_quota"
    assert generated(acme) == 6
    assert [c.net for c in charges(acme)] == [price(tiny, 6)]
    assert balance(acme).available.amount == OUT
    assert holds_of_calls(acme) == []


def test_a_whole_answer_whose_credit_ends_costs_nothing(
    tiny: Path, replica: Parent, client: Any, settings: Any, eventually: Any
) -> None:
    settings.SERVING_BLOCK_TOKENS = 3
    acme = customer()
    leave(acme, price(tiny, 7))

    with pytest.raises(APIStatusError) as refused:
        client(acme).chat.completions.create(
            model="tiny", messages=HELLO, max_tokens=50, logit_bias=NO_END
        )

    assert (refused.value.status_code, refused.value.code) == (402, "insufficient_credit")
    eventually(lambda: holds_of_calls(acme) == [])
    assert charges(acme) == []
    assert generated(acme) == 0
    assert balance(acme).available.amount == price(tiny, 7)


def test_the_last_cent_can_be_spent(
    tiny: Path, replica: Parent, client: Any, settings: Any
) -> None:
    settings.SERVING_BLOCK_TOKENS = 3
    acme = customer()
    leave(acme, price(tiny, 7))
    client(acme).chat.completions.create(
        model="tiny", messages=HELLO, max_tokens=7, logit_bias=NO_END
    )
    assert balance(acme).available.amount == 0


def test_a_call_that_fails_gives_back_what_was_set_aside(
    tiny: Path, web: str, client: Any, settings: Any, eventually: Any
) -> None:
    settings.SERVING_WAKE_WAIT_S = 0.3
    text_base(tiny)  # and no replica
    acme = customer()
    for stream in (False, True):
        with pytest.raises(APIStatusError) as failed:
            client(acme).chat.completions.create(model="tiny", messages=HELLO, stream=stream)
        assert failed.value.status_code == 503
    eventually(lambda: balance(acme).held.amount == 0)
    with system_scope():
        assert Hold.objects.filter(state="closed").count() == 2
        assert Charge.objects.count() == 0


def test_who_hangs_up_is_charged_for_what_was_generated(
    web: str, replica: Parent, eventually: Any, tiny: Path
) -> None:
    acme = customer()
    body = {"model": "tiny", "messages": HELLO, "max_tokens": 100, "n": 4,
            "stream": True, "logit_bias": NO_END}  # fmt: skip
    headers = {"authorization": f"Bearer {acme.key}"}
    url = f"{web}/v1/chat/completions"
    with httpx.stream("POST", url, json=body, headers=headers) as answer:
        lines = answer.iter_lines()
        for _ in range(8):
            next(lines)
        answer.close()

    eventually(lambda: len(charges(acme)) == 1)
    assert charges(acme)[0].net == price(tiny, generated(acme))
    assert holds_of_calls(acme) == []


def test_embeddings_are_charged(embedding_replica: Parent, client: Any) -> None:
    acme = customer()
    answer = client(acme).embeddings.create(model="minilm", input=["one", "two words"])
    assert [c.net for c in charges(acme)] == [answer.usage.total_tokens * Decimal("0.00000008")]
    assert holds_of_calls(acme) == []


def test_what_costs_nothing_needs_no_credit_and_no_hold(
    tiny: Path, replica: Parent, client: Any
) -> None:
    acme = customer()
    with system_scope():
        operator = Actor(kind=ActorKind.OPERATOR, id="op", tenant_id=acme.tenant_id)
        contract_write(
            actor=operator, tenant_id=acme.tenant_id, terms=NewContract(discount=Decimal(1))
        )
    leave(acme, Decimal(0))

    client(acme).chat.completions.create(
        model="tiny", messages=HELLO, max_tokens=3, logit_bias=NO_END
    )

    assert [c.net for c in charges(acme)] == [0]
    with tenant_scope(acme.tenant_id):
        assert [hold.key for hold in Hold.objects.all()] == ["rest"]
        assert PeriodTotal.objects.get(price_key="tokens.output").quantity == 3


@pytest.mark.parametrize(
    "budget",
    [
        lambda who: {"subject": "api_key", "ref": who.key_id},
        lambda who: {"subject": "model", "ref": "tiny"},
        lambda who: {"subject": "tenant"},
    ],
)
def test_hard_budgets_of_key_model_and_tenant_bind(
    tiny: Path, replica: Parent, client: Any, budget: Callable[[Customer], dict[str, str]]
) -> None:
    acme = customer()
    with tenant_scope(acme.tenant_id):
        other_key = api_key_create(actor=acme.actor, name="other")
        budget_create(
            actor=acme.actor, currency="USD", hard=Money(price(tiny, 5), "USD"), **budget(acme)
        )
    ask = {"model": "tiny", "messages": HELLO, "max_tokens": 5, "logit_bias": NO_END}
    client(acme).chat.completions.create(**ask)

    with pytest.raises(APIStatusError) as refused:
        client(acme).chat.completions.create(**ask)
    assert (refused.value.status_code, refused.value.code) == (402, "budget_exceeded")

    if budget(acme)["subject"] == "api_key":
        other = Customer(acme.tenant_id, acme.actor, other_key.secret, other_key.row.id)
        client(other).chat.completions.create(**ask)


def test_what_a_dead_gateway_held_is_free_again_after_a_while(tiny: Path, settings: Any) -> None:
    settings.SERVING_HOLD_S = -1.0  # over already
    acme = customer()

    async def died_within_a_call() -> None:
        database = Database()
        await database.open()
        labels = {"api_key_id": acme.key_id, "model": "tiny"}
        priced = {"model": "tiny", "base": "tiny", "endpoint": "completions"}
        held = Reservation(Funds(database), acme.tenant_id, "req_x", priced, labels)
        await held.cover({"tokens.input": 10, "tokens.output": 100})
        await database.close()

    asyncio.run(died_within_a_call())
    assert balance(acme).held.amount == 10 * IN + 100 * OUT
    with system_scope():
        assert holds_expire() == 1
    assert balance(acme).held.amount == 0
