"""Weights of least variance, long only, beside the plain baseline: equal weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize
from sklearn.covariance import LedoitWolf


@dataclass(frozen=True)
class Allocation:
    """One weight an asset, adding up to 1, and how both allocations fared on later periods."""

    weights: np.ndarray
    figures: dict[str, float]


def allocate(returns: np.ndarray, most: float) -> Allocation:
    """Fit on the first 70 % of periods, judge on the rest; `returns` is (periods, assets).

    `most` is the greatest weight of one asset. Covariance: Ledoit and Wolf 2004.
    """
    cut = len(returns) * 7 // 10
    weights = least_variance(LedoitWolf().fit(returns[:cut]).covariance_, most)
    later = returns[cut:]
    equal = np.full(returns.shape[1], 1 / returns.shape[1])
    figures = {
        "periods": float(len(returns)),
        "volatility": float((later @ weights).std(ddof=1)),
        "volatility_of_equal_weights": float((later @ equal).std(ddof=1)),
        "mean_return": float((later @ weights).mean()),
        "mean_return_of_equal_weights": float((later @ equal).mean()),
    }
    return Allocation(weights, figures)


def least_variance(covariance: np.ndarray, most: float) -> np.ndarray:
    """Minimise w'Σw over 0 ≤ w ≤ most, Σw = 1 (Markowitz 1952); `most` is at least 1 / assets."""
    assets = len(covariance)
    scaled = covariance / np.trace(covariance)
    found = minimize(
        lambda w: w @ scaled @ w,
        np.full(assets, 1 / assets),
        jac=lambda w: 2 * scaled @ w,
        bounds=[(0.0, most)] * assets,
        constraints={"type": "eq", "fun": lambda w: w.sum() - 1, "jac": np.ones_like},
        method="SLSQP",
        options={"ftol": 1e-12, "maxiter": 500},
    )
    weights = np.clip(found.x, 0.0, most)
    return weights / weights.sum()
