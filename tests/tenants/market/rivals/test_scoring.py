"""Scores against their definitions, and intervals against simulation."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from tenants.market.rivals.scoring import block_bootstrap, crps, proportion


def test_crps_is_the_integral_of_the_squared_distance_of_distributions() -> None:
    """∫ (F(x) - 1{x >= y})² dx, over the ensemble's own distribution."""
    rng = np.random.default_rng(3)
    members = np.sort(rng.normal(size=40))
    for observed in (-3.0, 0.1, 2.5):
        grid = np.sort(np.append(members, observed))
        places = (grid[1:] + grid[:-1]) / 2
        below = np.searchsorted(members, places) / len(members)
        wanted = float(((below - (places >= observed)) ** 2 * np.diff(grid)).sum())
        assert crps(members, observed) == pytest.approx(wanted, rel=1e-12)


def test_crps_of_a_large_normal_ensemble_is_the_closed_form() -> None:
    """Gneiting and Raftery (2007), for a standard normal at y."""
    members, y = stats.norm.ppf((np.arange(20_000) + 0.5) / 20_000), 0.7
    wanted = y * (2 * stats.norm.cdf(y) - 1) + 2 * stats.norm.pdf(y) - 1 / np.sqrt(np.pi)
    assert crps(members, y) == pytest.approx(wanted, abs=1e-4)


def test_one_member_is_scored_by_its_error() -> None:
    assert crps(np.array([0.4]), 1.0) == pytest.approx(0.6)


def test_blocks_keep_dependence_that_single_months_lose() -> None:
    rng = np.random.default_rng(8)
    noise = rng.standard_normal(2000)
    series = np.array([noise[max(0, n - 11) : n + 1].sum() for n in range(2000)])
    single = np.diff(block_bootstrap(series, block=1, level=0.8, seed=1))[0]
    blocks = np.diff(block_bootstrap(series, block=60, level=0.8, seed=1))[0]
    assert blocks > 2 * single


@pytest.mark.parametrize(("hits", "trials"), [(0, 10), (10, 10), (7, 12), (0, 0)])
def test_a_proportions_interval_is_exact(hits: int, trials: int) -> None:
    """At each bound, what was seen or more extreme has a probability of one tenth."""
    found = proportion(hits, trials, 0.8)
    assert 0 <= found.low <= found.high <= 1
    if hits > 0:
        assert stats.binom.sf(hits - 1, trials, found.low) == pytest.approx(0.1)
    if hits < trials:
        assert stats.binom.cdf(hits, trials, found.high) == pytest.approx(0.1)
