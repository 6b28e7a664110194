"""Evaluations: a model and a data file in, figures out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from workers.jobs.models import Job
from workers.jobs.outcomes import Made
from workers.tasks.channel import Frame
from workers.tasks.child import NO_NETWORK
from workers.tasks.runs.models import file_open, model_open
from workers.tasks.runs.run import Context, numerics, used_tokens


class EvaluateRun:
    """A job of kind `evaluate`: its result is the figures."""

    entry = "workers.tasks.engine_child"
    network = NO_NETWORK

    def __init__(self, context: Context) -> None:
        self.context = context
        self.spec: Mapping[str, Any] = context.claim.spec

    def prepare(self) -> Mapping[str, Any]:
        context, spec = self.context, self.spec
        model = model_open(context, base_id=spec["base_id"], version_id=spec.get("version_id"))
        work = context.scratch / "work"
        work.mkdir()
        return {
            "work": "evaluate",
            "key": context.job_id,
            "spec": spec["settings"],
            "base": model.base,
            "adapter": model.adapter,
            "data": file_open(context, spec["file_id"], "file"),
            "scratch": str(work),
            "numerics": numerics(),
        }

    def on_beat(self, frame: Frame) -> None:
        pass

    def on_frame(self, frame: Frame) -> Mapping[str, Any] | None:
        if frame["type"] != "used":
            raise ValueError(f"an evaluation's child sent {frame['type']!r}")
        self.context.usage.append(
            used_tokens(
                self.context,
                frame,
                meter="tokens.evaluated",
                model=self.spec["model"],
                base=self.spec["base_id"],
            )
        )
        return None

    def finish(self, frame: Frame) -> Callable[[Job], Made]:
        metrics = dict(frame["metrics"])
        return lambda _: Made({"metrics": metrics})

    def close(self) -> None:
        pass
