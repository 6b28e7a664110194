"""The operator's routes: across tenants, read-only, never into what a tenant's work contains."""

from __future__ import annotations

import datetime as dt
import json
from decimal import Decimal

import pytest

from tenants.costs.defaults import DEFAULTS
from tenants.costs.services import slot_time_record
from tenants.costs.slot_time import SlotTime
from tenants.kernel.clock import now
from tenants.kernel.scope import system_scope
from tests.saas.api.factories import (
    BASE,
    Caller,
    chats,
    compression_body,
    compression_end,
    usage_make,
)
from tests.workers.jobs.factories import make_worker
from workers.assets.models import BaseModel
from workers.jobs.models import Attempt, Cohort, Job, Worker

pytestmark = pytest.mark.django_db


@pytest.fixture
def job_id(api: Caller, base: BaseModel) -> str:
    file_id = api.upload(chats(), "very-secret-name.jsonl").json["id"]
    body = {"model": BASE, "training_file": file_id, "metadata": {"plan": "hush"}}
    return str(api.post("/v1/fine_tuning/jobs", body).json["id"])


def spend(api: Caller, job_id: str, seconds: int, purpose: str = "job") -> None:
    """Let a slot have worked for the job."""
    assert api.tenant is not None
    started = now() - dt.timedelta(hours=1)
    mine = {"tenant_id": api.tenant.id, "job_id": job_id, "attempt": 1}
    entry = SlotTime(
        worker="w1",
        slot=0,
        resource="worker.cpu",
        purpose=purpose,
        started_at=started,
        ended_at=started + dt.timedelta(seconds=seconds),
        key=f"{job_id}/{purpose}/{seconds}",
        labels={"kind": "fine_tune", "base": BASE} if purpose == "job" else {},
        **(mine if purpose == "job" else {}),
    )
    with system_scope():
        slot_time_record(entries=[entry])


def test_queues_tell_how_many_wait(operator: Caller, job_id: str) -> None:
    (queue,) = operator.get("/operator/v1/queues").json["data"]

    assert (queue["id"], queue["waiting"], queue["running"]) == ("train.cpu", 1, 0)
    assert queue["oldest_wait_s"] >= 0


def test_jobs_of_all_tenants_without_their_contents(
    operator: Caller, api: Caller, job_id: str
) -> None:
    reply = operator.get("/operator/v1/jobs?kind=fine_tune&state=queued")

    (job,) = reply.json["data"]
    assert (job["id"], job["base"]) == (job_id, BASE)
    assert job["tenant_id"] == (api.tenant.id if api.tenant else "")
    for secret in ("very-secret-name", "hush", "file-"):
        assert secret not in reply.content.decode()
    assert operator.get("/operator/v1/jobs?tenant=ten_none").json["data"] == []
    assert operator.get("/operator/v1/jobs?state=dreaming").status == 400


def test_workers_are_listed_until_they_stop(operator: Caller) -> None:
    with system_scope():
        for name, stopped in (("alive", None), ("gone", now())):
            Worker.objects.create(
                id=f"wrk_{name}",
                name=name,
                worker_class="cpu",
                queues=["train.cpu"],
                slots=2,
                host="h",
                pid=1,
                stopped_at=stopped,
            )

    assert [w["name"] for w in operator.get("/operator/v1/workers").json["data"]] == ["alive"]
    both = operator.get("/operator/v1/workers?stopped=true").json["data"]
    assert {worker["name"] for worker in both} == {"alive", "gone"}


def test_cohorts_are_listed_with_their_members(operator: Caller, api: Caller, job_id: str) -> None:
    worker = make_worker()
    with system_scope():
        job = Job.objects.get(pk=job_id)
        cohort = Cohort.objects.create(
            id="coh_1", key="k", queue="train.cpu", worker=worker, lease_expires_at=now()
        )
        Attempt.objects.create(
            id="att_1",
            tenant_id=job.tenant_id,
            job=job,
            number=1,
            token=1,
            worker=worker,
            cohort=cohort,
            to_step=7,
        )

    (row,) = operator.get("/operator/v1/cohorts").json["data"]

    assert (row["id"], row["worker_id"], row["ended_at"]) == ("coh_1", worker.pk, None)
    (member,) = row["members"]
    assert (member["job_id"], member["attempt"], member["to_step"]) == (job_id, 1, 7)
    assert api.get("/operator/v1/cohorts").status in {401, 403, 404}


def test_costs_by_job_by_token_and_by_purpose(operator: Caller, api: Caller, job_id: str) -> None:
    spend(api, job_id, 100)
    spend(api, job_id, 50, purpose="idle")

    (job,) = operator.get("/operator/v1/costs/jobs").json["data"]
    slots = {s["purpose"]: s for s in operator.get("/operator/v1/costs/slots").json["data"]}

    assert (job["job_id"], Decimal(job["slot_seconds"])) == (job_id, 100)
    assert Decimal(job["amount"]) > 0
    assert Decimal(slots["idle"]["amount"]) * 2 == Decimal(slots["job"]["amount"])
    assert operator.get("/operator/v1/costs/jobs?start_time=4000000000").json["data"] == []


def test_the_cost_of_a_million_tokens(operator: Caller, api: Caller, job_id: str) -> None:
    spend(api, job_id, 100)
    assert operator.get("/operator/v1/costs/units").json["data"] == []

    usage_make(api, 50_000, meter="tokens.trained", job_id=job_id)

    (unit,) = operator.get("/operator/v1/costs/units").json["data"]
    assert (unit["model"], unit["meter"], unit["tokens"]) == (BASE, "tokens.trained", "50000")
    assert Decimal(unit["per_million"]) == pytest.approx(Decimal(unit["amount"]) * 20)


