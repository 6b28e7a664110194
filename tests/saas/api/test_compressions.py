"""Compressions over HTTP: asked for, quoted, cancelled, refused, and their results."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from tenants.kernel.scope import system_scope
from tests.saas.api.factories import (
    BASE,
    SEARCH,
    Caller,
    base_register,
    chats,
    compression_body,
    compression_end,
    version_make,
)
from tests.workers.engine.factories import base_folder
from workers.assets.models import BaseModel, ModelVersion
from workers.engine.compression.specs import FOR_GPU, FORMATS, NO_GAIN
from workers.jobs.models import Job

pytestmark = pytest.mark.django_db


def made_by(api: Caller, **report: Any) -> str:
    """A compression that has succeeded with this report."""
    body = compression_body(api.upload(chats()).json["id"])
    job = str(api.post("/v1/compressions", body).json["id"])
    compression_end(job, **report)
    return job


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


def test_a_price_of_null_is_none_at_all(api: Caller, base: BaseModel) -> None:
    body = compression_body(api.upload(chats()).json["id"])
    reply = api.post(
        "/v1/compressions", body | {"settings": {"target": {"bytes": 0.5, "price": None}}}
    )
    assert reply.status == 201, reply.content
    assert "price" not in reply.json["settings"]["target"]


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"prune": {"mlp": 1}}, "prune.mlp"),
        ({"prune": {"mlp": "half"}}, "prune.mlp"),
        ({"quantise": "int2"}, "quantise"),
        ({"quantise": ["int4_weight"]}, "quantise"),
        ({"target": {"bytes": 0.5, "formats": ["float8"]}}, "target.formats"),
        ({"target": {"ratios": [2]}}, "target.ratios"),
        ({"target": {"bytes": 0.5, "ratios": [0], "formats": ["none"]}}, "target.ratios"),
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


def test_a_layer_that_would_vanish_is_refused_with_what_can_go(
    api: Caller, base: BaseModel
) -> None:
    body = compression_body(api.upload(chats()).json["id"])
    reply = api.post("/v1/compressions", body | {"settings": {"prune": {"heads": 0.8}}})
    assert (reply.status, reply.error["param"]) == (400, "prune.heads")
    assert "the layer would vanish; at most 0.5 can go" in reply.error["message"]
    reply = api.post("/v1/compressions", body | {"settings": {"prune": {"layers": 2}}})
    assert (reply.status, reply.error["param"]) == (400, "prune.layers")


def test_too_little_data_to_calibrate_with(api: Caller, base: BaseModel) -> None:
    few = compression_body(api.upload(chats(2)).json["id"])
    reply = api.post("/v1/compressions", few)
    assert (reply.status, reply.error["code"]) == (400, "too_little_data")
    assert "give at least 3" in reply.error["message"]
    short = b'{"prompt": "a", "completion": "b"}\n' * 4
    body = compression_body(api.upload(short).json["id"]) | {"settings": {"prune": {"mlp": 0.5}}}
    reply = api.post("/v1/compressions", body)
    assert (reply.status, reply.error["code"]) == (400, "too_little_data")
    assert reply.error["param"] == "file"
    assert "set prune.reconstruct to false" in reply.error["message"]


def test_an_architecture_that_is_not_known(api: Caller, base: BaseModel) -> None:
    file = api.upload(chats()).json["id"]
    with system_scope():
        BaseModel.objects.filter(pk=BASE).update(family="mamba")
    for settings in ({"prune": {"mlp": 0.5}}, {"target": {"bytes": 0.5}}):
        reply = api.post("/v1/compressions", compression_body(file) | {"settings": settings})
        assert (reply.status, reply.error["code"]) == (400, "unsupported_architecture")
        assert "Quantise it instead" in reply.error["message"]
    assert api.post("/v1/compressions", compression_body(file)).status == 201


def test_an_adapter_of_another_base(api: Caller, base: BaseModel, tmp_path: Path) -> None:
    base_register(base_folder(tmp_path / "other"), "other")
    adapter = version_make(api, suffix="tuned")
    body = compression_body(api.upload(chats()).json["id"])
    body |= {"model": "other", "adapters": [adapter.name], "settings": {"prune": {"mlp": 0.5}}}
    reply = api.post("/v1/compressions", body)
    assert (reply.status, reply.error["code"]) == (400, "adapter_of_another_base")
    assert reply.error["param"] == "adapters"
    reply = api.post("/v1/compressions", body | {"model": BASE})
    assert reply.status == 201, reply.content
    with_search = {"model": BASE, "settings": {"target": {"bytes": 0.5}}}
    reply = api.post("/v1/compressions", body | with_search)
    assert (reply.status, reply.error["param"]) == (400, "adapters")


def test_a_carried_adapter_tells_what_it_is_served_on(api: Caller, base: BaseModel) -> None:
    whole, carried = (version_make(api, suffix=suffix) for suffix in ("small", "carried"))
    with system_scope():
        ModelVersion.objects.filter(pk=carried.pk).update(over=whole)
    assert api.get(f"/v1/models/{carried.name}").json["served_on"] == whole.name
    assert api.get(f"/v1/models/{whole.name}").json["served_on"] is None
    refused = api.delete(f"/v1/models/{whole.name}")
    assert (refused.status, refused.error["code"]) == (409, "model_in_use")
    body = compression_body(api.upload(chats()).json["id"]) | {"model": carried.name}
    refused = api.post("/v1/compressions", body)
    assert (refused.status, refused.error["code"]) == (400, "model_not_supported")
    job = made_by(api)
    with system_scope():
        row = Job.objects.get(pk=job)
        told = {"model": carried.name, "carried_from": "ft:dense", "error": 0.25}
        Job.objects.filter(pk=job).update(result={**row.result, "adapters": [told]})
    assert api.get(f"/v1/compressions/{job}/results").json["adapters"] == [told]


def test_a_target_that_nothing_reaches_says_the_nearest_and_what_limits_it(
    api: Caller, base: BaseModel
) -> None:
    limit = "size: within the bound on quality, the best takes 0.80 of the dense latency."
    job = made_by(api, search=SEARCH | {"reached": False, "limit": limit})
    search = api.get(f"/v1/compressions/{job}/results").json["search"]
    assert (search["reached"], search["limit"]) == (False, limit)
    assert search["recommended"]["ratio"] == 0.5
    assert search["metric"] == "perplexity"


def test_masks_are_told_to_gain_nothing(api: Caller, base: BaseModel) -> None:
    job = made_by(api, masked_weights=1234)
    results = api.get(f"/v1/compressions/{job}/results").json
    assert results["masked_weights"] == 1234
    assert results["notes"] == [NO_GAIN]
    plain = api.get(f"/v1/compressions/{made_by(api)}/results").json
    assert (plain["masked_weights"], plain["notes"]) == (None, [])


@pytest.mark.parametrize("kind", [name for name in FORMATS if name != "none"])
def test_every_format_can_be_asked_for(api: Caller, base: BaseModel, kind: str) -> None:
    body = compression_body(api.upload(chats()).json["id"])
    made = api.post("/v1/compressions", body | {"settings": {"quantise": kind}})
    assert made.status == 201, made.content
    assert made.json["settings"]["quantise"] == kind
    target = {"bytes": 0.5, "formats": ["none", kind]}
    made = api.post("/v1/compressions", body | {"settings": {"target": target}})
    assert made.status == 201, made.content
    assert made.json["settings"]["target"]["formats"] == ["none", kind]


def test_a_format_for_gpus_that_a_cpu_made_says_so(api: Caller, base: BaseModel) -> None:
    settings = {"quantise": "float8_dynamic"}
    job = made_by(api, settings=settings, device="cpu", quantisation_errors={"a": 0.02})
    results = api.get(f"/v1/compressions/{job}/results").json
    assert (results["format"], results["quantisation_errors"]) == ("float8_dynamic", {"a": 0.02})
    assert results["notes"] == [FOR_GPU.format(format="float8_dynamic")]
    job = made_by(api, settings=settings, device="cuda:0", not_accelerated={"it is too old": 3})
    (note,) = api.get(f"/v1/compressions/{job}/results").json["notes"]
    assert note == "3 layers are multiplied by turning their weights back: it is too old."


def test_the_description_tells_what_each_format_is_for(api: Caller) -> None:
    text = api.client.get("/openapi.json").content.decode()
    for name, meaning in FORMATS.items():
        assert f"`{name}`: {meaning}" in text


def test_results_tell_before_and_after(api: Caller, base: BaseModel) -> None:
    job = made_by(api, search=SEARCH)
    results = api.get(f"/v1/compressions/{job}/results").json
    assert results["figures"]["bytes"] == {"before": 100.0, "after": 30.0}
    assert results["compressed_model"] == "ft:small"
    assert results["search"]["recommended"] == SEARCH["recommended"]
    assert results["search"]["candidates"] == SEARCH["candidates"]


def test_a_target_price_and_what_was_reached(api: Caller, base: BaseModel) -> None:
    body = compression_body(api.upload(chats()).json["id"])
    body["settings"] = {"target": {"price": "0.10"}}
    job = str(api.post("/v1/compressions", body).json["id"])
    compression_end(job, search=SEARCH)  # in a quarter of the time
    prices = api.get(f"/v1/compressions/{job}/results").json["prices"]
    assert prices["target"] == "0.10"
    assert Decimal(prices["reached"]) * 4 == Decimal(prices["dense"])
    assert api.get(f"/v1/compressions/{made_by(api)}/results").json["prices"] is None


def test_the_plot_shows_every_candidate(api: Caller, base: BaseModel) -> None:
    job = made_by(api, search=SEARCH)
    plot = api.get(f"/v1/compressions/{job}/plot")
    assert plot.headers["content-type"] == "image/svg+xml"
    drawing = ET.fromstring(plot.content)
    dots = drawing.findall("{http://www.w3.org/2000/svg}circle")
    assert len(dots) == 2
    assert [dot.get("stroke") for dot in dots] == [None, "#16a34a"]  # the recommended one
    plain = made_by(api)
    assert api.get(f"/v1/compressions/{plain}/plot").error["code"] == "no_search"
    assert api.get(f"/v1/compressions/{plain}/results").json["search"] is None


def test_an_unknown_model(api: Caller, base: BaseModel) -> None:
    body = compression_body(api.upload(chats()).json["id"]) | {"model": f"{BASE}-no"}
    assert api.post("/v1/compressions", body).error["code"] == "model_not_found"
