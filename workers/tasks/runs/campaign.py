"""Campaigns: a spec in, a rehearsed price war out. No model, no files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from workers.jobs.models import Job
from workers.jobs.outcomes import Made
from workers.tasks.channel import Frame
from workers.tasks.child import NO_NETWORK
from workers.tasks.runs.run import Context


class CampaignRun:
    """A job of kind `campaign`: its result is the campaign's, as JSON.

    It takes no snapshots: after a lost worker or a pause it begins again, and, by its seed, comes
    to the same result.
    """

    entry = "workers.tasks.campaign_child"
    network = NO_NETWORK

    def __init__(self, context: Context) -> None:
        self.context = context

    def prepare(self) -> Mapping[str, Any]:
        return {"key": self.context.job_id, "campaign": self.context.claim.spec["campaign"]}

    def on_beat(self, frame: Frame) -> None:
        pass

    def on_frame(self, frame: Frame) -> Mapping[str, Any] | None:
        raise ValueError(f"a campaign's child sent {frame['type']!r}")

    def finish(self, frame: Frame) -> Callable[[Job], Made]:
        result = dict(frame["campaign"])
        return lambda _: Made({"campaign": result})

    def close(self) -> None:
        pass
