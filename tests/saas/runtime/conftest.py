from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from saas.runtime.layout import Layout
from saas.runtime.stop import stop
from tests.folders import open_folder


@pytest.fixture
def folder() -> Iterator[Path]:
    with open_folder() as path:
        yield path


@pytest.fixture(scope="module")
def shared_folder() -> Iterator[Path]:
    with open_folder() as path:
        yield path


@pytest.fixture
def new_layout(folder: Path) -> Iterator[Layout]:
    """A data folder nobody has used, stopped at the end whatever the test did."""
    layout = Layout(folder / "var")
    yield layout
    stop(layout, print)


@pytest.fixture
def used_layout(shared_folder: Path) -> Iterator[Layout]:
    """A data folder that earlier tests of the module may have used, with nothing running on it."""
    layout = Layout(shared_folder / "var")
    yield layout
    stop(layout, print)
