"""`manage.py up`: start Breakwater in the background and wait until it is healthy."""

from __future__ import annotations

import subprocess
import sys
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from saas.runtime.errors import RuntimeFailure
from saas.runtime.layout import ROOT, Layout
from saas.runtime.start import start


class Command(BaseCommand):
    help = "Start everything in the background; run again, it repairs and reuses."
    requires_system_checks: list[str] = []  # noqa: RUF012 - Django's own declaration

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--port", type=int, help="of the web; kept from the last start")

    def handle(self, *args: Any, **options: Any) -> None:
        del args
        try:
            start(Layout.current(), self.stdout.write, port=options["port"])
        except RuntimeFailure as failure:
            raise CommandError(str(failure)) from failure
        # a process of its own: this one read its settings before the first start had written them
        build = [sys.executable, "manage.py", "base_model", "build"]
        models = subprocess.run(build, cwd=ROOT, check=False)
        if models.returncode:
            raise CommandError("the base models could not be made ready; the reason stands above")
