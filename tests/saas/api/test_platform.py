"""Datasets, evaluations, deployments, downloads and usage events over HTTP."""

from __future__ import annotations

import io
import tarfile

import pytest
from safetensors.numpy import load

from tests.saas.api.factories import (
    BASE,
    Caller,
    chats,
    jsonl,
    usage_make,
    version_make,
)
from workers.assets.models import BaseModel

pytestmark = pytest.mark.django_db


def test_a_dataset_tells_what_a_file_holds(api: Caller, base: BaseModel) -> None:
    file_id = api.upload(chats(10)).json["id"]

    made = api.post("/v1/datasets", {"file": file_id, "model": BASE})
    again = api.post("/v1/datasets", {"file": file_id, "model": BASE})

    assert made.status == 200
    assert (made.json["status"], made.json["examples"]) == ("valid", 10)
    assert made.json["tokens"] > made.json["loss_tokens"] > 0
    assert again.json["id"] == made.json["id"]
    assert api.get(f"/v1/datasets/{made.json['id']}").json == made.json
    assert [d["id"] for d in api.get(f"/v1/datasets?file={file_id}").json["data"]] == [
        made.json["id"]
    ]
    assert api.get("/v1/datasets?file=file-none").json["data"] == []


def test_a_dataset_names_every_problem_by_line(api: Caller, base: BaseModel) -> None:
    rows = jsonl({"messages": []}, {"prompt": 1}, *({"messages": "x"} for _ in range(200)))

    found = api.post("/v1/datasets", {"file": api.upload(rows).json["id"], "model": BASE}).json

    assert found["status"] == "invalid"
    assert found["problem_count"] >= 202
    assert len(found["problems"]) == 100
    assert found["problems"][0]["line"] == 1


def test_an_evaluation_is_queued_and_cancelled(api: Caller, base: BaseModel) -> None:
    body = {"model": BASE, "file": api.upload(chats()).json["id"], "metadata": {"a": "b"}}

    made = api.post("/v1/evaluations", body)
    cancelled = api.post(f"/v1/evaluations/{made.json['id']}/cancel")

    assert made.status == 201
    assert (made.json["status"], made.json["metrics"]) == ("queued", {})
    assert made.json["metadata"] == {"a": "b"}
    assert cancelled.json["status"] == "cancelled"
    assert [e["id"] for e in api.get("/v1/evaluations").json["data"]] == [made.json["id"]]


def test_kinds_of_jobs_do_not_answer_under_each_others_routes(api: Caller, base: BaseModel) -> None:
    file_id = api.upload(chats()).json["id"]
    job = api.post("/v1/fine_tuning/jobs", {"model": BASE, "training_file": file_id}).json["id"]
    evaluation = api.post("/v1/evaluations", {"model": BASE, "file": file_id}).json["id"]

    assert api.get(f"/v1/evaluations/{job}").status == 404
    assert api.post(f"/v1/evaluations/{job}/cancel").status == 404
    assert api.get(f"/v1/fine_tuning/jobs/{evaluation}").status == 404
    assert api.post(f"/v1/fine_tuning/jobs/{evaluation}/cancel").status == 404
    assert api.get(f"/v1/fine_tuning/jobs/{job}").json["status"] == "queued"


def test_a_deployment_wakes_sleeps_changes_and_goes(api: Caller, base: BaseModel) -> None:
    model = version_make(api).name
    made = api.post("/v1/deployments", {"model": model, "sleep_after_s": 60})
    address = f"/v1/deployments/{made.json['id']}"

    assert made.status == 201
    assert (made.json["state"], made.json["sleep_after_s"]) == ("asleep", 60)
    assert api.post("/v1/deployments", {"model": model}).status == 409
    assert api.post(f"{address}/wake").json["state"] == "waking"
    assert api.post(f"{address}/sleep").json["state"] == "asleep"
    assert api.post(address, {"max_replicas": 3}).json["max_replicas"] == 3
    assert api.post(address, {"max_replicas": 0}).status == 400
    assert api.delete(address).json["deleted"] is True
    assert api.get(address).status == 404


def test_a_model_leaves_as_safetensors_in_a_tar(api: Caller, base: BaseModel) -> None:
    version = version_make(api)

    reply = api.get(f"/v1/models/{version.name}/download")

    assert reply.status == 200
    with tarfile.open(fileobj=io.BytesIO(reply.content)) as archive:
        names = archive.getnames()
        weights = archive.extractfile("adapter_model.safetensors")
        assert weights is not None
        assert load(weights.read())["w"].shape == (2, 2)
    assert set(names) >= {"adapter_config.json", "adapter_model.safetensors"}
    assert "attachment" in reply.headers["content-disposition"]
    assert reply.headers["x-content-type-options"] == "nosniff"


def test_a_catalogue_model_is_not_downloaded_here(api: Caller, base: BaseModel) -> None:
    reply = api.get(f"/v1/models/{BASE}/download")

    assert reply.status == 403
    assert reply.error["code"] == "catalogue_model"


def test_usage_events_are_listed_one_by_one(api: Caller, base: BaseModel) -> None:
    for quantity in (3, 5, 7):
        usage_make(api, quantity)
    usage_make(api, 11, meter="tokens.output")

    events = api.get("/v1/usage?meter=tokens.input&limit=2").json

    assert [event["quantity"] for event in events["data"]] == ["7", "5"]
    assert events["has_more"] is True
    rest = api.get(f"/v1/usage?meter=tokens.input&limit=2&after={events['last_id']}").json
    assert [event["quantity"] for event in rest["data"]] == ["3"]
    assert api.get("/v1/usage?start_time=4000000000").json["data"] == []
    assert api.get("/v1/usage?meter=unheard.of").status == 400


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("order", ["asc", "desc"])
def test_pages_join_to_the_whole_list(api: Caller, limit: int, order: str) -> None:
    made = [api.post("/v1/api_keys", {"name": str(n)}).json["id"] for n in range(6)]
    every = [api.get("/v1/api_keys?order=asc").json["data"][0]["id"], *made]

    seen: list[str] = []
    after = ""
    while True:
        answer = api.get(f"/v1/api_keys?limit={limit}&order={order}{after}").json
        assert len(answer["data"]) <= limit
        seen += [key["id"] for key in answer["data"]]
        assert answer["first_id"] == answer["data"][0]["id"]
        if not answer["has_more"]:
            break
        after = f"&after={answer['last_id']}"

    assert seen == (every if order == "asc" else every[::-1])
