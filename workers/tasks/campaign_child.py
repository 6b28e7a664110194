"""What runs inside the child for a campaign: its spec in, beats on the way, the result out.

Never imported by the parent: it is the child's ENTRY. Neither torch nor Django is loaded.
"""

from __future__ import annotations

from tenants.kernel.errors import BreakwaterError
from tenants.market.campaigns.campaign import campaign_run
from tenants.market.campaigns.specs import CampaignSpec
from workers.tasks.channel import Channel, ChannelClosed, Frame

ENDS = {"cancel": "cancelled", "pause": "paused"}  # order → outcome; a paused one begins again


class Stopped(Exception):
    """The parent wants no more."""

    def __init__(self, outcome: str) -> None:
        super().__init__(outcome)
        self.outcome = outcome


def run(channel: Channel, request: Frame) -> None:
    """Rehearse the campaign that `request` describes and send its result."""

    def tell(step: int, of: int) -> None:
        beat = {"type": "beat", "key": request["key"], "step": step, "of": of}
        channel.send({**beat, "cursor": {}, "metrics": {}})
        answer = channel.receive()
        if answer is None:
            raise ChannelClosed("no answer")
        if answer["command"] in ENDS:
            raise Stopped(ENDS[answer["command"]])

    result: Frame = {"type": "result", "campaign": {}, "failure": None, "error": ""}
    try:
        found = campaign_run(CampaignSpec.read(request["campaign"]), tell)
    except Stopped as stopped:
        channel.send({**result, "outcome": stopped.outcome})
    except BreakwaterError as error:
        channel.send({**result, "outcome": "failed", "failure": "customer", "error": error.message})
    else:
        channel.send({**result, "outcome": "succeeded", "campaign": found})
