"""Data to train on, and data to measure with."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.workers.engine.factories import chats, completions, write_jsonl


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return write_jsonl(tmp_path / "train.jsonl", completions() + chats())


@pytest.fixture
def validation(tmp_path: Path) -> Path:
    return write_jsonl(tmp_path / "validation.jsonl", completions(40)[24:])
