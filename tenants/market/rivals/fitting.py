"""How often rivals cut, and how deep, class by class, with partial pooling. Pure.

Hazard: cuts of a class in E months at risk are Poisson(λE); the classes' λ come from one
Gamma(a, a/μ). Size: ln s of a cut is Normal(m, σ²) with the classes' m from Normal(m₀, τ²). A class
with few cuts so borrows from the others, one with many speaks for itself. Both posteriors are
summed over a grid of the pooling parameters and exact given them: no chain has to converge.
Gelman et al., Bayesian Data Analysis, 3rd ed., chapter 5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from tenants.market.rivals.facts import ClassFacts, RivalFacts

Floats = NDArray[np.float64]

# Weak priors: the history moves them where it says anything.
HAZARD_LOG_MEAN, HAZARD_LOG_SD = np.log(0.03), 1.5  # of μ, cuts a product-month
SPREAD_SCALE = 0.6  # of 1/√a, the classes' coefficient of variation: half-normal
SIZE_MEAN, SIZE_SD = np.log(0.5), 1.0  # of m₀
SIZE_SPREAD_SCALE = 0.4  # of τ: half-normal
SIZE_SIGMA_SCALE = 2.0  # of σ: half-normal
RISE_SHAPE, RISE_MONTHS = 0.5, 100.0  # of the hazard of a rise: Gamma(shape, months)
LAUNCH_SHAPE, LAUNCH_MONTHS = 0.5, 10.0

_MU = np.exp(np.linspace(np.log(1e-4), np.log(2.0), 120))
_CV = np.linspace(0.02, 2.0, 40)
_TAU = np.linspace(0.01, 1.6, 40)
_SIGMA = np.exp(np.linspace(np.log(0.05), np.log(4.0), 90))


@dataclass(frozen=True)
class RivalDraws:
    """Draws of the rivals' parameters: a row is one world, a column one class of `classes`.

    Hazards are per product-month. `hazard_all` and `size_all` are of a class not seen so far.
    """

    classes: tuple[str, ...]
    hazard: Floats  # (draws, classes)
    hazard_all: Floats  # (draws,): μ
    size_mean: Floats  # (draws, classes): of ln s
    size_all: Floats  # (draws,): m₀
    size_sd: Floats  # (draws,): σ
    rise_hazard: Floats  # (draws,)
    launch_hazard: Floats  # (draws,): per provider and class

    def of_class(self, model_class: str) -> tuple[Floats, Floats]:
        """Hazard and mean log size of a class; those of the whole market for an unknown one."""
        if model_class not in self.classes:
            return self.hazard_all, self.size_all
        column = self.classes.index(model_class)
        return self.hazard[:, column], self.size_mean[:, column]

    def drift(self, model_class: str) -> Floats:
        """Expected fall of the log price a month."""
        hazard, size = self.of_class(model_class)
        return hazard * np.exp(size + self.size_sd**2 / 2)


def fit(facts: RivalFacts, draws: int, rng: np.random.Generator) -> RivalDraws:
    """Draw `draws` worlds from the posterior given the facts."""
    hazard_all, hazard = _hazards(facts.classes, draws, rng)
    size_all, size_mean, size_sd = _sizes(facts.classes, draws, rng)
    return RivalDraws(
        classes=tuple(one.model_class for one in facts.classes),
        hazard=hazard,
        hazard_all=hazard_all,
        size_mean=size_mean,
        size_all=size_all,
        size_sd=size_sd,
        rise_hazard=_gamma(
            RISE_SHAPE + len(facts.rise_log_sizes), RISE_MONTHS + facts.months, draws, rng
        ),
        launch_hazard=_gamma(
            LAUNCH_SHAPE + facts.launches, LAUNCH_MONTHS + facts.provider_months, draws, rng
        ),
    )


def _hazards(
    classes: Sequence[ClassFacts], draws: int, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    mu, cv = (grid.ravel() for grid in np.meshgrid(_MU, _CV, indexing="ij"))
    shape = 1.0 / cv**2
    log_weight = -0.5 * ((np.log(mu) - HAZARD_LOG_MEAN) / HAZARD_LOG_SD) ** 2
    log_weight -= 0.5 * (cv / SPREAD_SCALE) ** 2
    for one in classes:  # negative binomial: λ summed out
        expected = mu * one.months
        log_weight += gammaln(shape + one.cuts) - gammaln(shape)
        log_weight += shape * np.log(shape / (shape + expected))
        log_weight += one.cuts * np.log(np.maximum(expected, 1e-300) / (shape + expected))
    cell = _cells(log_weight, draws, rng)
    columns = [
        rng.gamma(shape[cell] + one.cuts) / (shape[cell] / mu[cell] + one.months) for one in classes
    ]
    return _within(mu[cell], _MU, rng), _table(columns, draws)


def _sizes(
    classes: Sequence[ClassFacts], draws: int, rng: np.random.Generator
) -> tuple[Floats, Floats, Floats]:
    tau, sigma = (grid.ravel() for grid in np.meshgrid(_TAU, _SIGMA, indexing="ij"))
    log_weight = -0.5 * (tau / SIZE_SPREAD_SCALE) ** 2 - 0.5 * (sigma / SIZE_SIGMA_SCALE) ** 2
    log_weight += np.log(sigma)  # a cell of the grid is as wide as σ
    precision = np.full_like(tau, 1.0 / SIZE_SD**2)
    weighted = precision * SIZE_MEAN
    square = precision * SIZE_MEAN**2
    for one in classes:
        if not one.cuts:
            continue
        mean = float(np.mean(one.cut_log_sizes))
        within = float(np.sum((np.asarray(one.cut_log_sizes) - mean) ** 2))
        variance = tau**2 + sigma**2 / one.cuts
        log_weight -= 0.5 * np.log(variance) + (one.cuts - 1) * np.log(sigma)
        log_weight -= 0.5 * within / sigma**2
        precision = precision + 1.0 / variance
        weighted = weighted + mean / variance
        square = square + mean**2 / variance
    # m₀ summed out
    log_weight -= 0.5 * np.log(precision) + 0.5 * (square - weighted**2 / precision)
    cell = _cells(log_weight, draws, rng)
    centre = weighted[cell] / precision[cell]
    overall = centre + rng.standard_normal(draws) / np.sqrt(precision[cell])
    columns = [_class_mean(one, overall, tau[cell], sigma[cell], rng) for one in classes]
    return overall, _table(columns, draws), _within(sigma[cell], _SIGMA, rng)


def _class_mean(
    one: ClassFacts, overall: Floats, tau: Floats, sigma: Floats, rng: np.random.Generator
) -> Floats:
    """Of ln s, given the pooling parameters: between the class's own mean and everybody's."""
    own = one.cuts / sigma**2
    precision = own + 1.0 / tau**2
    mean = float(np.mean(one.cut_log_sizes)) if one.cuts else 0.0
    centre = (own * mean + overall / tau**2) / precision
    return np.asarray(centre + rng.standard_normal(len(tau)) / np.sqrt(precision))


def _cells(log_weight: Floats, draws: int, rng: np.random.Generator) -> NDArray[np.intp]:
    weight = np.exp(log_weight - log_weight.max())
    bounds = np.cumsum(weight / weight.sum())
    return np.minimum(np.searchsorted(bounds, rng.random(draws)), len(bounds) - 1)


def _table(columns: Sequence[Floats], draws: int) -> Floats:
    return np.stack(columns, axis=1) if columns else np.zeros((draws, 0))


def _within(values: Floats, grid: Floats, rng: np.random.Generator) -> Floats:
    """Spread draws over their cells of a logarithmic grid, so that quantiles are not its points."""
    return np.asarray(values * (grid[1] / grid[0]) ** (rng.random(len(values)) - 0.5))


def _gamma(shape: float, rate: float, draws: int, rng: np.random.Generator) -> Floats:
    return np.asarray(rng.gamma(shape, 1.0 / rate, draws))
