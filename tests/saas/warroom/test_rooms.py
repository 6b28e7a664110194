"""The war room in the terminal: costs, floors and procurement."""

from __future__ import annotations

import datetime as dt
import io
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from tenants.costs.services import slot_time_record
from tenants.kernel.clock import now
from tenants.kernel.scope import system_scope
from tenants.pricing.floors import FloorTerms
from tenants.pricing.services import floor_policy_set
from tests.saas.console.factories import owner_of
from tests.saas.money import cost_measured
from tests.tenants.billing.factories import operator_of
from tests.tenants.costs.factories import resource_make, slot_time

CASE: dict[str, Any] = {
    "classes": ["serve"],
    "demand": [[[730.0] * 12], [[1460.0] * 12]],
    "penalty": {"serve": 20},
    "offers": [
        {"name": "1 year", "serves": ["serve"], "capacity": 730, "cost": 13140, "months": 12,
         "available": 4},
    ],
    "markets": [{"name": "on demand", "prices": {"serve": 2.5}}],
}  # fmt: skip


def warroom(*arguments: str | Path) -> str:
    out = io.StringIO()
    call_command("warroom", *map(str, arguments), stdout=out)
    return out.getvalue()


def test_a_plan_is_told_compared_and_exported(tmp_path: Path) -> None:
    """A year of one machine costs 13,140; the same hours on demand, 21,900. A second machine would
    work half of the time, 10,950 expected: not worth its price.
    """
    case, plan = tmp_path / "case.json", tmp_path / "plan.csv"
    case.write_text(json.dumps(CASE))
    told = warroom("procure", case, "--out", plan)
    assert "month 0: 1 x 1 year until month 12, 13140.00" in told
    assert "expected cost 24090.00" in told
    assert "nothing bought ahead: 32850.00" in told
    assert "the best single term: 24090.00" in told
    assert plan.read_text().splitlines() == [
        "month,offer,units,until_month,cost",
        "0,1 year,1,12,13140.00",
    ]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "not JSON"),
        ("[]", "JSON object"),
        ("{}", "no classes"),
        (json.dumps(CASE | {"colour": 1}), "no colour"),
        (json.dumps(CASE | {"demand": [1]}), "scenarios, classes, months"),
        (json.dumps(CASE | {"offers": [{"name": "x"}]}), "cannot be read"),
    ],
)
def test_a_case_that_cannot_be_read_is_refused(tmp_path: Path, text: str, says: str) -> None:
    case = tmp_path / "case.json"
    case.write_text(text)
    with pytest.raises(CommandError, match=says):
        warroom("procure", case)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=r"none\.json"):
        warroom("procure", tmp_path / "none.json")


@pytest.mark.django_db
def test_costs_are_told_and_a_bill_is_set_beside_them(tmp_path: Path) -> None:
    begin = now().replace(hour=0, minute=0, second=0, microsecond=0)
    resource = resource_make((begin - dt.timedelta(days=1), "0.01"))
    with system_scope():
        slot_time_record(
            entries=[
                slot_time(0, 0, resource=resource, purpose=purpose, started_at=begin,
                          ended_at=begin + dt.timedelta(seconds=seconds), slot=slot)
                for slot, (purpose, seconds) in enumerate([("job", 70), ("idle", 130)])
            ]
        )  # fmt: skip
    told = warroom("costs", "--days", "1")
    assert "spent 2.0000 USD" in told
    assert "strategic idle 1.0000" in told
    bill = tmp_path / "bill.csv"
    bill.write_text(f"resource,amount,currency\n{resource},2.01,USD\n")
    assert "billed 2.01, booked 2.00: differs by 0.01" in warroom("costs", "--bill", bill)
    bill.write_text(f"resource,amount,currency\n{resource},2.00,EUR\n")
    with pytest.raises(CommandError, match="in EUR"):
        warroom("costs", "--bill", bill)


@pytest.mark.django_db
def test_prices_stand_beside_their_floors_and_what_was_lost_is_told() -> None:
    owner = owner_of("Acme")
    cost_measured(owner.tenant, "ftjob-1")  # a dime a million, sold at four dollars
    told = warroom("floors")
    assert "tokens.trained (breakwater-mini-1): 4 0.142857143 0.1\n" in told
    assert "tokens.trained" not in warroom("floors", "--below")
    with system_scope():
        terms = FloorTerms(planned_utilisation=Decimal("0.02"))
        floor_policy_set(
            actor=operator_of(owner.tenant.id), terms=terms, reason="a war of attrition"
        )
    told = warroom("floors", "--below")
    assert "tokens.trained (breakwater-mini-1): 4 5 0.1 BELOW\n" in told
    assert f"{owner.tenant.id} tokens.trained: 4.0000 of 5.0000, lost 1.0000" in told
