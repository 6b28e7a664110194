"""Model versions: immutable, named, with lineage; deleted, restored, purged; downloaded whole."""

from __future__ import annotations

import ast
import datetime as dt
import importlib
import io
import re
import tarfile
from pathlib import Path

import pytest
import yaml
from django.test import override_settings

from tenants.accounts.roles import Role
from tenants.accounts.services import SignedUp
from tenants.kernel.clock import now
from tenants.kernel.errors import Conflict, InvalidInput, NotFound, PermissionDenied
from tenants.kernel.scope import system_scope, tenant_scope
from tests.tenants.accounts.factories import member_make, owner_of, tenant_make
from tests.workers.assets.factories import (
    adapter_folder,
    base_make,
    data_key_of,
    file_make,
    version_make,
)
from tests.workers.assets.test_files import stored_objects
from workers.assets.card import LANGUAGE_MODEL, USES, Card, card_text
from workers.assets.materialise import ObjectAltered, file_to_path, version_to_folder
from workers.assets.models import BaseModel, ModelVersion
from workers.assets.naming import clean_suffix, version_name
from workers.assets.retention import versions_purge
from workers.assets.selectors import (
    model_lineage,
    model_resolve,
    model_version_get,
    models_visible,
    version_archive_chunks,
)
from workers.assets.services import model_version_delete, model_version_restore, version_seal

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("storage_dir")]


@pytest.fixture
def base(tmp_path: Path) -> BaseModel:
    return base_make(tmp_path / "base")


@pytest.fixture
def tenant() -> SignedUp:
    return tenant_make()


@pytest.fixture
def version(tenant: SignedUp, base: BaseModel, tmp_path: Path) -> ModelVersion:
    return version_make(tenant, base, adapter_folder(tmp_path / "adapter"))


def test_a_version_has_its_name_lineage_and_figures(
    tenant: SignedUp, base: BaseModel, version: ModelVersion, tmp_path: Path
) -> None:
    child = version_make(
        tenant,
        base,
        adapter_folder(tmp_path / "second", fill=2),
        job_id="ftjob-00000002",
        parent_id=version.id,
    )
    assert version.name == "ft:tiny:acme:mine:00000001"
    assert (version.licence, version.parameters, version.metrics) == (
        "apache-2.0",
        40,
        {"loss": 1.5},
    )
    assert re.fullmatch(r"\d+\.\d+\.\d+", version.code_version)
    with tenant_scope(tenant.tenant.id):
        assert model_lineage(child) == [version]
        assert model_lineage(version) == []
        assert model_version_get(version.id) == version


def test_an_adapter_and_what_it_is_on_leave_and_return_in_order(
    tenant: SignedUp, base: BaseModel, version: ModelVersion, tmp_path: Path
) -> None:
    carried = version_make(
        tenant, base, adapter_folder(tmp_path / "second", fill=2), job_id="ftjob-00000002"
    )
    with tenant_scope(tenant.tenant.id):
        ModelVersion.objects.filter(pk=carried.pk).update(over=version)
        owner = owner_of(tenant)
        with pytest.raises(Conflict, match=r"is an adapter on .* and needs it") as held:
            model_version_delete(actor=owner, name=version.name)
        assert held.value.code == "model_in_use"
        for each in (carried, version):
            model_version_delete(actor=owner, name=each.name)
        with pytest.raises(Conflict, match="restore that one first"):
            model_version_restore(actor=owner, name=carried.name)
        for each in (version, carried):
            model_version_restore(actor=owner, name=each.name)
        assert model_resolve(carried.name).version == carried


def test_a_name_resolves_to_a_base_or_to_ones_own_version(
    tenant: SignedUp, base: BaseModel, version: ModelVersion
) -> None:
    with tenant_scope(tenant.tenant.id):
        assert model_resolve("tiny").version is None
        found = model_resolve(version.name)
        assert (found.base, found.version) == (base, version)
        assert [model.name for model in models_visible()] == ["tiny", version.name]
        with pytest.raises(NotFound) as refused:
            model_resolve("gpt-none")
    assert (refused.value.param, refused.value.code) == ("model", "model_not_found")


def test_another_tenants_version_is_not_there_even_by_its_exact_name(version: ModelVersion) -> None:
    thief = tenant_make("Thief")
    with tenant_scope(thief.tenant.id):
        for look in (
            lambda: model_resolve(version.name),
            lambda: model_version_get(version.id),
            lambda: model_version_delete(actor=owner_of(thief), name=version.name),
            lambda: model_version_restore(actor=owner_of(thief), name=version.name),
        ):
            with pytest.raises(NotFound):
                look()
        assert [model.name for model in models_visible()] == ["tiny"]


