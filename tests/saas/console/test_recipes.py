"""Another trainer's recipe at the console: it fills the form, and says what was left out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from saas.console.recipe_words import CARRIED, LORA, REASONS
from tenants.kernel.scope import tenant_scope
from tests.saas.api.factories import chats
from tests.saas.console.factories import Person
from tests.workers.engine.factories import base_folder
from tests.workers.engine.recipes.test_recipe import AXOLOTL, LLAMA_FACTORY, QLORA
from tests.workers.jobs.factories import make_worker
from workers.assets.models import BaseModel
from workers.assets.services import file_create
from workers.engine.recipes import axolotl, llama_factory
from workers.engine.recipes.recipe import (
    ALWAYS_NF4,
    EXACT_MOMENTS,
    NEVER_PAGED,
    NOT_IN_8,
    WHOLE_BASE,
    recipe_read,
)
from workers.engine.specs import FineTuneSpec
from workers.jobs.models import Job

pytestmark = pytest.mark.django_db

IMPORT, START = "/console/jobs/job/start/recipe/", "/console/jobs/job/start/"
DPO = "base_model: tiny-1\nrl: dpo\nrl_beta: 0.3\nadapter: lora\n"


@pytest.fixture(scope="session")
def base_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose layers hold the ranks that the recipes ask for."""
    return base_folder(tmp_path_factory.mktemp("catalogue") / "wide", num_key_value_heads=4)


def upload(owner: Person, content: bytes) -> str:
    with tenant_scope(owner.tenant.id):
        file = file_create(
            actor=owner.actor, filename="d.jsonl", purpose="fine-tune", chunks=[content]
        )
    return str(file.pk)


def sent_from(page: Any, **changes: Any) -> dict[str, Any]:
    """What a browser sends of a form as it was shown, with some fields changed."""
    form = page.context["form"]
    shown = {name: form[name].value() for name in form.fields}
    return {name: value for name, value in (shown | changes).items() if value is not None}


@pytest.mark.parametrize("text", [LLAMA_FACTORY, AXOLOTL], ids=["llama_factory", "axolotl"])
@pytest.mark.parametrize("as_file", [False, True])
def test_a_recipe_becomes_the_job_that_its_settings_ask_for(
    owner: Person, base: BaseModel, text: str, as_file: bool
) -> None:
    # given a recipe that names no model of ours
    assert IMPORT in owner.get(START).content.decode()
    given: dict[str, Any] = (
        {"file": SimpleUploadedFile("r.yaml", text.encode())} if as_file else {"text": text}
    )
    filled = owner.post(IMPORT, **given)

    # then the form is filled, and each setting that was left out stands there with its reason
    recipe, page = recipe_read(text), filled.content.decode()
    for each in recipe.ignored:
        assert f"<code>{each.key}</code>" in page
    assert "choose it as training data" in page
    assert recipe.base in page
    assert filled.context["form"]["n_epochs"].value() == recipe.settings.epochs

    # and what is quoted and begun from it is what the recipe says
    sent = sent_from(filled, model=base.pk, training_file=upload(owner, chats(30)))
    quoted = owner.post(START, **sent)
    assert 'id="recipe-ignored"' in quoted.content.decode()
    started = owner.post(START, **sent_from(quoted), quote_id=quoted.context["quote"]["id"])
    assert started.status_code == 302, started.content
    with tenant_scope(owner.tenant.id):
        made = Job.objects.get().spec["settings"]
    assert FineTuneSpec.from_dict(made) == recipe.settings


def test_what_a_person_changes_holds_over_the_recipe(owner: Person, base: BaseModel) -> None:
    filled = owner.post(IMPORT, text=LLAMA_FACTORY)
    assert "learning_rate_multiplier" not in filled.context["form"].fields
    sent = sent_from(
        filled, model=base.pk, training_file=upload(owner, chats(30)), n_epochs=7, batch_size=""
    )
    quoted = owner.post(START, **sent)
    owner.post(START, **sent, quote_id=quoted.context["quote"]["id"])
    with tenant_scope(owner.tenant.id):
        job = Job.objects.get()
    assert job.spec["settings"]["epochs"] == 7
    assert job.spec["requested_hyperparameters"]["batch_size"] == "auto"
    assert (job.spec["settings"]["learning_rate"], job.spec["settings"]["seed"]) == (1e-4, 42)


@pytest.mark.parametrize(
    ("recipe", "method"),
    [
        ("base_model: tiny-1\noptimizer: adamw_bnb_8bit\n", "lora"),
        ("base_model: tiny-1\nadapter: qlora\n", ""),
        ("base_model: tiny-1\nadapter: qlora\n", "full"),
    ],
)
def test_few_bits_of_a_recipe_go_with_its_method(
    owner: Person, base: BaseModel, recipe: str, method: str
) -> None:
    """The form has no field to take them back by itself."""
    filled = owner.post(IMPORT, text=recipe)
    sent = sent_from(filled, model=base.pk, training_file=upload(owner, chats(30)), method=method)
    quoted = owner.post(START, **sent)
    started = owner.post(START, **sent_from(quoted), quote_id=quoted.context["quote"]["id"])
    assert started.status_code == 302, started.content
    with tenant_scope(owner.tenant.id):
        made = Job.objects.get().spec["settings"]
    assert (made["quantise_base"], made["optimiser"]) == ("none", "adamw")
    assert made["method"] == (method or "lora")


