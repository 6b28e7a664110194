"""Fine-tuning jobs, models, usage through the real client, up to the queue.

What workers do with a job is shown by the demo's tests, which run the whole system.
"""

from __future__ import annotations

import time

import openai
import pytest
from openai import OpenAI
from openai.types.admin.organization import UsageCompletionsResponse

from tests.journeys.checked import checked
from tests.saas.api.factories import BASE, Caller, chats, usage_make, version_make
from workers.assets.models import BaseModel

pytestmark = pytest.mark.django_db


@pytest.fixture
def file_id(client: OpenAI, base: BaseModel) -> str:
    made = client.files.create(file=("train.jsonl", chats(30)), purpose="fine-tune")
    return str(made.id)


def test_a_job_is_created_with_the_method_form(client: OpenAI, file_id: str) -> None:
    job = checked(
        client.fine_tuning.jobs.create(
            model=BASE,
            training_file=file_id,
            validation_file=file_id,
            suffix="support",
            seed=7,
            metadata={"team": "docs"},
            method={
                "type": "supervised",
                "supervised": {"hyperparameters": {"n_epochs": 2, "batch_size": "auto"}},
            },
        )
    )

    assert job.status == "queued"
    assert job.hyperparameters.n_epochs == 2
    assert isinstance(job.hyperparameters.batch_size, int)
    assert job.method is not None
    assert job.method.type == "supervised"
    assert (job.seed, job.metadata, job.validation_file) == (7, {"team": "docs"}, file_id)
    assert job.error is None
    assert checked(client.fine_tuning.jobs.retrieve(job.id)).id == job.id


def test_a_job_is_created_with_the_older_form(client: OpenAI, file_id: str) -> None:
    job = checked(
        client.fine_tuning.jobs.create(
            model=BASE, training_file=file_id, hyperparameters={"n_epochs": 3}
        )
    )

    assert job.hyperparameters.n_epochs == 3


def test_jobs_are_listed_by_page_and_label(client: OpenAI, file_id: str) -> None:
    made = [
        client.fine_tuning.jobs.create(
            model=BASE, training_file=file_id, metadata={"n": str(number)}
        ).id
        for number in range(3)
    ]

    assert [checked(job).id for job in client.fine_tuning.jobs.list(limit=2)] == made[::-1]
    assert [job.id for job in client.fine_tuning.jobs.list(metadata={"n": "1"})] == [made[1]]


def test_a_job_is_paused_resumed_and_cancelled(client: OpenAI, file_id: str) -> None:
    job = client.fine_tuning.jobs.create(model=BASE, training_file=file_id)

    paused = checked(client.fine_tuning.jobs.pause(job.id))
    resumed = checked(client.fine_tuning.jobs.resume(job.id))
    cancelled = checked(client.fine_tuning.jobs.cancel(job.id))

    assert paused.to_dict()["state"] == "paused"
    assert resumed.status == "queued"
    assert cancelled.status == "cancelled"
    assert cancelled.finished_at is not None
    with pytest.raises(openai.ConflictError):
        client.fine_tuning.jobs.resume(job.id)


def test_a_job_tells_its_story(client: OpenAI, file_id: str) -> None:
    job = client.fine_tuning.jobs.create(model=BASE, training_file=file_id)
    client.fine_tuning.jobs.cancel(job.id)

    events = list(client.fine_tuning.jobs.list_events(job.id, limit=1))

    for event in events:
        checked(event)
    assert len(events) >= 2
    assert events[0].created_at >= events[-1].created_at
    assert list(client.fine_tuning.jobs.checkpoints.list(job.id)) == []


def test_models_are_listed_retrieved_and_deleted(
    client: OpenAI, owner: Caller, base: BaseModel
) -> None:
    version = version_make(owner)

    models = {model.id: checked(model) for model in client.models.list()}
    assert set(models) == {BASE, version.name}
    assert models[BASE].owned_by == "breakwater"
    assert checked(client.models.retrieve(version.name)).id == version.name

    assert checked(client.models.delete(version.name)).deleted
    with pytest.raises(openai.NotFoundError) as raised:
        client.models.retrieve(version.name)
    assert raised.value.code == "model_not_found"
    with pytest.raises(openai.PermissionDeniedError):
        client.models.delete(BASE)


def test_usage_and_costs_are_told_in_buckets(
    client: OpenAI, owner: Caller, base: BaseModel
) -> None:
    usage_make(owner, 7)
    usage_make(owner, 5, meter="tokens.output")
    since = int(time.time()) - 3600

    page = checked(
        client.admin.organization.usage.completions(
            start_time=since, bucket_width="1h", group_by=["model"], models=[BASE]
        )
    )
    results = [result for bucket in page.data for result in bucket.results]
    assert isinstance(page, UsageCompletionsResponse)
    assert [(r.input_tokens, r.output_tokens, r.model) for r in results] == [(7, 5, BASE)]  # type: ignore[union-attr]

    for kind in ("embeddings", "moderations", "images", "vector_stores"):
        checked(getattr(client.admin.organization.usage, kind)(start_time=since))
    costs = checked(client.admin.organization.usage.costs(start_time=since - 86400))
    assert costs.object == "page"


def test_errors_are_the_clients_own(client: OpenAI, base: BaseModel, web_url: str) -> None:
    wrong = OpenAI(base_url=f"{web_url}/v1", api_key="bw-wrong", max_retries=0)
    with pytest.raises(openai.AuthenticationError):
        wrong.models.list()
    with pytest.raises(openai.BadRequestError) as raised:
        client.fine_tuning.jobs.list(limit=1000)
    assert raised.value.param == "limit"
    with pytest.raises(openai.NotFoundError):
        client.fine_tuning.jobs.retrieve("ftjob-none")


def test_a_retry_of_the_client_does_the_work_once(client: OpenAI, file_id: str) -> None:
    """The client sends its attempts' number; the second attempt gets the first one's answer."""
    job = {"model": BASE, "training_file": file_id}
    first = client.fine_tuning.jobs.create(**job)  # type: ignore[arg-type]
    again = client.fine_tuning.jobs.create(
        **job,
        extra_headers={"x-stainless-retry-count": "1"},  # type: ignore[arg-type]
    )

    assert again.id == first.id
    assert len(client.fine_tuning.jobs.list().data) == 1
