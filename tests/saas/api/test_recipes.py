"""Other trainers' files over the API: read into settings that a job takes, the rest listed."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.saas.api.factories import BASE, Caller, chats
from tests.workers.engine.factories import base_folder
from tests.workers.engine.recipes.test_recipe import AXOLOTL, LLAMA_FACTORY
from workers.assets.models import BaseModel

pytestmark = pytest.mark.django_db

RECIPES = "/v1/fine_tuning/recipes"


@pytest.fixture(scope="session")
def base_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose layers hold the ranks that the files ask for."""
    return base_folder(tmp_path_factory.mktemp("catalogue") / "wide", num_key_value_heads=4)


@pytest.mark.parametrize(
    ("text", "trainer", "ignored"),
    [(LLAMA_FACTORY, "llama_factory", "dataset"), (AXOLOTL, "axolotl", "datasets")],
)
def test_a_file_becomes_settings_that_a_job_takes(
    base: BaseModel, api: Caller, text: str, trainer: str, ignored: str
) -> None:
    reply = api.post(RECIPES, {"recipe": text})
    assert reply.status == 200, reply.content
    found = reply.json
    assert (found["object"], found["trainer"]) == ("fine_tuning.recipe", trainer)
    reasons = {each["key"]: each["reason"] for each in found["ignored"]}
    assert "training_file" in reasons[ignored]
    file = api.upload(chats()).json["id"]
    job = {"model": BASE, "training_file": file, "settings": found["settings"] | {"max_length": 96}}
    begun = api.post("/v1/fine_tuning/jobs", job)
    assert begun.status == 200, begun.content


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [", "no YAML"),
        ("learning_rate: 1", "model_name_or_path"),
        ("base_model: a\nrl: orpo", "'orpo' cannot be imported"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_reason(api: Caller, text: str, says: str) -> None:
    reply = api.post(RECIPES, {"recipe": text})
    assert reply.status == 400
    assert reply.json["error"]["code"] == "invalid_recipe"
    assert reply.json["error"]["param"] == "recipe"
    assert says in reply.json["error"]["message"]


def test_a_file_is_asked_for(api: Caller) -> None:
    assert api.post(RECIPES, {}).status == 400
    assert api.post(RECIPES, {"recipe": "x" * 300_000}).status == 400
