"""Plugins read, prepare and evaluate datasets over REST: quoted, charged, shared."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tenants.accounts.services import platform_tenant_ensure
from tenants.kernel.scope import system_scope
from tenants.ledger.selectors import unbalanced
from tenants.marketplace.services.builtins import builtins_release
from tenants.partners.models import Health
from tests.saas.api.factories import BASE, Caller
from tests.tenants.partners.factories import standing
from tests.tenants.partners.releases import enabled, published
from tests.workers.jobs.factories import make_worker
from tests.workers.tasks.factories import start
from workers.assets.models import BaseModel

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("own_folders")]

DIARY = """
import json
from decimal import Decimal

from plugins.sdk import (
    Claim, DatasetReader, Meter, Method, PluginError, Price, StepResult, hookimpl,
)


@hookimpl
def dataset_readers():
    return (DatasetReader("diary", (".diary",)), DatasetReader("old", (".old.diary",)))


@hookimpl
def read_dataset(reader, work):
    (source,) = work.inputs
    with work.open(source) as lines, work.create("rows.jsonl") as out:
        for number, line in enumerate(lines, 1):
            asked, _, said = line.decode().strip().partition(" => ")
            if not said:
                raise PluginError(f"line {number}: no answer after '=>'")
            out.write(json.dumps({"prompt": asked, "completion": said}).encode() + b"\\n")
    return StepResult({"rows": number}, ("rows.jsonl",), (Claim("rows", Decimal(number)),))


@hookimpl
def prepare_dataset(work):
    with work.create("none.jsonl") as out:
        out.write(b"[1, 2]\\n")
    return StepResult({}, ("none.jsonl",))


@hookimpl
def evaluations():
    return (
        Method("length", "Mean length of the answers"),
        Method("vocabulary", "How many words a model knows"),
    )


@hookimpl
def run_method(kind, method, work):
    if method == "vocabulary":
        with work.open("model/config.json") as config:
            return StepResult({"words": json.load(config)["vocab_size"]})
    with work.open(work.inputs[0]) as lines:
        sizes = [len(json.loads(line)["completion"]) for line in lines]
    return StepResult(
        {"mean": sum(sizes) / len(sizes), "kind": kind, "method": method},
        (),
        (Claim("rows", Decimal(len(sizes))),),
    )


@hookimpl
def meters():
    return (Meter("rows", "row", "Rows read", Decimal(1000)),)


@hookimpl
def prices():
    return (Price("rows", Decimal("0.50"), "USD"),)
