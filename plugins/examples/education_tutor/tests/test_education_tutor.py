"""The package's own tests: real school data, and practice against the model's own equations."""

import io

import numpy as np
import pytest
from education_tutor.answers import answers_read
from education_tutor.plugin import run_step
from education_tutor.practice import Rasch, choose, fit, held_out

from plugins.sdk import PluginError
from plugins.sdk.testing import step_checked, work_make


def made(learners=60, exercises=20, seed=1):
    """Answers as the model itself gives them, a third of them missing."""
    random = np.random.default_rng(seed)
    true = Rasch(random.normal(size=learners) * 1.5, random.normal(size=exercises) * 1.5)
    answers = (random.random((learners, exercises)) < true.chance()).astype(float)
    answers[random.random(answers.shape) < 1 / 3] = np.nan
    return true, answers


def test_districts_means_explain_more_than_the_mean_does(tmp_path):
    work, recorder = work_make(tmp_path)
    result = step_checked(lambda work: run_step("analytics", "districts", work), work, recorder)
    assert result.figures["districts"] == 303
    assert result.figures["error"] < result.figures["error_of_mean"] * 0.8
    assert result.figures["explained"] > 0.3


def test_the_fit_is_where_the_posterior_has_no_slope():
    _, answers = made()
    found, seen = fit(answers), ~np.isnan(answers)
    over = np.where(seen, answers - found.chance(), 0.0)
    assert over.sum(axis=1) == pytest.approx(found.ability, abs=1e-6)
    assert -over.sum(axis=0) == pytest.approx(found.difficulty, abs=1e-6)


def test_abilities_are_found_again_and_predict_better_than_the_exercise_alone():
    true, answers = made(400, 40)
    assert np.corrcoef(true.ability, fit(answers).ability)[0, 1] > 0.9
    losses = held_out(answers)
    assert losses["log_loss"] < losses["log_loss_of_exercise_mean"] * 0.9


def test_the_next_exercise_is_the_one_of_even_chance_not_yet_answered():
    model = Rasch(np.array([0.0, 2.0, 0.0]), np.array([-3.0, 0.1, 2.0]))
    answers = np.full((3, 3), np.nan)
    answers[2] = 1.0
    assert choose(answers, model).tolist() == [1, 2, -1]
    answers[0, 1] = 0.0
    assert choose(answers, model)[0] == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "line 1 is the heading"),
        ("learner,exercise,right\na,b,2\n", "line 2"),
        ("learner,exercise,right\na,b,1\n", "at least 50"),
    ],
)
def test_a_table_that_is_none_is_named(text, said):
    with pytest.raises(PluginError, match=said):
        answers_read(io.BytesIO(text.encode()))
