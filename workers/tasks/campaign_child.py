"""What runs inside the child for a campaign.

Never imported by the parent: it is the child's ENTRY. Neither torch nor Django is loaded. Plugins'
policies run in their host's own sandbox, a process further down.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from plugins.host.breaker import Breaker
from plugins.host.facts import Failure, Limits, Outcome
from plugins.host.pool import Pool
from plugins.sdk.contracts import CampaignStep
from tenants.market.campaigns.campaign import MOST_PARTNERS, campaign_run, partners_asked
from tenants.market.campaigns.policies.partners import Call, PartnerPolicy, plugin_and_policy
from tenants.market.campaigns.specs import CampaignSpec
from workers.tasks.channel import Channel, Frame
from workers.tasks.plugin_hosts import host_make
from workers.tasks.policy_calls import PolicyCalls
from workers.tasks.pure_child import Beats, run_pure


def run(channel: Channel, request: Frame) -> None:
    """Rehearse the campaign that `request` describes and send its result."""
    pool = Pool()
    try:
        run_pure(channel, request, _Rehearsal(channel, request, pool).result)
    finally:
        pool.close()


class _Rehearsal:
    def __init__(self, channel: Channel, request: Frame, pool: Pool) -> None:
        self._channel, self._request, self._pool = channel, request, pool
        self._calls: dict[str, Call] = {}

    def result(self, given: Any, beats: Beats) -> Mapping[str, Any]:
        spec = CampaignSpec.read(given)
        try:
            return campaign_run(spec, beats, partners=[*self._partners(spec, beats)])
        finally:
            for call in self._calls.values():
                if isinstance(call, PolicyCalls):
                    call.flush()

    def _partners(self, spec: CampaignSpec, beats: Beats) -> Iterator[PartnerPolicy]:
        releases = {one["plugin"]: one for one in self._request["plugins"]}
        for name in partners_asked(spec):
            release = releases[plugin_and_policy(name)[0]]
            origin = f"{release['plugin']} {release['version']}"
            yield PartnerPolicy(name, self._call_of(release, beats), origin)

    def _call_of(self, release: Mapping[str, Any], beats: Beats) -> Call:
        """One door for all policies of a plugin; a closed one where it cannot be called."""
        plugin = str(release["plugin"])
        if plugin not in self._calls:
            if release["unavailable"]:
                self._calls[plugin] = _closed(release)
            else:
                # a policy that failed is not asked again: the others are not held to account
                breaker = Breaker(failures=MOST_PARTNERS + 1)
                host = host_make(self._request["ground"], release, self._pool, Limits(), breaker)
                self._calls[plugin] = PolicyCalls(
                    host,
                    release,
                    self._request["tenant"],
                    beat=beats.again,
                    tell=lambda outcomes: self._tell_outcomes(release, outcomes),
                )
        return self._calls[plugin]

    def _tell_outcomes(self, release: Mapping[str, Any], outcomes: list[dict[str, Any]]) -> None:
        told = {"plugin": release["plugin"], "version": release["version"], "outcomes": outcomes}
        self._channel.send({"type": "outcomes", **told})


def _closed(release: Mapping[str, Any]) -> Call:
    failure = Failure("unavailable", str(release["unavailable"]))

    def call(_policy: str, _step: CampaignStep) -> Outcome:
        return Outcome(release["plugin"], release["version"], failure=failure)

    return call
