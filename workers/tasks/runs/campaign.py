"""Campaigns: a spec in, a rehearsed price war out. No model, no files."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from workers.jobs.models import Job
from workers.jobs.outcomes import Made
from workers.tasks.channel import Frame
from workers.tasks.child import LOOPBACK, NO_NETWORK
from workers.tasks.runs.plugins import (
    enabled_release,
    ground_told,
    outcomes_heard,
    release_told,
)
from workers.tasks.runs.run import CannotRun, Context


class CampaignRun:
    """A job of kind `campaign`: its result is the campaign's, as JSON.

    It takes no snapshots: after a lost worker or a pause it begins again, and, by its seed, comes
    to the same result.
    """

    entry = "workers.tasks.campaign_child"

    def __init__(self, context: Context) -> None:
        self.context = context
        self.plugins: list[Mapping[str, Any]] = context.claim.spec.get("plugins", [])
        # a plugin's host probes its sandbox by the loopback; the plugin has none
        self.network = LOOPBACK if self.plugins else NO_NETWORK

    def prepare(self) -> Mapping[str, Any]:
        return {
            "key": self.context.job_id,
            "tenant": self.context.tenant_id,
            "campaign": self.context.claim.spec["campaign"],
            "plugins": [self._told(plugin) for plugin in self.plugins],
            "ground": ground_told() if self.plugins else {},
        }

    def _told(self, pinned: Mapping[str, Any]) -> dict[str, Any]:
        """A plugin that cannot be called any more ends its policies, not the campaign."""
        try:
            found = self.context.in_scope(
                lambda: enabled_release(
                    self.context.tenant_id, pinned["plugin"], pinned["release_id"]
                )
            )
            return {**release_told(*found), "unavailable": ""}
        except CannotRun as error:
            return {**pinned, "unavailable": str(error)}

    def on_beat(self, frame: Frame) -> None:
        pass

    def on_frame(self, frame: Frame) -> Mapping[str, Any] | None:
        if frame["type"] != "outcomes":
            raise ValueError(f"a campaign's child sent {frame['type']!r}")
        plugin, version = str(frame["plugin"]), str(frame["version"])
        self.context.persist(lambda: outcomes_heard(plugin, version, frame["outcomes"]))
        return None

    def finish(self, frame: Frame) -> Callable[[Job], Made]:
        result = dict(frame["campaign"])
        return lambda _: Made({"campaign": result})

    def close(self) -> None:
        pass
