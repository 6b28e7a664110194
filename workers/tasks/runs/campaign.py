"""Campaigns, in which plugins' policies may be asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from workers.tasks.channel import Frame
from workers.tasks.child import LOOPBACK, NO_NETWORK
from workers.tasks.runs.plugins import (
    enabled_release,
    ground_told,
    outcomes_heard,
    release_told,
)
from workers.tasks.runs.pure import PureRun
from workers.tasks.runs.run import CannotRun, Context


class CampaignRun(PureRun):
    """A job of kind `campaign`."""

    entry, name = "workers.tasks.campaign_child", "campaign"

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.plugins: list[Mapping[str, Any]] = context.claim.spec.get("plugins", [])
        # a plugin's host probes its sandbox by the loopback; the plugin has none
        self.network = LOOPBACK if self.plugins else NO_NETWORK

    def prepare(self) -> Mapping[str, Any]:
        return {
            **super().prepare(),
            "tenant": self.context.tenant_id,
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

    def on_frame(self, frame: Frame) -> Mapping[str, Any] | None:
        if frame["type"] != "outcomes":
            return super().on_frame(frame)
        plugin, version = str(frame["plugin"]), str(frame["version"])
        self.context.persist(lambda: outcomes_heard(plugin, version, frame["outcomes"]))
        return None
