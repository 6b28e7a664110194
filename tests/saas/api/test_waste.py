"""Waste over the operator's API: listed, stopped, taken back, refused when it has changed."""

from __future__ import annotations

import pytest

from tenants.kernel.scope import system_scope
from tests.saas.api.factories import Caller, tenant_caller
from tests.workers.waste.factories import ago, deployment_forgotten, price_gpu
from workers.serving.models import Deployment
from workers.waste.services import waste_sweep

pytestmark = pytest.mark.django_db
WASTE = "/operator/v1/waste"


@pytest.fixture
def finding(operator: Caller) -> dict[str, object]:
    price_gpu(on_demand="0.0007")
    deployment_forgotten()
    waste_sweep()
    (row,) = operator.get(f"{WASTE}?state=open&kind=idle_deployment").json["data"]
    assert isinstance(row, dict)
    return row


def test_a_leak_is_listed_with_its_evidence_and_stopped(
    operator: Caller, finding: dict[str, object]
) -> None:
    assert finding["object"] == "operator.waste"
    assert finding["saving"] == finding["saving_beside_others"]
    assert finding["evidence"]["wakes"] == 1  # type: ignore[index]
    assert finding["measured_at"] is None

    applied = operator.post(f"{WASTE}/{finding['id']}/apply", {})
    assert (applied.status, applied.json["state"]) == (200, "applied")
    assert applied.json["undo_until"] > ago(0).timestamp()
    undone = operator.post(f"{WASTE}/{finding['id']}/undo", {})
    assert undone.json["state"] == "undone"
    again = operator.post(f"{WASTE}/{finding['id']}/undo", {})
    assert (again.status, again.json["error"]["code"]) == (409, "nothing_to_undo")


def test_what_has_changed_meanwhile_is_a_clear_409(
    operator: Caller, finding: dict[str, object]
) -> None:
    with system_scope():
        Deployment.objects.update(sleep_after_s=1234)
    refused = operator.post(f"{WASTE}/{finding['id']}/apply", {})
    assert (refused.status, refused.json["error"]["code"]) == (409, "finding_stale")
    assert "the next look will say" in refused.json["error"]["message"]


def test_one_that_is_meant_to_be_so_is_closed(operator: Caller, finding: dict[str, object]) -> None:
    assert operator.post(f"{WASTE}/{finding['id']}/close", {}).json["state"] == "closed"
    assert operator.get(f"{WASTE}?state=open").json["data"] == []
    assert operator.post(f"{WASTE}/waste_none/close", {}).status == 404


def test_customers_neither_see_nor_act(finding: dict[str, object]) -> None:
    customer = tenant_caller("Curious")
    assert customer.get(WASTE).status in {403, 404}
    assert customer.post(f"{WASTE}/{finding['id']}/apply", {}).status in {403, 404}
    assert customer.get("/operator/v1/levers").status in {403, 404}


def test_costs_leave_as_focus(operator: Caller) -> None:
    """What is in the rows is tested where they are made."""
    answer = operator.get("/operator/v1/costs/focus?period=2026-03")
    assert answer.status == 200
    assert answer.content.startswith(b"AvailabilityZone,BilledCost,")
    assert operator.get("/operator/v1/costs/focus?period=March").status == 400
