"""Remaining time and the curve's points."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.jobs.progress import POINTS, Pace, curve_point, finite, is_kept


@given(st.floats(0.001, 100), st.integers(2, 50), st.integers(1, 1000))
def test_an_even_pace_predicts_exactly(each_s: float, done: int, more: int) -> None:
    pace = Pace()
    assert pace.remaining(done + more) is None
    for step in range(done + 1):
        pace.moved(step, step * each_s)
    assert pace.remaining(done + more) == pytest.approx(more * each_s)


def test_a_resumed_run_does_not_count_the_steps_before_it() -> None:
    pace = Pace()
    pace.moved(500, 10.0)
    assert pace.remaining(1000) is None
    pace.moved(501, 12.0)
    assert pace.remaining(1000) == pytest.approx(499 * 2.0)


@settings(deadline=None)
@given(st.integers(1, 20_000))
def test_a_long_curve_is_thinned_and_a_short_one_is_whole(steps: int) -> None:
    kept = [step for step in range(1, steps + 1) if is_kept(step, steps, {"loss": 1.0})]
    assert len(kept) <= POINTS + 2
    assert {1, steps} <= set(kept)
    if steps <= POINTS:
        assert len(kept) == steps


def test_held_out_figures_are_always_kept() -> None:
    assert is_kept(7, 10**6, {"validation_loss": 1.0})
    assert not is_kept(7, 10**6, {})


def test_points_speak_openais_names_and_json_numbers() -> None:
    point = curve_point(
        3, 9, {"loss": 2.0, "validation_loss": 1.5, "validation_perplexity": math.inf}
    )
    assert point == {
        "step": 3,
        "total_steps": 9,
        "train_loss": 2.0,
        "valid_loss": 1.5,
        "full_valid_loss": 1.5,
    }
    assert finite({"a": math.nan, "b": 1.0}) == {"b": 1.0}
