"""Tests of pages begin in English, whatever language the page before was served in."""

from __future__ import annotations

import pytest
from django.utils.translation import activate


@pytest.fixture(autouse=True)
def _english() -> None:
    activate("en")