def test_checkpoints_are_named_by_their_step_and_a_step_repeated_is_the_same_version(
    tenant: SignedUp, base: BaseModel, tmp_path: Path
) -> None:
    """After a crash a job comes to the same epoch's end again."""
    folder = adapter_folder(tmp_path / "epoch")
    first = version_make(tenant, base, folder, is_checkpoint=True, step=20)
    before = len(stored_objects())
    again = version_make(tenant, base, folder, is_checkpoint=True, step=20)
    later = version_make(tenant, base, folder, is_checkpoint=True, step=40)

    assert first.name == "ft:tiny:acme:mine:00000001:ckpt-step-20"
    assert again == first != later
    assert len(stored_objects()) == before + 1


def test_a_deletion_hides_at_once_and_may_be_undone(
    tenant: SignedUp, version: ModelVersion
) -> None:
    owner = owner_of(tenant)
    with tenant_scope(tenant.tenant.id):
        model_version_delete(actor=owner, name=version.name)
        with pytest.raises(NotFound):
            model_resolve(version.name)
        with pytest.raises(NotFound):
            model_version_delete(actor=owner, name=version.name)
        assert [model.name for model in models_visible()] == ["tiny"]
        model_version_restore(actor=owner, name=version.name)
        assert model_resolve(version.name).version == version
        model_version_restore(actor=owner, name=version.name)


def test_bytes_are_purged_when_a_deletion_can_no_longer_be_undone(
    tenant: SignedUp, version: ModelVersion
) -> None:
    with tenant_scope(tenant.tenant.id):
        model_version_delete(actor=owner_of(tenant), name=version.name)
    assert versions_purge() == 0
    with system_scope():
        ModelVersion.objects.update(deleted_at=now() - dt.timedelta(days=8))

    assert (versions_purge(), versions_purge()) == (1, 0)
    assert stored_objects() == []
    with tenant_scope(tenant.tenant.id), pytest.raises(Conflict) as refused:
        model_version_restore(actor=owner_of(tenant), name=version.name)
    assert refused.value.code == "model_purged"


def test_base_models_are_not_deleted_and_viewers_delete_nothing(
    tenant: SignedUp, version: ModelVersion
) -> None:
    _, viewer = member_make(tenant, Role.VIEWER)
    with tenant_scope(tenant.tenant.id):
        with pytest.raises(InvalidInput, match="catalogue"):
            model_version_delete(actor=owner_of(tenant), name="tiny")
        with pytest.raises(PermissionDenied):
            model_version_delete(actor=viewer, name=version.name)


def test_a_download_is_the_folder_with_its_card(tenant: SignedUp, version: ModelVersion) -> None:
    """Read by Python's own tar reader."""
    data = b"".join(version_archive_chunks(version, data_key_of(tenant)))
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        names = archive.getnames()
        card = archive.extractfile("README.md").read().decode()  # type: ignore[union-attr]

    assert names == ["README.md", "adapter_config.json", "adapter_model.safetensors"]
    assert 'base_model: "tiny"' in card
    assert 'license: "apache-2.0"' in card


def test_a_version_comes_back_verified(
    tenant: SignedUp, version: ModelVersion, tmp_path: Path
) -> None:
    version_to_folder(version=version, data_key=data_key_of(tenant), into=tmp_path / "out")

    for name in ("adapter_config.json", "adapter_model.safetensors"):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "adapter" / name).read_bytes()
    assert (tmp_path / "out").stat().st_mode & 0o077 == 0