def test_a_recipe_leads_to_its_task_and_its_model(owner: Person, base: BaseModel) -> None:
    filled = owner.post(IMPORT, text=DPO.replace("tiny-1", f"Somebody/{base.pk.upper()}"))
    assert filled.context["task"] == "preference"
    form = filled.context["form"]
    assert (form["beta"].value(), form["method"].value()) == (0.3, "lora")
    assert form["model"].value() == base.pk


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        ({}, "Choose a file, or paste its text."),
        ({"text": "a: ["}, "the file is no YAML"),
        ({"text": "learning_rate: 1"}, "this is no file of LLaMA-Factory"),
        ({"text": "base_model: a\nrl: orpo"}, "&#x27;orpo&#x27; cannot be imported"),
        ({"text": "base_model: a\nnum_epochs: many"}, "give a number"),
        ({"file": b"base_model: \xff"}, "The file is no UTF-8 text."),
        ({"file": b"#" * 1_100_000}, "The file is too large to be a recipe."),
        ({"file": b""}, "The submitted file is empty."),
    ],
)
def test_what_is_no_recipe_is_told_and_kept(
    owner: Person, base: BaseModel, sent: dict[str, Any], says: str
) -> None:
    if "file" in sent:
        sent = {"file": SimpleUploadedFile("r.yaml", sent["file"])}
    page = owner.post(IMPORT, **sent)
    assert page.status_code == 200
    assert says in page.content.decode()
    if "text" in sent:
        assert page.context["form"]["text"].value() == sent["text"]


def test_a_recipe_that_was_tampered_with_starts_nothing(owner: Person, base: BaseModel) -> None:
    sent = {"model": base.pk, "training_file": upload(owner, chats(30)), "recipe_text": "a: ["}
    page = owner.post(START, **sent)
    assert "the file is no YAML" in page.content.decode()
    with tenant_scope(owner.tenant.id):
        assert not Job.objects.exists()


def test_the_page_stands_in_chinese(owner: Person, base: BaseModel) -> None:
    owner.post("/i18n/setlang/", language="zh-hans", next=START)
    assert "导入训练配方" in owner.get(IMPORT).content.decode()
    page = owner.post(IMPORT, text=LLAMA_FACTORY).content.decode()
    assert "来自 LLaMA-Factory 的训练配方" in page
    assert "此处没有这项设置。" in page


def test_every_reason_that_is_given_has_words_of_its_own() -> None:
    """Files that say everything we know of each trainer."""
    for known, start in (
        (llama_factory.KNOWN, {"model_name_or_path": "a", "optim": "adamw_8bit"}),
        (
            axolotl.KNOWN,
            {"base_model": "a", "adapter": "lora", "optimizer": "paged_adamw_8bit"},
        ),
    ):
        given = dict.fromkeys(known, "x") | start | {"warmup_steps": 1, "other": 1}
        reasons = {each.reason for each in recipe_read(json.dumps(given)).ignored}
        assert len(reasons) >= len(set(known.values())) + 3
        assert reasons <= set(REASONS)
    assert {ALWAYS_NF4, EXACT_MOMENTS, NEVER_PAGED, NOT_IN_8, WHOLE_BASE} <= set(REASONS)


@pytest.mark.parametrize(("chosen", "held"), [(None, "nf4"), ("lora", "none")])
def test_a_base_in_four_bits_is_a_method_that_a_person_may_change(
    owner: Person, base: BaseModel, chosen: str | None, held: str
) -> None:
    make_worker(worker_class="gpu")
    filled = owner.post(IMPORT, text=QLORA)
    assert filled.context["form"]["method"].value() == "qlora"
    changes = {"method": chosen} if chosen else {}
    sent = sent_from(filled, model=base.pk, training_file=upload(owner, chats(30)), **changes)
    quoted = owner.post(START, **sent)
    started = owner.post(START, **sent_from(quoted), quote_id=quoted.context["quote"]["id"])
    assert started.status_code == 302, started.content
    with tenant_scope(owner.tenant.id):
        made = Job.objects.get()
    assert made.spec["settings"]["method"] == "lora"
    assert made.spec["settings"]["quantise_base"] == held
    assert made.spec.get("device") == ("gpu" if held == "nf4" else None)


def test_without_gpus_the_page_says_so_and_what_to_do(owner: Person, base: BaseModel) -> None:
    filled = owner.post(IMPORT, text=QLORA)
    sent = sent_from(filled, model=base.pk, training_file=upload(owner, chats(30)))
    refused = owner.post(START, **sent)
    assert "this platform has none" in refused.content.decode()
    with tenant_scope(owner.tenant.id):
        assert not Job.objects.exists()


def test_every_setting_that_a_recipe_may_change_is_shown_or_filled_in() -> None:
    """Two files with nothing at its default: what differs from ours has a name on the page."""
    unusual = {
        "warmup_ratio": 0.2, "weight_decay": 0.1, "max_grad_norm": 0.5, "adam_beta1": 0.8,
        "adam_beta2": 0.9, "seed": 9, "gradient_checkpointing": True, "learning_rate": 3e-4,
    }  # fmt: skip
    lora = {"lora_rank": 3, "lora_alpha": 5, "lora_dropout": 0.1, "lora_target": "q_proj"}
    flags = {
        "use_rslora": True, "use_dora": True, "stage": "dpo", "pref_beta": 0.3,
        "quantization_bit": 4,
    }  # fmt: skip
    first = {"model_name_or_path": "a", "optim": "sgd", "lr_scheduler_type": "constant"}
    second = {"base_model": "a", "early_stopping_patience": 2, "sequence_len": 77}
    ours, filled = FineTuneSpec().to_dict(), {"task", "method", "epochs", "batch_size", "seed"}
    for given in (first | unusual | lora | flags, second | unusual):
        theirs = recipe_read(json.dumps(given)).settings.to_dict()
        changed = {name for name in ours if theirs[name] != ours[name]}
        assert changed <= set(CARRIED) | filled | {"preference"}, changed
    assert set(LORA) == set(ours["lora"])
