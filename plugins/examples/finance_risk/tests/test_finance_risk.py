"""The package's own test: what any partner's looks like."""

import csv
from decimal import Decimal
from pathlib import Path

import finance_risk
import numpy as np
import pytest
from finance_risk.allocating import least_variance
from finance_risk.plugin import campaign_prices, run_step

from plugins.sdk import CampaignStep, PluginError
from plugins.sdk.testing import prices_checked, step_checked, work_make


def test_scores_beat_the_base_rate(tmp_path):
    work, recorder = work_make(tmp_path)
    result = step_checked(lambda work: run_step("risk", "score", work), work, recorder)
    assert result.figures["brier"] < result.figures["brier_of_base_rate"]


def test_two_assets_have_the_weights_of_the_closed_form():
    covariance = np.array([[0.04, 0.006], [0.006, 0.09]])
    first = (0.09 - 0.006) / (0.04 + 0.09 - 2 * 0.006)
    assert least_variance(covariance, 1.0) == pytest.approx([first, 1 - first], abs=1e-6)
    assert least_variance(covariance, 0.6) == pytest.approx([0.6, 0.4], abs=1e-6)


def test_weights_vary_less_than_equal_ones_on_later_periods(tmp_path):
    growth = Path(finance_risk.__file__).parent / "samples" / "growth.csv"
    work, recorder = work_make(tmp_path, {"growth": growth}, {"most": 0.8})
    result = step_checked(lambda work: run_step("allocation", "weigh", work), work, recorder)
    assert result.figures["volatility"] < result.figures["volatility_of_equal_weights"]
    weights = [float(row["weight"]) for row in csv.DictReader((tmp_path / "weights.csv").open())]
    assert sum(weights) == pytest.approx(1, abs=1e-5)
    assert all(0 <= weight <= 0.8 for weight in weights)


def test_weights_that_cannot_add_up_are_refused(tmp_path):
    growth = Path(finance_risk.__file__).parent / "samples" / "growth.csv"
    work, _ = work_make(tmp_path, {"growth": growth}, {"most": 0.2})
    with pytest.raises(PluginError, match="do not add up to 1"):
        run_step("allocation", "weigh", work)


def test_prices_follow_a_third_of_the_way_and_keep_above_cost():
    own, rival, cost = map(Decimal, ("3", "2.4", "1")), map(Decimal, ("1.5", "3", "1")), [1, 1, 2]
    step = CampaignStep(0, tuple(own), tuple(rival), tuple(map(Decimal, cost)))
    assert prices_checked(campaign_prices, step) == tuple(map(Decimal, ("2.5", "2.4", "2.5")))
