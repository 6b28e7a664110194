"""Which policy to propose, or on which assumption that depends. Pure.

A policy is proposed only if it leaves the most cash in at least `THRESHOLD` of the scenarios, on
luck and worlds that the search has not seen. Else the assumption is named that best tells the
scenarios in which it wins from the others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from tenants.market.campaigns.worlds import Floats

THRESHOLD = 0.8
LEAST_SPLIT = 0.1  # of the scenarios on either side of a threshold


@dataclass(frozen=True)
class Dependence:
    """The leader wins in `wins_below` of the scenarios where `assumption` is below `threshold`.

    `instead` is what wins most often on the side where the leader does worse. `strength` is the
    probability that the assumption is larger in a won scenario than in a lost one, from 0 to 1:
    0.5 says nothing.
    """

    assumption: str
    threshold: float
    wins_below: float
    wins_above: float
    instead: str
    strength: float


@dataclass(frozen=True)
class Recommendation:
    """`policy` is None where none wins often enough; `leader` is the one that wins most often."""

    policy: str | None
    leader: str
    wins: Mapping[str, float]  # policy → share of the scenarios
    refused: tuple[str, ...]  # ruined more often than the limit allows
    depends_on: Dependence | None


def recommend(
    values: Mapping[str, Floats],
    ruin: Mapping[str, float],
    assumptions: Mapping[str, Floats],
    *,
    ruin_limit: float,
    threshold: float = THRESHOLD,
) -> Recommendation:
    """Judge policies by their value in each scenario.

    Args:
        values: policy → (scenarios,), more is better.
        ruin: policy → probability of ruin.
        assumptions: name → its value in each scenario, (scenarios,).

    A tie is won by the policy that comes first. Where all are ruined too often, none is proposed.
    """
    allowed = [name for name in values if ruin[name] <= ruin_limit]
    refused = tuple(name for name in values if name not in allowed)
    judged = allowed or list(values)
    best = np.argmax(np.stack([values[name] for name in judged]), axis=0)
    wins = {name: float(np.mean(best == place)) for place, name in enumerate(judged)}
    leader = max(judged, key=lambda name: wins[name])
    if allowed and wins[leader] >= threshold:
        return Recommendation(leader, leader, wins, refused, None)
    won = best == judged.index(leader)
    return Recommendation(None, leader, wins, refused, _dependence(won, best, judged, assumptions))


def _dependence(
    won: np.ndarray, best: np.ndarray, names: Sequence[str], assumptions: Mapping[str, Floats]
) -> Dependence | None:
    """None where the leader wins everywhere or nowhere, or nothing is assumed."""
    if won.all() or not won.any() or not assumptions:
        return None
    strengths = {name: _separation(won, values) for name, values in assumptions.items()}
    name = max(strengths, key=lambda key: abs(strengths[key] - 0.5))
    values = assumptions[name]
    threshold = _threshold(won, values)
    below = values < threshold
    worse = below if won[below].mean() < won[~below].mean() else ~below
    others = best[worse & ~won]
    return Dependence(
        assumption=name,
        threshold=threshold,
        wins_below=float(won[below].mean()),
        wins_above=float(won[~below].mean()),
        instead=names[int(np.bincount(others).argmax())],
        strength=strengths[name],
    )


def _separation(won: np.ndarray, values: Floats) -> float:
    """P(value in a won scenario > value in a lost one): the Mann-Whitney statistic as a share."""
    ranks = rankdata(values)
    number = int(won.sum())
    above = ranks[won].sum() - number * (number + 1) / 2
    return float(above / (number * (len(won) - number)))


def _threshold(won: np.ndarray, values: Floats) -> float:
    """Where to cut so that the shares of wins on both sides differ the most."""
    order = np.argsort(values, kind="stable")
    count = len(values)
    least = max(1, int(count * LEAST_SPLIT))
    sums = np.cumsum(won[order])
    places = np.arange(least, count - least + 1)
    below = sums[places - 1] / places
    above = (sums[-1] - sums[places - 1]) / (count - places)
    cut = places[int(np.argmax(np.abs(below - above)))]
    ordered = values[order]
    return float((ordered[cut - 1] + ordered[min(cut, count - 1)]) / 2)
