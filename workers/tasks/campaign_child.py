"""What runs inside the child for a campaign: its spec in, beats on the way, the result out.

Never imported by the parent: it is the child's ENTRY. Neither torch nor Django is loaded. Plugins'
policies run in their host's own sandbox, a process further down.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from plugins.host.facts import Failure, Limits, Outcome
from plugins.host.pool import Pool
from plugins.sdk.contracts import CampaignStep
from tenants.kernel.errors import BreakwaterError
from tenants.market.campaigns.campaign import campaign_run, partners_asked
from tenants.market.campaigns.policies.partners import Call, PartnerPolicy, plugin_and_policy
from tenants.market.campaigns.specs import CampaignSpec
from workers.tasks.channel import Channel, ChannelClosed, Frame
from workers.tasks.plugin_hosts import host_make
from workers.tasks.policy_calls import PolicyCalls

ENDS = {"cancel": "cancelled", "pause": "paused"}  # order → outcome; a paused one begins again


class Stopped(BaseException):
    """The parent wants no more. No `Exception`: nobody takes it for the failure of a policy."""

    def __init__(self, outcome: str) -> None:
        super().__init__(outcome)
        self.outcome = outcome


def run(channel: Channel, request: Frame) -> None:
    """Rehearse the campaign that `request` describes and send its result."""
    pool = Pool()
    try:
        channel.send(_Rehearsal(channel, request, pool).result())
    finally:
        pool.close()


class _Rehearsal:
    def __init__(self, channel: Channel, request: Frame, pool: Pool) -> None:
        self._channel, self._request, self._pool = channel, request, pool
        self._step, self._of, self._beats = 0, 1, 0
        self._calls: dict[str, Call] = {}

    def result(self) -> Frame:
        empty: Frame = {"type": "result", "campaign": {}, "failure": None, "error": ""}
        try:
            spec = CampaignSpec.read(self._request["campaign"])
            found = campaign_run(spec, self._progress, partners=[*self._partners(spec)])
        except Stopped as stopped:
            return {**empty, "outcome": stopped.outcome}
        except BreakwaterError as error:
            told = {"failure": "customer", "error": error.message}
            return {**empty, **told, "outcome": "failed"}
        finally:
            for call in self._calls.values():
                if isinstance(call, PolicyCalls):
                    call.flush()
        return {**empty, "outcome": "succeeded", "campaign": found}

    def _partners(self, spec: CampaignSpec) -> Iterator[PartnerPolicy]:
        releases = {one["plugin"]: one for one in self._request["plugins"]}
        for name in partners_asked(spec):
            release = releases[plugin_and_policy(name)[0]]
            origin = f"{release['plugin']} {release['version']}"
            yield PartnerPolicy(name, self._call_of(release), origin)

    def _call_of(self, release: Mapping[str, Any]) -> Call:
        """One door for all policies of a plugin; a closed one where it cannot be called."""
        plugin = str(release["plugin"])
        if plugin not in self._calls:
            if release["unavailable"]:
                self._calls[plugin] = _closed(release)
            else:
                host = host_make(self._request["ground"], release, self._pool, Limits())
                self._calls[plugin] = PolicyCalls(
                    host,
                    release,
                    self._request["tenant"],
                    beat=self._beat,
                    tell=lambda outcomes: self._tell_outcomes(release, outcomes),
                )
        return self._calls[plugin]

    def _progress(self, step: int, of: int) -> None:
        self._step, self._of = step, of
        self._beat()

    def _beat(self) -> None:
        """Tell how far it is. The cursor counts on, so that a slow policy is seen to go on."""
        self._beats += 1
        self._channel.send(
            {
                "type": "beat",
                "key": self._request["key"],
                "step": self._step,
                "of": self._of,
                "cursor": {"beat": self._beats},
                "metrics": {},
            }
        )
        answer = self._channel.receive()
        if answer is None:
            raise ChannelClosed("no answer")
        if answer["command"] in ENDS:
            raise Stopped(ENDS[answer["command"]])

    def _tell_outcomes(self, release: Mapping[str, Any], outcomes: list[dict[str, Any]]) -> None:
        told = {"plugin": release["plugin"], "version": release["version"], "outcomes": outcomes}
        self._channel.send({"type": "outcomes", **told})


def _closed(release: Mapping[str, Any]) -> Call:
    failure = Failure("unavailable", str(release["unavailable"]))

    def call(_policy: str, _step: CampaignStep) -> Outcome:
        return Outcome(release["plugin"], release["version"], failure=failure)

    return call
