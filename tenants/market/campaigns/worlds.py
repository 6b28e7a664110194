"""The worlds of a campaign: one draw of everything that is not known, for each scenario. Pure.

A path belongs to scenario `path // (paths / scenarios)`. Every draw comes from a counter-based
generator keyed by (seed, stream), so it depends on neither policy nor chunk: two policies meet the
same rivals, customers and luck (common random numbers).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tenants.market.campaigns.choice import appeal_of, sensitivity
from tenants.market.campaigns.specs import CampaignSpec, MarketFacts, Range
from tenants.market.rivals.facts import ClassFacts, RivalFacts
from tenants.market.rivals.fitting import RivalDraws, fit

Floats = NDArray[np.float64]
POSTERIOR, LUCK, PRIORS = 1, 2, 3  # streams


@dataclass(frozen=True)
class Priors:
    """Every unknown of a spec by name: a point of [0, 1] per scenario, and its range.

    The points are kept, not the values: a tornado moves one of them and leaves the others.
    """

    ranges: Mapping[str, Range]
    points: Mapping[str, Floats]  # (scenarios,)

    def value(self, name: str) -> Floats:
        return triangular(self.ranges[name], self.points[name])

    def with_point(self, name: str, quantile: float) -> Priors:
        fixed = np.full_like(self.points[name], quantile)
        return replace(self, points={**self.points, name: fixed})

    @property
    def unknown(self) -> tuple[str, ...]:
        return tuple(name for name, given in self.ranges.items() if not given.is_known)


@dataclass(frozen=True)
class Luck:
    """What happens by chance, for (months, rivals, paths): an event's draw and its size's."""

    event: Floats
    size: Floats


@dataclass(frozen=True)
class World:
    """All scenarios' parameters. Last axis: scenarios; `spread` repeats them for their paths."""

    spec: CampaignSpec
    priors: Priors
    rivals: RivalDraws
    alpha: Floats  # (segments, scenarios)
    keep: Floats  # (segments, scenarios): e^{-κ}, without any lever of ours
    log_appeal: Floats  # (options, segments, scenarios): ln u today, prices and all

    def spread(self, values: Floats) -> Floats:
        return np.repeat(values, self.spec.paths // self.spec.scenarios, axis=-1)


def triangular(given: Range, points: Floats) -> Floats:
    """The quantiles of a triangular prior at `points`."""
    width = given.high - given.low
    if width == 0:
        return np.full_like(points, given.mode)
    peak = (given.mode - given.low) / width
    rising = given.low + width * np.sqrt(points * peak)
    falling = given.high - width * np.sqrt((1.0 - points) * (1.0 - peak))
    return np.where(points < peak, rising, falling)


def priors_of(spec: CampaignSpec) -> Priors:
    """Draw a point for every range of the spec, in a fixed order of names."""
    ranges = dict(_ranges(spec))
    points = _generator(spec.seed, PRIORS).random((len(ranges), spec.scenarios))
    return Priors(ranges, dict(zip(ranges, points, strict=True)))


def world_of(spec: CampaignSpec, priors: Priors | None = None) -> World:
    """The scenarios' worlds; `priors` are given where a point of one was moved."""
    priors = priors or priors_of(spec)
    shares = shares_today(spec)
    elasticity = np.stack([priors.value(f"{s.name}: elasticity") for s in spec.segments])
    own = np.array([[s.own_share] for s in spec.segments])
    alpha = sensitivity(elasticity, np.array(spec.own.price), own)
    kappa = alpha * spec.own.price * priors.value("switching")
    keep = np.exp(-kappa)
    with np.errstate(divide="ignore"):
        log_appeal = np.log(
            appeal_of(np.broadcast_to(shares[:, :, None], (*shares.shape, spec.scenarios)), keep)
        )
    draws = fit(_facts(spec.market), spec.scenarios, _generator(spec.seed, POSTERIOR))
    return World(spec, priors, draws, alpha, keep, log_appeal)


def luck_of(spec: CampaignSpec) -> Luck:
    """One event and one size for each path, month and rival; a path's do not depend on how many
    paths there are.
    """
    generator = _generator(spec.seed, LUCK)
    shape = (spec.paths, spec.months, len(spec.rivals))
    event = generator.random(shape).transpose(1, 2, 0)
    size = _generator(spec.seed, LUCK + 16).standard_normal(shape).transpose(1, 2, 0)
    return Luck(np.ascontiguousarray(event), np.ascontiguousarray(size))


def shares_today(spec: CampaignSpec) -> Floats:
    """(options, segments), summing to 1 over the options."""
    rows = []
    for segment in spec.segments:
        rivals = [segment.shares.get(rival.name, 0.0) for rival in spec.rivals]
        outside = max(0.0, 1.0 - segment.own_share - sum(rivals))
        rows.append([outside, segment.own_share, *rivals])
    shares = np.array(rows).T
    return np.asarray(shares / shares.sum(axis=0))


def _ranges(spec: CampaignSpec) -> list[tuple[str, Range]]:
    found = [(name, given) for name, given in spec.assumptions if isinstance(given, Range)]
    for segment in spec.segments:
        names = ("elasticity", "usage_elasticity", "growth")
        found += [(f"{segment.name}: {name}", getattr(segment, name)) for name in names]
    found += [(f"{rival.name}: floor", rival.floor) for rival in spec.rivals]
    for lever in spec.levers:
        found += [(f"{lever.name}: {n}", v) for n, v in lever if isinstance(v, Range)]
    return found


def _facts(market: MarketFacts) -> RivalFacts:
    classes = tuple(
        ClassFacts(one.model_class, one.months, one.cut_log_sizes) for one in market.classes
    )
    return RivalFacts(classes, market.rise_log_sizes, market.launches, market.provider_months)


def _generator(seed: int, stream: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=np.array([seed, stream], dtype=np.uint64)))
