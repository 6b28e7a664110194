"""A customer's money from the first transfer to the invoice, over the public API alone."""

from __future__ import annotations

import time
from decimal import Decimal
from typing import Any

import httpx
import openai
import pytest

from tests.journeys.checked import checked
from tests.journeys.test_main_job import BASE, Newcomer, ended, rows, until
from tests.servers import System

pytestmark = [pytest.mark.demo, pytest.mark.timeout(600)]

SAID: Any = [{"role": "user", "content": "Colour number 2?"}]


@pytest.fixture(scope="module")
def staff(demo: dict[str, Any], system: System) -> httpx.Client:
    key = demo["identities"]["operator"]["api_key"]
    headers = {"Authorization": f"Bearer {key}"}
    return httpx.Client(base_url=system.base_url, headers=headers, timeout=60)


@pytest.fixture(scope="module")
def payer(system: System) -> Newcomer:
    return Newcomer(system.base_url, "Payer")


def wallet(who: Newcomer) -> dict[str, Any]:
    found: dict[str, Any] = who.http.get("/v1/wallet").raise_for_status().json()
    return found


def moved(who: Newcomer, kind: str) -> Decimal:
    """What transactions of one kind did to credit less what is owed."""
    page = who.http.get("/v1/wallet/transactions", params={"kind": kind, "limit": 100}).json()
    assert not page["has_more"]
    postings = [p for row in page["data"] for p in row["postings"]]
    return -sum((Decimal(posting["amount"]) for posting in postings), Decimal(0))


def test_money_goes_from_the_bank_to_the_invoice_and_adds_up(
    payer: Newcomer, staff: httpx.Client
) -> None:
    # Given the welcome credit, when money is transferred with the wallet's reference
    before = wallet(payer)
    assert before["available"] == "5"
    today = time.strftime("%Y-%m-%d", time.gmtime())
    lines = (
        "date,amount,currency,reference,payer,bank_id\n"
        f"{today},12.00,USD,{before['top_up']['reference']},Payer,{payer.tenant_id}\n"
    )
    imported = staff.post("/operator/v1/bank_transfers", json={"csv": lines}).raise_for_status()

    # Then it is credit
    assert imported.json()["matched"] == 1
    assert wallet(payer)["available"] == "17"

    # When a fine-tune is quoted, its upper bound is promised, and set aside once it begins
    file = payer.openai.files.create(file=("t.jsonl", rows(60)), purpose="fine-tune")
    body: dict[str, Any] = {"model": BASE, "training_file": file.id, "seed": 3}
    quote = payer.http.post("/v1/quotes", json={"kind": "fine_tune", **body}).raise_for_status()
    high = Decimal(quote.json()["high"]["total"])
    job = payer.openai.fine_tuning.jobs.create(**body, extra_body={"quote_id": quote.json()["id"]})
    assert Decimal(wallet(payer)["held"]) == high
    done = ended(payer, job.id)

    # Then it is charged at most that, and nothing stays held
    charge = done.to_dict()["breakwater"]["charge"]  # type: ignore[index,call-overload]
    assert done.status == "succeeded"
    assert 0 < Decimal(charge["total"]) <= high
    assert Decimal(wallet(payer)["held"]) == 0

    # When the model is talked to, that is charged too
    answer = checked(
        payer.openai.chat.completions.create(
            model=str(done.fine_tuned_model), messages=SAID, max_tokens=8
        )
    )
    assert answer.usage is not None
    until("the talk is charged", lambda: moved(payer, "charge") < -Decimal(charge["total"]))

    # When a hard budget is used up, nothing that costs money is begun
    budget = payer.http.post("/v1/budgets", json={"hard": "0.000001"}).raise_for_status().json()
    for call in (
        lambda: payer.openai.chat.completions.create(model=BASE, messages=SAID, max_tokens=8),
        lambda: payer.openai.fine_tuning.jobs.create(**body),
    ):
        with pytest.raises(openai.APIStatusError) as refused:
            call()
        assert (refused.value.status_code, refused.value.code) == (402, "budget_exceeded")
    payer.http.delete(f"/v1/budgets/{budget['id']}").raise_for_status()
    payer.openai.chat.completions.create(model=BASE, messages=SAID, max_tokens=8)

    # Then the next invoice, the wallet and the costs say the same to the last digit
    def agreed() -> dict[str, Any] | None:
        invoice = payer.http.get("/v1/invoices/upcoming").raise_for_status().json()
        exact = sum(Decimal(line["exact"]) for line in invoice["lines"])
        return invoice if exact == -moved(payer, "charge") else None

    invoice = until("the books agree", agreed, 90)
    exact = sum(Decimal(line["exact"]) for line in invoice["lines"])
    assert sum(Decimal(line["net"]) for line in invoice["lines"]) == Decimal(invoice["net"])
    assert Decimal(invoice["due"]) == 0
    assert Decimal(wallet(payer)["available"]) == 17 - exact
    costs = payer.openai.admin.organization.usage.costs(start_time=int(time.time()) - 86400)
    told = sum(
        Decimal(str(result.to_dict()["amount"]["value"]))  # type: ignore[index]
        for bucket in costs.data
        for result in bucket.results
    )
    assert float(told) == pytest.approx(float(exact), rel=1e-6)

    # And staff see that the books balance, and the job's margin
    books = staff.get("/operator/v1/ledger").raise_for_status().json()
    assert set(books["sums"].values()) == {"0"}
    assert (books["unbalanced"], books["wrong"]) == ([], [])
    found = staff.get("/operator/v1/margins", params={"tenant": payer.tenant_id}).json()["data"]
    (margin,) = [row for row in found if row["job_id"] == job.id]
    assert Decimal(margin["charged"]) == Decimal(charge["net"])
    assert Decimal(margin["margin"]) == Decimal(margin["charged"]) - Decimal(margin["cost"])


def test_without_credit_nothing_begins(system: System, staff: httpx.Client) -> None:
    poor = Newcomer(system.base_url, "Poor")
    file = poor.openai.files.create(file=("t.jsonl", rows(400)), purpose="fine-tune")
    greedy: Any = {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 900}}}

    with pytest.raises(openai.APIStatusError) as refused:
        poor.openai.fine_tuning.jobs.create(model=BASE, training_file=file.id, method=greedy)

    assert (refused.value.status_code, refused.value.code) == (402, "insufficient_credit")
    assert wallet(poor)["held"] == "0"
    given = {"tenant_id": poor.tenant_id, "amount": "3", "kind": "promotion", "reason": "a start"}
    staff.post("/operator/v1/grants", json=given).raise_for_status()
    assert wallet(poor)["available"] == "8"
