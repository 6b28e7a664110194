"""How long a campaign will take, from how many cells it computes. Pure.

A cell is one option of one segment on one path in one month. The speeds are of one slot of a CPU
worker, from `bench_campaign`: the slowest is for a machine that is busy.
"""

from __future__ import annotations

from tenants.market.campaigns.campaign import campaign_steps, partners_asked, policies_asked
from tenants.market.campaigns.search import fewer_paths
from tenants.market.campaigns.specs import CampaignSpec

FAST, USUAL, SLOW = 25e6, 12e6, 4e6  # cells a second
ASKED_S = 15e-6  # a path and month that a plugin is asked for, by JSON and back


def campaign_seconds(spec: CampaignSpec) -> tuple[float, float, float]:
    """At least, expected, at most. Raises InvalidInput for an unknown policy."""
    partners = len(partners_asked(spec))
    compared = len(policies_asked(spec)) + partners
    others = campaign_steps(spec) - compared
    cells = compared * _cells(spec) + others * _cells(fewer_paths(spec))
    asked = partners * spec.paths * spec.months * ASKED_S
    return cells / FAST + asked / 2, cells / USUAL + asked, cells / SLOW + 4 * asked


def _cells(spec: CampaignSpec) -> int:
    return spec.paths * spec.months * len(spec.segments) * (len(spec.rivals) + 2)
