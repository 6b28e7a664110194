"""Forecasts of demand: right on what is known, honest about what is not."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pytest

from tenants.costs.forecasting import WEEKS_A_MONTH, demand_forecast
from tenants.costs.selectors import work_weeks
from tenants.costs.services import slot_time_record
from tenants.kernel.errors import InvalidInput
from tenants.kernel.scope import system_scope
from tests.tenants.costs.factories import NOON, resource_make, slot_time


def forecast(weeks: Any, **of: int) -> Any:
    return demand_forecast({"serve": weeks}, ["serve"], **{"months": 6, "scenarios": 200, **of})


def test_steady_work_goes_on_as_it_was() -> None:
    found = forecast([70.0] * 26)
    assert found.shape == (200, 1, 6)
    np.testing.assert_allclose(found, 70 * WEEKS_A_MONTH, rtol=1e-9)


def test_exact_growth_is_carried_on_damped() -> None:
    """After w weeks the trend of g a week has been carried on for 0.98 + 0.98^2 + ... weeks."""
    rate = 0.02
    found = forecast([np.exp(rate * n) for n in range(20)], months=2, scenarios=3)
    ahead = np.cumsum(0.98 ** np.arange(1, 11))
    weekly = np.exp(rate * (19 + ahead))
    running = np.concatenate([[0], np.cumsum(weekly)])
    edges = np.array([0, WEEKS_A_MONTH, 2 * WEEKS_A_MONTH])
    expected = np.diff(np.interp(edges, np.arange(11), running[:11]))
    np.testing.assert_allclose(found[:, 0], np.tile(expected, (3, 1)), rtol=1e-9)


def test_a_trend_is_carried_no_further_than_it_was_seen() -> None:
    """Six weeks that doubled promise six doublings more at most, not 2 to the 40th."""
    found = forecast([float(2**n) for n in range(6)], months=24)
    assert found[:, 0, -1] == pytest.approx(32 * 2**6 * WEEKS_A_MONTH)


@pytest.mark.parametrize("place", [0, 5, 20, 25])
def test_a_week_without_work_is_a_quiet_week(place: int) -> None:
    """The other 25 have 100 slot-hours: no month of the next year is expected to have five times
    that, or a fifth of it.
    """
    weeks = [100.0] * 26
    weeks[place] = 0.0
    expected = forecast(weeks, months=12)[:, 0].mean(axis=0) / (100 * WEEKS_A_MONTH)
    assert 0.2 < expected.min() < expected.max() < 5


def test_bands_cover_what_comes() -> None:
    """Of 300 histories without growth, 80% bands hold the quarter that follows as often."""
    generator = np.random.default_rng(3)
    held = 0
    for n in range(300):
        weeks = generator.lognormal(0, 0.2, 26 + 13) * 100
        sums = forecast(weeks[:26], months=3, scenarios=400, seed=n)[:, 0].sum(axis=1)
        low, high = np.quantile(sums, [0.1, 0.9])
        held += low <= weeks[26:].sum() <= high
    assert 0.74 <= held / 300 <= 0.86


def test_the_same_seed_says_the_same() -> None:
    weeks = np.random.default_rng(1).lognormal(0, 0.3, 20)
    np.testing.assert_array_equal(forecast(weeks, seed=5), forecast(weeks, seed=5))
    assert (forecast(weeks, seed=5) != forecast(weeks, seed=6)).any()


@pytest.mark.parametrize(
    ("weeks", "of"),
    [
        ([], {}),
        ([1.0] * 5, {}),
        ([0.0] * 20, {}),
        ([1.0] * 20, {"months": 0}),
        ([1.0] * 20, {"scenarios": 0}),
    ],
)
def test_what_cannot_be_forecast_is_refused(weeks: list[float], of: dict[str, int]) -> None:
    with pytest.raises(InvalidInput):
        forecast(weeks, **of)


@pytest.mark.django_db
def test_weeks_are_whole_and_begin_with_the_first_that_worked() -> None:
    until = NOON.replace(hour=0)
    resource = resource_make((until - dt.timedelta(days=400), "0.01"))
    entries = [
        slot_time(
            0, 0, resource=resource, started_at=at, ended_at=at + dt.timedelta(hours=hours),
            key=f"k{n}", labels={"kind": kind, "base": "mini"},
        )
        for n, (days, hours, kind) in enumerate(
            [(20, 2, "serve"), (15, 1, "serve"), (8, 3, "serve"), (1, 4, "fine_tune"),
             (-1, 9, "serve")]
        )
        for at in [until - dt.timedelta(days=days)]
    ]  # fmt: skip
    with system_scope():
        slot_time_record(entries=entries)
        found = work_weeks(until=until, weeks=10)
    assert found == {"serve": [3.0, 3.0, 0.0], "fine_tune": [0.0, 0.0, 4.0]}
