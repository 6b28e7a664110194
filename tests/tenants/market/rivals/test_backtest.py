"""The back-test knows nothing of the future, and can tell a good model from a bad one."""

from __future__ import annotations

import datetime as dt
import math

import numpy as np
import pytest

from tenants.market.importing.moves_csv import shipped_moves
from tenants.market.moves import History, Kind, Price, PriceMove, month_number, month_start
from tenants.market.rivals.backtest import backtest, promotions_ending
from tenants.market.rivals.exposure import ExposureRules
from tests.tenants.market.factories import launch, move


def synthetic(hazard: float, years: int = 8, products: int = 30, seed: int = 3) -> History:
    """Products launched at once, each cut by about a third at a monthly hazard."""
    rng = np.random.default_rng(seed)
    begin = month_number(dt.date(2017, 1, 1))
    moves: list[PriceMove] = []
    for n in range(products):
        model, price = f"m{n}", 10.0
        moves.append(launch(model, dt.date(2017, 1, 5), provider=f"p{n}", after=Price(10, 10)))
        for month in range(begin + 1, begin + 12 * years):
            if rng.random() < hazard:
                after = price * math.exp(-math.exp(rng.normal(math.log(0.4), 0.4)))
                day = month_start(month).replace(day=12)
                moves.append(
                    move(
                        model=model, provider=f"p{n}", date=day, before=Price(price, price),
                        after=Price(after, after),
                    )
                )  # fmt: skip
                price = after
    return History.of(moves, month_start(begin + 12 * years) - dt.timedelta(days=1))


def test_where_the_model_is_right_it_beats_both_and_covers_what_it_says() -> None:
    (score,) = backtest(synthetic(0.1), horizons=(6,))
    assert score.versus_stays[2] < 0
    assert score.versus_declines[2] < 0
    # "no move" is the upper bound of nearly every forecast, so only a tenth can lie outside
    assert score.coverage.share == pytest.approx(0.9, abs=0.03)
    assert score.forecasts > 2000


def test_what_happens_later_changes_no_earlier_forecast() -> None:
    """The same months, with and without a year of wild cuts after them."""
    calm = synthetic(0.05, years=4)
    end = month_number(calm.end)
    wild = [
        move(model="m0", provider="p0", date=month_start(end + n), before=Price(9, 9),
             after=Price(1, 1))
        for n in range(1, 12)
    ]  # fmt: skip
    longer = History.of([*calm.moves, *wild])
    before = backtest(calm, horizons=(1,))[0]
    after = backtest(longer, horizons=(1,))[0]
    assert after.forecasts > before.forecasts
    assert before.coverage.hits <= after.coverage.hits


def test_the_shipped_history_is_scored_with_months_without_moves() -> None:
    scores = {score.horizon: score for score in backtest(History.of(shipped_moves()))}
    assert set(scores) == {1, 3, 6}
    for score in scores.values():
        assert score.forecasts > 300
        low, mean, high = score.versus_stays
        assert low <= mean <= high
        assert 0 < score.coverage_latest.low <= score.coverage_latest.share


def test_promotions_end_when_they_said_and_only_where_the_old_price_is_known() -> None:
    promotion = {"kind": Kind.PROMOTION, "until": dt.date(2025, 9, 30)}
    history = History.of([
        move(model="a", **promotion),
        move(model="b", before=Price(), **promotion),
    ])  # fmt: skip
    september = month_number(dt.date(2025, 9, 1))
    found = promotions_ending(history, september, september)
    assert found == {("Acme", "a"): pytest.approx(math.log(2))}
    assert promotions_ending(history, september + 1, september + 6) == {}


def test_exposure_rules_are_what_they_say() -> None:
    history = History.of([move(date=dt.date(2025, 6, 10))], dt.date(2025, 12, 31))
    from tenants.market.rivals.exposure import exposures

    (three,) = exposures(history, ExposureRules(unseen_launch_months=3))
    (nine,) = exposures(history, ExposureRules(unseen_launch_months=9))
    assert three.months == 3 + 7
    assert nine.months == 9 + 7
