"""`manage.py doctor`: examine this installation; exit 1 where something required fails."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand

from saas.doctor.examination import examine_all, healthy
from saas.doctor.findings import Finding, Health

_SIGNS = {Health.GOOD: "ok  ", Health.WARNING: "warn", Health.FAILED: "FAIL", Health.OFF: "off "}


class Command(BaseCommand):
    help = "Say what is configured, reachable and enforced, and what to do where it is not."
    requires_system_checks: list[str] = []  # noqa: RUF012 - Django's own declaration

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="one JSON document, for scripts")

    def handle(self, *args: Any, **options: Any) -> None:
        del args
        findings: list[Finding] = []
        for finding in examine_all():
            findings.append(finding)
            if not options["json"]:
                self.stdout.write(_line(finding))
        well = healthy(findings)
        if options["json"]:
            document = {"healthy": well, "findings": [asdict(finding) for finding in findings]}
            self.stdout.write(json.dumps(document, indent=2))
        if not well:
            raise SystemExit(1)


def _line(finding: Finding) -> str:
    todo = f"\n       → {finding.todo}" if finding.todo else ""
    return f"{_SIGNS[finding.health]}  {finding.about}: {finding.message}{todo}"