def test_a_folder_swapped_for_another_of_the_same_tenant_is_found(
    tenant: SignedUp, base: BaseModel, version: ModelVersion, tmp_path: Path
) -> None:
    """Both open with the tenant's key; the row's hash tells them apart."""
    other = version_make(
        tenant, base, adapter_folder(tmp_path / "b", fill=9), job_id="ftjob-00000009"
    )
    version.storage_key = other.storage_key

    with pytest.raises(ObjectAltered):
        version_to_folder(version=version, data_key=data_key_of(tenant), into=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_file_comes_back_verified_or_not_at_all(tenant: SignedUp, tmp_path: Path) -> None:
    one, two = file_make(tenant, b'{"text": "1"}'), file_make(tenant, b'{"text": "2"}')
    key = data_key_of(tenant)
    file_to_path(file=one, data_key=key, path=tmp_path / "one.jsonl")
    with pytest.raises(FileExistsError):
        file_to_path(file=one, data_key=key, path=tmp_path / "one.jsonl")
    one.storage_key = two.storage_key
    with pytest.raises(ObjectAltered):
        file_to_path(file=one, data_key=key, path=tmp_path / "two.jsonl")

    assert (tmp_path / "one.jsonl").read_bytes() == b'{"text": "1"}'
    assert (tmp_path / "one.jsonl").stat().st_mode & 0o077 == 0
    assert not (tmp_path / "two.jsonl").exists()


def test_weights_that_may_hold_code_are_never_sealed(tenant: SignedUp, tmp_path: Path) -> None:
    folder = adapter_folder(tmp_path / "a")
    (folder / "training_args.bin").write_bytes(b"\x80\x04.")

    with pytest.raises(InvalidInput):
        version_seal(
            tenant_id=tenant.tenant.id,
            data_key=data_key_of(tenant),
            folder=folder,
            card=Card(name="x", kind="adapter", base_id="tiny", licence="mit", code_version="0"),
        )
    assert stored_objects() == []


@pytest.mark.parametrize(
    ("given", "kept"), [("", ""), (" My-Model.v2 ", "my-model.v2"), ("a" * 40, "a" * 40)]
)
def test_a_suffix_is_kept_in_lower_case(given: str, kept: str) -> None:
    assert clean_suffix(given) == kept


@pytest.mark.parametrize("suffix", ["a" * 41, "a:b", "a/b", "../x", "-a", "ä", "a b", "a\nb"])
def test_a_suffix_that_fits_no_name_is_refused(suffix: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        clean_suffix(suffix)
    assert refused.value.param == "suffix"


def test_the_longest_name_fits_its_column() -> None:
    name = version_name(
        base_id="b" * 48, slug="s" * 30, suffix="x" * 40, source_id="ftjob-" + "0" * 26, step=10**9
    )
    carried = version_name(
        base_id="b" * 48, slug="s" * 30, suffix="x" * 40, source_id="cmp" + "0" * 26, adapter=32
    )
    assert carried.endswith(":adapter-32")
    assert len(carried) <= ModelVersion._meta.get_field("name").max_length  # type: ignore[operator]
    assert len(name) <= ModelVersion._meta.get_field("name").max_length  # type: ignore[operator]


def test_a_card_is_understood_by_the_field() -> None:
    """The front matter, read by a YAML reader, as the Hub does."""
    card = Card(
        name="ft:x",
        kind="adapter",
        base_id="we'ird: base",
        licence="mit",
        code_version="1.2",
        job_id="ftjob-1",
        metrics={"loss": 1.25},
        spec={"epochs": 3},
    )
    _, front, body = card_text(card).split("---\n", 2)

    assert yaml.safe_load(front) == {
        "base_model": "we'ird: base",
        "license": "mit",
        "library_name": "peft",
        "pipeline_tag": "text-generation",
    }
    for part in ("# ft:x", "- Job: ftjob-1", "- loss: 1.25", '"epochs": 3', "PeftModel"):
        assert part in body


@pytest.mark.parametrize("task", [*USES, "text_generation", "preference"])
def test_a_card_says_how_its_tasks_models_are_loaded(task: str) -> None:
    given = {"kind": "full", "base_id": "b", "licence": "mit", "code_version": "1"}
    _, front, body = card_text(Card(name="x", spec={"task": task}, **given)).split("---\n", 2)
    use = USES.get(task, LANGUAGE_MODEL)
    assert yaml.safe_load(front)["library_name"] == use.library
    assert yaml.safe_load(front)["pipeline_tag"] == use.pipeline
    assert use.load in body
    (imports,) = ast.parse(use.imports).body
    assert isinstance(imports, ast.ImportFrom)
    module = importlib.import_module(str(imports.module))
    assert all(hasattr(module, each.name) and each.name in use.load for each in imports.names)


def test_how_long_a_deletion_may_be_undone_is_a_setting(
    tenant: SignedUp, version: ModelVersion
) -> None:
    with tenant_scope(tenant.tenant.id):
        model_version_delete(actor=owner_of(tenant), name=version.name)
    with override_settings(MODEL_RESTORE_S=0):
        assert versions_purge() == 1
