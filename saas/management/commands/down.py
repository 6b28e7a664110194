"""`manage.py down`: stop Breakwater and leave no process behind."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from saas.runtime.errors import RuntimeFailure
from saas.runtime.layout import Layout
from saas.runtime.stop import stop


class Command(BaseCommand):
    help = "Stop everything that runs on the data folder, also what a killed supervisor has left."
    requires_system_checks: list[str] = []  # noqa: RUF012 - Django's own declaration

    def handle(self, *args: Any, **options: Any) -> None:
        del args, options
        try:
            stop(Layout.current(), self.stdout.write)
        except RuntimeFailure as failure:
            raise CommandError(str(failure)) from failure
