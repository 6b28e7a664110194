"""Work that is arithmetic alone: a spec in, a result out. No model, no files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from workers.jobs.models import Job
from workers.jobs.outcomes import Made
from workers.tasks.channel import Frame
from workers.tasks.child import NO_NETWORK
from workers.tasks.runs.run import Context


class PureRun:
    """A job that is arithmetic alone: its spec and its result, as JSON, are under one name.

    It takes no snapshots: after a lost worker or a pause it begins again, and, by its seed, comes
    to the same result.
    """

    entry: str
    name: str
    network = NO_NETWORK

    def __init__(self, context: Context) -> None:
        self.context = context

    def prepare(self) -> Mapping[str, Any]:
        return {"key": self.context.job_id, "spec": self.context.claim.spec[self.name]}

    def on_beat(self, frame: Frame) -> None:
        pass

    def on_frame(self, frame: Frame) -> Mapping[str, Any] | None:
        raise ValueError(f"the child of a {self.name} sent {frame['type']!r}")

    def finish(self, frame: Frame) -> Callable[[Job], Made]:
        result = dict(frame["made"])
        return lambda _: Made({self.name: result})

    def close(self) -> None:
        pass


class ProcurementRun(PureRun):
    entry, name = "workers.tasks.procurement_child", "plan"
