"""Compressions over HTTP: asked for, quoted, cancelled, refused, and their results."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as ET

import pytest

from tenants.kernel.scope import system_scope
from tests.saas.api.factories import BASE, Caller, chats, compression_body
from tests.workers.jobs.factories import claimed, make_worker
from workers.assets.models import BaseModel
from workers.engine.compression.candidates import Candidate
from workers.jobs.models import Job
from workers.jobs.outcomes import Made, job_finish

pytestmark = pytest.mark.django_db

MEASURED = Candidate(0.5, "wanda", "int8_dynamic", 0.4, 0.3, 0.08, is_measured=True).to_dict()
PROXY = Candidate(0.25, "wanda", "none", 0.8, 0.85, 0.02).to_dict()
SEARCH = {
    "target": {"latency": 0.5, "bytes": 0.0, "quality_loss": 0.1},
    "reached": True,
    "limit": "",
    "recommended": MEASURED,
    "candidates": [PROXY],
    "measured": [MEASURED],
    "front": [MEASURED],
}


def made_by(api: Caller, base: BaseModel, **report: Any) -> str:
    """A compression that a worker has finished with this report."""
    del base
    body = compression_body(api.upload(chats()).json["id"])
    job = api.post("/v1/compressions", body).json
    lease = claimed(make_worker(), queue="compress.cpu").lease
    metrics = {"dense_bytes": 100.0, "bytes": 30.0, "dense_perplexity": 5.0, "perplexity": 5.4}
    result = {
        "model_name": "ft:small",
        "metrics": metrics,
        "report": {"settings": {"quantise": "int8_dynamic"}, **report},
    }
    job_finish(lease=lease, make=lambda _: Made(result))
    return str(job["id"])


def test_a_compression_is_queued_listed_and_cancelled(api: Caller, base: BaseModel) -> None:
    body = compression_body(api.upload(chats()).json["id"]) | {"metadata": {"a": "b"}}
    made = api.post("/v1/compressions", body)
    assert made.status == 201, made.content
    assert (made.json["status"], made.json["object"]) == ("queued", "compression")
    assert made.json["settings"]["quantise"] == "int8_dynamic"
    address = f"/v1/compressions/{made.json['id']}"
    assert api.get(address).json == made.json
    assert [c["id"] for c in api.get("/v1/compressions").json["data"]] == [made.json["id"]]
    assert "data and settings are valid" in str(api.get(f"{address}/events").json["data"])
    early = api.get(f"{address}/results")
    assert (early.status, early.error["code"]) == (409, "compression_not_finished")
    assert api.post(f"{address}/cancel").json["status"] == "cancelled"
    with system_scope():
        assert Job.objects.get(pk=made.json["id"]).queue == "compress.cpu"


def test_it_is_quoted_and_holds_the_quote(api: Caller, base: BaseModel) -> None:
    body = compression_body(api.upload(chats()).json["id"])
    body["settings"] = {"prune": {"mlp": 0.5}, "recover": {"tokens": 1000}}
    quote = api.post("/v1/quotes", {"kind": "compress", **body}).json
    assert [line["meter"] for line in quote["lines"]] == ["tokens.evaluated", "tokens.trained"]
    job = api.post("/v1/compressions", {**body, "quote_id": quote["id"]}).json
    assert job["price"]["quote"] == quote["id"]
    assert job["price"]["estimate"]["high"] == quote["high"]["total"]


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"prune": {"mlp": 1}}, "prune.mlp"),
        ({"prune": {"mlp": "half"}}, "prune.mlp"),
        ({"quantise": "int2"}, "quantise"),
        ({"target": {"ratios": [2]}}, "target.ratios"),
        ({"target": {"price": "-1"}}, "target.price"),
        ({"recover": {"tokens": 5}}, "settings"),
        ({"anything": 1}, "anything"),
        ({}, "settings"),
    ],
)
def test_bad_settings_are_refused_by_name(
    api: Caller, base: BaseModel, asked: dict[str, Any], param: str
) -> None:
    body = compression_body(api.upload(chats()).json["id"]) | {"settings": asked}
    reply = api.post("/v1/compressions", body)
    assert reply.status == 400, reply.content
    assert reply.error["param"] == param


def test_results_tell_before_and_after(api: Caller, base: BaseModel) -> None:
    job = made_by(api, base, search=SEARCH)
    results = api.get(f"/v1/compressions/{job}/results").json
    assert results["figures"]["bytes"] == {"before": 100.0, "after": 30.0}
    assert results["compressed_model"] == "ft:small"
    assert results["search"]["recommended"] == MEASURED
    assert results["search"]["candidates"] == [PROXY]


def test_the_plot_shows_every_candidate(api: Caller, base: BaseModel) -> None:
    job = made_by(api, base, search=SEARCH)
    plot = api.get(f"/v1/compressions/{job}/plot")
    assert plot.headers["content-type"] == "image/svg+xml"
    drawing = ET.fromstring(plot.content)
    dots = drawing.findall("{http://www.w3.org/2000/svg}circle")
    assert len(dots) == 2
    assert [dot.get("stroke") for dot in dots] == [None, "#16a34a"]  # the recommended one
    plain = made_by(api, base)
    assert api.get(f"/v1/compressions/{plain}/plot").error["code"] == "no_search"
    assert api.get(f"/v1/compressions/{plain}/results").json["search"] is None


def test_an_unknown_model(api: Caller, base: BaseModel) -> None:
    body = compression_body(api.upload(chats()).json["id"]) | {"model": f"{BASE}-no"}
    assert api.post("/v1/compressions", body).error["code"] == "model_not_found"
