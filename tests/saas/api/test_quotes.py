"""Quotes over the API: said before, held to afterwards, shown on the job."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from openai.types.fine_tuning import FineTuningJob

from tenants.kernel.clock import now
from tenants.kernel.scope import system_scope
from tenants.ledger.models import Hold
from tests.saas.api.factories import BASE, Caller, chats
from tests.tenants.partners.releases import enabled
from tests.tenants.partners.trusted import trusted_released
from tests.workers.jobs.factories import claimed, make_worker
from tests.workers.jobs.money import trained
from workers.assets.models import BaseModel
from workers.assets.reading import dataset_read_next
from workers.jobs.models import Job
from workers.jobs.outcomes import Made, job_finish
from workers.jobs.waiting import jobs_take_up

pytestmark = pytest.mark.django_db

TRAINED = Decimal("0.000004")


@pytest.fixture
def body(base: BaseModel, api: Caller) -> dict[str, Any]:
    """A fine-tune of one's own file."""
    return {"model": BASE, "training_file": api.upload(chats()).json["id"], "seed": 7}


def test_a_quote_says_what_a_fine_tune_costs_and_holds_nothing(
    api: Caller, body: dict[str, Any]
) -> None:
    reply = api.post("/v1/quotes", {"kind": "fine_tune", **body})

    assert reply.status == 201, reply.content
    quote = reply.json
    (line,) = quote["lines"]
    assert line["meter"] == "tokens.trained"
    assert line["low"] == line["expected"] == line["high"]
    assert line["dimensions"] == {"base": BASE, "model": BASE}
    total = Decimal(line["high"]) * TRAINED
    assert {case: Decimal(quote[case]["total"]) for case in ("low", "expected", "high")} == {
        "low": total, "expected": total, "high": total,
    }  # fmt: skip
    assert quote["currency"] == "USD"
    assert 3590 <= quote["expires_at"] - now().timestamp() <= 3600
    assert api.get(f"/v1/quotes/{quote['id']}").json == quote
    with system_scope():
        assert not Hold.objects.exists()
        assert not Job.objects.exists()


