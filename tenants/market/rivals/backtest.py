"""A rolling back-test: what the model would have said each month, against what came. Pure.

At each origin the model is fitted to what was known then, and foretells every product's log price
`horizon` months on, those that never moved included. Its rivals are "prices stay" and "prices
fall at the rate so far".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tenants.market.moves import History, Kind, Product, month_number, month_start
from tenants.market.rivals.exposure import DEFAULT_RULES, ExposureRules
from tenants.market.rivals.facts import facts_of
from tenants.market.rivals.fitting import Floats, RivalDraws, fit
from tenants.market.rivals.scoring import Proportion, block_bootstrap, crps, proportion
from tenants.market.trends.index import ALL, Panel, panel_of

HORIZONS = (1, 3, 6)  # months
DRAWS = 2000
BLOCK = 6  # months that are drawn together
LEVEL = 0.8
FEWEST_MOVES = 3  # before a first forecast
SEED = 2026


@dataclass(frozen=True)
class Score:
    """One horizon's forecasts. `versus_*` are the model's CRPS less the other's: below 0, the model
    is better; each with its block-bootstrap interval.
    """

    horizon: int
    forecasts: int
    model: float
    stays: float
    declines: float
    versus_stays: tuple[float, float, float]  # low, mean, high
    versus_declines: tuple[float, float, float]
    coverage: Proportion
    coverage_latest: Proportion  # of the last calendar year in the history


@dataclass(frozen=True)
class _Forecast:
    origin: int
    model: float
    stays: float
    declines: float
    is_covered: bool


def backtest(
    history: History,
    horizons: Sequence[int] = HORIZONS,
    rules: ExposureRules = DEFAULT_RULES,
) -> tuple[Score, ...]:
    """Score each horizon over every origin after the history's first few moves."""
    panel = panel_of(history, ALL, rules)
    last = month_number(history.end)
    first = _first_origin(history)
    found: dict[int, list[_Forecast]] = {horizon: [] for horizon in horizons}
    for origin in range(first, last + 1):
        known = History.of(history.before(month_start(origin)), month_start(origin))
        rng = np.random.default_rng([SEED, origin])
        draws = fit(facts_of(known, rules), DRAWS, rng)
        rate = _rate_so_far(panel, origin)
        for horizon in horizons:
            if origin + horizon - 1 <= last:
                found[horizon] += _forecasts(panel, known, draws, rate, origin, horizon, rng)
    return tuple(_score(horizon, rows, last) for horizon, rows in found.items() if rows)


def changes_drawn(
    draws: RivalDraws, model_class: str, months: int, rng: np.random.Generator
) -> Floats:
    """One change of the log price over `months` for each draw: cuts and rises, no promotions."""
    hazard, size = draws.of_class(model_class)
    cuts = rng.poisson(hazard * months)
    rises = rng.poisson(draws.rise_hazard * months)
    return _sum_of_sizes(rises, draws.size_all, draws.size_sd, rng) - _sum_of_sizes(
        cuts, size, draws.size_sd, rng
    )


def promotions_ending(history: History, first: int, last: int) -> Mapping[Product, float]:
    """By how much each product's log price comes back when a promotion ends in [first, last].

    Only where the price before it is known. "At least until" is taken at its word.
    """
    found: dict[Product, float] = {}
    for move in history.moves:
        change = move.log_change
        if move.kind is Kind.PROMOTION and move.until is not None and change is not None:
            ends = month_number(move.until)
            if first <= ends <= last:
                found[move.product] = -change
    return found


def _sum_of_sizes(counts: np.ndarray, mean: Floats, sd: Floats, rng: np.random.Generator) -> Floats:
    """The sum of `counts[i]` log-normal sizes, draw by draw."""
    owner = np.repeat(np.arange(len(counts)), counts)
    sizes = np.exp(mean[owner] + sd[owner] * rng.standard_normal(len(owner)))
    return np.bincount(owner, weights=sizes, minlength=len(counts)).astype(np.float64)


def _first_origin(history: History) -> int:
    moved = [move for move in history.moves if move.log_change is not None]
    return month_number(moved[min(FEWEST_MOVES, len(moved)) - 1].date) + 1


def _rate_so_far(panel: Panel, origin: int) -> float:
    past = np.asarray(panel.months) < origin
    months = panel.at_risk[:, past].sum()
    return float(-panel.change[:, past].sum() / months) if months else 0.0


def _forecasts(
    panel: Panel,
    known: History,
    draws: RivalDraws,
    rate: float,
    origin: int,
    horizon: int,
    rng: np.random.Generator,
) -> list[_Forecast]:
    """Of every product that was on sale all through the horizon, by the reconstructed exposure."""
    begin = origin - panel.months[0]
    span = slice(begin, begin + horizon)
    ending = promotions_ending(known, origin, origin + horizon - 1)
    ensembles: dict[str, Floats] = {}
    rows = []
    for number, product in enumerate(panel.products):
        if not panel.at_risk[number, span].all():
            continue
        name = product.model_class
        if name not in ensembles:
            ensembles[name] = changes_drawn(draws, name, horizon, rng)
        ensemble = ensembles[name] + ending.get(product.product, 0.0)
        actual = float(panel.change[number, span].sum())
        low, high = np.quantile(ensemble, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
        rows.append(
            _Forecast(
                origin=origin,
                model=crps(ensemble, actual),
                stays=abs(actual),
                declines=abs(actual + rate * horizon),
                is_covered=bool(low - 1e-12 <= actual <= high + 1e-12),
            )
        )
    return rows


def _score(horizon: int, rows: Sequence[_Forecast], last: int) -> Score:
    latest = [row for row in rows if row.origin // 12 == last // 12]
    return Score(
        horizon=horizon,
        forecasts=len(rows),
        model=float(np.mean([row.model for row in rows])),
        stays=float(np.mean([row.stays for row in rows])),
        declines=float(np.mean([row.declines for row in rows])),
        versus_stays=_versus([(row.origin, row.model - row.stays) for row in rows]),
        versus_declines=_versus([(row.origin, row.model - row.declines) for row in rows]),
        coverage=proportion(sum(row.is_covered for row in rows), len(rows)),
        coverage_latest=proportion(sum(row.is_covered for row in latest), len(latest)),
    )


def _versus(differences: Sequence[tuple[int, float]]) -> tuple[float, float, float]:
    """The mean over origins of the origin's mean difference, with its interval."""
    months: dict[int, list[float]] = {}
    for origin, difference in differences:
        months.setdefault(origin, []).append(difference)
    series = np.asarray([np.mean(months[origin]) for origin in sorted(months)])
    low, high = block_bootstrap(series, block=min(BLOCK, len(series)), level=LEVEL, seed=SEED)
    return low, float(series.mean()), high
