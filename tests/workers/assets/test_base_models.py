"""The catalogue: safe folders only, the same bytes for ever under one name."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import asdict
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import ProgrammingError

from tenants.accounts.models import AuditEntry
from tenants.accounts.services import platform_tenant_ensure
from tenants.kernel.errors import Conflict, InvalidInput, NotFound, Unavailable
from tenants.kernel.scope import system_scope, tenant_scope
from tests.tenants.accounts.factories import tenant_make
from tests.workers.assets.factories import adapter_folder, base_make, model_folder, version_make
from tests.workers.engine.factories import base_folder
from workers.assets import local_bases
from workers.assets.local_bases import (
    AUDIO_MODEL,
    EMBEDDING_MODEL,
    IMAGE_MODEL,
    LANGUAGE_MODEL,
    TABULAR_MODEL,
    base_models_ensure,
    embedding_model_folder,
    language_model_build,
)
from workers.assets.models import BaseModel
from workers.assets.services import (
    base_model_measure,
    base_model_measure_next,
    base_model_register,
    base_model_verify,
    base_models,
)
from workers.assets.services.base_models import BaseModelDamaged
from workers.engine.base.images import image_base_build
from workers.engine.base.recordings import audio_base_build
from workers.engine.base.tables import tabular_base_build
from workers.engine.profiles import Profile, profile_key, profiles_read

BASES = [LANGUAGE_MODEL, EMBEDDING_MODEL, TABULAR_MODEL, IMAGE_MODEL, AUDIO_MODEL]

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("storage_dir")]


def test_a_folder_is_described_by_its_own_files(tmp_path: Path) -> None:
    base = base_make(tmp_path / "m", licence="mit", description="tiny")

    assert (base.family, base.context_length, base.licence) == ("llama", 64, "mit")
    assert base.parameters == 30 * 10 + 10
    assert base.bytes == sum(p.stat().st_size for p in (tmp_path / "m").iterdir())
    assert base_model_verify(model_id="tiny") == base


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("pytorch_model.bin", pickle.dumps({})),
        ("weights.pt", b"x"),
        ("model.ckpt", b"x"),
        ("modeling_custom.py", b"import os"),
        ("deep/optimizer.pkl", b"x"),
    ],
)
def test_a_folder_that_may_hold_code_is_refused(name: str, content: bytes, tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "m")
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)

    with pytest.raises(InvalidInput) as refused:
        register(folder)
    assert refused.value.code == "unsafe_model_file"


def test_links_are_refused(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "m")
    (folder / "passwords.txt").symlink_to("/etc/passwd")

    with pytest.raises(InvalidInput, match="link"):
        register(folder)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("config.json", None, "config.json"),
        ("config.json", b"{", "config.json"),
        ("config.json", b"[]", "model_type"),
        ("config.json", b'{"model_type": "llama"}', "max_position_embeddings"),
        ("model.safetensors", None, "safetensors"),
        ("model.safetensors", b"\xff" * 100, "damaged"),
        ("model.safetensors", pickle.dumps({}), "damaged"),
    ],
)
def test_a_folder_that_is_no_model_is_refused(
    name: str, content: bytes | None, said: str, tmp_path: Path
) -> None:
    folder = model_folder(tmp_path / "m")
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)

    with pytest.raises(InvalidInput, match=said):
        register(folder)
    with system_scope():
        assert not BaseModel.objects.exists()


@pytest.mark.parametrize("model_id", ["", "a" * 49, "ft:looks:like:a:version"])
def test_a_name_is_one(model_id: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput):
        register(model_folder(tmp_path / "m"), model_id)


def test_registering_again_changes_nothing_and_a_moved_folder_only_its_place(
    tmp_path: Path,
) -> None:
    first = base_make(tmp_path / "m")
    register(tmp_path / "m")
    with system_scope():
        assert AuditEntry.objects.filter(action="base_model.register").count() == 1
    (tmp_path / "m").rename(tmp_path / "moved")
    moved = register(tmp_path / "moved")

    assert (moved.sha256, moved.path) == (first.sha256, str(tmp_path / "moved"))


def test_other_bytes_never_take_the_name_of_a_base_that_models_were_made_from(
    tmp_path: Path,
) -> None:
    base = base_make(tmp_path / "one")
    two = model_folder(tmp_path / "two", seed=2)
    register(two)  # nobody used it yet
    version_make(tenant_make(), base, adapter_folder(tmp_path / "adapter"))

    with pytest.raises(Conflict, match="new name"):
        register(model_folder(tmp_path / "three", seed=3))
    base_model_verify(model_id="tiny")


def test_damage_is_found(tmp_path: Path) -> None:
    base_make(tmp_path / "m")
    (tmp_path / "m" / "config.json").write_text("{}")
    with pytest.raises(BaseModelDamaged, match="altered"):
        base_model_verify(model_id="tiny")
    (tmp_path / "m").rename(tmp_path / "gone")
    with pytest.raises(BaseModelDamaged, match="gone"):
        base_model_verify(model_id="tiny")
    with pytest.raises(NotFound):
        base_model_verify(model_id="unknown")


def test_tenants_read_the_catalogue_and_never_write_it(tmp_path: Path) -> None:
    base_make(tmp_path / "m")
    tenant = tenant_make()
    with tenant_scope(tenant.tenant.id):
        assert BaseModel.objects.count() == 1
    with pytest.raises(ProgrammingError, match="permission denied"), tenant_scope(tenant.tenant.id):
        BaseModel.objects.update(licence="mine")


def test_the_operators_commands(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "m")

    def run(*words: str) -> str:
        out = StringIO()
        call_command("base_model", *words, stdout=out)
        return out.getvalue()

    assert run("list") == ""
    assert run("add", str(folder), "--id", "mine", "--licence", "mit").startswith("mine  text_gen")
    assert "310 parameters" in run("list")
    assert run("verify") == run("verify", "mine") == "mine: whole\n"
    (folder / "config.json").write_text("{}")
    with pytest.raises(CommandError, match="altered"):
        run("verify")
    with pytest.raises(CommandError, match="no folder"):
        run("add", str(tmp_path / "nowhere"), "--id", "x", "--licence", "mit")


def test_the_embedding_model_comes_with_its_package() -> None:
    folder = embedding_model_folder()

    config = json.loads((folder / "config.json").read_text())
    assert (config["model_type"], config["hidden_size"]) == ("bert", 384)


class TestTheLocalLanguageModel:
    """The real build takes a minute and is a demo's part; here a quick one stands in its place."""

    @pytest.fixture
    def builds(self, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
        built: list[Path] = []

        def build(target: Path, progress: object) -> None:
            built.append(model_folder(target))

        monkeypatch.setattr(local_bases, "_run_build", build)
        return built

    def test_it_is_built_once_and_then_taken_from_the_cache(
        self, builds: list[Path], tmp_path: Path
    ) -> None:
        said: list[object] = []
        for _ in range(3):
            language_model_build(tmp_path / "cache", said.append)

        assert len(builds) == 1
        assert [line["event"] for line in said] == ["cached", "cached"]  # type: ignore[index]

    @pytest.mark.parametrize("damage", ["altered", "torn", "half built"])
    def test_a_cache_that_is_not_whole_is_built_anew(
        self, damage: str, builds: list[Path], tmp_path: Path
    ) -> None:
        folder = language_model_build(tmp_path / "cache", print)
        if damage == "altered":
            (folder / "config.json").write_text("{}")
        if damage == "torn":
            (folder / "model.safetensors").unlink()
        if damage == "half built":
            (folder.parent / f".{folder.name}.sha256").unlink()
        language_model_build(tmp_path / "cache", print)

        assert len(builds) == 2
        assert "llama" in (folder / "config.json").read_text()

    def test_all_are_registered_and_twice_is_once(self, builds: list[Path]) -> None:
        platform_tenant_ensure()
        first = base_models_ensure(lambda line: None)
        again = base_models_ensure(lambda line: None)

        assert [base.id for base in first] == BASES
        assert first == again
        assert first[1].kind == BaseModel.Kind.EMBEDDING
        assert len(builds) == 1


def test_a_base_is_measured_in_a_process_of_its_own(tmp_path: Path) -> None:
    platform_tenant_ensure()
    folder = base_folder(tmp_path / "writer", "llama")
    base_model_register(path=folder, model_id="writer", kind="text_generation", licence="mit")

    out = StringIO()
    call_command("base_model", "measure", "writer", stdout=out)

    with system_scope():
        profiles = profiles_read(BaseModel.objects.get(pk="writer").profile)
        assert AuditEntry.objects.filter(action="base_model.measure", target="writer").exists()
    assert set(profiles) == {
        ("cpu", "text_generation", "lora"),
        ("cpu", "text_generation", "full"),
        ("cpu", "preference", "lora"),
        ("cpu", "preference", "full"),
        ("cpu", "text_classification", "full"),
    }
    for profile in profiles.values():
        assert profile.flops > 0
        assert profile.load_s > 0.1  # the process came up
    assert "GFLOP/s on one CPU thread" in out.getvalue()


def test_other_bytes_under_the_name_are_not_measured_yet(tmp_path: Path) -> None:
    fields = {"model_id": "tiny", "kind": "text_generation", "licence": "apache-2.0"}
    row = base_make(tmp_path / "one")
    with system_scope():
        BaseModel.objects.update(profile={"flops": 1.0})
    assert base_model_register(path=Path(row.path), **fields).profile == {"flops": 1.0}
    other = model_folder(tmp_path / "other", seed=2)
    assert base_model_register(path=other, **fields).profile == {}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "build", "task"),
    [
        ("tabular", tabular_base_build, "tabular"),
        ("image", image_base_build, "image_classification"),
        ("audio", audio_base_build, "audio_classification"),
    ],
)
def test_what_writes_no_text_is_measured_for_its_own_task(
    tmp_path: Path, kind: str, build: Callable[[Path], Path], task: str
) -> None:
    platform_tenant_ensure()
    base_model_register(path=build(tmp_path / "b"), model_id="b", kind=kind, licence="mit")
    found = profiles_read(base_model_measure(model_id="b").profile)
    assert set(found) == {("cpu", task, "full")}
    assert found["cpu", task, "full"].read_s > 0


