"""Customers' choice against sums over every pair of options, written out."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from tenants.market.campaigns.choice import appeal_of, choose

seeds = st.integers(0, 2**32 - 1)


def pairs(
    customers: NDArray[np.float64], appeal: Any, keep: Any, rho: float, arrivals: float
) -> NDArray[np.float64]:
    """x' = ρx + (1-ρ)·Σᵢ xᵢ·P(i→·) with P as a matrix; newcomers choose freely."""
    number = len(customers)
    after = rho * customers + arrivals * appeal / appeal.sum()
    for i in range(number):
        weights = np.array([appeal[j] * (1.0 if i == j else keep[i]) for j in range(number)])
        after = after + (1.0 - rho) * customers[i] * weights / weights.sum()
    return after


@given(seed=seeds, options=st.integers(1, 6), rho=st.floats(0, 0.99), growth=st.floats(0, 0.5))
def test_one_pass_over_the_options_is_the_sum_over_pairs(
    seed: int, options: int, rho: float, growth: float
) -> None:
    rng = np.random.default_rng(seed)
    customers = rng.gamma(0.5, 100, (options, 2, 3))
    appeal = np.exp(rng.normal(0, 2, customers.shape))
    keep = np.exp(-rng.gamma(1, 2, customers.shape))
    arrivals = growth * customers.sum(axis=0)
    found = choose(customers, appeal, keep, rho, arrivals)
    for segment in range(2):
        for path in range(3):
            at = (slice(None), segment, path)
            wanted = pairs(customers[at], appeal[at], keep[at], rho, arrivals[segment, path])
            np.testing.assert_allclose(found[at], wanted, rtol=1e-11, atol=1e-12)


@given(seed=seeds, growth=st.floats(-0.4, 0.5))
def test_no_customer_is_lost_or_made(seed: int, growth: float) -> None:
    rng = np.random.default_rng(seed)
    customers = rng.gamma(0.5, 100, (5, 3, 4))
    arrivals = growth * customers.sum(axis=0)
    found = choose(
        customers, np.exp(rng.normal(0, 3, customers.shape)), np.exp(-rng.gamma(1, 1, (5, 3, 4))),
        0.3, arrivals,
    )  # fmt: skip
    np.testing.assert_allclose(found.sum(axis=0), customers.sum(axis=0) * (1 + growth), rtol=1e-12)
    assert (found >= 0).all()


@given(seed=seeds, options=st.integers(2, 7), outside=st.booleans())
def test_shares_stay_where_nothing_changes(seed: int, options: int, outside: bool) -> None:
    """Whatever the switching costs are, the fitted appeal keeps today's shares."""
    rng = np.random.default_rng(seed)
    shares = rng.dirichlet(np.ones(options), size=(2, 3)).transpose(2, 0, 1)
    if not outside:
        shares[0] = 0.0
        shares /= shares.sum(axis=0)
    keep = np.exp(-rng.gamma(1, 1, (2, 3)))
    appeal = appeal_of(shares, keep)
    found = choose(shares, appeal, keep, 0.0, np.zeros((2, 3)))
    np.testing.assert_allclose(found, shares, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(appeal.sum(axis=0), 1.0)
