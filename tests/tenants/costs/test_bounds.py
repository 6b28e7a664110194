"""Sampling bounds hold what they promise, on costs whose true average is known."""

from __future__ import annotations

import numpy as np
import pytest

from tenants.costs.bounds import block_counts, ratio_bounds


def test_nine_intervals_in_ten_hold_the_truth() -> None:
    """Demand that lasts for days and workers that differ; the true cost of a unit is 2.

    Wilson's 99% interval for 300 tries at 90% begins at 0.846; wide bounds are allowed.
    """
    generator = np.random.default_rng(7)
    days, workers, held = 30, 20, 0
    for _ in range(300):
        demand = np.empty(days)
        level = 0.0
        for day in range(days):
            level = 0.5 * level + generator.normal(0, 0.2)
            demand[day] = 1000 * np.exp(level)
        cost = np.exp(generator.normal(-0.02, 0.2, workers))
        noise = np.exp(generator.normal(-0.02, 0.2, (days, workers)))
        bounds = ratio_bounds(2 * demand[:, None] / workers * cost * noise, demand)
        assert bounds is not None
        held += bounds.low <= 2 <= bounds.high
    assert held / 300 >= 0.846


def test_costs_that_never_vary_leave_no_doubt() -> None:
    units = np.full(10, 50.0)
    bounds = ratio_bounds(np.full((10, 4), 25.0), units)
    assert bounds is not None
    assert (bounds.low, bounds.high) == pytest.approx((2, 2))


def test_a_week_at_least_is_asked_for() -> None:
    assert ratio_bounds(np.ones((6, 2)), np.ones(6)) is None
    assert ratio_bounds(np.ones((7, 2)), np.zeros(7)) is None
    with pytest.raises(ValueError, match="shape"):
        ratio_bounds(np.ones((7, 2)), np.ones(8))


def test_a_draw_has_as_many_days_as_there_are_in_runs_of_neighbours() -> None:
    counts = block_counts(np.random.default_rng(1), days=27, samples=500)
    assert (counts.sum(axis=1) == 27).all()
    neighbours = ((counts > 0) & (np.roll(counts, 1, axis=1) > 0)).mean()
    alone = (counts > 0).mean()
    assert neighbours > alone**2 * 1.2