def test_a_plugins_discount_is_shown_with_its_reason_and_kept(
    api: Caller, body: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert api.tenant is not None
    listed = api.post("/v1/quotes", {"kind": "fine_tune", **body}).json
    assert listed["adjustments"] == []
    trusted_released(monkeypatch, "adjusting", "tests.tenants.partners.adjusting", ("data.quotes",))
    enabled(api.tenant.id, "adjusting")

    quote = api.post("/v1/quotes", {"kind": "fine_tune", **body}).json

    before = Decimal(listed["expected"]["net"])
    (told,) = quote["adjustments"]
    assert (told["plugin"], told["reason"]) == ("adjusting", "Ten per cent off in March")
    assert (Decimal(told["share"]), Decimal(told["amount"])) == (Decimal("-0.1"), before / -10)
    assert Decimal(quote["expected"]["net"]) == before * Decimal("0.9")
    assert api.get(f"/v1/quotes/{quote['id']}").json == quote
    job = api.post("/v1/fine_tuning/jobs", {**body, "quote_id": quote["id"]}).json
    assert job["breakwater"]["estimate"]["high"] == quote["high"]["total"]


def test_a_job_is_held_to_the_quote_it_names_and_shows_its_price(
    api: Caller, body: dict[str, Any]
) -> None:
    quote = api.post("/v1/quotes", {"kind": "fine_tune", **body}).json
    job = api.post("/v1/fine_tuning/jobs", {**body, "quote_id": quote["id"]}).json

    FineTuningJob.model_validate(job)
    shown = job["breakwater"]
    assert shown["quote"] == quote["id"]
    assert shown["estimate"]["high"] == quote["high"]["total"]
    assert shown["charge"] == {"net": "0", "tax": "0", "total": "0"}

    lease = claimed(make_worker()).lease
    with system_scope():  # `trained` counts for another base
        row = Job.objects.get(pk=job["id"])
    usage = trained(row.id, 0, 5, 50)
    usage.dimensions.update(model=BASE, base=BASE)  # type: ignore[attr-defined]
    job_finish(lease=lease, usage=[usage], make=lambda _: Made({"model_name": "m"}))

    ended = api.get(f"/v1/fine_tuning/jobs/{job['id']}").json
    FineTuningJob.model_validate(ended)
    assert ended["breakwater"]["charge"]["total"] == "0.0002"


def test_a_quote_of_other_work_is_refused_by_name(api: Caller, body: dict[str, Any]) -> None:
    quote = api.post("/v1/quotes", {"kind": "fine_tune", **body}).json
    reply = api.post("/v1/fine_tuning/jobs", {**body, "seed": 8, "quote_id": quote["id"]})
    assert (reply.status, reply.error["code"]) == (409, "quote_mismatch")
    assert reply.error["param"] == "quote_id"


def test_evaluations_are_quoted_and_show_their_price(api: Caller, body: dict[str, Any]) -> None:
    asked = {"model": BASE, "file": body["training_file"]}
    quote = api.post("/v1/quotes", {"kind": "evaluate", **asked}).json
    job = api.post("/v1/evaluations", {**asked, "quote_id": quote["id"]}).json
    assert [line["meter"] for line in quote["lines"]] == ["tokens.evaluated"]
    assert job["price"]["estimate"]["expected"] == quote["expected"]["total"]


def test_a_chat_is_quoted_by_its_prompt_and_its_limit(api: Caller, base: BaseModel) -> None:
    del base
    said = [{"role": "user", "content": "How much is this?"}]
    asked = {"kind": "chat", "model": BASE, "messages": said, "max_tokens": 10, "n": 2}
    quote = api.post("/v1/quotes", asked).json

    lines = {line["meter"]: line for line in quote["lines"]}
    assert lines["tokens.input"]["low"] == lines["tokens.input"]["high"] != "0"
    assert (lines["tokens.output"]["low"], lines["tokens.output"]["high"]) == ("2", "20")
    prompt = Decimal(lines["tokens.input"]["high"])
    expected = prompt * Decimal("0.0000006") + 20 * Decimal("0.0000018")
    assert Decimal(quote["high"]["total"]) == expected


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "kind"),
        ({"kind": "campaign", "model": BASE}, "kind"),
        ({"kind": "fine_tune", "model": BASE}, "training_file"),
        ({"kind": "evaluate", "model": BASE}, "file"),
        ({"kind": "chat", "model": BASE}, "messages"),
        ({"kind": "chat", "model": BASE, "messages": [], "x": 1}, "messages"),
    ],
)
def test_a_quote_says_what_is_missing(
    api: Caller, base: BaseModel, body: dict[str, Any], param: str
) -> None:
    del base
    reply = api.post("/v1/quotes", body)
    assert reply.status == 400, reply.content
    assert (reply.error["param"] or "").startswith(param)


def test_a_large_files_job_says_that_it_is_validated_and_goes_on_by_itself(
    api: Caller, body: dict[str, Any], settings: Any
) -> None:
    settings.READ_AT_ONCE_BYTES = 10
    refused = api.post("/v1/quotes", {"kind": "fine_tune", **body})
    assert (refused.status, refused.error["code"]) == (409, "dataset_validating")
    job = FineTuningJob.model_validate(api.post("/v1/fine_tuning/jobs", body).json)
    assert job.status == "validating_files"
    (dataset,) = api.get("/v1/datasets").json["data"]
    assert (dataset["status"], dataset["read_bytes"]) == ("validating", 0)

    assert dataset_read_next() == dataset["id"]
    assert jobs_take_up() == 1
    found = api.get(f"/v1/fine_tuning/jobs/{job.id}").json
    assert (found["status"], found["seed"]) == ("queued", 7)
    assert api.post("/v1/quotes", {"kind": "fine_tune", **body}).status == 201


def test_a_quote_for_a_large_file_needs_it_read_first_and_says_how(
    api: Caller, body: dict[str, Any], settings: Any
) -> None:
    settings.READ_AT_ONCE_BYTES = 10
    refused = api.post("/v1/quotes", {"kind": "fine_tune", **body})
    assert refused.status == 409
    assert "POST /v1/datasets" in refused.error["message"]
    asked = api.post("/v1/datasets", {"file": body["training_file"], "model": BASE}).json
    assert asked["status"] == "validating"
    assert dataset_read_next() == asked["id"]
    found = api.get(f"/v1/datasets/{asked['id']}").json
    assert (found["status"], found["read_bytes"] <= found["bytes"]) == ("valid", True)
    assert api.post("/v1/quotes", {"kind": "fine_tune", **body}).status == 201
