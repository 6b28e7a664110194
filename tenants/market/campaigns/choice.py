"""How customers choose: a logit with switching costs, stickiness and an outside option. Pure.

Axes: option (0 outside, 1 ours, 2… the rivals'), segment, path. An option's appeal is
u_j = exp(v_j - α·p_j). A customer of i who looks goes to j with P(i→j) ∝ u_j·k_i for j ≠ i and
P(i→i) ∝ u_i, where k_i = e^{-κ_i}; of all customers, the share 1 - ρ looks:
x' = ρx + (1-ρ)·Σᵢ xᵢ·P(i→·). The sum over pairs is written in one pass over the options.
Train, Discrete Choice Methods with Simulation, 2nd ed., chapter 3.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import wrightomega

Floats = NDArray[np.float64]

_STEPS = 200  # of the bisection: to the last bit


def choose(
    customers: Floats, appeal: Floats, keep: Floats | float, stickiness: float, arrivals: Floats
) -> Floats:
    """Next month's customers of each option.

    Args:
        customers: (options, segments, paths), in numbers.
        appeal: u, of the same shape; at least one above 0 in every segment and path.
        keep: k, broadcast to the same shape, in (0, 1]: 1 means that switching costs nothing.
        stickiness: ρ in [0, 1).
        arrivals: (segments, paths): new customers, who choose freely; below 0, customers who leave
            the market, of every option in proportion.

    Returns an array of the shape of `customers`, whose sum over options is theirs plus `arrivals`.
    """
    total = appeal.sum(axis=0)
    weight = keep * (total - appeal) + appeal
    np.maximum(weight, 1e-300, out=weight)
    looked = customers / weight
    pool = (looked * keep).sum(axis=0)
    looked *= 1.0 - keep
    looked += pool
    looked *= appeal
    looked *= 1.0 - stickiness
    looked += stickiness * customers
    if np.all(arrivals >= 0):
        return np.asarray(looked + appeal / total * arrivals)
    leaving = looked / np.maximum(customers.sum(axis=0), 1e-300)
    return np.asarray(looked + np.where(arrivals >= 0, appeal / total, leaving) * arrivals)


def appeal_of(shares: Floats, keep: Floats) -> Floats:
    """The appeal, summing to 1, at which `shares` stay as they are from month to month.

    Args:
        shares: (options, …), summing to 1 over options; 0 where an option is not on offer.
        keep: k, broadcast to that shape.

    With T the appeal-weighted pool of those who look, x_j·k_j = u_j·T·(k_j + (1-k_j)·u_j): a
    quadratic in u_j, whose sum over j falls in T; T is found by bisection.
    """
    keep = np.broadcast_to(keep, shares.shape)
    low, high = np.full(shares.shape[1:], -60.0), np.full(shares.shape[1:], 60.0)
    for _ in range(_STEPS):
        middle = (low + high) / 2
        too_much = _appeal_at(shares, keep, np.exp(middle)).sum(axis=0) > 1.0
        low, high = np.where(too_much, middle, low), np.where(too_much, high, middle)
    found = _appeal_at(shares, keep, np.exp((low + high) / 2))
    return np.asarray(found / found.sum(axis=0))


def _appeal_at(shares: Floats, keep: Floats, pool: Floats) -> Floats:
    """The quadratic's positive root, in the form that does not cancel."""
    linear = pool * keep
    root = np.sqrt(linear**2 + 4.0 * pool * (1.0 - keep) * shares * keep)
    return np.asarray(2.0 * shares * keep / np.maximum(linear + root, 1e-300))


def sensitivity(elasticity: Floats, price: Floats, share: Floats) -> Floats:
    """α from an own-price elasticity at a price and a share: ε = α·p·(1 - s)."""
    return np.asarray(elasticity / (price * np.maximum(1.0 - share, 1e-9)))


def best_price(value: Floats, alpha: Floats, cost: Floats, others: Floats) -> Floats:
    """The price that earns the most this month against `others`, their summed appeal.

    Without switching cost and stickiness: α(p - c) = 1 + ω(v - αc - 1 - ln others), with Wright's
    omega, which is Lambert's W of e^z without its overflow.
    """
    with np.errstate(divide="ignore"):
        z = value - alpha * cost - 1.0 - np.log(others)
    return np.asarray(cost + (1.0 + wrightomega(z)) / alpha)
