"""A partner's policy: its hook is called once a month, with all paths in one step.

The hook is plain data in and out (`plugins.sdk.contracts.CampaignStep`), so that it can run in a
process of its own. Whoever may call plugins hands the call in.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import ClassVar

import numpy as np

from plugins.sdk.contracts import CampaignStep
from tenants.market.campaigns.policies.policy import Floats, Offer, View

Call = Callable[[str, CampaignStep], Sequence[Decimal]]


class PartnerPolicy:
    """Asks `call(policy, step)` for one price a path, the same in every segment."""

    grid: ClassVar[Mapping[str, tuple[float, ...]]] = {}

    def __init__(self, name: str, call: Call) -> None:
        self.name = name
        self._call = call

    def offer(self, view: View) -> Offer:
        step = CampaignStep(
            step=view.month,
            own_prices=_exact(view.own_price.mean(axis=0)),
            rival_prices=_exact(view.cheapest),
            unit_costs=_exact(view.unit_cost),
        )
        prices = self._call(self.name, step)
        if len(prices) != len(step.own_prices):
            raise ValueError(f"{len(prices)} prices for {len(step.own_prices)} paths")
        return Offer(price=np.asarray([float(price) for price in prices]))


def _exact(values: Floats) -> tuple[Decimal, ...]:
    return tuple(Decimal(repr(value)) for value in values.tolist())
