"""The main job on the whole system: upload, fine-tune, call, count, pause, leave with the model.

Everything runs here: supervisor, PostgreSQL, Redis, relay, scheduler, workers, a serving replica.
"""

from __future__ import annotations

import io
import json
import os
import tarfile
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI
from openai.types.fine_tuning import FineTuningJob

from tests.journeys.checked import checked
from tests.servers import System

pytestmark = [pytest.mark.demo, pytest.mark.timeout(600)]

BASE = "breakwater-mini-1"
EMBEDDING = "all-minilm-l6-v2"
LIMIT_S = 240.0


def rows(count: int) -> bytes:
    """Questions with a rule that a small model learns within a few passes."""
    colours = ("red", "green", "blue", "black", "white")
    lines = (
        json.dumps(
            {
                "messages": [
                    {"role": "user", "content": f"Colour number {n}?"},
                    {"role": "assistant", "content": f"It is {colours[n % 5]}."},
                ]
            }
        )
        for n in range(count)
    )
    return "\n".join(lines).encode()


class Newcomer:
    """An organisation that has just signed up over HTTP."""

    def __init__(self, base_url: str, name: str) -> None:
        body = {
            "organisation": name,
            "email": f"{name.lower()}-{time.time_ns()}@example.com",
            "password": "correct horse 9",
        }
        made = httpx.post(f"{base_url}/v1/sign_up", json=body, timeout=30).raise_for_status().json()
        self.tenant_id: str = made["tenant"]["id"]
        self.key: str = made["api_key"]["secret"]
        self.openai = OpenAI(
            base_url=f"{base_url}/v1", api_key=self.key, admin_api_key=self.key, timeout=120
        )
        self.http = httpx.Client(
            base_url=base_url, headers={"Authorization": f"Bearer {self.key}"}, timeout=120
        )

    def train(self, *, examples: int = 60, **changes: Any) -> FineTuningJob:
        file = self.openai.files.create(file=("t.jsonl", rows(examples)), purpose="fine-tune")
        held_out = self.openai.files.create(file=("v.jsonl", rows(20)), purpose="fine-tune")
        return checked(
            self.openai.fine_tuning.jobs.create(
                model=BASE,
                training_file=file.id,
                validation_file=held_out.id,
                suffix="colours",
                method={"type": "supervised", "supervised": {"hyperparameters": changes}},
            )
        )

    def job(self, job_id: str) -> FineTuningJob:
        return checked(self.openai.fine_tuning.jobs.retrieve(job_id))


def until(what: str, ask: Callable[[], Any], limit_s: float = LIMIT_S) -> Any:
    """Ask again and again until the answer is true; fail the test past the limit."""
    deadline = time.monotonic() + limit_s
    while not (answer := ask()):
        assert time.monotonic() < deadline, f"{what}: not within {limit_s:.0f} s"
        time.sleep(0.3)
    return answer


def ended(who: Newcomer, job_id: str) -> FineTuningJob:
    def ask() -> FineTuningJob | None:
        job = who.job(job_id)
        return job if job.status in {"succeeded", "failed", "cancelled"} else None

    job: FineTuningJob = until(f"{job_id} ends", ask)
    return job


@pytest.fixture(scope="module")
def customer(system: System) -> Newcomer:
    system.manage("base_model", "build")  # at once, where they are there already
    return Newcomer(system.base_url, "Customer")


@pytest.fixture(scope="module")
def job(customer: Newcomer) -> FineTuningJob:
    """One finished fine-tune."""
    done = ended(customer, customer.train(n_epochs=3, batch_size=8).id)
    assert done.status == "succeeded", done.error
    return done


def test_held_out_loss_falls_and_the_story_is_told(customer: Newcomer, job: FineTuningJob) -> None:
    events = [checked(e) for e in customer.openai.fine_tuning.jobs.list_events(job.id, limit=100)]

    points: list[Any] = [event.data for event in events if event.type == "metrics"]
    held_out = sorted((p["step"], p["valid_loss"]) for p in points if p.get("valid_loss"))
    assert len(held_out) >= 2
    assert held_out[-1][1] < 0.75 * held_out[0][1]
    assert job.trained_tokens
    assert job.finished_at is not None
    assert job.fine_tuned_model is not None
    assert job.fine_tuned_model.startswith(f"ft:{BASE}:")


def test_checkpoints_are_models_too(customer: Newcomer, job: FineTuningJob) -> None:
    checkpoints = list(customer.openai.fine_tuning.jobs.checkpoints.list(job.id))

    names = {model.id for model in customer.openai.models.list()}
    for checkpoint in checkpoints:
        assert checked(checkpoint).fine_tuned_model_checkpoint in names
        assert checkpoint.metrics.step == checkpoint.step_number


def test_the_model_answers_streamed_and_whole(customer: Newcomer, job: FineTuningJob) -> None:
    asked: dict[str, Any] = {
        "model": job.fine_tuned_model,
        "messages": [{"role": "user", "content": "Colour number 7?"}],
        "max_tokens": 12,
        "temperature": 0,
    }

    whole = checked(customer.openai.chat.completions.create(**asked))
    chunks = list(
        customer.openai.chat.completions.create(
            **asked, stream=True, stream_options={"include_usage": True}
        )
    )

    for chunk in chunks:
        checked(chunk)
    said = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert said == whole.choices[0].message.content
    assert "It is" in said
    assert chunks[-1].choices == []
    assert chunks[-1].usage == whole.usage


