"""Settings of a worker without protection: no fencing token, and no look at its own clock."""

from __future__ import annotations

from saas.settings import *  # noqa: F403

INSTALLED_APPS = [*INSTALLED_APPS, "tests.chaos.unfenced_app"]  # noqa: F405
