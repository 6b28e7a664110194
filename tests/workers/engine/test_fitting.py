"""Costs that explain runs, and how surely: optimality conditions, and the order of chance."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from workers.engine.fitting import Numbers, bounded, nonnegative
from workers.engine.profiles import Profile

NOTHING = Profile("cpu", "float32", 1, 1.0, 0.0, 0.0, 0.0, 0.0)


@given(arrays(np.float64, (9, 4), elements=st.floats(0, 10).map(lambda n: round(n, 3))))
def test_no_other_costs_explain_the_runs_better(costs: Numbers) -> None:
    """By Karush, Kuhn and Tucker: nothing is gained by more of any cost, nor by less of one > 0."""
    found = nonnegative(costs)
    assert (found >= 0).all()
    gain = costs.T @ (1 - costs @ found)
    scale = np.maximum(costs.max(axis=0), 1e-3)
    assert (gain / scale < 1e-6).all()
    assert (np.abs(gain / scale)[found > 0] < 1e-6).all()
    assert (found[costs.max(axis=0) == 0] == 0).all()


@given(st.lists(st.floats(0.1, 10), min_size=9, max_size=40), st.floats(0.1, 10))
def test_nine_in_ten_of_runs_like_these_stay_below_p90(ratios: list[float], one: float) -> None:
    """By symmetry: leave each out in turn, and it exceeds the others' p90 one time in ten."""
    every = [*ratios, one]
    over = 0
    for left_out in range(len(every)):
        others = [r for place, r in enumerate(every) if place != left_out]
        over += every[left_out] > (bounded(NOTHING, others).p90 or 0)
    assert over <= 0.1 * len(every) + 1e-9


def test_the_bounds_of_nine_runs_are_their_extremes() -> None:
    found = bounded(NOTHING, [1.0, 1.2, 0.8, 1.1, 0.9, 1.0, 1.0, 1.3, 0.7])
    assert found.quantiles == (0.7, 1.0, 1.3)
