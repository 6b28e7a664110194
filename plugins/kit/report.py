"""The typed report of a conformance run, as JSON that a marketplace keeps beside the wheel."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Literal

from plugins.sdk.codec import from_json, to_json
from plugins.sdk.errors import ContractError

Group = Literal[
    "package",  # the file: metadata, licence, settings, imports
    "signatures",  # hooks and what they declare
    "isolation",  # the sandbox's level, and one tenant's call beside another's
    "time_limits",  # each sample within its step's time
    "billing",  # a call that is repeated claims the same, under the same keys
    "cancellation",  # it stops when asked to
    "resume",  # from a snapshot it ends as if it had not stopped
    "errors",  # a bad file gets a reason, not a traceback
]
Verdict = Literal["passed", "failed", "skipped"]


@dataclass(frozen=True)
class Check:
    """One thing that was looked at; `subject` is the hook, step or file that it was seen on."""

    group: Group
    subject: str
    verdict: Verdict
    message: str
    wall_s: float = 0.0


@dataclass(frozen=True)
class Report:
    """Everything that was checked on one wheel, told by its SHA-256 and not by its name."""

    plugin: str
    version: str
    licence: str
    wheel: str
    sha256: str
    sdk: str
    platform: str
    level: str  # what its calls were confined by; empty where none was made
    not_enforced: tuple[str, ...]  # acts that this level did not stop, of those that are probed
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether it may be listed: something was checked, and nothing failed."""
        return bool(self.level) and not self.failures

    @property
    def judged(self) -> bool:
        """False where the fault is not the wheel's: no level of isolation holds here."""
        return bool(self.level) or any(check.group == "package" for check in self.failures)

    @property
    def reason(self) -> str:
        """Why it may not be listed, in a line."""
        if not self.failures:
            return "nothing was checked" if not self.level else ""
        first = self.failures[0]
        count = len(self.failures)
        return f"{count} failed; {first.group}: {first.subject}: {first.message}"

    @property
    def failures(self) -> tuple[Check, ...]:
        return tuple(check for check in self.checks if check.verdict == "failed")


def report_write(report: Report) -> str:
    return json.dumps(to_json(report), ensure_ascii=False, indent=2) + "\n"


def report_read(text: str) -> Report:
    """Raises ContractError for what is no report, with the place."""
    try:
        value = json.loads(text)
    except ValueError as error:
        raise ContractError(f"report: no JSON: {error}") from error
    found: Report = from_json(Report, value, "report")
    return found


def report_lines(report: Report) -> list[str]:
    """For a terminal: one line a check, failures last, and the verdict."""
    marks = {"passed": "✓", "skipped": "–", "failed": "✗"}
    ordered = sorted(report.checks, key=lambda check: check.verdict == "failed")
    lines = [f"{marks[c.verdict]} {c.group}: {c.subject}: {c.message}" for c in ordered]
    level = f"level {report.level}" if report.level else "never run"
    verdict = "passed" if report.passed else f"{len(report.failures)} failed"
    return [*lines, f"{report.plugin} {report.version}: {verdict} ({level})"]
