"""The package's own tests: what it answers, what it leaves open, and what it refuses."""

import io

import numpy as np
import pytest
from medical_diagnosis.abstaining import threshold
from medical_diagnosis.plugin import run_method, run_step
from medical_diagnosis.table import table_read

from plugins.sdk import PluginError
from plugins.sdk.testing import step_checked, work_make


def screened(tmp_path, **settings):
    work, recorder = work_make(tmp_path, settings=settings)
    return step_checked(lambda work: run_step("screening", "classify", work), work, recorder)


def test_abstaining_makes_fewer_mistakes_than_answering_always(tmp_path):
    figures = screened(tmp_path).figures
    assert figures["error"] < figures["error_if_forced"] < figures["error_of_majority"] / 5
    assert 0.85 < figures["answered"] < 1
    assert figures["sensitivity"] > 0.9
    assert figures["specificity"] > 0.95


def test_images_too(tmp_path):
    work, _ = work_make(tmp_path)
    figures = run_method("evaluation", "digits", work).figures
    assert figures["error"] < figures["error_if_forced"] < figures["error_of_majority"] / 10


def test_nothing_is_kept(tmp_path):
    work, recorder = work_make(tmp_path)
    result = run_step("screening", "classify", work)
    assert recorder.snapshots == []
    assert [path.name for path in recorder.folder.iterdir()] == list(result.files)


def test_the_threshold_is_the_least_that_keeps_the_promise():
    sure = np.array([0.9, 0.8, 0.8, 0.7])
    wrong = np.array([False, False, True, False])
    assert threshold(sure, wrong, 0.0) == 0.9  # equal confidence goes together
    assert threshold(sure, wrong, 0.25) == 0.7
    assert threshold(sure, ~wrong, 0.0) == np.inf


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n1,2\n", "no column 'ill'"),
        ("ill,a\n1\n", "line 2 has 1 values"),
        ("ill,a\n1,x\n", "line 2"),
        ("ill,a\n" + "2,1\n" * 100, "write 1 for ill"),
        ("ill,a\n" + "1,1\n" * 100, "rows of each kind"),
    ],
)
def test_a_table_that_is_none_is_named(text, said):
    with pytest.raises(PluginError, match=said):
        table_read(io.BytesIO(text.encode()), "ill")