def test_a_base_whose_tokenizer_went_is_measured_for_what_needs_none(tmp_path: Path) -> None:
    platform_tenant_ensure()
    folder = base_folder(tmp_path / "b", "llama")
    base_model_register(path=folder, model_id="b", kind="text_generation", licence="mit")
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (folder / name).unlink()
    found = profiles_read(base_model_measure(model_id="b").profile)
    assert {task for _, task, _ in found} == {"text_generation"}


@pytest.mark.slow
def test_what_a_base_lacks_is_measured_later_and_the_rest_kept(tmp_path: Path) -> None:
    platform_tenant_ensure()
    folder = base_folder(tmp_path / "writer", "llama")
    base_model_register(path=folder, model_id="writer", kind="text_generation", licence="mit")
    first = base_model_measure(model_id="writer", tasks=("text_generation",)).profile

    assert base_model_measure_next() is not None  # one task at a time
    measured = base_model_measure_next()

    assert measured is not None
    assert {task for _, task, _ in profiles_read(measured.profile)} == {
        "text_generation", "preference", "text_classification",
    }  # fmt: skip
    assert first.items() <= measured.profile.items()
    assert base_model_measure_next() is None


def test_what_this_machine_could_not_hold_is_left_to_operators(tmp_path: Path) -> None:
    platform_tenant_ensure()
    folder = base_folder(tmp_path / "b", "llama")
    base_model_register(path=folder, model_id="b", kind="text_generation", licence="mit")
    with system_scope():
        BaseModel.objects.update(parameters=10**15)
    assert base_model_measure_next() is None


