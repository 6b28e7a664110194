"""Storage of the test's own, as in the tasks' tests."""

from tests.workers.tasks.conftest import _own_folders

__all__ = ["_own_folders"]
