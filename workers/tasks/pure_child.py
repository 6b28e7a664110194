"""What runs inside the child for work that is arithmetic alone: a spec in, beats, a result out.

Never imported by the parent. Neither torch nor Django is loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tenants.kernel.errors import BreakwaterError
from workers.tasks.channel import Channel, ChannelClosed, Frame

ENDS = {"cancel": "cancelled", "pause": "paused"}  # order → outcome; a paused one begins again
Work = Callable[[Any, Callable[[int, int], None]], Mapping[str, Any]]


class Stopped(Exception):
    """The parent wants no more."""

    def __init__(self, outcome: str) -> None:
        super().__init__(outcome)
        self.outcome = outcome


def run_pure(channel: Channel, request: Frame, work: Work) -> None:
    """Do `work(spec, tell)` for the request's spec and send its result; `tell` sends a beat."""

    def tell(step: int, of: int) -> None:
        beat = {"type": "beat", "key": request["key"], "step": step, "of": of}
        channel.send({**beat, "cursor": {}, "metrics": {}})
        answer = channel.receive()
        if answer is None:
            raise ChannelClosed("no answer")
        if answer["command"] in ENDS:
            raise Stopped(ENDS[answer["command"]])

    result: Frame = {"type": "result", "made": {}, "failure": None, "error": ""}
    try:
        found = work(request["spec"], tell)
    except Stopped as stopped:
        channel.send({**result, "outcome": stopped.outcome})
    except BreakwaterError as error:
        channel.send({**result, "outcome": "failed", "failure": "customer", "error": error.message})
    else:
        channel.send({**result, "outcome": "succeeded", "made": dict(found)})