def test_base_and_embeddings_answer(customer: Newcomer) -> None:
    completion = checked(
        customer.openai.completions.create(model=BASE, prompt="The", max_tokens=4, temperature=0)
    )
    vectors = checked(
        customer.openai.embeddings.create(model=EMBEDDING, input=["a ship", "a boat", "a tax"])
    )

    assert completion.usage is not None
    assert completion.usage.completion_tokens <= 4
    ship, boat, tax = (item.embedding for item in vectors.data)
    assert len(ship) == 384

    def cosine(a: list[float], b: list[float]) -> float:
        return sum(x * y for x, y in zip(a, b, strict=True))

    assert cosine(ship, boat) > cosine(ship, tax)


def test_what_was_used_is_known(customer: Newcomer, job: FineTuningJob) -> None:
    answer = customer.openai.chat.completions.create(
        model=str(job.fine_tuned_model),
        messages=[{"role": "user", "content": "Colour number 3?"}],
        max_tokens=5,
    )
    trained = customer.http.get("/v1/usage", params={"meter": "tokens.trained", "limit": 100})
    sold = sum(
        Decimal(event["quantity"])
        for event in trained.json()["data"]
        if event["dimensions"]["job_id"] == job.id
    )
    page = checked(
        customer.openai.admin.organization.usage.completions(
            start_time=int(time.time()) - 86400, group_by=["model"]
        )
    )
    mine: list[Any] = [
        result
        for bucket in page.data
        for result in bucket.results
        if result.to_dict()["model"] == job.fine_tuned_model
    ]

    assert sold == job.trained_tokens
    assert answer.usage is not None
    assert sum(result.output_tokens for result in mine) >= answer.usage.completion_tokens


def test_another_tenant_neither_sees_nor_calls_it(system: System, job: FineTuningJob) -> None:
    rival = Newcomer(system.base_url, "Rival")

    assert job.fine_tuned_model not in {model.id for model in rival.openai.models.list()}
    for call in (
        lambda: rival.openai.fine_tuning.jobs.retrieve(job.id),
        lambda: rival.openai.models.retrieve(str(job.fine_tuned_model)),
        lambda: rival.openai.chat.completions.create(
            model=str(job.fine_tuned_model), messages=[{"role": "user", "content": "hello"}]
        ),
    ):
        with pytest.raises(openai.NotFoundError):
            call()


def test_the_adapter_leaves_as_peft_and_gives_the_same_answer(
    customer: Newcomer, job: FineTuningJob, system: System, tmp_path: Path
) -> None:
    """The reference is transformers with peft, on the downloaded folder."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    cache = os.environ.get("BREAKWATER_MODEL_CACHE") or system.layout.var / "models"
    base_path = Path(cache) / BASE
    reply = customer.http.get(f"/v1/models/{job.fine_tuned_model}/download").raise_for_status()
    with tarfile.open(fileobj=io.BytesIO(reply.content)) as archive:
        archive.extractall(tmp_path)  # our own archive; filters came only with Python 3.11.4
    tokenizer = AutoTokenizer.from_pretrained(base_path)
    model = PeftModel.from_pretrained(
        AutoModelForCausalLM.from_pretrained(base_path, dtype=torch.float32), tmp_path
    ).eval()
    said = [{"role": "user", "content": "Colour number 11?"}]
    prompt = tokenizer.apply_chat_template(
        said, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    with torch.no_grad():
        made = model.generate(**prompt, max_new_tokens=8, do_sample=False)
    expected = tokenizer.decode(made[0, prompt["input_ids"].shape[1] :], skip_special_tokens=True)

    answer = customer.openai.chat.completions.create(
        model=str(job.fine_tuned_model),
        messages=said,
        max_tokens=8,
        temperature=0,  # type: ignore[arg-type]
    )

    assert answer.choices[0].message.content == expected


def test_a_running_job_is_paused_and_goes_on(customer: Newcomer) -> None:
    job = customer.train(examples=400, n_epochs=40, batch_size=4)
    until("it runs", lambda: customer.job(job.id).to_dict()["progress"]["step"] > 3)  # type: ignore[index,operator]

    customer.openai.fine_tuning.jobs.pause(job.id)
    paused = until(
        "it pauses",
        lambda: (found := customer.job(job.id).to_dict())["state"] == "paused" and found,
    )
    customer.openai.fine_tuning.jobs.resume(job.id)
    until(
        "it goes on",
        lambda: customer.job(job.id).to_dict()["progress"]["step"] > paused["progress"]["step"],  # type: ignore[index]
    )
    customer.openai.fine_tuning.jobs.cancel(job.id)

    assert ended(customer, job.id).status == "cancelled"


def test_a_model_is_measured(customer: Newcomer, job: FineTuningJob) -> None:
    file = customer.openai.files.create(file=("v.jsonl", rows(20)), purpose="fine-tune")

    def measured(model: str) -> dict[str, float]:
        made = customer.http.post("/v1/evaluations", json={"model": model, "file": file.id})
        address = f"/v1/evaluations/{made.raise_for_status().json()['id']}"

        def ask() -> Any:
            found = customer.http.get(address).json()
            assert found["status"] != "failed", found["error"]
            return found["status"] == "succeeded" and found

        metrics: dict[str, float] = until("it is measured", ask)["metrics"]
        return metrics

    assert measured(str(job.fine_tuned_model))["loss"] < 0.75 * measured(BASE)["loss"]
