"""Fixtures for a plugin's own tests: `-p plugins.sdk.pytest_plugin`, or by the SDK's wheel."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from plugins.sdk.testing import Recorder, answer_checked, work_make
from plugins.sdk.work import Work


@pytest.fixture
def make_work(tmp_path: Path) -> Callable[..., tuple[Work, Recorder]]:
    """`make_work(inputs, settings, state=…, stop_after=…)`: work in a folder of this test."""
    return partial(work_make, tmp_path)


@pytest.fixture
def check_answer() -> Callable[[str, Any], Any]:
    """`check_answer(hook, value)`: the value as the platform would receive it."""
    return answer_checked
