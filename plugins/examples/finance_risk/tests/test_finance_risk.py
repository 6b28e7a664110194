"""The package's own test: what any partner's looks like."""

from finance_risk.plugin import run_step

from plugins.sdk.testing import step_checked, work_make


def test_scores_beat_the_base_rate(tmp_path):
    work, recorder = work_make(tmp_path)
    result = step_checked(lambda work: run_step("risk", "score", work), work, recorder)
    assert result.figures["brier"] < result.figures["brier_of_base_rate"]