def test_the_unit_cost_before_and_after_a_compression(
    operator: Caller, api: Caller, job_id: str
) -> None:
    body = compression_body(api.upload(chats()).json["id"]) | {"suffix": "very-secret"}
    made = api.post("/v1/compressions", body).json["id"]
    compression_end(made)
    assert operator.get("/operator/v1/costs/compressions").json["data"] == []  # no rate yet
    spend(api, job_id, 100)

    reply = operator.get("/operator/v1/costs/compressions")

    (cost,) = reply.json["data"]
    rate = next(d.amount for d in DEFAULTS if d.id == "worker.cpu")
    # 16 ms before and 4 ms after, of 512 tokens
    assert Decimal(cost["before"]) == pytest.approx(rate * 16 * 1000 / 512, rel=Decimal("1e-9"))
    assert Decimal(cost["after"]) * 4 == pytest.approx(Decimal(cost["before"]))
    assert (cost["compression_id"], cost["base"], cost["currency"]) == (made, BASE, "USD")
    # of ten seconds that a slot is paid for, seven are planned to work
    assert Decimal(cost["floor_before"]) == pytest.approx(Decimal(cost["before"]) / Decimal("0.7"))
    assert Decimal(cost["floor_after"]) == pytest.approx(Decimal(cost["after"]) / Decimal("0.7"))
    asked = "planned_utilisation=1&fees=0.03&share=0.17&margin=0.3"
    (held,) = operator.get(f"/operator/v1/costs/compressions?{asked}").json["data"]
    assert Decimal(held["floor_after"]) == pytest.approx(Decimal(cost["after"]) * 2)
    nothing_left = operator.get("/operator/v1/costs/compressions?margin=0.99&share=0.01")
    assert (nothing_left.status, nothing_left.error["type"]) == (400, "invalid_request_error")
    assert "very-secret" not in reply.content.decode()


def test_a_customer_s_role_does_not_open_the_operators_routes(api: Caller) -> None:
    reply = api.get("/operator/v1/jobs")

    assert reply.status == 403
    assert json.loads(reply.content)["error"]["type"] == "permission_error"


def test_a_tenant_is_suspended_reactivated_and_closed(operator: Caller, api: Caller) -> None:
    assert api.tenant is not None
    where = f"/operator/v1/tenants/{api.tenant.id}"
    chats_id = api.upload(chats(), "a.jsonl").json["id"]
    job = {"model": BASE, "training_file": chats_id}

    suspended = operator.post(f"{where}/suspend", {"reason": "unpaid"})
    refused = api.post("/v1/fine_tuning/jobs", job)
    reactivated = operator.post(f"{where}/reactivate", {"reason": "paid"})
    closed = operator.post(f"{where}/close", {"reason": "as they asked"})
    late = operator.post(f"{where}/reactivate", {"reason": "a mistake"})

    assert [r.json["status"] for r in (suspended, reactivated, closed)] == [
        "suspended",
        "active",
        "closed",
    ]
    assert refused.error["code"] == "tenant_suspended"
    assert (late.status, late.error["code"]) == (409, "tenant_standing")


@pytest.mark.parametrize(
    ("tenant_id", "body", "status"),
    [("ten_x", {"reason": "x"}, 404), (None, {}, 400), (None, {"reason": ""}, 400)],
)
def test_a_standing_changes_with_a_reason_only(
    operator: Caller, api: Caller, tenant_id: str | None, body: dict[str, str], status: int
) -> None:
    assert api.tenant is not None
    where = f"/operator/v1/tenants/{tenant_id or api.tenant.id}"
    assert operator.post(f"{where}/suspend", body).status == status
    assert api.get("/v1/wallet").status == 200


def test_a_million_tokens_cost_three_ways(operator: Caller, api: Caller, job_id: str) -> None:
    spend(api, job_id, 70)
    spend(api, job_id, 500, "idle")
    usage_make(api, 1_000_000, meter="tokens.trained", job_id=job_id)

    (row,) = operator.get("/operator/v1/costs/economics").json["data"]
    full = operator.get("/operator/v1/costs/economics?planned_utilisation=1&split=meter")
    shares = operator.get("/operator/v1/costs/allocation").json["data"]
    bad = operator.get("/operator/v1/costs/economics?planned_utilisation=1.5")
    priced = operator.get("/operator/v1/costs/economics?fees=0.03&share=0.17&margin=0.3")
    nothing_left = operator.get("/operator/v1/costs/economics?fees=0.5&share=0.5")

    cpu = next(d.amount for d in DEFAULTS if d.id == "worker.cpu")
    assert (row["kind"], row["model"], row["tokens"]) == ("fine_tune", BASE, "1000000")
    assert Decimal(row["short_run"]) == pytest.approx(cpu * 70, abs=Decimal("1e-9"))
    assert Decimal(row["long_run"]) == pytest.approx(cpu * 100, abs=Decimal("1e-9"))
    assert row["long_run_high"] is None  # a bound takes more days
    assert full.json["data"][0]["long_run"] == full.json["data"][0]["short_run"]
    assert full.json["data"][0]["split"] == "tokens.trained"
    by_component = {share["component"]: Decimal(share["amount"]) for share in shares}
    assert by_component == {
        "direct": cpu * 70, "idle": cpu * 30, "strategic_idle": cpu * 470,
    }  # fmt: skip
    assert (bad.status, bad.json["error"]["param"]) == (400, "planned_utilisation")
    assert row["floor"] == row["long_run"]
    floor = Decimal(priced.json["data"][0]["floor"])
    assert floor == pytest.approx(cpu * 200, abs=Decimal("1e-9"))
    assert (nothing_left.status, bad.status) == (400, 400)