"""
ROWS = b"How are you? => Fine.\nAnd her? => Well, thanks.\n"


def ended(api: Caller, reply: Any) -> Any:
    """The job that was asked for, once a worker has run it."""
    assert reply.status == 201, reply.content
    start(make_worker(), queue="pipeline.cpu").join()
    return api.get(f"/v1/pipelines/{reply.json['id']}").json


def test_a_file_in_a_plugins_format_becomes_a_dataset_and_is_evaluated(
    api: Caller, base: BaseModel, tmp_path: Path
) -> None:
    assert api.tenant is not None
    partner = published(tmp_path, name="diary", code=DIARY)
    upload = api.upload(ROWS, "monday.diary", "user_data").json["id"]
    assert api.post("/v1/datasets/import", {"file": upload}).error["code"] == "no_reader"
    enabled(api.tenant.id, "diary")

    done = ended(api, api.post("/v1/datasets/import", {"file": upload}))
    assert (done["status"], done["figures"]) == ("succeeded", {"read.rows": 2}), done
    (made,) = done["result_files"].values()
    file = api.get(f"/v1/files/{made}").json
    assert (file["filename"], file["purpose"]) == ("monday.jsonl", "fine-tune")
    rows = api.get(f"/v1/files/{made}/content").content.splitlines()
    assert json.loads(rows[1]) == {"prompt": "And her?", "completion": "Well, thanks."}
    dataset = api.post("/v1/datasets", {"file": made, "model": BASE}).json
    assert (dataset["status"], dataset["examples"]) == ("valid", 2)
    assert (dataset["made_of"], dataset["made_by"]) == (upload, done["id"])

    (offered,) = api.get("/v1/marketplace/plugins?plugin=diary").json["data"]
    assert [reader["name"] for reader in offered["dataset_readers"]] == ["diary", "old"]
    assert "prepare_dataset" in offered["hooks"]
    asked = {"plugin": "diary", "pipeline": "evaluation/length", "files": [made]}
    asked["units"] = {"rows": 2}
    quote = api.post("/v1/quotes", {"kind": "pipeline", **asked}).json
    assert quote["expected"]["net"] == "1"
    done = ended(api, api.post("/v1/pipelines", {**asked, "quote_id": quote["id"]}))
    assert done["figures"]["length.mean"] == (len("Fine.") + len("Well, thanks.")) / 2
    assert (done["figures"]["length.kind"], done["figures"]["length.method"]) == (
        "evaluation",
        "length",
    )
    assert done["price"]["charge"]["net"] == "1"
    assert standing(partner.id)["pending"] == Decimal("1.4")  # 70% of two runs at 1.00
    with system_scope():
        assert unbalanced() == []


def test_a_method_is_handed_the_model_that_the_caller_names_and_may_show(
    api: Caller, base: BaseModel, tmp_path: Path
) -> None:
    assert api.tenant is not None
    sees = '["data.datasets", "data.models"]'
    partner = published(tmp_path, name="diary", code=DIARY)
    published(tmp_path, partner, name="judge", code=DIARY, permissions=sees)
    for name in ("diary", "judge"):
        enabled(api.tenant.id, name)
    asked = {"plugin": "judge", "pipeline": "evaluation/vocabulary", "model": BASE}
    done = ended(api, api.post("/v1/pipelines", asked))
    config = json.loads((Path(base.path) / "config.json").read_text())
    assert done["figures"] == {"vocabulary.words": config["vocab_size"]}, done

    refused = api.post("/v1/pipelines", {**asked, "plugin": "diary"})
    assert (refused.status, refused.error["code"]) == (400, "permission_missing")
    other = api.post("/v1/pipelines", {**asked, "pipeline": "prepare_dataset", "files": ["file-x"]})
    assert other.status == 404


def test_what_it_cannot_read_or_made_no_dataset_of_is_told(api: Caller, tmp_path: Path) -> None:
    assert api.tenant is not None
    published(tmp_path, name="diary", code=DIARY)
    enabled(api.tenant.id, "diary")
    bad = api.upload(b"no arrow here\n", "bad.diary", "user_data").json["id"]
    done = ended(api, api.post("/v1/datasets/import", {"file": bad}))
    assert (done["status"], done["error"]["code"]) == ("failed", "plugin_refused")
    assert done["error"]["message"] == "read: line 1: no answer after '=>'"

    reply = api.post("/v1/datasets/prepare", {"file": bad, "plugin": "diary"})
    assert reply.status == 201
    start(make_worker(), queue="pipeline.cpu").join()
    with system_scope():
        health = Health.objects.get()
    assert health.failures == {"refused": 1, "contract": 1}
    assert health.last_failure.endswith("line 1 of its result is no JSON object")

    wrong = api.post("/v1/pipelines", {"plugin": "diary", "pipeline": "read_dataset"})
    assert (wrong.status, wrong.error["param"]) == (400, "pipeline")
    both = {"plugin": "diary", "pipeline": "prepare_dataset", "files": [bad, bad]}
    assert "takes one file, not 2" in api.post("/v1/pipelines", both).error["message"]
    other = api.upload(b"x", "notes.txt", "user_data").json["id"]
    refused = api.post("/v1/datasets/import", {"file": other}).error
    assert refused["message"].endswith("they read .diary, .old.diary")


def test_the_built_in_redaction_prepares_a_new_version_of_a_dataset(
    api: Caller, base: BaseModel
) -> None:
    assert api.tenant is not None
    platform = platform_tenant_ensure()
    with system_scope():
        builtins_release(tenant_id=platform.id)
    enabled(api.tenant.id, "redaction")
    row = {"prompt": "Who?", "completion": "Ask ann@example.com."}
    file = api.upload(json.dumps(row).encode() + b"\n", "team.jsonl").json["id"]
    done = ended(api, api.post("/v1/datasets/prepare", {"file": file, "plugin": "redaction"}))
    assert done["status"] == "succeeded", done
    assert done["figures"]["prepare.redacted.email"] == 1
    (made,) = done["result_files"].values()
    clean = json.loads(api.get(f"/v1/files/{made}/content").content)
    assert "ann@example.com" not in clean["completion"]
    dataset = api.post("/v1/datasets", {"file": made, "model": BASE}).json
    assert (dataset["status"], dataset["made_of"]) == ("valid", file)