def test_of_two_measurements_at_once_both_are_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    platform_tenant_ensure()
    base_make(tmp_path / "m")

    def beside(*_: str, hear: Callable[[dict[str, Any]], None], failure: str) -> None:
        hear(asdict(profile_of("preference")))
        with system_scope():  # another measurement ends meanwhile
            other = profile_of("text_classification")
            BaseModel.objects.update(profile={profile_key(other): asdict(other)})

    monkeypatch.setattr(base_models, "engine_run", beside)
    found = profiles_read(base_model_measure(model_id="tiny", tasks=("preference",)).profile)
    assert {task for _, task, _ in found} == {"text_classification", "preference"}


def profile_of(task: str) -> Profile:
    return Profile(
        "cpu", "float32", 1, flops=1e9, update_s=0.1, pack_s=0.1, load_s=2, spread=0.1,
        task=task, method="full",
    )  # fmt: skip


def test_what_cannot_be_measured_says_why(tmp_path: Path) -> None:
    base_make(tmp_path / "m", kind="embedding")  # no encoder
    with pytest.raises(Unavailable, match="could not be measured"):
        base_model_measure(model_id="tiny")
    with pytest.raises(NotFound):
        base_model_measure(model_id="none")


def test_a_build_that_fails_says_why_and_leaves_nothing_to_trust(tmp_path: Path) -> None:
    """The real child process, where it cannot write."""
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / LANGUAGE_MODEL).write_text("a file stands where the folder should be")
    target = cache / LANGUAGE_MODEL / "below a file"

    with pytest.raises(Unavailable, match="could not be built"):
        local_bases._run_build(target, print)


def register(folder: Path, model_id: str = "tiny") -> BaseModel:
    platform_tenant_ensure()
    return base_model_register(
        path=folder, model_id=model_id, kind="text_generation", licence="apache-2.0"
    )
