"""The one figure that a compression may only worsen so far."""

from __future__ import annotations

import pytest

from workers.engine.compression.quality import Quality, quality_lost, quality_of


@pytest.mark.parametrize(
    ("metrics", "metric"),
    [
        ({"loss": 1.0, "perplexity": 2.7, "token_accuracy": 0.5}, "perplexity"),
        ({"loss": 1.0, "mse": 2.0, "mae": 1.0, "r2": 0.5}, "mse"),
        ({"loss": 1.0, "accuracy": 0.5, "mrr": 0.6}, "mrr"),
        ({"loss": 1.0, "accuracy": 0.5, "macro_f1": 0.5}, "accuracy"),
    ],
)
def test_each_task_is_judged_by_its_own(metrics: dict[str, float], metric: str) -> None:
    assert quality_of(metrics).metric == metric


def test_without_any_it_says_which_are_known() -> None:
    with pytest.raises(KeyError, match="perplexity, mse, mrr, accuracy"):
        quality_of({"loss": 1.0})


def test_an_error_that_grows_and_a_gain_that_falls_are_losses() -> None:
    assert Quality("mse", is_gain=False).loss(2.0, 2.5) == pytest.approx(0.25)
    assert Quality("accuracy", is_gain=True).loss(0.8, 0.6) == pytest.approx(0.25)
    assert Quality("accuracy", is_gain=True).loss(0.6, 0.8) < 0
    assert Quality("mse", is_gain=False).loss(0.0, 1.0) > 1e6  # nothing is within a bound of it
    assert quality_lost({"dense_mse": 4.0, "mse": 5.0}) == pytest.approx(0.25)
