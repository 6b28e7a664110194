"""What runs inside the child for work that is arithmetic alone: a spec in, beats, a result out.

Never imported by the parent. Neither torch nor Django is loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tenants.kernel.errors import BreakwaterError
from workers.tasks.channel import Channel, ChannelClosed, Frame

ENDS = {"cancel": "cancelled", "pause": "paused"}  # order → outcome; a paused one begins again


class Stopped(BaseException):
    """The parent wants no more. No `Exception`: nobody takes it for a failure of the work's."""

    def __init__(self, outcome: str) -> None:
        super().__init__(outcome)
        self.outcome = outcome


class Beats:
    """Tells the parent how far it is; the cursor counts, so that slow work is seen to go on."""

    def __init__(self, channel: Channel, key: str) -> None:
        self._channel, self._key = channel, key
        self._step, self._of, self._count = 0, 1, 0

    def __call__(self, step: int, of: int) -> None:
        """Raises Stopped where no more is wanted."""
        self._step, self._of = step, of
        self.again()

    def again(self) -> None:
        """As far as before, and still at work. Raises Stopped."""
        self._count += 1
        cursor = {"beat": self._count}
        beat = {"type": "beat", "key": self._key, "step": self._step, "of": self._of}
        self._channel.send({**beat, "cursor": cursor, "metrics": {}})
        answer = self._channel.receive()
        if answer is None:
            raise ChannelClosed("no answer")
        if answer["command"] in ENDS:
            raise Stopped(ENDS[answer["command"]])


Work = Callable[[Any, Beats], Mapping[str, Any]]


def run_pure(channel: Channel, request: Frame, work: Work) -> None:
    """Do `work(spec, beats)` for the request's spec and send its result."""
    result: Frame = {"type": "result", "made": {}, "failure": None, "error": ""}
    try:
        found = work(request["spec"], Beats(channel, request["key"]))
    except Stopped as stopped:
        channel.send({**result, "outcome": stopped.outcome})
    except BreakwaterError as error:
        channel.send({**result, "outcome": "failed", "failure": "customer", "error": error.message})
    else:
        channel.send({**result, "outcome": "succeeded", "made": dict(found)})
