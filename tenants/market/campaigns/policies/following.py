"""Policies that hold their price, or follow the cheapest rival."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from tenants.market.campaigns.policies.policy import Floats, Offer, View


@dataclass(frozen=True)
class Hold:
    """Keep today's price, come what may."""

    name: ClassVar[str] = "hold"
    grid: ClassVar[Mapping[str, tuple[float, ...]]] = {}

    def offer(self, view: View) -> Offer:
        return Offer(price=view.start_price)


@dataclass(frozen=True)
class Match:
    """Go down with the cheapest rival to `premium` above it; never above today's price."""

    premium: float = 0.0
    name: ClassVar[str] = "match"
    grid: ClassVar[Mapping[str, tuple[float, ...]]] = {"premium": (0.0, 0.05, 0.15, 0.3, 0.5)}

    def offer(self, view: View) -> Offer:
        return Offer(price=np.minimum(view.start_price, view.cheapest * (1.0 + self.premium)))


@dataclass(frozen=True)
class Undercut:
    """Stay `by` below the cheapest rival, at most at today's price."""

    by: float = 0.1
    name: ClassVar[str] = "undercut"
    grid: ClassVar[Mapping[str, tuple[float, ...]]] = {"by": (0.03, 0.1, 0.2, 0.35, 0.5)}

    def offer(self, view: View) -> Offer:
        return Offer(price=np.minimum(view.start_price, view.cheapest * (1.0 - self.by)))


@dataclass(frozen=True)
class CompressToPrice:
    """Serve compressed models: costs fall by `saving`, and most of it (`passed`) is passed on.

    Customers see a model that is worth `quality_loss` less, as a share of today's price.
    """

    saving: float = 0.4
    passed: float = 0.7
    quality_loss: float = 0.05
    name: ClassVar[str] = "compress_to_price"
    grid: ClassVar[Mapping[str, tuple[float, ...]]] = {"passed": (0.0, 0.3, 0.6, 1.0)}

    def offer(self, view: View) -> Offer:
        price = view.start_price - self.passed * self.saving * view.unit_cost
        return Offer(
            price=np.maximum(price, 0.0),
            worth=-self.quality_loss * view.start_price,
            unit_cost=1.0 - self.saving,
        )


def sensitive_first(view: View, share: float) -> Floats:
    """1 in the `share` of segments that answer prices most, 0 in the others: (segments, paths)."""
    count = max(1, round(share * len(view.elasticity)))
    order = np.argsort(-view.elasticity.mean(axis=1), kind="stable")
    chosen = np.zeros((len(view.elasticity), 1))
    chosen[order[:count]] = 1.0
    return chosen
