"""What is for GPUs alone goes to them, stays there, and is refused where there are none."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from tenants.accounts.models import Tenant
from tenants.kernel.errors import Conflict, InvalidInput
from tenants.kernel.scope import system_scope, tenant_scope
from tests.workers.engine.factories import completions
from tests.workers.jobs.factories import actor_of, job_row, make_worker
from tests.workers.tasks.cohorts import PROFILE, sharing_tenant
from tests.workers.tasks.factories import (
    BASE_ID,
    start,
    submit_fine_tune,
    upload,
    weights_of,
)
from workers.assets.models import BaseModel, ModelVersion
from workers.engine.profiles import profile_key
from workers.engine.specs import NF4_NOTE
from workers.jobs.models import Job
from workers.jobs.services import job_place, job_quote, job_submit
from workers.jobs.states import Kind, State
from workers.jobs.submissions import checked

pytestmark = pytest.mark.django_db

FOUR_BITS = {"quantise_base": "nf4"}
EIGHT_BITS = {"method": "full", "optimiser": "adamw_8bit"}
GPU = replace(PROFILE, device="cuda:0")


@pytest.fixture
def gpu(tenant: Tenant) -> None:
    """A live GPU worker, on which the base was measured both ways."""
    del tenant  # brings the base
    make_worker(worker_class="gpu")
    found = (GPU, replace(GPU, method="full"), PROFILE)
    with system_scope():
        BaseModel.objects.filter(pk=BASE_ID).update(
            profile={profile_key(p): asdict(p) for p in found}
        )


def spec(tenant: Tenant, device: str = "any", **settings: Any) -> dict[str, Any]:
    file = upload(tenant, completions(24))
    return {"model": BASE_ID, "training_file_id": file, "settings": settings, "device": device}


@pytest.mark.parametrize("asked", [FOUR_BITS, EIGHT_BITS])
@pytest.mark.parametrize("how", [job_submit, job_quote])
def test_without_a_gpu_it_is_refused_at_once(
    tenant: Tenant, asked: dict[str, Any], how: Any
) -> None:
    with tenant_scope(tenant.id), pytest.raises(InvalidInput) as refused:
        how(actor=actor_of(tenant), kind=Kind.FINE_TUNE, spec=spec(tenant, **asked))
    name, value = list(asked.items())[-1]
    assert (refused.value.param, refused.value.code) == (name, "no_gpu_workers")
    assert refused.value.message == (
        f"{name}: {value!r} is for GPU workers, and this platform has none; leave {name} out"
    )
    with system_scope():
        assert not Job.objects.exists()


@pytest.mark.parametrize("asked", [FOUR_BITS, EIGHT_BITS])
def test_with_one_it_goes_there_and_stays(tenant: Tenant, gpu: None, asked: dict[str, Any]) -> None:
    job = submit_fine_tune(tenant, validation=False, **asked)
    assert (job.queue, job.spec["device"]) == ("train.gpu", "gpu")
    with tenant_scope(tenant.id), pytest.raises(Conflict) as refused:
        job_place(actor=actor_of(tenant), job_id=job.id, worker_class="cpu")
    assert refused.value.code == "job_pinned"
    # the same without goes wherever an operator puts it
    plain = {name: value for name, value in asked.items() if name == "method"}
    other = submit_fine_tune(tenant, validation=False, **plain)
    assert "device" not in other.spec
    with tenant_scope(tenant.id):
        job_place(actor=actor_of(tenant), job_id=other.id, worker_class="cpu")
    assert job_row(other.id).queue == "train.cpu"


def test_a_platform_that_names_gpus_queues_before_one_is_up(tenant: Tenant, settings: Any) -> None:
    settings.WORKER_CLASSES = ["cpu", "gpu"]
    assert submit_fine_tune(tenant, validation=False, **FOUR_BITS).queue == "train.gpu"


def test_another_device_is_refused(tenant: Tenant, gpu: None) -> None:
    with tenant_scope(tenant.id), pytest.raises(InvalidInput) as refused:
        job_submit(
            actor=actor_of(tenant), kind=Kind.FINE_TUNE, spec=spec(tenant, "cpu", **FOUR_BITS)
        )
    assert "device asks for 'cpu'; leave one out" in refused.value.message


@pytest.mark.parametrize("asked", [FOUR_BITS, EIGHT_BITS])
def test_it_needs_less_memory_and_its_time_is_less_sure(
    tenant: Tenant, gpu: None, asked: dict[str, Any]
) -> None:
    plain = {name: value for name, value in asked.items() if name == "method"}
    with tenant_scope(tenant.id):
        few, whole = (
            checked(Kind.FINE_TUNE, actor=actor_of(tenant), spec=spec(tenant, "gpu", **each))
            for each in (asked, plain)
        )
    assert few.needs.memory_bytes < whole.needs.memory_bytes
    assert few.seconds is not None
    assert whole.seconds is not None
    low, middle, high = few.seconds
    assert low < whole.seconds[0]
    assert middle == whole.seconds[1]
    assert high > whole.seconds[2]


def test_only_who_holds_the_base_alike_shares_passes(tenant: Tenant, gpu: None) -> None:
    keys = {
        name: {
            submit_fine_tune(sharing_tenant(), validation=False, **each).cohort_key for _ in "ab"
        }
        for name, each in (("whole", {}), ("four bits", FOUR_BITS))
    }
    assert [len(found) for found in keys.values()] == [1, 1]
    assert keys["whole"] != keys["four bits"]
    assert all(key for found in keys.values() for key in found)


def test_a_worker_trains_it_and_says_so_on_the_models_card(
    tenant: Tenant, gpu: None, tmp_path: Path
) -> None:
    """The engine computes on any device: here, where a worker's queue is a GPU's, on the CPU."""
    job = submit_fine_tune(tenant, validation=False, **FOUR_BITS)
    start(make_worker(worker_class="gpu"), queue="train.gpu").join()
    assert job_row(job.id).state == State.SUCCEEDED, job_row(job.id).error
    result = job_row(job.id).result
    assert result is not None
    with system_scope():
        version = ModelVersion.objects.get(pk=result["model_version_id"])
    assert version.kind == ModelVersion.Kind.ADAPTER
    assert version.spec["quantise_base"] == "nf4"
    assert weights_of(version.id, tmp_path / "stored")
    card = (tmp_path / "stored" / "README.md").read_text()
    assert NF4_NOTE in card
