"""What runs inside the child for a campaign. Never imported by the parent: it is its ENTRY."""

from __future__ import annotations

from tenants.market.campaigns.campaign import campaign_run
from tenants.market.campaigns.specs import CampaignSpec
from workers.tasks.channel import Channel, Frame
from workers.tasks.pure_child import run_pure


def run(channel: Channel, request: Frame) -> None:
    """Rehearse the campaign that `request` describes and send its result."""
    run_pure(channel, request, lambda spec, tell: campaign_run(CampaignSpec.read(spec), tell))
