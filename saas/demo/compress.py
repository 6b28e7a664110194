"""The demo's answer to a falling price: a fine-tuned model made smaller, down to a price."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx

from saas.demo import money, work
from saas.demo.identities import DemoFailed
from saas.demo.narration import Narration

ASKED = Decimal("0.6")  # of today's price
QUALITY_LOSS = 0.10  # growth of perplexity
SETTINGS = {"recover": {"tokens": 24_000, "labels": 1.0, "learning_rate": 2e-3}}
TARGET = {"quality_loss": QUALITY_LOSS, "ratios": [0.25, 0.5], "finalists": 2}
LIMIT_S = 240.0
SAY_EVERY_S = 5.0
FINAL = {"succeeded", "failed", "cancelled"}
FIGURES = (
    ("parameters", "{:,.0f}"),
    ("bytes", "{:,.0f}"),
    ("latency_ms", "{:.2f}"),
    ("perplexity", "{:.2f}"),
)


@dataclass(frozen=True)
class Compressed:
    """What came of it: before and after, and what a million tokens cost us and can sell for."""

    job_id: str
    model: str
    figures: Mapping[str, Mapping[str, float]]
    prices: Mapping[str, str]
    cost: Mapping[str, str]  # before, after, their floors, currency
    search: Mapping[str, Any]


def price_of_output(customer: money.Account) -> Decimal:
    """What a million generated tokens sell for now, by the customer's own rate card."""
    for price in customer.get("/v1/prices")["prices"]:
        charge = price["charge"]
        if price["meter"] == "tokens.output" and charge["model"] == "standard":
            return Decimal(charge["unit"]) / Decimal(charge["per"]) * 1_000_000
    raise DemoFailed("the rate card has no price of generated tokens")


def compress(
    narration: Narration, customer: money.Account, operator: money.Account, run: work.FineTuned
) -> Compressed:
    """Ask for a price, see what the search itself will cost, let it run, read what it found."""
    now = price_of_output(customer).normalize()
    asked = (now * ASKED).normalize()
    narration.say(
        f"a million generated tokens sell for {now:f} USD; asked: a model that pays at {asked:f}, "
        f"with perplexity at most {QUALITY_LOSS:.0%} higher"
    )
    body = {
        "model": run.model,
        "file": run.job.training_file,
        "validation_file": run.job.validation_file,
        "suffix": "small",
        "settings": {"target": {"price": f"{asked:f}", **TARGET}, **SETTINGS},
    }
    quote = customer.post("/v1/quotes", {"kind": "compress", **body})
    money.say_quote(narration, "customer", quote)
    job_id = customer.post("/v1/compressions", {**body, "quote_id": quote["id"]})["id"]
    job = _wait(narration, customer, job_id)
    found = customer.get(f"/v1/compressions/{job_id}/results")
    costs = operator.get("/operator/v1/costs/compressions")["data"]
    cost = next(row for row in costs if row["compression_id"] == job_id)
    narration.say(f"the search was charged {job['price']['charge']['total']} USD")
    return Compressed(
        job_id=job_id,
        model=found["compressed_model"],
        figures=found["figures"],
        prices=found["prices"],
        cost=cost,
        search=found["search"],
    )


def _wait(narration: Narration, customer: money.Account, job_id: str) -> Any:
    deadline, next_word = time.monotonic() + LIMIT_S, 0.0
    while True:
        job = customer.get(f"/v1/compressions/{job_id}")
        done = job["progress"]
        line = f"…{job_id[-6:]} {job['status']} {done['step']}/{done['steps']}"
        if job["status"] in FINAL or time.monotonic() > next_word:
            narration.say(line)
            next_word = time.monotonic() + SAY_EVERY_S
        if job["status"] in FINAL:
            break
        if time.monotonic() > deadline:
            raise DemoFailed(f"the compression did not end within {LIMIT_S:.0f} s: {line}")
        time.sleep(1)
    if job["status"] != "succeeded":
        raise DemoFailed(f"{job_id} {job['status']}: {job['error']}")
    return job


def tell(narration: Narration, found: Compressed) -> None:
    """Print before and after. Raises DemoFailed where the smaller model would not pay."""
    rows = [
        (name, *(form.format(found.figures[name][side]) for side in ("before", "after")))
        for name, form in FIGURES
    ]
    rows += [
        (
            "cost of a million tokens (USD)",
            *(f"{Decimal(found.cost[s]):.6f}" for s in ("before", "after")),
        ),
        (
            "the lowest price that pays it",
            *(f"{Decimal(found.cost[s]):.6f}" for s in ("floor_before", "floor_after")),
        ),
        (
            "its price at the same margin",
            *(money.cents(found.prices[s]) for s in ("dense", "reached")),
        ),
    ]
    narration.table((found.model, "before", "after"), rows)
    search = found.search
    narration.say(
        f"{len(search['candidates'])} candidates by proxy, {len(search['measured'])} measured; "
        f"the price is {'reached' if search['reached'] else 'not reached: ' + search['limit']}"
    )
    for name in ("parameters", "bytes", "latency_ms"):
        if not found.figures[name]["after"] < found.figures[name]["before"]:
            raise DemoFailed(f"the compressed model has no fewer {name}: {found.figures[name]}")
    if not Decimal(found.cost["after"]) < Decimal(found.cost["before"]):
        raise DemoFailed(f"the compressed model is not cheaper: {found.cost}")


def plot_save(customer: money.Account, found: Compressed, path: Path) -> None:
    """Keep the search's Pareto plot as SVG."""
    answer = httpx.get(
        f"{customer.base_url}/v1/compressions/{found.job_id}/plot",
        headers={"Authorization": f"Bearer {customer.identity.api_key}"},
        timeout=60,
    )
    path.write_bytes(answer.raise_for_status().content)
