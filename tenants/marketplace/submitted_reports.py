"""The conformance report that a partner sends with its wheel: JSON of `plugin check`. Pure.

It spares a partner a review that is known to fail, and proves nothing: `services/reviews.py`.

{"plugin": "risk", "version": "1.0", "sha256": "…", "level": "namespaces",
 "checks": [{"group": "billing", "subject": "score", "verdict": "passed", "message": "…"}]}
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from plugins.kit.report import Verdict
from tenants.kernel.errors import InvalidInput

VERDICTS = frozenset(get_args(Verdict))
MAX_CHECKS = 500


def report_check(report: Mapping[str, Any], *, plugin: str, version: str, sha256: str) -> None:
    """Raises InvalidInput where it is none, tells of another wheel, or of a failure."""
    told = tuple(str(report.get(name, "")) for name in ("plugin", "version", "sha256"))
    if told != (plugin, version, sha256):
        raise _wrong(
            f"it tells of {told[0] or 'nothing'} {told[1]} ({told[2][:12]}…), the wheel is "
            f"{plugin} {version} ({sha256[:12]}…); check the wheel that you send"
        )
    checks = report.get("checks")
    if not isinstance(checks, list) or not 1 <= len(checks) <= MAX_CHECKS:
        raise _wrong(f"checks is a list of 1 to {MAX_CHECKS}")
    if not all(isinstance(c, Mapping) and c.get("verdict") in VERDICTS for c in checks):
        raise _wrong(f"every check has a verdict: {', '.join(sorted(VERDICTS))}")
    if not report.get("level"):
        raise _wrong("no call was confined: run it where a level of isolation holds")
    if failed := [check for check in checks if check["verdict"] == "failed"]:
        first = failed[0]
        raise _wrong(
            f"{len(failed)} failed; {first.get('group')}: {first.get('subject')}: "
            f"{first.get('message')}"
        )


def _wrong(what: str) -> InvalidInput:
    return InvalidInput(
        f"the conformance report: {what}", param="conformance", code="not_conformant"
    )
