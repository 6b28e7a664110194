"""How well a model does on held-out data, by its task's metrics."""

from __future__ import annotations

import time

from workers.engine import devices
from workers.engine.errors import EngineError
from workers.engine.export.merged import merge_into
from workers.engine.methods.lora.adapter import adapter_load
from workers.engine.protocol import EvaluateWork, FailureKind, Outcome, Progress, Result
from workers.engine.tasks.opening import task_open
from workers.engine.tasks.scores import Score
from workers.engine.tasks.task import Prepares
from workers.engine.training.session import STOPS


def evaluate(work: EvaluateWork, progress: Progress) -> Result:
    """Measure a base model, or a base with an adapter, on a data file.

    Beats report examples done; `CANCEL` and `PAUSE` both end it at the next beat, `PAUSE` without
    anything to resume.
    """
    devices.settle(work.numerics)
    try:
        return _evaluate(work, progress)
    except EngineError as error:
        kind = FailureKind.CUSTOMER if error.customers else FailureKind.PLATFORM
        return Result(work.key, Outcome.FAILED, failure=kind, error=str(error))


def _evaluate(work: EvaluateWork, progress: Progress) -> Result:
    device, spec = work.numerics.device, work.spec
    task = task_open(work.base.path, spec)
    data = task.read(work.data.path, work.scratch / "data", training=False)
    model = task.model(work.numerics)
    if isinstance(task, Prepares):
        for number, _ in enumerate(task.prepare(model, data, spec.micro_batch_tokens, device)):
            command = progress.beat(work.key, 0, len(data), {"epoch": 0, "prepared": number}, {})
            if command in STOPS:
                return Result(work.key, STOPS[command])
    if work.adapter:
        merge_into(model, adapter_load(work.adapter.path))
    flops = task.flops_per_token(model, training=False)
    total, begin, outcome = Score(), time.perf_counter(), Outcome.SUCCEEDED
    for score in task.scores(model, data, spec.micro_batch_tokens, device):
        total += score
        cursor = {"epoch": 0, "example": total.examples}
        command = progress.beat(work.key, total.examples, len(data), cursor, task.metrics(total))
        if command in STOPS:
            outcome = STOPS[command]
            break
    seconds = time.perf_counter() - begin
    progress.used(work.key, 0, 0, total.examples, total.tokens, seconds, flops * total.tokens)
    return Result(work.key, outcome, metrics={**task.metrics(total), "tokens": float(total.tokens)})
