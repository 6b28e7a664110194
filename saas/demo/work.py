"""The main job, over the ordinary OpenAI client: upload, fine-tune, call."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from openai import OpenAI
from openai.types.fine_tuning import FineTuningJob
from openai.types.fine_tuning.job_create_params import Method

from saas.demo.data import Corpus
from saas.demo.identities import DemoFailed, Identity

# three passes in small batches: many small steps suit a model and data this small
METHOD: Method = {
    "type": "supervised",
    "supervised": {"hyperparameters": {"n_epochs": 3, "batch_size": 8}},
}
SAY_EVERY_S = 5.0
_FINAL = {"succeeded", "failed", "cancelled"}


@dataclass(frozen=True)
class FineTuned:
    """A finished job: its model, and mean held-out loss (nats per token) before and after."""

    job: FineTuningJob
    model: str
    loss_before: float
    loss_after: float
    curve: list[tuple[int, float]]  # (step, training loss)
    held_out: list[tuple[int, float]]  # (step, held-out loss)


def client_for(openai_base_url: str, identity: Identity) -> OpenAI:
    return OpenAI(base_url=openai_base_url, api_key=identity.api_key, timeout=120, max_retries=3)


def upload(client: OpenAI, corpus: Corpus, base_model: str) -> dict[str, Any]:
    """Upload both parts of the corpus; return the body of the job that learns from them."""
    training = client.files.create(
        file=(f"{corpus.name}.jsonl", io.BytesIO(corpus.training)), purpose="fine-tune"
    )
    held_out = client.files.create(
        file=(f"{corpus.name}-held-out.jsonl", io.BytesIO(corpus.held_out)), purpose="fine-tune"
    )
    return {
        "model": base_model,
        "training_file": training.id,
        "validation_file": held_out.id,
        "suffix": corpus.name,
        "seed": 1,
        "method": METHOD,
    }


def start_fine_tune(client: OpenAI, body: Mapping[str, Any], quote_id: str) -> FineTuningJob:
    """Create the job at the price that was quoted for it."""
    return client.fine_tuning.jobs.create(**body, extra_body={"quote_id": quote_id})


def wait_for_all(
    jobs: list[tuple[OpenAI, str]], say: Callable[[str], None], *, limit_s: float
) -> list[FineTuningJob]:
    """Follow jobs to their end, telling of progress.

    Raises DemoFailed past `limit_s` or on failure.
    """
    deadline, next_word = time.monotonic() + limit_s, 0.0
    while True:
        now = [client.fine_tuning.jobs.retrieve(job_id) for client, job_id in jobs]
        line = "   ".join(_progress(job) for job in now)
        ended = all(job.status in _FINAL for job in now)
        if ended or time.monotonic() > next_word:
            say(line)
            next_word = time.monotonic() + SAY_EVERY_S
        if ended:
            break
        if time.monotonic() > deadline:
            raise DemoFailed(f"the jobs did not end within {limit_s:.0f} s: {line}")
        time.sleep(1)
    for job in now:
        if job.status != "succeeded":
            raise DemoFailed(f"{job.id} {job.status}: {job.error.message if job.error else '?'}")
    return now


def fine_tuned(client: OpenAI, job: FineTuningJob) -> FineTuned:
    """Read a finished job's curve from its events.

    Raises DemoFailed where held-out loss is missing.
    """
    events = list(client.fine_tuning.jobs.list_events(job.id, limit=100))
    points = [event.data for event in events if event.type == "metrics"]
    curve = _series(points, "train_loss")
    held_out = _series(points, "valid_loss")
    if len(held_out) < 2 or job.fine_tuned_model is None:
        raise DemoFailed(f"{job.id} ended without a model or without held-out loss")
    return FineTuned(job, job.fine_tuned_model, held_out[0][1], held_out[-1][1], curve, held_out)


def ran_together(jobs: list[FineTuningJob]) -> float:
    """Seconds during which all of `jobs` were running at once (0 or less: they were not)."""
    starts = [float(getattr(job, "started_at", None) or math.inf) for job in jobs]
    ends = [float(job.finished_at or -math.inf) for job in jobs]
    return min(ends) - max(starts)


def ask(client: OpenAI, model: str, question: str) -> tuple[str, float]:
    """Put one question and stream the answer; return it with the seconds to its first token."""
    began, first, answer = time.monotonic(), 0.0, []
    stream = client.chat.completions.create(
        model=model,
        messages=[{"role": "user", "content": question}],
        max_tokens=40,
        temperature=0,
        stream=True,
    )
    for chunk in stream:
        piece = chunk.choices[0].delta.content if chunk.choices else None
        if piece:
            first = first or time.monotonic() - began
            answer.append(piece)
    return "".join(answer).strip(), first


def _progress(job: FineTuningJob) -> str:
    done = getattr(job, "progress", None) or {}
    step, steps = done.get("step", 0), done.get("steps", 0)
    left = done.get("remaining_seconds")
    tail = f", about {left:.0f} s left" if left and job.status == "running" else ""
    return f"…{job.id[-6:]} {job.status} {step}/{steps}{tail}"


def _series(points: list[object], name: str) -> list[tuple[int, float]]:
    rows = [point for point in points if isinstance(point, dict) and point.get(name) is not None]
    return sorted((int(row["step"]), float(row[name])) for row in rows)
