"""Rates and overheads over the operator's API."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.saas.api.factories import Caller, tenant_caller

pytestmark = pytest.mark.django_db
RATES, OVERHEADS = "/operator/v1/costs/rates", "/operator/v1/costs/overheads"


def test_a_rate_is_set_and_listed(operator: Caller) -> None:
    made = operator.post(RATES, {"resource": "worker.gpu", "amount": "0.000611"})
    assert made.status == 201, made.content
    assert (made.json["kind"], made.json["amount"]) == ("on_demand", "0.000611")
    kept = [row for row in operator.get(RATES).json["data"] if row["resource"] == "worker.gpu"]
    assert [row["amount"] for row in kept][-1] == "0.000611"


def test_a_machine_of_ones_own_is_told_by_what_it_costs(operator: Caller) -> None:
    """31,557.60 over a year of 31,557,600 seconds, on two slots: 0.0005 a second."""
    machine = {"price": "31557.60", "life_years": "1", "slots": 2}
    made = operator.post(RATES, {"resource": "worker.gpu", "owned": machine})
    assert made.status == 201, made.content
    assert made.json["kind"] == "owned"
    assert Decimal(made.json["amount"]) == Decimal("0.0005")


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "amount"),
        ({"amount": "1", "owned": {"price": "1", "life_years": "1", "slots": 1}}, "amount"),
        ({"kind": "spot", "owned": {"price": "1", "life_years": "1", "slots": 1}}, "kind"),
        ({"owned": {"price": "1", "life_years": "0", "slots": 1}}, "life_years"),
        ({"amount": "-1"}, "amount"),
        ({"amount": "1", "currency": "EUR"}, "currency"),
        ({"amount": "1", "valid_from": 1}, "valid_from"),
        ({"amount": "1", "resource": "worker.none"}, "resource_id"),
    ],
)
def test_a_rate_that_makes_no_sense_is_refused_by_name(
    operator: Caller, body: dict[str, Any], param: str
) -> None:
    refused = operator.post(RATES, {"resource": "worker.gpu"} | body)
    assert refused.status in {400, 404}, refused.content
    assert refused.error["param"] == param


def test_overheads_are_set_listed_and_ended(operator: Caller) -> None:
    body = {"name": "office", "amount": "1000", "driver": "direct", "planned": "50000"}
    made = operator.post(OVERHEADS, body)
    assert made.status == 201, made.content
    assert (made.json["amount"], made.json["ends"]) == ("1000", None)
    assert operator.get(OVERHEADS).json["data"] == [made.json]
    ended = operator.post(f"{OVERHEADS}/{made.json['id']}/end")
    assert ended.json["ends"] is not None
    assert operator.post(OVERHEADS, body | {"planned": "0"}).error["param"] == "planned"


def test_customers_neither_see_nor_set_them(db: None) -> None:
    customer = tenant_caller("Curious")
    for path in (RATES, OVERHEADS):
        assert customer.get(path).status == 403
        assert customer.post(path, {}).status == 403
