"""Policies that sell something else than the lowest price: services, tiers, contracts, a niche."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tenants.market.campaigns.policies.following import sensitive_first
from tenants.market.campaigns.policies.policy import Offer, View

Grid = Mapping[str, tuple[float, ...]]


@dataclass(frozen=True)
class HoldAndBundle:
    """Keep the price and add services: worth `worth` of it to customers, at `cost` of it to us.

    Both are shares of today's price, on each million tokens.
    """

    worth: float = 0.15
    cost: float = 0.06
    name: ClassVar[str] = "hold_and_bundle"
    grid: ClassVar[Grid] = {}

    def offer(self, view: View) -> Offer:
        extra = self.cost * view.start_price / np.maximum(view.unit_cost, 1e-12)
        return Offer(
            price=view.start_price,
            worth=self.worth * view.start_price,
            switching=self.worth * view.start_price,
            unit_cost=1.0 + extra,
        )


@dataclass(frozen=True)
class Tier:
    """Match the cheapest rival in the `share` of segments that answer prices most; else hold."""

    share: float = 0.34
    premium: float = 0.05
    name: ClassVar[str] = "tier"
    grid: ClassVar[Grid] = {"share": (0.34, 0.67), "premium": (0.0, 0.1, 0.3)}

    def offer(self, view: View) -> Offer:
        matched = np.minimum(view.start_price, view.cheapest * (1.0 + self.premium))
        chosen = sensitive_first(view, self.share)
        return Offer(price=chosen * matched + (1.0 - chosen) * view.start_price)


@dataclass(frozen=True)
class Contract:
    """Give `discount` to all for a term that makes leaving cost `bond` of today's price."""

    discount: float = 0.1
    bond: float = 0.4
    name: ClassVar[str] = "contract"
    grid: ClassVar[Grid] = {"discount": (0.05, 0.1, 0.2, 0.3)}

    def offer(self, view: View) -> Offer:
        return Offer(
            price=(1.0 - self.discount) * view.start_price, switching=self.bond * view.start_price
        )


@dataclass(frozen=True)
class Niche:
    """Serve the segments that answer prices least better, at `raised` above today's price.

    The others keep today's price; the niche sees `worth` more (a share of today's price), which
    costs us a quarter of it on every million tokens.
    """

    raised: float = 0.1
    worth: float = 0.2
    name: ClassVar[str] = "niche"
    grid: ClassVar[Grid] = {"raised": (0.0, 0.1, 0.2)}

    def offer(self, view: View) -> Offer:
        segments = len(view.elasticity)
        niche = 1.0 - sensitive_first(view, 1.0 - 1.0 / max(segments, 2))
        if segments == 1:
            niche = np.ones((1, 1))
        cost = niche * self.worth * view.start_price / 4.0
        return Offer(
            price=view.start_price * (1.0 + niche * self.raised),
            worth=niche * self.worth * view.start_price,
            unit_cost=1.0 + cost / np.maximum(view.unit_cost, 1e-12),
        )
